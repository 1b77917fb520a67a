"""Every operation keeps the contract, and seeded faults break the test that is named after them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES
from tests.testing.contracts.faulty import HALF_BLIND, NOT_LINEAR, WRONG_TANH
from tinygrad_rnn import ops
from tinygrad_rnn.testing.contracts.op import OpContract

TESTS = sorted(name for name in dir(OpContract) if name.startswith("test_"))


def contract(op: Any, samples: Any = None, **settings: Any) -> type[OpContract]:
    """Return the contract of an operation as a class that pytest collects."""
    body = {"make": lambda self: op, "__module__": __name__} | settings
    if samples is not None:
        body["samples"] = lambda self: samples
    return type(f"Test_{getattr(op, 'name', 'op')}", (OpContract,), body)


for _op, _samples in (SAMPLES | NOT_DIFFERENTIABLE).items():
    # one plain call and the two most unusual ones; tests/core/test_ops.py has them all
    _few = [_samples[0], *_samples[-2:]] if len(_samples) > 3 else _samples
    if _op is ops.divide:
        _few = _samples[:3]  # the last is a / 1.1 a, whose slope is nothing but rounding
    _whole = {"float32": False} if _op in (ops.astype, ops.item) else {}  # item gives a Value
    globals()[f"Test_{_op.name}"] = contract(_op, _few, **_whole)


class TestMine(OpContract):
    """An operation of one's own needs no more than this."""

    def make(self) -> Any:
        return tr.Op(
            name="swish", symbol="x σ", forward=lambda xp, x: x * xp.sigmoid(x),
            partials=(lambda xp, y, x: xp.sigmoid(x) + y * (1.0 - xp.sigmoid(x)),),
        )  # fmt: skip

    def reference(self, *arrays: np.ndarray) -> Any:
        return arrays[0] / (1 + np.exp(-arrays[0]))


class TestOpaque(OpContract):
    """A rule in plain numpy has one derivative, in reverse mode: what needs more is left out."""

    def make(self) -> Any:
        return tr.Op(name="cube", symbol="x³", forward=lambda xp, x: x**3, vjp=lambda g, y, x: 3 * g * x * x)

    def samples(self) -> Any:
        return [(lambda op, x: op(x), (np.array([0.5, -1.5]),))]


CALL = lambda op, *a: op(*a)  # noqa: E731
MATRIX = np.array([[0.3, -1.1, 0.7], [2.0, 0.4, -0.6]])


class Stateful:
    """Not an Op: a function with a memory."""

    name, calls = "stateful", 0

    def __call__(self, x: Any) -> Any:
        Stateful.calls += 1
        return x * float(Stateful.calls)


class Named:
    """A function over nodes, with a name for the test."""

    def __init__(self, call: Any) -> None:
        self.name, self.call = "mine", call

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


def squashed(forward: Any, slope: float) -> tr.Op:
    """Return an elementwise operation, linear as far as its rule knows."""
    return tr.Op(name="bad", symbol="b", forward=forward, partials=(lambda xp, y, x: slope,))


