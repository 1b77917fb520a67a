"""``OpContract``: what every operation keeps to, one test for each property."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, jvp, vjp
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.testing.contracts.comparing import array, close, identical, skip, unless_opaque
from tinygrad_rnn.testing.contracts.contract import Contract
from tinygrad_rnn.testing.contracts.differences import hessian_differences
from tinygrad_rnn.testing.contracts.problem import dot
from tinygrad_rnn.testing.gradcheck import assert_gradients

Sample = tuple[Callable[..., Any], tuple[np.ndarray, ...]]
MARGIN = 0.2  # how far from the end of a domain its samples keep, where it is wide enough


class OpContract(Contract, ABC):
    """Tests for an operation, inherited: ``class TestMine(OpContract)`` with a method ``make``.

    Attributes:
        seed: of everything that is drawn.
        tolerance: by how much two ways to the same sum may differ, relative to its largest entry.
        second_order: whether second derivatives and forward mode are promised; an opaque ``vjp`` has neither.
        float32: whether single precision is promised.
        scalar: whether it is promised for single numbers and the scalar view; an opaque ``vjp`` has neither.
    """

    seed: int = 0
    tolerance: float = 1e-11
    second_order: bool = True
    float32: bool = True
    scalar: bool = True

    @abstractmethod
    def make(self) -> Any:
        """Return the operation: an Op, or any function over nodes."""

    def samples(self) -> Sequence[Sample]:
        """Return pairs (call, arrays): ``call(op, *nodes)`` applies the operation, every array is differentiated.

        The default knows elementwise operations with a fixed number of arguments: full, broadcast and equal ones,
        within their domain.
        """
        op = self.make()
        if not (isinstance(op, Op) and op.elementwise and isinstance(op.partials, tuple)):
            raise NotImplementedError(
                f"{type(self).__name__}: override samples(): there are none but for elementwise ones with partials. "
                "Return pairs (call, arrays), such as [(lambda op, x: op(x, axis=0), (np.ones((2, 3)),))]"
            )
        rng = np.random.default_rng(self.seed)
        domain = (op.domain,) * len(op.partials) if np.ndim(op.domain) == 1 else op.domain
        args = [_inside(rng, limits, (2, 3)) for limits in domain]
        call = lambda op, *nodes: op(*nodes)  # noqa: E731
        found: list[Sample] = [(call, tuple(args)), (call, tuple(a[0, 0] for a in args))]
        if len(args) > 1:
            found.append((call, (args[0], *(a[:1, :1] for a in args[1:]))))
        return found

    def reference(self, *arrays: np.ndarray) -> Any:
        """Return the value by other means, for the arguments of the first sample; None leaves that test out."""
        return None

    def _calls(self) -> list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...]]]:
        op = self.make()
        found = []
        for i, sample in enumerate(self.samples()):
            if not (isinstance(sample, tuple) and len(sample) == 2 and callable(sample[0])):
                raise TypeError(
                    f"{type(self).__name__}.samples must return pairs (call, arrays), such as "
                    f"(lambda op, x: op(x), (x,)); item {i} is a {type(sample).__name__}"
                )
            call, args = sample
            if not isinstance(args, (tuple, list)):
                raise TypeError(
                    f"{type(self).__name__}.samples: the arrays of item {i} must be a tuple, (x,) for one; got a "
                    f"{type(args).__name__}"
                )
            found.append(
                (f"sample {i}", lambda *nodes, call=call: call(op, *nodes), tuple(map(np.asarray, args)))
            )
        return found

    def _has_derivative(self) -> bool:
        op = self.make()
        return not isinstance(op, Op) or op.differentiable

    def _differentiable(self) -> list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...]]]:
        if not self._has_derivative():
            skip("the operation has no derivative")
        return self._calls()

    def _higher(self) -> list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...]]]:
        if not self.second_order:
            skip("second_order is False")
        calls = self._differentiable()
        for _, call, args in calls:
            unless_opaque(call(*_tensors(args)))
        return calls

    def _close(self, what: str, got: Any, expected: Any) -> None:
        close(what, got, expected, self.tolerance)

    # --- derivatives

    def test_gradient_is_the_derivative(self) -> None:
        """The whole Jacobian of every sample against the complex step."""
        for _, call, args in self._differentiable():
            assert_gradients(call, *args)

    def test_both_modes_agree(self) -> None:
        """Forward mode is the adjoint of reverse mode: <w, J v> = <J^T w, v>."""
        rng = np.random.default_rng(self.seed + 1)
        for what, call, args in self._higher():
            along = tuple(rng.normal(size=a.shape) for a in args)
            y, pushed = jvp(call, args, along)
            weights = rng.normal(size=np.shape(y))
            pulled = vjp(call, *args)[1](weights if np.ndim(y) else float(weights))
            left, parts = (
                float(np.sum(weights * pushed)),
                [dot(g, v) for g, v in zip(pulled, along, strict=True)],
            )
            scale = float(np.sum(np.abs(weights * pushed))) + sum(map(abs, parts))
            if abs(left - sum(parts)) > self.tolerance * scale:
                raise AssertionError(
                    f"{what}: forward mode gives {left:.17g}, reverse mode {sum(parts):.17g}"
                )

    def test_second_derivative_is_the_derivative_of_the_gradient(self) -> None:
        """The gradient is differentiated once more: against the complex step, and against its own differences."""
        rng = np.random.default_rng(self.seed + 4)
        for _, call, args in self._higher():
            weights = _drawn(rng, np.shape(array(call(*_tensors(args)))))
            score = lambda *a, call=call, w=weights: _sum(call(*a) * w)  # noqa: E731
            assert_gradients(grad(score, tuple(range(len(args)))), *args)
            hessian_differences(score, args, tuple(np.asarray(rng.normal(size=a.shape)) for a in args))

    def test_gradient_is_linear_in_its_cotangent(self) -> None:
        """A cotangent of zero gives exact zeros, and 2u - 3w the same combination of gradients."""
        rng = np.random.default_rng(self.seed + 3)
        for what, call, args in self._differentiable():
            y, pull = vjp(call, *args)
            u, w = np.asarray(rng.normal(size=np.shape(y))), np.asarray(rng.normal(size=np.shape(y)))
            zeros = _pulled(pull, np.zeros(np.shape(y)))
            identical(f"{what}: the gradient of a zero cotangent", zeros, [np.zeros(a.shape) for a in args])
            expected = [2 * a - 3 * b for a, b in zip(_pulled(pull, u), _pulled(pull, w), strict=True)]
            close(f"{what}: the gradient of 2u - 3w", _pulled(pull, 2 * u - 3 * w), expected, 1e-9)

    def test_every_use_is_counted(self) -> None:
        """The result used twice sends twice the gradient, and a second backward adds the first again."""
        for what, call, args in self._differentiable():
            single, double, again = _tensors(args), _tensors(args), _tensors(args)
            _sum(call(*single)).backward()
            y = call(*double)
            _sum(y + y).backward()
            loss = _sum(call(*again))
            loss.backward()
            loss.backward()
            expected = [2 * leaf.grad for leaf in single]
            identical(f"{what}: the result used twice", [leaf.grad for leaf in double], expected)
            identical(f"{what}: a second backward", [leaf.grad for leaf in again], expected)

    def test_the_same_node_may_be_every_argument(self) -> None:
        """``op(x, x)`` has the sum of both slots' gradients."""
        for what, call, args in self._differentiable():
            if len({a.shape for a in args}) != 1 or len(args) < 2:
                continue
            x, copies = Tensor(args[0]), _tensors([args[0]] * len(args))
            y = call(*[x] * len(args))
            weights = np.random.default_rng(self.seed).normal(size=y.shape)
            _sum(y * weights).backward()
            _sum(call(*copies) * weights).backward()
            self._close(f"{what}: one node as every argument", x.grad, sum(leaf.grad for leaf in copies))

    def test_gradients_have_the_shape_and_dtype_of_the_data(self) -> None:
        """What was broadcast is summed again; nothing is promoted."""
        for what, call, args in self._differentiable():
            leaves = _tensors(args)
            _sum(call(*leaves)).backward()
            for i, leaf in enumerate(leaves):
                if leaf.grad.shape != leaf.shape or leaf.grad.dtype != leaf.dtype:
                    raise AssertionError(
                        f"{what}: argument {i} is {leaf.dtype} {leaf.shape}, its gradient {leaf.grad.dtype} "
                        f"{leaf.grad.shape}"
                    )

    # --- values

    def test_value_is_the_reference(self) -> None:
        """The value found by other means; override ``reference``."""
        what, call, args = self._calls()[0]
        expected = self.reference(*args)
        if expected is None:
            skip("override reference(*arrays) to say what the value is")
        self._close(f"{what}: the value", call(*_tensors(args)), np.asarray(expected))

    def test_arrays_give_what_tensors_give(self) -> None:
        """Without a node among the arguments the operation computes the same and records nothing."""
        for what, call, args in self._calls():
            identical(
                f"{what}: the value of raw arrays", np.asarray(call(*args)), array(call(*_tensors(args)))
            )

    def test_memory_layout_makes_no_difference(self) -> None:
        """Views, as other operations hand them on, have the values and gradients of a contiguous copy."""
        slopes = self._has_derivative()
        for what, call, args in self._calls():
            expected = _everything(call, args, slopes)
            for name, layout in LAYOUTS.items():
                self._close(f"{what}: {name} arguments", _everything(call, args, slopes, layout), expected)

    def test_float32_is_near_float64(self) -> None:
        """Single precision is kept, and right to its digits."""
        if not self.float32:
            skip("float32 is False")
        for what, call, args in self._calls():
            single = [Tensor(a.astype(np.float32)) for a in args]
            y = call(*single)
            if y.dtype.kind == "f" and y.dtype != np.float32:
                raise AssertionError(f"{what}: float32 arguments gave {y.dtype}")
            close(f"{what}: the value in float32", y, call(*_tensors(args)), 1e-4)

    def test_a_scalar_gives_what_an_array_gives(self) -> None:
        """A Value gives the value and gradient of a Tensor of one entry."""
        for what, call, args in self._elementwise():
            if any(a.ndim for a in args):
                continue
            values, tensors = [Value(float(a)) for a in args], _tensors(args)
            y, z = call(*values), call(*tensors)
            self._close(f"{what}: the value of Values", y, z)
            if y.kind == "op":
                y.backward()
                z.backward()
                grads = [leaf.grad for leaf in values]
                self._close(f"{what}: the gradient of Values", grads, [leaf.grad for leaf in tensors])

    def test_empty_arrays_and_arrays_of_no_axes(self) -> None:
        """Size 0 gives size 0, in value and gradient; an elementwise operation needs no axis."""
        for what, call, args in self._elementwise():
            for shape in ((), (0,), (2, 0)):
                leaves = [Tensor(np.full(shape, a.flat[0])) for a in args]
                y = call(*leaves)
                if y.shape != shape:
                    raise AssertionError(f"{what}: arguments of shape {shape} gave {y.shape}")
                if y.kind == "op":
                    y.backward(np.ones(shape))
                    identical(
                        f"{what}: shapes of gradients",
                        [leaf.grad.shape for leaf in leaves],
                        [shape] * len(args),
                    )

    def _elementwise(self) -> list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...]]]:
        op = self.make()
        if not self.scalar or not (isinstance(op, Op) and isinstance(op.partials, tuple)):
            skip("the operation is not elementwise, or scalar is False")
        if op.name in ("where", "clip"):
            skip("one of its arguments is no plain float")
        return self._differentiable()

    # --- other ways to run it

    def test_scalarized_equals_tensor(self) -> None:
        """Written out in single numbers the operation has the same value."""
        if not self.scalar:
            skip("scalar is False")
        for what, call, args in self._differentiable():
            leaves = _tensors(args)
            y = call(*leaves)
            unless_opaque(y)
            if y.shape and y.data.size and y.dtype.kind == "f":
                found = scalarize(y).of(y)
                entries = np.asarray([float(array(v)) for _, v in flatten(found)]).reshape(y.shape)
                self._close(f"{what}: the scalarized value", entries, y)

    def test_compiled_equals_eager(self) -> None:
        """A replay of the recorded plan gives the same numbers, for other numbers too."""
        for what, call, args in self._calls():
            compiled = compile(call)
            flipped = [np.flip(a) if a.dtype.kind == "f" else a for a in args]  # in the domain, too
            for given in (args, flipped):
                self._close(
                    f"{what}: compiled beside eager", compiled(*_tensors(given)), call(*_tensors(given))
                )

    def test_inputs_stay_as_they_are(self) -> None:
        """Neither the value nor the gradient changes an argument or a cotangent, and both come out the same again."""
        slopes = self._has_derivative()
        for what, call, args in self._calls():
            before = [a.copy() for a in args]
            first = _everything(call, args, slopes)
            identical(f"{what}: a second run", _everything(call, args, slopes), first)
            identical(f"{what}: the arguments", list(args), before)


