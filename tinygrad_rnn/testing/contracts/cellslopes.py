"""The derivatives of a cell: against the complex step, against differences, in both modes and to second order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, jvp
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.testing.contracts.comparing import array, identical, skip, unless_opaque
from tinygrad_rnn.testing.contracts.differences import (
    every_leaf_moves_as_told,
    hessian_differences,
    moved_as_told,
)
from tinygrad_rnn.testing.contracts.problem import dot
from tinygrad_rnn.testing.contracts.subject import CellSubject
from tinygrad_rnn.testing.gradcheck import assert_gradients


class CellSlopes(CellSubject):
    """Tests of the gradient."""

    def test_gradient_is_the_derivative(self) -> None:
        """By every parameter, input and initial state, over 1, 2 and all steps, against the complex step."""
        for steps in sorted({1, 2, self.steps}):
            problem = self._problem().first(steps)
            assert_gradients(problem.loss, *problem.arguments())

    def test_gradient_reaches_every_step(self) -> None:
        """Nothing is cut off or read out of the graph: each input moves the loss as its gradient says."""
        problem = self._problem()
        for t in range(self.steps):
            move = np.zeros_like(problem.x)
            move[t] = np.random.default_rng(self.seed + t).normal(size=move[t].shape)
            along = (
                tree_map(np.zeros_like, problem.parameters),
                move,
                tree_map(np.zeros_like, problem.state),
            )
            moved_as_told(f"the input of step t={t}", problem.loss, problem.arguments(), along)

    def test_gradient_reaches_every_parameter(self) -> None:
        """Each parameter and each part of the first state moves the loss as its gradient says."""
        problem = self._problem()
        every_leaf_moves_as_told(problem.loss, problem.arguments(), self.seed)

    def test_every_parameter_and_the_state_are_used(self) -> None:
        """The results depend on each parameter and on each part of the state: none was forgotten."""
        problem = self._problem()
        named, x, state = (tree_map(Tensor, part) for part in problem.arguments())
        problem.loss(named, x, state).backward()
        if hasattr(problem.cell, "initial_state"):  # which may have parameters of its own
            problem.loss(named, x, None).backward()
        unused = [
            f"{what}{path}"
            for what, tree in (("parameter ", named), ("inputs", x), ("state", state))
            for path, leaf in flatten(tree)
            if not leaf.has_grad
        ]
        if unused:
            raise AssertionError(f"neither outputs nor final state depend on {', '.join(unused)}")

    def test_gradient_is_finite_where_the_output_is(self) -> None:
        """Inputs a thousand times as large: an overflow inside must not make the gradient inf or nan."""
        problem = self._problem()
        large = replace(problem, x=1e3 * problem.x)
        with np.errstate(all="ignore"):
            results = flatten(large.results())
            gradients = flatten(large.gradients()[1])
        broken = [f"results{path}" for path, y in results if np.isnan(y).any()]
        if all(np.isfinite(y).all() for _, y in results):
            broken += [f"the gradient by {path}" for path, g in gradients if not np.isfinite(array(g)).all()]
        if broken:
            raise AssertionError(f"inputs of the size of 1000 make inf or nan of {', '.join(broken)}")

    def test_both_modes_agree(self) -> None:
        """Forward mode along a direction is the gradient times that direction."""
        problem = self._problem()
        unless_opaque(problem.traced())
        along = problem.directions(np.random.default_rng(self.seed + 1))
        value, gradients = problem.gradients()
        pushed_value, pushed = jvp(problem.loss, problem.arguments(), along)
        identical("the value in forward mode", pushed_value, value)
        parts = [dot(g, d) for g, d in zip(gradients.values(), along, strict=True)]
        scale = sum(abs(part) for part in parts)
        if abs(float(pushed) - sum(parts)) > self.tolerance * scale:
            raise AssertionError(f"forward mode gives {float(pushed):.17g}, reverse mode {sum(parts):.17g}")

    def test_second_derivative_is_the_derivative_of_the_gradient(self) -> None:
        """The gradient is differentiated once more: against the complex step, and against its own differences."""
        if not self.second_order:
            skip("second_order is False")
        problem = self._problem().first(2)
        unless_opaque(problem.traced())
        along = problem.directions(np.random.default_rng(self.seed + 2))

        def slope(*args: Any) -> Any:
            found = grad(problem.loss, (0, 1, 2))(*args)
            pairs = zip(flatten(found), flatten(along), strict=True)
            return ops.add_n(*[(g * d).sum() for (_, g), (_, d) in pairs])

        assert_gradients(slope, *problem.arguments())
        hessian_differences(problem.loss, problem.arguments(), along)
