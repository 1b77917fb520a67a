"""The cells of tr.nn keep the cell contract, and each of these faults breaks it in the test that is named after it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.testing.contracts.faulty import FAULTS, Base
from tinygrad_rnn.testing.contracts.cell import CellContract

TESTS = sorted(name for name in dir(CellContract) if name.startswith("test_"))


class TestRNNCell(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return tr.nn.RNNCell(3, 4, rng=rng)


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


def failing(make: Callable[[Any], Any]) -> list[str]:
    """Return the names of the tests that a cell fails."""
    contract = type("Contract", (CellContract,), {"make": lambda self, rng: make(rng)})
    failed = []
    for name in TESTS:
        try:
            getattr(contract(), name)()
        except pytest.skip.Exception:
            pass
        except Exception:
            failed.append(name)
    return failed


def test_there_are_some_fifteen_tests() -> None:
    assert len(TESTS) >= 15


def test_a_right_cell_fails_none() -> None:
    assert failing(lambda rng: Base(3, 4, rng=rng)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_by_the_test_that_fails(fault: type) -> None:
    failed = failing(lambda rng: fault(3, 4, rng=rng))
    assert set(FAULTS[fault]) <= set(failed)


def test_every_test_is_needed_by_some_fault() -> None:
    """A test that no fault can break would be none; the faults of the engine itself break the rest."""
    named = {name for names in FAULTS.values() for name in names}
    assert len(named) >= 11


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
