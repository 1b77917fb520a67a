"""One step of a recurrent network, built from visible operations, with PyTorch's parameters and numbers.

Shapes: ``x`` (B, I) or (I,), each state (B, H) or (H,). ``weight_ih`` (gates*H, I) and ``weight_hh``
(gates*H, H) hold one block of H rows for each gate, in the order that each cell states; ``bias_ih`` and
``bias_hh`` are (gates*H,).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.nn.initializers import uniform
from tinygrad_rnn.nn.inputs import carry, float_dtype, generator, positive, real, require_shape, state_parts
from tinygrad_rnn.nn.module import Module

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def parameter_shapes(gates: int, inputs: int, hidden: int, bias: bool) -> dict[str, tuple[int, ...] | None]:
    """Return the shape of each parameter of a cell, None for a bias that it does not have."""
    rows = gates * hidden
    vector = (rows,) if bias else None
    return dict(zip(PARAMETERS, ((rows, inputs), (rows, hidden), vector, vector), strict=True))


def draw_parameters(
    shapes: Mapping[str, tuple[int, ...] | None],
    bound: float,
    rng: np.random.Generator,
    dtype: np.dtype[Any],
) -> dict[str, Tensor | None]:
    """Return a leaf for each shape, named as its key and drawn uniformly within ``bound``, in order."""
    return {
        name: None if shape is None else Tensor(uniform(rng, shape, bound).astype(dtype), name=name)
        for name, shape in shapes.items()
    }


def affine(x: Node, weight: Node, bias: Node | None) -> Node:
    """Return ``x @ weight.T + bias``, of shape (..., rows of weight)."""
    product = x @ weight.T
    return product if bias is None else product + bias


class Cell(Module):
    """What the cells share: parameters, checks and the initial state. Abstract: a cell defines ``step``.

    Args:
        input_size: I, the number of inputs.
        hidden_size: H, the number of hidden units.
        bias: whether there are the two biases; without, ``bias_ih`` and ``bias_hh`` are None.
        rng: draws every parameter uniformly within 1/sqrt(H), as PyTorch does; None makes a fresh Generator.
        dtype: float64 or float32; inputs of another dtype are cast to it.
    """

    gates: ClassVar[int]
    parts: ClassVar[tuple[str, ...]] = ("h",)
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        who = type(self).__name__
        inputs = positive(f"{who}: input_size", input_size)
        hidden = positive(f"{who}: hidden_size", hidden_size)
        shapes = parameter_shapes(self.gates, inputs, hidden, bias)
        rng = generator(f"{who}: rng", rng)
        leaves = draw_parameters(shapes, 1 / math.sqrt(hidden), rng, float_dtype(f"{who}: dtype", dtype))
        vars(self).update(leaves)

    @classmethod
    def sharing(cls, parameters: Mapping[str, Tensor | None], **settings: Any) -> Self:
        """Return a cell that uses the given nodes themselves as its parameters; draws nothing."""
        cell = object.__new__(cls)
        vars(cell).update(parameters, **settings)
        return cell

    @property
    def input_size(self) -> int:
        """I, the number of inputs."""
        return self.weight_ih.shape[1]

    @property
    def hidden_size(self) -> int:
        """H, the number of hidden units."""
        return self.weight_hh.shape[1]

    def initial_state(self, x: Any) -> Any:
        """Return the zero state for inputs like ``x``: a constant (B, H) or (H,), or a pair of them."""
        shape = (*np.shape(x)[:-1], self.hidden_size)
        zeros = [constant(np.zeros(shape, self.weight_hh.dtype), name=f"{part}_init") for part in self.parts]
        return zeros[0] if len(zeros) == 1 else tuple(zeros)

    def __call__(self, x: Any, state: Any = None) -> Any:
        """Return the state after one step.

        Args:
            x: Tensor or array (B, I) or (I,).
            state: as the cell returns it, (B, H) or (H,) each; None for zeros.

        Raises:
            ValueError: a shape that does not fit; no node was made.
        """
        who, dtype = type(self).__name__, self.weight_ih.dtype
        x = real(f"{who}: x", x, dtype)
        size = ("I", self.input_size)
        require_shape(f"{who}: x", x.shape, ("B", size), (size,))
        if state is None:
            return self.step(carry(x, dtype), self.initial_state(x))
        shape = (*(("B", size) for size in x.shape[:-1]), ("H", self.hidden_size))
        carried = [carry(part, dtype) for part in state_parts(who, self.parts, state, dtype, shape)]
        return self.step(carry(x, dtype), carried[0] if len(carried) == 1 else tuple(carried))

    def step(self, x: Node, state: Any) -> Any:
        """Return the state after one step, for nodes that are known to fit."""
        raise NotImplementedError(f"{type(self).__name__} is abstract: use RNNCell, LSTMCell or GRUCell")


class RNNCell(Cell):
    """The simple recurrence ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu in place of tanh.

    Source: Elman (1990). State: h.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> cell = tr.nn.RNNCell(1, 1, bias=False)
        >>> cell.weight_ih.data, cell.weight_hh.data = np.array([[0.5]]), np.array([[2.0]])
        >>> float(cell([1.0], [0.25]) - np.tanh(0.5 * 1.0 + 2.0 * 0.25))
        0.0
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.nonlinearity = known_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)

    def step(self, x: Node, state: Node) -> Node:
        """Return h' for nodes that are known to fit."""
        activation = affine(x, self.weight_ih, self.bias_ih) + affine(state, self.weight_hh, self.bias_hh)
        return ops.tanh(activation) if self.nonlinearity == "tanh" else ops.relu(activation)


