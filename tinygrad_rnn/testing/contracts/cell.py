"""``CellContract``: what every recurrent cell keeps to, one test for each property."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import value_and_grad
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.nn.unroll import unroll
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.testing.contracts.cellbatch import CellBatch
from tinygrad_rnn.testing.contracts.cellslopes import CellSlopes
from tinygrad_rnn.testing.contracts.celltime import CellTime
from tinygrad_rnn.testing.contracts.comparing import (
    DOUBLE,
    array,
    close,
    identical,
    skip,
    unless_opaque,
    without_dice,
)
from tinygrad_rnn.testing.contracts.problem import stepped


class CellContract(CellSlopes, CellTime, CellBatch):
    """Tests for a cell, inherited: ``class TestMine(CellContract)`` with a method ``make``.

    A cell is what ``tr.unroll`` takes: a callable ``(x_t, state) -> state`` or ``(output, state)``. If it is a Module,
    its parameters are tested, too; a plain function is tested in its inputs and state.

    Attributes:
        input_size: I, the width of the inputs (T, B, I).
        steps: T. At least 7, or a gradient that is lost after some steps is not seen.
        batch: B, at least 3; None for a cell of single examples, whose inputs are (T, I).
        seed: of everything that is drawn.
        tolerance: by how much two ways to the same sum may differ, relative to its largest entry.
        second_order: whether second derivatives are promised; an opaque operation has none, and need not say so.
        float32: whether single precision is promised.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> weight = np.random.default_rng(0).normal(size=(2, 5))
        >>> class TestLeaky(CellContract):
        ...     input_size = 5
        ...     float32 = False  # the weight is float64
        ...     def make(self, rng):
        ...         return lambda x, h: 0.9 * h + tr.ops.tanh(x @ weight.T)
        ...     def state(self, cell, x, rng):
        ...         return rng.normal(size=(len(x), 2))
        ...     def reference(self, named, x, h):
        ...         return 0.9 * h + np.tanh(x @ weight.T)
        >>> TestLeaky().test_value_is_the_reference()
    """

    def test_value_is_the_reference(self) -> None:
        """Each step gives what the formula gives, written down once more in NumPy; override ``reference``."""
        problem = self._problem()
        states = [
            problem.state,
            *(tree_map(array, s) for s in unroll(problem.cell, problem.x, problem.state).states),
        ]
        for t, (x, state) in enumerate(zip(problem.x, states, strict=False)):
            expected = self.reference(problem.parameters, x, state)
            if expected is None:
                skip("override reference(named, x, state) to say in NumPy what one step is")
            got = tree_map(array, stepped(problem.cell, Tensor(x), tree_map(Tensor, state)))
            self._close(
                f"step t={t}: (output, state)", got, stepped(lambda x, s, new=expected: new, x, state)
            )

    def test_other_parameters_are_read_not_old_ones(self) -> None:
        """Called with other parameters, after it has run with its own, the cell computes with the others."""
        problem = self._module_problem()
        other = replace(problem, cell=self._made(99)[0])
        called = replace(problem, cell=problem.with_parameters(other.parameters))
        identical("outputs with the parameters of another", called.results(), other.results())

    def test_hidden_units_can_be_renamed(self) -> None:
        """Hidden units in another order are the same cell: no unit is treated in a way of its own."""
        problem = self._module_problem()
        hidden = next(leaf for _, leaf in flatten(problem.state)).shape[-1]
        order = np.roll(np.arange(hidden), 1)
        named = self.renamed(problem.parameters, order)
        if named is None:
            skip("override renamed(named, order) to say what another order of the hidden units is")
        pick = lambda a: a[..., order]  # noqa: E731
        other = replace(problem, cell=problem.with_parameters(named), state=tree_map(pick, problem.state))
        self._close("the state of renamed units", other.results()[1], tree_map(pick, problem.results()[1]))

    def test_scalarized_equals_tensor(self) -> None:
        """The network written out in single numbers has the same loss and the same gradients."""
        problem = self._problem().first(2)
        leaves = [tree_map(Tensor, part) for part in problem.arguments()]
        loss = problem.loss(*leaves)
        unless_opaque(loss)
        loss.backward()
        scalars = scalarize(loss)
        scalars.outputs[0].backward()
        self._close("the scalarized loss", scalars.outputs[0].data, loss.data)
        for path, leaf in flatten(leaves):
            entries = _gradients(scalars.of(leaf)) if leaf.has_grad else leaf.grad
            self._close(f"the scalarized gradient by {path}", entries, leaf.grad)

    def test_compiled_equals_eager(self) -> None:
        """A replay of the recorded plan gives the same numbers, for other numbers too."""
        problem, other = self._problem(), self._problem(seed=1)
        compiled = compile(value_and_grad(problem.loss, (0, 1, 2)))
        for args in (problem.arguments(), other.arguments()):
            eager = value_and_grad(problem.loss, (0, 1, 2))(*args)
            self._close("compiled beside eager", compiled(*args), eager)

    def test_float32_is_near_float64(self) -> None:
        """In single precision everything stays in single precision, and is right to its digits."""
        if not self.float32:
            skip("float32 is False")
        problem = self._problem()
        single = tree_map(lambda a: Tensor(np.asarray(a, np.float32)), problem.arguments())
        cell = problem.with_parameters(single[0])
        try:
            runs = {"": unroll(cell, single[1], single[2])}
            if hasattr(cell, "initial_state"):
                runs[" from initial_state"] = unroll(cell, single[1])
        except ValueError as error:  # the state changed its dtype
            error.add_note(f"inputs, state and parameters are float32 here: {DOUBLE}")
            raise
        for start, net in runs.items():
            for path, y in flatten([net.outputs, net.final_state]):
                if y.dtype != np.float32:
                    raise AssertionError(
                        f"float32 inputs, state and parameters{start} gave output{path} of {y.dtype}: {DOUBLE}"
                    )
        close(
            "outputs in float32", [tree_map(array, y) for y in runs[""].outputs], problem.results()[0], 1e-4
        )

    def test_double_precision_stays_double(self) -> None:
        """From float64 inputs, state and parameters nothing on the way is computed in single precision."""
        for node in Graph.of(self._problem().first(2).traced()).nodes:
            if node.dtype == np.float32:
                name = f"{node.op.name if node.op else 'a constant'} {node.name}".strip()
                raise AssertionError(f"{name} in {', '.join(node.scope) or 'no step'} is float32")

    def test_running_it_again_gives_the_same(self) -> None:
        """A cell has no memory beside its state, no randomness of its own, and changes neither inputs nor weights."""
        problem = self._problem()
        before = tree_map(np.copy, problem.arguments())
        first = without_dice("the cell", problem.results)
        identical("a second run", problem.results(), first)
        replace(problem, x=problem.x + 1.0).results()
        identical("a run after one over other inputs", problem.results(), first)
        identical("parameters, inputs and state after a run", problem.arguments(), before)

    def test_state_dict_round_trip(self) -> None:
        """All that a cell has learned is in its state_dict: loaded into a new cell, it computes the same."""
        problem = self._module_problem()
        fresh = self._made(99)[0]
        fresh.load_state_dict(problem.cell.state_dict())
        identical("the state_dict of the copy", fresh.state_dict(), problem.cell.state_dict())
        identical("outputs of the copy", replace(problem, cell=fresh).results(), problem.results())


def _gradients(entries: Any) -> np.ndarray:
    """Return the gradients of a nested list of Values."""
    return np.asarray(tree_map(lambda value: float(value.grad), entries), dtype=float)
