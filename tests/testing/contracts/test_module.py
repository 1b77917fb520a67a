"""The modules of tr.nn keep the contract, and seeded faults break the test that is named after them."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.testing.contracts.faulty import HALF_BLIND, NOT_LINEAR, WRONG_TANH, KnowsTheNumberOfAxes
from tinygrad_rnn.testing.contracts.module import ModuleContract

TESTS = sorted(name for name in dir(ModuleContract) if name.startswith("test_"))


class TestLinear(ModuleContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.Linear(3, 2, rng=rng)

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.normal(size=(4, 3)),)


class TestEmbedding(ModuleContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.Embedding(5, 3, rng=rng)

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.integers(0, 5, size=(4, 2)),)


class Stack(ModuleContract):
    """Two layers, both directions."""

    kind: Any

    def make(self, rng: np.random.Generator) -> Any:
        return self.kind(2, 2, num_layers=2, bidirectional=True, rng=rng)

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.normal(size=(3, 2, 2)),)

    batch_axis = 1


class TestRNN(Stack):
    kind = tr.nn.RNN


class TestLSTM(Stack):
    """Arguments that are nested are differentiated, too."""

    kind = tr.nn.LSTM

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return rng.normal(size=(3, 2, 2)), (rng.normal(size=(4, 2, 2)), rng.normal(size=(4, 2, 2)))


class TestGRU(Stack):
    kind = tr.nn.GRU


class Reader(tr.nn.Module):
    """A right module of one's own."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.cell = tr.nn.RNNCell(3, 4, rng=rng)
        self.readout = tr.nn.Linear(4, 2, rng=rng)

    def __call__(self, x: Any) -> Any:
        return self.readout(self.hidden(x))

    def hidden(self, x: Any) -> Any:
        return tr.unroll(self.cell, x).final_state


class TestReader(ModuleContract):
    def make(self, rng: np.random.Generator) -> Any:
        return Reader(rng)

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.normal(size=(4, 2, 3)),)

    batch_axis = 1


class Squashed(tr.nn.Linear):
    """Its operation is opaque: forward mode, second derivative and scalar view are left out."""

    squash = tr.Op(
        name="squash", symbol="s", forward=lambda xp, x: np.arctan(x), vjp=lambda g, y, x: g / (1 + x * x)
    )

    def __call__(self, x: Any) -> Any:
        return self.squash(super().__call__(x))


class TestAnOpaqueOperation(ModuleContract):
    batch_axis = 0

    def make(self, rng: np.random.Generator) -> Any:
        return Squashed(3, 2, rng=rng)

    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.normal(size=(4, 3)),)


class ForgetsItsReadout(Reader):
    def __call__(self, x: Any) -> Any:
        return self.hidden(x)[..., :2]


class CachesItsReadout(Reader):
    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.cached = [np.array(self.readout.weight.data.T)]

    def __call__(self, x: Any) -> Any:
        return self.hidden(x) @ self.cached[0] + self.readout.bias


class HidesAWeight(Reader):
    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.scale = rng.normal(size=2)

    def __call__(self, x: Any) -> Any:
        return super().__call__(x) * self.scale


def squashing(by: tr.Op) -> type:
    """Return a reader whose hidden state goes through one more operation."""

    class Squashes(Reader):
        def hidden(self, x: Any) -> Any:
            return by(super().hidden(x))

    return Squashes


class PromotesToDouble(Reader):
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) * np.ones(2)


class ListsAWeightTwice(Reader):
    def parameters(self) -> Any:
        return [*super().parameters(), self.readout.weight]


class HalvesItsSlope(Reader):
    def hidden(self, x: Any) -> Any:
        h = super().hidden(x)
        return 0.5 * h + 0.5 * tr.detach(h)


class CentersItsRows(Reader):
    def hidden(self, x: Any) -> Any:
        h = super().hidden(x)
        return h - h.mean(axis=0)


