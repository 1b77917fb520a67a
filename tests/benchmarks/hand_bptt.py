"""Train steps as an expert writes them by hand in numpy, one for each network: the yardstick of the replay.

Model: one layer of RNN, LSTM or GRU with PyTorch's parameters and gate order from a zero state, a linear head,
and the mean cross-entropy over all steps and examples. T steps, B examples, I inputs, H hidden units, C classes.
What makes these fast:

- every buffer is allocated once and written with ``out=``;
- products that do not wait for each other are one product over all steps: the inputs, the head, and each gradient
  of a weight, ``dW = sum_t dz_t^T h_{t-1}``;
- what in the backward loop depends on the forward values only is computed for a block of steps at a time, as many as
  fit the cache: the loop itself is a product and a few elementwise calls;
- sigmoid(x) is tanh(x/2)/2 + 1/2, and the half is multiplied into the weights: one tanh serves all gates of a step;
- with one example all is vectors, and BLAS runs gemv.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Block = tuple[int, int, list[tuple[Array, ...]]]
BLOCK_BYTES = 1 << 18  # a quarter of the second-level cache of today's CPUs


class HandStep(ABC):
    """A train step: ``step(x, targets, *parameters)`` returns the loss and the gradients of the parameters.

    The parameters are ``weight_ih`` (G*H, I), ``weight_hh`` (G*H, H), ``bias_ih``, ``bias_hh`` (G*H,), and the
    head's weight (C, H) and bias (C,). The gradients are buffers of the object: the next call overwrites them.
    """

    gates: int
    # What each gate's sum is multiplied by before its tanh: 0.5 makes it a sigmoid.
    scales: tuple[float, ...]

    def __init__(self, T: int, B: int, I: int, H: int, C: int, dtype: type = np.float64) -> None:  # noqa: E741
        self.T, self.H, self.N = T, H, T * B
        self.batch = () if B == 1 else (B,)
        self.dtype = dtype
        GH = self.gates * H
        self.scale = np.repeat(np.asarray(self.scales, dtype), H)[:, None]  # (G*H, 1)
        self.W, self.UT, self.b = self._empty(GH, I), self._empty(H, GH), self._empty(GH)
        self.z = self._steps(GH)  # what the inputs add to the sums of the gates
        self.h = self._steps(H, T + 1)  # h[t] is the state before step t
        self.h[0] = 0
        self.dh_head = self._steps(H)
        self.logits, self.norm, self.picked = self._empty(T * B, C), self._empty(T * B, 1), np.arange(T * B)
        self.ones, self.ones_of_classes = np.ones(T * B, dtype), np.ones((C, 1), dtype)
        # x^T dz is up to 1.5 times faster than dz^T x, so the gradients of W and U are kept as their transposes.
        self.dWT, self.dUT = self._empty(I, GH), self._empty(H, GH)
        others = [self._empty(*shape) for shape in ((GH,), (GH,), (C, H), (C,))]
        self.grads = [self.dWT.T, self.dUT.T, *others]
        bytes_of_step = B * GH * np.dtype(dtype).itemsize
        self.block = max(1, min(T, BLOCK_BYTES // bytes_of_step))

    def _empty(self, *shape: int) -> Array:
        return np.empty(shape, self.dtype)

    def _steps(self, width: int, steps: int | None = None) -> Array:
        return self._empty(steps or self.T, *self.batch, width)

    def _backwards(self, columns: Callable[[int, int], tuple[Array, ...]]) -> list[Block]:
        """The blocks of steps from the end to the start: (first, beyond the last, the views of each step).

        ``columns(first, beyond)`` gives the arrays over those steps that the loop reads and writes.
        """
        blocks = []
        for stop in range(self.T, 0, -self.block):
            start = max(0, stop - self.block)
            backwards = (column[::-1] for column in columns(start, stop))
            blocks.append((start, stop, list(zip(*backwards, strict=True))))
        return blocks

    def __call__(self, x: Array, targets: Array, *parameters: Array) -> tuple[float, list[Array]]:
        W, U, b_ih, b_hh, V, c = parameters
        x = x.reshape(self.N, -1)
        self._scaled_weights(W, U, b_ih, b_hh)
        z = self.z.reshape(self.N, -1)
        np.dot(x, self.W.T, out=z)
        np.add(z, self.b, out=z)
        self._forward(b_hh)
        loss = self._head(targets.reshape(-1), V, c)
        self._backward(U)
        self._weights(x)
        return loss, self.grads

    def _scaled_weights(self, W: Array, U: Array, b_ih: Array, b_hh: Array) -> None:
        np.multiply(W, self.scale, out=self.W)
        np.multiply(U.T, self.scale.T, out=self.UT)
        np.add(b_ih, b_hh, out=self.b)
        np.multiply(self.b, self.scale[:, 0], out=self.b)

    def _head(self, targets: Array, V: Array, c: Array) -> float:
        """Return the loss; leave the cotangents of the states in ``dh_head``, the head's gradients in ``grads``."""
        h, p, norm = self.h[1:].reshape(self.N, -1), self.logits, self.norm
        np.dot(h, V.T, out=p)
        np.add(p, c, out=p)
        np.maximum.reduce(p, axis=1, keepdims=True, out=norm)
        np.subtract(p, norm, out=p)
        chosen = p[self.picked, targets].sum()
        np.exp(p, out=p)
        np.dot(p, self.ones_of_classes, out=norm)
        loss = (np.log(norm).sum() - chosen) / self.N
        np.divide(1 / self.N, norm, out=norm)
        np.multiply(p, norm, out=p)
        p[self.picked, targets] -= 1 / self.N
        np.dot(p, V, out=self.dh_head.reshape(self.N, -1))
        np.dot(p.T, h, out=self.grads[4])
        np.dot(self.ones, p, out=self.grads[5])
        return float(loss)

    @abstractmethod
    def _forward(self, b_hh: Array) -> None:
        """Fill ``h`` from ``z``, which holds the inputs' sums and the biases, scaled."""

    @abstractmethod
    def _backward(self, U: Array) -> None:
        """Walk back in time from ``dh_head`` to the cotangents of the sums of the gates."""

    @abstractmethod
    def _weights(self, x: Array) -> None:
        """Make the gradients of the weights and biases from those cotangents."""

    def _plain_weights(self, dz: Array, x: Array) -> None:
        """The same cotangents for the input's and the state's sums."""
        dz = dz.reshape(self.N, -1)
        db_ih, db_hh = self.grads[2:4]
        np.dot(x.T, dz, out=self.dWT)
        np.dot(self.h[:-1].reshape(self.N, -1).T, dz, out=self.dUT)
        np.dot(self.ones, dz, out=db_ih)
        db_hh[...] = db_ih


