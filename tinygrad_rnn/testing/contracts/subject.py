"""What a ``CellContract`` looks at: settings and methods that an heir may override, and the network that they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import Parameterized, flatten, tree_map
from tinygrad_rnn.testing.contracts.comparing import array, close, skip
from tinygrad_rnn.testing.contracts.contract import Contract
from tinygrad_rnn.testing.contracts.problem import Problem

ROUNDING = 1e-7  # beyond this no disagreement is excused


class CellSubject(Contract, ABC):
    """The cell under test and how it is run; what each attribute means stands in ``CellContract``."""

    input_size: int = 3
    steps: int = 7
    batch: int | None = 3
    seed: int = 0
    tolerance: float = 1e-11
    second_order: bool = True
    float32: bool = True

    @abstractmethod
    def make(self, rng: np.random.Generator) -> Any:
        """Return a new cell, its weights drawn from ``rng``."""

    def state(self, cell: Any, x: np.ndarray, rng: np.random.Generator) -> Any:
        """Return arrays for the state before the first step of inputs ``x`` (B, I); override without initial_state."""
        if not hasattr(cell, "initial_state"):
            who, kind = type(self).__name__, type(cell).__name__
            raise TypeError(
                f"{who}: {kind} has no initial_state(x). Define in {who} def state(self, cell, x, rng), which returns "
                "arrays for the state before the first step, such as rng.normal(size=(len(x), 4))"
            )
        try:
            zeros = cell.initial_state(x)
        except Exception as error:
            error.add_note(
                f"initial_state(x) is given the inputs of one step, as tr.unroll does: here zeros of shape {x.shape}"
            )
            raise
        return tree_map(lambda part: 0.5 * rng.normal(size=np.shape(part)), zeros)

    def reference(self, named: dict[str, np.ndarray], x: np.ndarray, state: Any) -> Any:
        """Return what the cell must return for one step, computed in plain NumPy; None leaves that test out.

        Only this can see that a cell computes another formula than the one meant: gates in another order, say.

        Args:
            named: the parameters by name.
            x: the inputs of the step, (B, I).
            state: arrays in the structure of the cell's state.
        """
        return None

    def renamed(self, named: dict[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray] | None:
        """Return the parameters of the same cell with its hidden units in another order, None if there is no such.

        The default knows PyTorch's names and blocks; override it for a cell with others.
        """
        if "weight_hh" not in named or not set(named) <= {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}:
            return None
        hidden = named["weight_hh"].shape[1]
        gates = len(named["weight_hh"]) // hidden
        rows = np.concatenate([gate * hidden + order for gate in range(gates)])
        return {name: a[rows][:, order] if name == "weight_hh" else a[rows] for name, a in named.items()}

    def _made(self, seed: int) -> tuple[Any, np.random.Generator]:
        """Return a cell in double precision, and the generator that drew it."""
        rng = np.random.default_rng(self.seed + seed)
        cell = self.make(rng)
        if isinstance(cell, type) or not callable(cell):
            kind = f"the class {cell.__name__}" if isinstance(cell, type) else f"a {type(cell).__name__}"
            raise TypeError(
                f"{type(self).__name__}.make must return a cell, an object with __call__(x, state); got {kind}"
            )
        if isinstance(cell, Parameterized):
            named = cell.named_parameters()
            if any(leaf.dtype == np.float32 for leaf in named.values()):
                double = {
                    name: Tensor(np.asarray(leaf.data, float), name=name) for name, leaf in named.items()
                }
                cell = cell.with_parameters(double)
        return cell, rng

    def _problem(self, *, steps: int | None = None, seed: int = 0) -> Problem:
        who = type(self).__name__
        for name, least in (("steps", 2), ("batch", 2), ("input_size", 1)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least) and not (name == "batch" and value is None):
                raise ValueError(f"{who}.{name} must be an integer of at least {least}, got {value!r}")
        row = (self.input_size,) if self.batch is None else (self.batch, self.input_size)
        cell, rng = self._made(seed)
        x = rng.normal(size=(self.steps if steps is None else steps, *row))
        state = tree_map(array, self.state(cell, np.zeros(row), rng))
        if any(not part.shape for _, part in flatten(state)):
            raise TypeError(f"{who}: a state of single numbers; a contract is about cells over Tensors")
        try:
            return Problem.of(cell, x, state, rng)
        except Exception as error:
            shapes = ", ".join(f"{path} {np.shape(part)}".strip() for path, part in flatten(state))
            error.add_note(
                f"{who} gave the cell an input of shape {row} and a state of {shapes}. If it takes others: set "
                "input_size, set batch = None for a cell of single examples, define state(self, cell, x, rng)"
            )
            raise

    def _module_problem(self) -> Problem:
        problem = self._problem()
        if not isinstance(problem.cell, Parameterized):
            skip("the cell is no Module: it has no parameters to look at")
        return problem

    def _batch(self) -> int:
        if self.batch is None:
            skip("batch is None: the cell takes one example at a time")
        return self.batch

    def _close(self, what: str, got: Any, expected: Any) -> None:
        try:
            close(what, got, expected, self.tolerance)
        except AssertionError as error:
            rounding = min(self._problem().rounding(), ROUNDING)
            try:
                close(what, got, expected, rounding)
            except AssertionError:
                raise error from None