class SumsItsRows(Reader):
    def hidden(self, x: Any) -> Any:
        return super().hidden(x).sum(axis=0)


class DropsOut(Reader):
    def hidden(self, x: Any) -> Any:
        h = super().hidden(x)
        np.random.seed(0)
        return h * (np.random.random(h.shape) > 0.2)


class RemembersItsCalls(Reader):
    calls = 0

    def __call__(self, x: Any) -> Any:
        RemembersItsCalls.calls += 1
        return super().__call__(x) * float(RemembersItsCalls.calls)


class SharesItsReadoutWithCopies(Reader):
    def __deepcopy__(self, memo: Any) -> Any:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin


class LoadsHalf(Reader):
    def load_state_dict(self, state: Any) -> None:
        for name, leaf in self.named_parameters().items():
            leaf.data = state[name]


class ForgetsToForget(Reader):
    def zero_grad(self) -> None:
        self.readout.zero_grad()


class BranchesOnNumbers(Reader):
    def __call__(self, x: Any) -> Any:
        y = super().__call__(x)
        return y if float(y.data.sum()) > 0 else -y


FAULTS: dict[type, str] = {
    squashing(WRONG_TANH): "test_gradient_is_the_derivative",
    squashing(NOT_LINEAR): "test_both_modes_agree",
    squashing(HALF_BLIND): "test_second_derivative_is_the_derivative_of_the_gradient",
    squashing(KnowsTheNumberOfAxes.odd): "test_scalarized_equals_tensor",
    PromotesToDouble: "test_float32_is_near_float64",
    ListsAWeightTwice: "test_parameters_are_leaves_with_names_of_their_own",
    ForgetsItsReadout: "test_every_parameter_is_used",
    CachesItsReadout: "test_functional_call_equals_call",
    HalvesItsSlope: "test_gradient_reaches_every_parameter",
    CentersItsRows: "test_rows_of_a_batch_do_not_see_each_other",
    SumsItsRows: "test_rows_of_a_batch_do_not_see_each_other",
    DropsOut: "test_running_it_again_gives_the_same",
    HidesAWeight: "test_state_dict_round_trip",
    RemembersItsCalls: "test_running_it_again_gives_the_same",
    SharesItsReadoutWithCopies: "test_copies_live_lives_of_their_own",
    LoadsHalf: "test_a_wrong_state_dict_is_refused_whole",
    ForgetsToForget: "test_zero_grad_forgets_every_gradient",
    BranchesOnNumbers: "test_compiled_equals_eager",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_by_the_test_that_fails(fault: Any) -> None:
    made = type("Contract", (TestReader,), {"make": lambda self, rng: fault(rng)})
    assert made.check(FAULTS[fault]).failed


def test_without_make_and_inputs_it_cannot_be_used() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ModuleContract()  # type: ignore[abstract]


def test_every_test_is_needed_by_some_fault() -> None:
    assert set(TESTS) == set(FAULTS.values())


MISUSES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no tuple": (
        {"inputs": lambda self, rng: np.ones((4, 2, 3))}, TypeError,
        r"Mine.inputs must return a tuple of arguments, \(x,\) for one; got a ndarray",
    ),
    "no module": ({"make": lambda self, rng: np.tanh}, TypeError, "Mine.make must return a .*Module .*, got a ufunc"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISUSES)
def test_a_misuse_is_explained(what: str) -> None:
    body, error, message = MISUSES[what]
    with pytest.raises(error, match=message):
        type("Mine", (TestReader,), body)().test_gradient_is_the_derivative()


def test_a_class_that_cannot_be_pickled_is_told_how_to_say_so() -> None:
    class Local(Reader):
        pass

    mine: Any = type("Mine", (TestReader,), {"make": lambda self, rng: Local(rng)})
    with pytest.raises(AssertionError, match=r"Local cannot be pickled \(.*\); if .*, set picklable = False"):
        mine().test_copies_live_lives_of_their_own()
    mine.picklable = False
    mine().test_copies_live_lives_of_their_own()