class HandRNN(HandStep):
    """h_t = tanh(W x_t + b_ih + U h_{t-1} + b_hh)."""

    gates, scales = 1, (1.0,)

    def __init__(self, T: int, B: int, I: int, H: int, C: int, dtype: type = np.float64) -> None:  # noqa: E741
        super().__init__(T, B, I, H, C, dtype)
        self.dz, self.slope = self._steps(H), self._steps(H, self.block)
        self.dh = self._empty(*self.batch, H)
        self.forward_steps = list(zip(self.z, self.h, self.h[1:], strict=False))
        self.backward_steps = self._backwards(
            lambda a, b: (self.dh_head[a:b], self.slope[: b - a], self.dz[a:b])
        )

    def _scaled_weights(self, W: Array, U: Array, b_ih: Array, b_hh: Array) -> None:
        self.W = W
        np.copyto(self.UT, U.T)
        np.add(b_ih, b_hh, out=self.b)

    def _forward(self, b_hh: Array) -> None:
        dot, add, tanh, UT = np.dot, np.add, np.tanh, self.UT
        for z, before, after in self.forward_steps:
            dot(before, UT, after)
            add(after, z, after)
            tanh(after, after)

    def _backward(self, U: Array) -> None:
        dot, add, multiply, dh = np.dot, np.add, np.multiply, self.dh
        dh[...] = 0
        for start, stop, steps in self.backward_steps:
            h, slope = self.h[start + 1 : stop + 1], self.slope[: stop - start]
            multiply(h, h, slope)
            np.subtract(1, slope, slope)
            for dh_t, slope_t, dz_t in steps:
                add(dh, dh_t, dh)
                multiply(dh, slope_t, dz_t)
                dot(dz_t, U, dh)

    def _weights(self, x: Array) -> None:
        self._plain_weights(self.dz, x)