def known_nonlinearity(who: str, nonlinearity: str) -> str:
    """Return ``nonlinearity`` if a simple recurrence has it, else raise a ValueError."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{who}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return nonlinearity


class LSTMCell(Cell):
    """Long short-term memory: ``c' = f*c + i*g`` and ``h' = o*tanh(c')``.

    The gates are blocks of ``W_ih x + b_ih + W_hh h + b_hh``, in this order: i = sigmoid (input), f = sigmoid
    (forget), g = tanh (candidate), o = sigmoid (output). State: the pair (h, c).

    Source: Hochreiter and Schmidhuber (1997); the forget gate: Gers, Schmidhuber and Cummins (2000).
    """

    gates = 4
    parts = ("h", "c")

    def step(self, x: Node, state: tuple[Node, Node]) -> tuple[Node, Node]:
        """Return (h', c') for nodes that are known to fit."""
        h, c = state
        blocks = affine(x, self.weight_ih, self.bias_ih) + affine(h, self.weight_hh, self.bias_hh)
        a, b, d, e = ops.split(blocks, 4, axis=-1)
        i, f, g, o = ops.sigmoid(a), ops.sigmoid(b), ops.tanh(d), ops.sigmoid(e)
        i.name, f.name, g.name, o.name = "i", "f", "g", "o"
        c = f * c + i * g
        return o * ops.tanh(c), c


class GRUCell(Cell):
    """The gated recurrent unit: ``h' = (1 - z)*n + z*h``; gates in the order r (reset), z (update), n (new).

    r and z are sigmoids of ``W_i x + b_i + W_h h + b_h`` with their own blocks. The new
    value proposed is

    - ``reset_after=True``, as PyTorch and cuDNN: ``n = tanh(W_in x + b_in + r * (W_hn h + b_hn))``;
    - ``reset_after=False``, as Cho et al. (2014, eq. 8): ``n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)``.

    State: h.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset_after: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)

    def step(self, x: Node, state: Node) -> Node:
        """Return h' for nodes that are known to fit."""
        from_input = ops.split(affine(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        if self.reset_after:
            from_state = ops.split(affine(state, self.weight_hh, self.bias_hh), 3, axis=-1)
            r, z = ops.sigmoid(from_input[0] + from_state[0]), ops.sigmoid(from_input[1] + from_state[1])
            n = ops.tanh(from_input[2] + r * from_state[2])
        else:
            rows = 2 * self.hidden_size  # r and z first, then n
            bias, last = (None, None) if self.bias_hh is None else (self.bias_hh[:rows], self.bias_hh[rows:])
            from_state = ops.split(affine(state, self.weight_hh[:rows], bias), 2, axis=-1)
            r, z = ops.sigmoid(from_input[0] + from_state[0]), ops.sigmoid(from_input[1] + from_state[1])
            n = ops.tanh(from_input[2] + affine(r * state, self.weight_hh[rows:], last))
        r.name, z.name, n.name = "r", "z", "n"
        return (1.0 - z) * n + z * state
