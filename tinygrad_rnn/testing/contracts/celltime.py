"""A cell in time: what unrolling, chunks, truncation and no steps at all must give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import detach
from tinygrad_rnn.core.transforms import grad, value_and_grad
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.nn.unroll import unroll
from tinygrad_rnn.testing.contracts.comparing import array, identical, skip
from tinygrad_rnn.testing.contracts.differences import every_leaf_moves_as_told
from tinygrad_rnn.testing.contracts.problem import Problem, stepped, summed
from tinygrad_rnn.testing.contracts.subject import CellSubject
from tinygrad_rnn.testing.gradcheck import assert_gradients


class CellTime(CellSubject):
    """Tests of the steps."""

    def test_unrolled_equals_a_plain_loop(self) -> None:
        """``unroll`` is the loop over the steps, and nothing more."""
        problem = self._problem()

        def loop(named: Any, x: Any, state: Any) -> Any:
            cell = problem.with_parameters(named)
            outputs: list[Any] = []
            for t in range(self.steps):
                output, state = stepped(cell, x[t], state)
                outputs.append(output)
            return problem.total(outputs, state)

        self._close("a plain loop beside unroll", problem.gradients(loop), problem.gradients())

    def test_chunks_joined_equal_the_whole(self) -> None:
        """Two runs, the state handed over, are one run: in value and in gradient."""
        problem, half = self._problem(), self.steps // 2

        def joined(named: Any, x: Any, state: Any) -> Any:
            cell = problem.with_parameters(named)
            first = unroll(cell, x[:half], state)
            second = unroll(cell, x[half:], first.final_state)
            return problem.total(first.outputs + second.outputs, second.final_state)

        self._close("two chunks beside one run", problem.gradients(joined), problem.gradients())

    def test_a_prefix_sees_nothing_of_what_follows(self) -> None:
        """Outputs of the first steps do not change with later inputs, and send them no gradient."""
        problem, half = self._problem(), self.steps // 2
        other = problem.x.copy()
        other[half:] += 1.0
        outputs = problem.results()[0][:half]
        identical("outputs before the change", replace(problem, x=other).results()[0][:half], outputs)
        identical("outputs of the prefix alone", problem.first(half).results()[0], outputs)

        def early(x: Any) -> Any:
            net = unroll(problem.cell, x, problem.state)
            return ops.add_n(*[y.sum() for tree in net.outputs[:half] for _, y in flatten(tree)])

        later = array(grad(early)(problem.x))[half:]
        identical("the gradient by later inputs", later, np.zeros_like(later))

    def test_a_step_does_not_know_its_time(self) -> None:
        """Started later from the same state, the cell does the same: it counts no steps."""
        problem, half = self._problem(), self.steps // 2
        whole = unroll(problem.cell, problem.x, problem.state)
        late = replace(problem, x=problem.x[half:], state=tree_map(array, whole.states[half - 1]))
        expected = [tree_map(array, y) for y in whole.outputs[half:]]
        self._close("outputs of a later start", late.results()[0], expected)

    def test_truncation_beyond_the_end_is_none(self) -> None:
        """``truncate=k`` with k >= T changes nothing."""
        problem = self._problem()
        for k in (self.steps, self.steps + 1):
            loss = lambda *args, k=k: problem.loss(*args, truncate=k)  # noqa: E731
            self._close(f"truncate={k}", problem.gradients(loss), problem.gradients())

    def test_truncation_cuts_every_k_steps(self) -> None:
        """``truncate=k`` is a run of blocks of k steps whose states are handed over without their gradient."""
        problem, k = self._problem(), 3

        def blocks(named: Any, x: Any, state: Any) -> Any:
            cell = problem.with_parameters(named)
            outputs: list[Any] = []
            for start in range(0, self.steps, k):
                net = unroll(cell, x[start : start + k], detach(state) if start else state)
                outputs, state = outputs + net.outputs, net.final_state
            return problem.total(outputs, state)

        cut = problem.gradients(lambda *args: problem.loss(*args, truncate=k))
        self._close(f"truncate={k} beside detached blocks", cut, problem.gradients(blocks))

    def test_no_steps_leave_the_state_as_it_is(self) -> None:
        """T = 0: no outputs, the state unchanged, gradients of zero."""
        problem = self._problem(steps=0)
        outputs, final = problem.results()
        if outputs:
            raise AssertionError(f"no steps gave {len(outputs)} outputs")
        identical("the state after no steps", final, problem.state)
        gradients = problem.gradients()[1]
        identical("the gradient by the state", gradients["state"], problem.weights[1])
        zeros = tree_map(np.zeros_like, problem.parameters)
        identical("the gradient by the parameters", gradients["parameters"], zeros)

    def test_initial_state_fits_every_batch(self) -> None:
        """Without a state the network starts from ``initial_state``: rows by themselves, no steps, right gradient."""
        problem = self._problem().first(2)
        if not hasattr(problem.cell, "initial_state"):
            skip("the cell has no initial_state; state() says where it begins")

        def begun(part: Problem) -> Callable[[Any, Any], Any]:
            return lambda named, x: part.loss(named, x, None)

        args = problem.parameters, problem.x
        assert_gradients(begun(problem), *args)
        every_leaf_moves_as_told(begun(problem), args, self.seed)
        shapes = tree_map(np.shape, unroll(problem.cell, problem.x[:0]).final_state)
        if shapes != (expected := tree_map(np.shape, problem.state)):
            raise AssertionError(f"no steps gave a state of shapes {shapes}, steps one of {expected}")
        rows = [problem.rows(slice(b, b + 1)) for b in range(self.batch or 0)]
        if rows:
            found = [value_and_grad(begun(row))(row.parameters, row.x) for row in rows]
            alone = sum(v for v, _ in found), summed([g for _, g in found])
            self._close("a batch and the sum of its rows", value_and_grad(begun(problem))(*args), alone)

    def test_shared_weights_are_the_sum_of_untied_copies(self) -> None:
        """One weight used in each step has the sum of the gradients of a copy for each step."""
        problem = self._module_problem()

        def untied(copies: Any, x: Any, state: Any) -> Any:
            cells = iter([problem.with_parameters(named) for named in copies])
            return problem.score(unroll(lambda x, s: next(cells)(x, s), x, state))

        copies = [problem.parameters for _ in range(self.steps)]
        found = grad(untied)(copies, problem.x, problem.state)
        self._close("the sum of untied copies", summed(list(found)), problem.gradients()[1]["parameters"])