class HandLSTM(HandStep):
    """i, f, o = sigmoid, g = tanh of W x + b_ih + U h + b_hh (order i f g o); c = f c + i g; h = o tanh(c)."""

    gates, scales = 4, (0.5, 0.5, 1.0, 0.5)

    def __init__(self, T: int, B: int, I: int, H: int, C: int, dtype: type = np.float64) -> None:  # noqa: E741
        super().__init__(T, B, I, H, C, dtype)
        self.activated, self.dz = self._steps(4 * H), self._steps(4 * H)
        self.c, self.tanh_c = self._steps(H, T + 1), self._steps(H)
        self.c[0] = 0
        self.slope, self.dc_of_dh = self._steps(4 * H, self.block), self._steps(H, self.block)
        self.row = self._empty(*self.batch, H)
        self.dh, self.dc = self._empty(*self.batch, H), self._empty(*self.batch, H)
        self.stretch = self.scale[:, 0].copy()
        self.shift = 1 - self.stretch  # tanh becomes sigmoid where the scale is a half
        i, f, g, o = (self._gate(self.activated, k) for k in range(4))
        columns = (self.z, self.activated, i, f, g, o, self.c, self.c[1:], self.tanh_c, self.h, self.h[1:])
        self.forward_steps = list(zip(*columns, strict=False))
        self.backward_steps = self._backwards(self._backward_columns)

    def _gate(self, array: Array, k: int) -> Array:
        return array[..., k * self.H : (k + 1) * self.H]

    def _backward_columns(self, start: int, stop: int) -> tuple[Array, ...]:
        slope, dz = self.slope[: stop - start], self.dz[start:stop]
        by_gate = (*slope.shape[:-1], 4, self.H)
        ifg = tuple(array.reshape(by_gate)[..., :3, :] for array in (slope, dz))
        o = (self._gate(slope, 3), self._gate(dz, 3))
        f = self._gate(self.activated[start:stop], 1)
        return self.dh_head[start:stop], self.dc_of_dh[: stop - start], *ifg, *o, f, dz

    def _forward(self, b_hh: Array) -> None:
        dot, add, multiply, tanh = np.dot, np.add, np.multiply, np.tanh
        UT, stretch, shift, row = self.UT, self.stretch, self.shift, self.row
        for z, a, i_t, f_t, g_t, o_t, c, c_t, tanh_c, h, h_t in self.forward_steps:
            dot(h, UT, a)
            add(a, z, a)
            tanh(a, a)
            multiply(a, stretch, a)
            add(a, shift, a)
            multiply(f_t, c, c_t)
            multiply(i_t, g_t, row)
            add(c_t, row, c_t)
            tanh(c_t, tanh_c)
            multiply(o_t, tanh_c, h_t)

    def _slopes(self, start: int, stop: int) -> None:
        """Fill the block's derivatives of the sums by dc (for i f g) and dh (for o), and of dc by dh."""
        a, c, tanh_c = self.activated[start:stop], self.c[start:stop], self.tanh_c[start:stop]
        slope, dc_of_dh = self.slope[: stop - start], self.dc_of_dh[: stop - start]
        i, g, o = (self._gate(a, k) for k in (0, 2, 3))
        np.subtract(1, a, slope)
        np.multiply(slope, a, slope)
        for k, factor in ((0, g), (1, c), (3, tanh_c)):
            np.multiply(self._gate(slope, k), factor, self._gate(slope, k))
        for squashed, factor, result in ((g, i, self._gate(slope, 2)), (tanh_c, o, dc_of_dh)):
            np.multiply(squashed, squashed, result)
            np.subtract(1, result, result)
            np.multiply(result, factor, result)

    def _backward(self, U: Array) -> None:
        dot, add, multiply, dh, dc, row = np.dot, np.add, np.multiply, self.dh, self.dc, self.row
        dh[...], dc[...] = 0, 0
        spread = dc[..., None, :]
        for start, stop, steps in self.backward_steps:
            self._slopes(start, stop)
            for dh_t, dc_of_dh, slope_ifg, dz_ifg, slope_o, dz_o, f_t, dz_t in steps:
                add(dh, dh_t, dh)
                multiply(dh, dc_of_dh, row)
                add(dc, row, dc)
                multiply(spread, slope_ifg, dz_ifg)
                multiply(dh, slope_o, dz_o)
                multiply(dc, f_t, dc)
                dot(dz_t, U, dh)

    def _weights(self, x: Array) -> None:
        self._plain_weights(self.dz, x)