def _inside(rng: np.random.Generator, limits: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array in a domain, away from its ends and from 0, and within 2 of 0 where the domain allows it."""
    low = max(limits[0], min(-2.0, limits[1] - 1.0))
    high = min(limits[1], max(2.0, low + 1.0))
    margin = min(MARGIN, (high - low) / 8)
    low, high = low + margin, high - margin
    drawn = rng.uniform(low, high, size=shape)
    return np.where(np.abs(drawn) < margin, np.clip(drawn + 2 * margin, low, high), drawn)


def _tensors(args: Sequence[np.ndarray]) -> list[Any]:
    return [Tensor(a) if np.asarray(a).dtype.kind == "f" else a for a in args]


def _pulled(pull: Callable[..., Any], cotangent: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(g) for g in pull(cotangent if cotangent.ndim else float(cotangent))]


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Return weights for the entries of a result: a float for a single one, which may be a Value."""
    return rng.normal(size=shape) if shape else float(rng.normal())


def _sum(y: Any) -> Any:
    return y.sum() if y.shape else y


Layout = tuple[Callable[[Any], Any], Callable[[Any], Any]]
# an array, and the view that makes the argument of it again, of a node as of a gradient
LAYOUTS: dict[str, Layout] = {
    "transposed": (lambda a: a.T, lambda x: x.T),
    "strided": (lambda a: np.repeat(a, 2, axis=-1), lambda x: x[..., ::2]),
    "backward": (lambda a: a[..., ::-1], lambda x: x[..., ::-1]),
}
PLAIN: Layout = (lambda a: a, lambda x: x)


def _everything(
    call: Callable[..., Any], args: Sequence[np.ndarray], slopes: bool, layout: Layout = PLAIN
) -> list[Any]:
    """Return the value and, with ``slopes``, the gradients for drawn cotangents."""
    pairs = [layout if a.ndim else PLAIN for a in args]
    leaves = _tensors([lay(a) for a, (lay, _) in zip(args, pairs, strict=True)])
    nodes = [view(leaf) for leaf, (_, view) in zip(leaves, pairs, strict=True)]
    y = call(*nodes)
    found = [array(y)]
    if slopes:
        y.backward(_drawn(np.random.default_rng(0), y.shape))
        views = [(leaf, view) for leaf, (_, view) in zip(leaves, pairs, strict=True)]
        found += [view(leaf.grad) for leaf, view in views if isinstance(leaf, Tensor)]
    return found