FAULTS: dict[str, tuple[Any, Any, str]] = {
    "the slope of what it doubled": (
        tr.Op(name="bad", symbol="b", forward=lambda xp, x: 2.0 * x, vjp=lambda g, y, x: 2.0 * g * np.abs(g)),
        [(CALL, (MATRIX,))], "test_every_use_is_counted",
    ),
    "a short cut for equal arguments": (
        Named(lambda a, b: a * 1.0 if a is b else a * b), [(CALL, (MATRIX, MATRIX + 1.0))],
        "test_the_same_node_may_be_every_argument",
    ),
    "a broadcast that is not summed": (
        tr.Op(name="bad", symbol="b", forward=lambda xp, x, y: x * y, vjp=lambda g, z, x, y: (g * y, g * x)),
        [(CALL, (MATRIX, MATRIX[0]))], "test_gradients_have_the_shape_and_dtype_of_the_data",
    ),
    "another value for arrays": (
        Named(lambda x: x * (2.0 if isinstance(x, tr.Tensor) else 3.0)), [(CALL, (MATRIX,))],
        "test_arrays_give_what_tensors_give",
    ),
    "looks at the memory": (
        tr.Op(name="bad", symbol="b", forward=lambda xp, x: x + float(not x.flags.c_contiguous), vjp=lambda g, y, x: g),
        [(CALL, (MATRIX,))], "test_memory_layout_makes_no_difference",
    ),
    "another value for floats": (
        squashed(lambda xp, x: x * (1.0 if isinstance(x, float) else 2.0), 2.0), None,
        "test_a_scalar_gives_what_an_array_gives",
    ),
    "another value for entries": (
        squashed(lambda xp, x: x * (1.0 + np.ndim(x)), 3.0), [(CALL, (MATRIX,))], "test_scalarized_equals_tensor",
    ),
    "cannot do without entries": (
        squashed(lambda xp, x: x * (np.max(xp.abs(x)) >= 0.0), 1.0), None,
        "test_empty_arrays_and_arrays_of_no_axes",
    ),
    "branches on numbers": (
        Named(lambda x: x if float(np.asarray(getattr(x, "data", x))[0, 0]) > 0 else -x), [(CALL, (MATRIX,))],
        "test_compiled_equals_eager",
    ),
    "wrong slope": (WRONG_TANH, None, "test_gradient_is_the_derivative"),
    "wrong second derivative": (
        HALF_BLIND, None, "test_second_derivative_is_the_derivative_of_the_gradient",
    ),
    "a linear short cut that is none": (NOT_LINEAR, [(CALL, (MATRIX,))], "test_both_modes_agree"),
    "a rule that is not linear in its cotangent": (
        tr.Op(name="bad", symbol="b", forward=lambda xp, x: 2.0 * x, transpose=(lambda xp, g, y, x: g * 2.0 + 1.0,)),
        [(CALL, (MATRIX,))], "test_gradient_is_linear_in_its_cotangent",
    ),
    "a memory": (Stateful(), [(CALL, (MATRIX,))], "test_inputs_stay_as_they_are"),
    "promotes to double": (
        tr.Op(name="bad", symbol="b", forward=lambda xp, x: x * np.float64(2.0), partials=(lambda xp, y, x: 2.0,)),
        None, "test_float32_is_near_float64",
    ),
    "a wrong value": (
        replace(ops.square, forward=lambda xp, x: x * x * 0.5, partials=(lambda xp, y, x: x,)),
        None, "test_value_is_the_reference",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", [what for what in FAULTS if what != "a wrong value"])
def test_a_fault_is_named_by_the_test_that_fails(what: str) -> None:
    op, samples, name = FAULTS[what]
    assert contract(op, samples).check(name).failed


def test_every_test_is_needed_by_some_fault() -> None:
    assert set(TESTS) == {name for _, _, name in FAULTS.values()}


def test_a_right_operation_fails_none() -> None:
    assert contract(ops.tanh).check().ok
    assert contract(ops.divide).check().ok


def test_a_wrong_value_fails_beside_its_reference() -> None:
    made = contract(FAULTS["a wrong value"][0], None, reference=lambda self, x: x**2)
    with pytest.raises(AssertionError, match="sample 0: the value"):
        made().test_value_is_the_reference()


def test_samples_are_asked_for_where_they_cannot_be_made() -> None:
    with pytest.raises(
        NotImplementedError, match=r"override samples\(\): there are none but for elementwise"
    ):
        contract(ops.matmul)().test_gradient_is_the_derivative()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([MATRIX], r"Mine.samples must return pairs \(call, arrays\), .*; item 0 is a ndarray"),
        (
            [(CALL, MATRIX)],
            r"Mine.samples: the arrays of item 0 must be a tuple, \(x,\) for one; got a ndarray",
        ),
    ],
)
def test_a_wrong_sample_is_explained(samples: Any, message: str) -> None:
    mine = type("Mine", (contract(ops.tanh, samples),), {})
    with pytest.raises(TypeError, match=message):
        mine().test_gradient_is_the_derivative()


@pytest.mark.parametrize(
    "domain", [(-0.1, 0.1), (10.0, 20.0), (-np.inf, -7.0), (0.0, 1.0), (-np.inf, np.inf)]
)
def test_samples_lie_in_any_domain_away_from_its_ends(domain: tuple[float, float]) -> None:
    op = replace(ops.square, name="mine", domain=domain)
    for _, arrays in contract(op)().samples():
        assert np.all((arrays[0] > domain[0] + 1e-3) & (arrays[0] < domain[1] - 1e-3))
        assert np.all(np.abs(arrays[0]) > 1e-3)