class HandGRU(HandStep):
    """r, z = sigmoid(W x + b_ih + U h + b_hh); n = tanh(W x + b_ih + r (U h + b_hh)); h = (1 - z) n + z h."""

    gates, scales = 3, (0.5, 0.5, 1.0)

    def __init__(self, T: int, B: int, I: int, H: int, C: int, dtype: type = np.float64) -> None:  # noqa: E741
        super().__init__(T, B, I, H, C, dtype)
        self.rz, self.q, self.n, self.minus_n = (self._steps(w) for w in (2 * H, H, H, H))
        self.dz, self.dn, self.dh = self._steps(3 * H), self._steps(H), self._steps(H)
        self.slope, self.slope_n = self._steps(3 * H, self.block), self._steps(H, self.block)
        self.row, self.sums = self._empty(*self.batch, H), self._empty(*self.batch, 3 * H)
        columns = (self.z[..., : 2 * H], self.z[..., 2 * H :], self.rz, self.rz[..., :H], self.rz[..., H:])
        columns += (self.q, self.n, self.minus_n, self.h, self.h[1:])
        self.forward_steps = list(zip(*columns, strict=False))
        self.backward_steps = self._backwards(self._backward_columns)

    def _backward_columns(self, start: int, stop: int) -> tuple[Array, ...]:
        slope, dz, dh = self.slope[: stop - start], self.dz[start:stop], self.dh[start:stop]
        z, by_gate = self.rz[start:stop, ..., self.H :], (*slope.shape[:-1], 3, self.H)
        spread = dh[..., None, :]
        return self.dh_head[start:stop], dh, spread, slope.reshape(by_gate), dz.reshape(by_gate), z, dz

    def _scaled_weights(self, W: Array, U: Array, b_ih: Array, b_hh: Array) -> None:
        super()._scaled_weights(W, U, b_ih, b_hh)
        self.b[2 * self.H :] = b_ih[2 * self.H :]  # its b_hh is multiplied by r

    def _forward(self, b_hh: Array) -> None:
        dot, add, multiply, tanh, subtract = np.dot, np.add, np.multiply, np.tanh, np.subtract
        H, UT, sums, row, b_n = self.H, self.UT, self.sums, self.row, b_hh[2 * self.H :]
        sums_rz, sums_n = sums[..., : 2 * H], sums[..., 2 * H :]
        for x_rz, x_n, rz, r, z, q, n, minus_n, h, h_t in self.forward_steps:
            dot(h, UT, sums)
            add(sums_rz, x_rz, rz)
            tanh(rz, rz)
            multiply(rz, 0.5, rz)
            add(rz, 0.5, rz)
            add(sums_n, b_n, q)
            multiply(r, q, n)
            add(n, x_n, n)
            tanh(n, n)
            subtract(h, n, minus_n)
            multiply(z, minus_n, row)
            add(row, n, h_t)

    def _slopes(self, start: int, stop: int) -> None:
        """Fill the block's derivatives by dh: of the sums of r, z and the state's part of n, and of all of n."""
        H, multiply, subtract = self.H, np.multiply, np.subtract
        slope, by_n = self.slope[: stop - start], self.slope_n[: stop - start]
        rz, n, q = self.rz[start:stop], self.n[start:stop], self.q[start:stop]
        by_rz, by_q = slope[..., : 2 * H], slope[..., 2 * H :]
        subtract(1, rz, by_rz)
        multiply(n, n, by_n)
        subtract(1, by_n, by_n)
        multiply(by_n, by_rz[..., H:], by_n)
        multiply(by_n, rz[..., :H], by_q)
        multiply(by_rz, rz, by_rz)
        multiply(by_rz[..., H:], self.minus_n[start:stop], by_rz[..., H:])
        multiply(by_rz[..., :H], q, by_rz[..., :H])
        multiply(by_rz[..., :H], by_n, by_rz[..., :H])

    def _backward(self, U: Array) -> None:
        dot, add, multiply, row = np.dot, np.add, np.multiply, self.row
        row[...] = 0
        product = np.zeros_like(row)
        for start, stop, steps in self.backward_steps:
            self._slopes(start, stop)
            for dh_head, dh_t, spread, slope, dz_by_gate, z, dz in steps:
                add(product, row, dh_t)
                add(dh_t, dh_head, dh_t)
                multiply(spread, slope, dz_by_gate)
                multiply(dh_t, z, row)
                dot(dz, U, product)
            dh = self.dh[start:stop]
            multiply(dh, self.slope_n[: stop - start], self.dn[start:stop])

    def _weights(self, x: Array) -> None:
        H, ones = self.H, self.ones
        dz, dn = self.dz.reshape(self.N, -1), self.dn.reshape(self.N, -1)
        db_ih, db_hh = self.grads[2:4]
        self.dWT[:, : 2 * H] = np.dot(x.T, dz[:, : 2 * H])
        self.dWT[:, 2 * H :] = np.dot(x.T, dn)
        np.dot(self.h[:-1].reshape(self.N, -1).T, dz, out=self.dUT)
        np.dot(ones, dz, out=db_hh)
        db_ih[: 2 * H] = db_hh[: 2 * H]
        np.dot(ones, dn, out=db_ih[2 * H :])


HAND: dict[str, type[HandStep]] = {"RNN": HandRNN, "LSTM": HandLSTM, "GRU": HandGRU}


def hand_step(cell: str, sizes: Sequence[int], classes: int, dtype: type = np.float64) -> HandStep:
    """Return the train step of a network ``cell`` ("RNN", "LSTM", "GRU") for sizes (B, T, I, H)."""
    B, T, I, H = sizes  # noqa: E741
    return HAND[cell](T, B, I, H, classes, dtype)
