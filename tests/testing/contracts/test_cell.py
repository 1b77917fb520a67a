"""The cells of tr.nn keep the cell contract, and each of these faults breaks it in the test that is named after it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.testing.contracts.faulty import FAULTS, Base, LearnsItsStart, TransposesItsWeight
from tinygrad_rnn.testing.contracts import celltime, problem
from tinygrad_rnn.testing.contracts.cell import CellContract

unrolling = sys.modules["tinygrad_rnn.nn.unroll"]  # tinygrad_rnn.nn.unroll is the function of that name

TESTS = sorted(name for name in dir(CellContract) if name.startswith("test_"))


class TestRNNCell(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.RNNCell(3, 4, rng=rng)

    def reference(self, named: Any, x: np.ndarray, state: Any) -> Any:
        z = x @ named["weight_ih"].T + state @ named["weight_hh"].T
        return np.tanh(z + named["bias_ih"] + named["bias_hh"])


class TestReluCell(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.RNNCell(3, 4, "relu", rng=rng)


class TestCellWithoutBias(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.RNNCell(3, 4, bias=False, rng=rng)


class TestLSTMCell(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.LSTMCell(3, 4, rng=rng)


class TestGRUCell(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.GRUCell(3, 4, rng=rng)


class TestGRUCellResetBefore(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.GRUCell(3, 4, reset_after=False, rng=rng)

    def renamed(self, named: Any, order: np.ndarray) -> Any:
        """The reset gate stands before the product with weight_hn, whose rows and columns move alike."""
        return super().renamed(named, order)


class TestAPlainFunction(CellContract):
    """No Module and a dict for a state: what looks at parameters is left out."""

    def make(self, rng: np.random.Generator) -> Any:
        w, u = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))

        def cell(x: Any, state: Any) -> Any:
            fast = tr.ops.tanh(x @ w.astype(x.dtype) + state["fast"] @ u.astype(x.dtype))
            return fast * state["slow"], {"fast": fast, "slow": 0.5 * state["slow"] + 0.5 * fast}

        return cell

    def state(self, cell: Any, x: np.ndarray, rng: np.random.Generator) -> Any:
        return {part: rng.normal(size=(len(x), 4)) for part in ("fast", "slow")}


class TestALearnedStart(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return LearnsItsStart(3, 4, rng=rng)


class TestSinglePrecision(CellContract):
    """Weights of float32 are tested as what they are in double precision."""

    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.LSTMCell(3, 4, rng=rng, dtype=np.float32)


class TestASaturatedCell(CellContract):
    """Its slopes are 1 - h² with h near 1: two ways to them agree to eight digits and no more."""

    seed = 3000

    def make(self, rng: np.random.Generator) -> Any:
        cell = tr.nn.RNNCell(3, 4, bias=False, rng=rng)
        for leaf in cell.parameters():
            leaf.data = 20.0 * rng.normal(size=leaf.shape)
        return cell


class TestNestedOutputs(CellContract):
    """A dict for an output, a dict with a list for a state."""

    def make(self, rng: np.random.Generator) -> Any:
        w, u = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))

        def cell(x: Any, state: Any) -> Any:
            h = tr.ops.tanh(x @ w.astype(x.dtype) + state["h"] @ u.astype(x.dtype) + state["more"][0])
            more = [0.5 * state["more"][0] + h, state["more"][1] + h[..., :2] * h[..., 2:]]
            return {"y": 2.0 * h, "z": (h[..., :1],)}, {"h": h, "more": more}

        return cell

    def state(self, cell: Any, x: np.ndarray, rng: np.random.Generator) -> Any:
        rows = len(x)
        return {"h": rng.normal(size=(rows, 4)), "more": [rng.normal(size=(rows, n)) for n in (4, 2)]}


class TestSingleExamples(CellContract):
    """A cell over vectors, as one writes it first; what looks at a batch is left out."""

    batch = None
    input_size = 2
    weight = np.array([[0.3, -0.8], [1.1, 0.4], [-0.5, 0.2]])

    def make(self, rng: np.random.Generator) -> Any:
        def cell(x: Any, state: Any) -> Any:
            slow, h = state
            slow = 0.9 * slow + 0.1 * h
            return slow, tr.ops.tanh(self.weight.astype(x.dtype) @ x + slow)

        return cell

    def state(self, cell: Any, x: np.ndarray, rng: np.random.Generator) -> Any:
        return rng.normal(size=3), rng.normal(size=3)


SQUASH = tr.Op(
    name="squash", symbol="s", forward=lambda xp, x: np.arctan(x), vjp=lambda g, y, x: g / (1 + x * x)
)


class Opaque(Base):
    def squash(self, z: Any) -> Any:
        return SQUASH(z)


class TestAnOpaqueOperation(CellContract):
    """Plain NumPy has one derivative: what needs more is left out, and nothing fails."""

    def make(self, rng: np.random.Generator) -> Any:
        return Opaque(3, 4, rng=rng)


def contract(kind: type) -> Any:
    return type("Contract", (CellContract,), {"make": lambda self, rng: kind(3, 4, rng=rng)})


def test_there_are_some_fifteen_tests() -> None:
    assert len(TESTS) >= 15


def test_a_right_cell_fails_none() -> None:
    assert contract(Base).check().failed == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_by_the_test_that_fails(fault: type) -> None:
    assert set(contract(fault).check(*FAULTS[fault]).failed) == set(FAULTS[fault])


def test_another_formula_is_seen_beside_the_reference() -> None:
    made = type("Contract", (TestRNNCell,), {"make": lambda self, rng: TransposesItsWeight(3, 4, rng=rng)})
    with pytest.raises(AssertionError, match=r"step t=0: \(output, state\)"):
        made().test_value_is_the_reference()


def unrolled_and(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return an unroll of which ``change`` makes something wrong."""
    return lambda *args, **options: change(tr.unroll(*args, **options))


