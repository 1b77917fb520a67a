"""The modules of tr.nn keep the contract, and seeded faults break the test that is named after them."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
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


class TestRNN(Stack):
    kind = tr.nn.RNN


class TestLSTM(Stack):
    kind = tr.nn.LSTM


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
    ForgetsItsReadout: "test_every_parameter_is_used",
    CachesItsReadout: "test_functional_call_equals_call",
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
    with pytest.raises(Exception):  # noqa: B017 - whatever shows it
        getattr(made(), FAULTS[fault])()


def test_without_make_and_inputs_it_cannot_be_used() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ModuleContract()  # type: ignore[abstract]