ENGINE_FAULTS: dict[str, tuple[Any, Any, str]] = {
    "the loop is walked backward": (
        "unroll", lambda cell, x, *rest, **options: tr.unroll(cell, x[::-1], *rest, **options),
        "test_unrolled_equals_a_plain_loop",
    ),
    "inputs are centered over time": (
        "_items", lambda inputs: inputs - inputs.mean(axis=0), "test_a_prefix_sees_nothing_of_what_follows",
    ),
    "truncation leaks": ("_cut", lambda state: state, "test_truncation_cuts_every_k_steps"),
    "the mask is ignored": ("_kept", lambda mask, new, state: new, "test_ragged_rows_equal_each_row_alone"),
    "the state is handed over without its gradient": (
        "unroll", unrolled_and(lambda net: replace(net, final_state=tr.detach(net.final_state))),
        "test_chunks_joined_equal_the_whole",
    ),
    "any truncation cuts the start": (
        "unroll", lambda cell, x, state, **options: tr.unroll(
            cell, x, tr.detach(state) if "truncate" in options else state, **options
        ), "test_truncation_beyond_the_end_is_none",
    ),
    "no steps give zeros": (
        "unroll", unrolled_and(
            lambda net: net if len(net) else replace(net, final_state=net.final_state * 0.0)
        ), "test_no_steps_leave_the_state_as_it_is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENGINE_FAULTS)
def test_a_fault_of_the_engine_is_named_too(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, wrong, name = ENGINE_FAULTS[what]
    places = [unrolling] if target.startswith("_") else [problem, celltime]
    for place in places:
        monkeypatch.setattr(place, target, wrong)
    with pytest.raises(AssertionError):
        getattr(TestRNNCell(), name)()


def test_every_test_is_needed_by_some_fault() -> None:
    """A test that no fault can break would be none."""
    named = {name for names in FAULTS.values() for name in names} | {e[2] for e in ENGINE_FAULTS.values()}
    assert set(TESTS) - named == {"test_value_is_the_reference"}  # which has a test of its own


class NotCallable(tr.nn.Module):
    def forward(self, x: Any, h: Any) -> Any:
        return x


def startless(x: Any, h: Any) -> Any:
    return tr.ops.tanh(x @ np.ones((3, 4)) + h)


MISUSES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a class": ({"make": lambda self, rng: Base}, TypeError, "must return a cell, .*; got the class Base"),
    "nothing": ({"make": lambda self, rng: None}, TypeError, "must return a cell, .*; got a NoneType"),
    "forward": (
        {"make": lambda self, rng: NotCallable()}, TypeError, r"an object with __call__\(x, state\); got a NotCallable",
    ),
    "no initial_state": (
        {"make": lambda self, rng: startless}, TypeError,
        r"function has no initial_state\(x\). Define in Mine def state\(self, cell, x, rng\)",
    ),
    "a single number": (
        {"make": lambda self, rng: startless, "state": lambda self, cell, x, rng: 0.0}, TypeError,
        "Mine: a state of single numbers; a contract is about cells over Tensors",
    ),
    "one row": ({"make": lambda self, rng: startless, "batch": 1}, ValueError, "Mine.batch must be .* 2, got 1"),
    "one step": ({"make": lambda self, rng: startless, "steps": 1}, ValueError, "Mine.steps must be .* 2, got 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISUSES)
def test_a_misuse_is_explained(what: str) -> None:
    body, error, message = MISUSES[what]
    with pytest.raises(error, match=message):
        type("Mine", (CellContract,), body)().test_gradient_is_the_derivative()


def test_an_error_of_the_cell_says_what_it_was_given() -> None:
    mine = type("Mine", (CellContract,), {"make": lambda self, rng: Base(5, 4, rng=rng)})
    with pytest.raises(ValueError, match=r"must have shape|sizes differ") as caught:
        mine().test_gradient_is_the_derivative()
    note = "Mine gave the cell an input of shape (3, 3) and a state of (3, 4). If it takes others: set input_size,"
    assert caught.value.__notes__[0].startswith(note)


class TakesASize(Base):
    def initial_state(self, x: Any) -> Any:
        return np.zeros((x, 4))


def test_an_error_of_initial_state_says_what_it_was_given() -> None:
    mine = type("Mine", (CellContract,), {"make": lambda self, rng: TakesASize(3, 4, rng=rng)})
    with pytest.raises(TypeError) as caught:
        mine().test_gradient_is_the_derivative()
    assert (
        "the inputs of one step, as tr.unroll does: here zeros of shape (3, 3)" in caught.value.__notes__[0]
    )


def test_without_make_it_cannot_be_used() -> None:
    with pytest.raises(TypeError, match="abstract"):
        CellContract()  # type: ignore[abstract]


def test_the_message_says_where_and_by_how_much() -> None:
    contract = type(
        "Contract", (CellContract,), {"make": lambda self, rng: FAULTS and Centers(3, 4, rng=rng)}
    )
    with pytest.raises(
        AssertionError, match=r"the loss of a batch: got .*, expected .*; they may differ by 1e-11"
    ):
        contract().test_batch_is_the_sum_of_its_examples()


class Centers(Base):
    def squash(self, z: Any) -> Any:
        return tr.ops.tanh(z - z.mean(axis=0))


def test_a_weight_in_double_precision_is_told_what_it_does_in_single() -> None:
    weight = np.ones((3, 4))
    body = {
        "make": lambda self, rng: lambda x, h: tr.ops.tanh(x @ weight + h),
        "state": lambda self, c, x, r: np.ones((3, 4)),
    }
    with pytest.raises(ValueError, match="changed from float32") as caught:
        type("Mine", (CellContract,), body)().test_float32_is_near_float64()
    assert caught.value.__notes__[0].endswith("if single precision is not promised, set float32 = False")
