"""``CellContract``: what every recurrent cell keeps to, one test for each property."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import detach
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, jvp, value_and_grad
from tinygrad_rnn.core.tree import Parameterized, flatten, tree_map
from tinygrad_rnn.nn.unroll import unroll
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.testing.contracts.comparing import array, close, identical, skip
from tinygrad_rnn.testing.contracts.problem import Problem, dot, hessian_differences, stepped, summed
from tinygrad_rnn.testing.gradcheck import assert_gradients

STEP = 1e-5  # of a central difference, which need only tell a gradient from none


class CellContract(ABC):
    """Tests for a cell, inherited: ``class TestMine(CellContract)`` with a method ``make``.

    A cell is what ``tr.unroll`` takes: a callable ``(x_t, state) -> state`` or ``(output, state)``. If it is a Module,
    its parameters are tested, too; a plain function is tested in its inputs and state.

    Attributes:
        input_size: I, the width of the inputs (T, B, I).
        steps: T. At least 7, or a gradient that is lost after some steps is not seen.
        batch: B, at least 3.
        seed: of everything that is drawn.
        tolerance: by how much two ways to the same sum may differ, relative to its largest entry.
        second_order: whether second derivatives are promised.
        float32: whether single precision is promised.
    """

    input_size: int = 3
    steps: int = 7
    batch: int = 3
    seed: int = 0
    tolerance: float = 1e-11
    second_order: bool = True
    float32: bool = True

    @abstractmethod
    def make(self, rng: np.random.Generator) -> Any:
        """Return a new cell, its weights drawn from ``rng``."""

    def state(self, cell: Any, x: np.ndarray, rng: np.random.Generator) -> Any:
        """Return arrays for the state before the first step of inputs ``x`` (B, I); override without initial_state."""
        return tree_map(lambda part: 0.5 * rng.normal(size=part.shape), cell.initial_state(x))

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

    def _problem(self, *, steps: int | None = None, seed: int = 0) -> Problem:
        rng = np.random.default_rng(self.seed + seed)
        cell = self.make(rng)
        x = rng.normal(size=(self.steps if steps is None else steps, self.batch, self.input_size))
        return Problem.of(cell, x, self.state(cell, np.zeros((self.batch, self.input_size)), rng), rng)

    def _close(self, what: str, got: Any, expected: Any) -> None:
        close(what, got, expected, self.tolerance)

    # --- derivatives

    def test_gradient_is_the_derivative(self) -> None:
        """By every parameter, input and initial state, over 1, 2 and all steps, against the complex step."""
        for steps in sorted({1, 2, self.steps}):
            problem = self._problem().first(steps)
            assert_gradients(problem.loss, *problem.arguments())

    def test_gradient_reaches_every_step(self) -> None:
        """Nothing is cut off or read out of the graph: each input moves the loss as its gradient says."""
        problem = self._problem()
        gradient = problem.gradients()[1]["inputs"]
        rng = np.random.default_rng(self.seed)

        def value(x: np.ndarray) -> float:
            return float(problem.loss({}, x, problem.state).data)

        floor = 1e-14 / STEP * abs(value(problem.x)) + 1e-9
        for t in range(self.steps):
            move = np.zeros_like(problem.x)
            move[t] = STEP * rng.normal(size=move[t].shape)
            expected = (value(problem.x + move) - value(problem.x - move)) / (2 * STEP)
            got = float(np.sum(gradient * move)) / STEP
            if abs(got - expected) > 1e-4 * abs(expected) + floor:
                raise AssertionError(
                    f"the input of step t={t} moves the loss by {expected:g}, its gradient says {got:g}"
                )

    def test_both_modes_agree(self) -> None:
        """Forward mode along a direction is the gradient times that direction."""
        problem = self._problem()
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
        along = problem.directions(np.random.default_rng(self.seed + 2))

        def slope(*args: Any) -> Any:
            found = grad(problem.loss, (0, 1, 2))(*args)
            pairs = zip(flatten(found), flatten(along), strict=True)
            return ops.add_n(*[(g * d).sum() for (_, g), (_, d) in pairs])

        assert_gradients(slope, *problem.arguments())
        hessian_differences(problem.loss, problem.arguments(), along)

    # --- time

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

    def test_shared_weights_are_the_sum_of_untied_copies(self) -> None:
        """One weight used in each step has the sum of the gradients of a copy for each step."""
        problem = self._module_problem()

        def untied(copies: Any, x: Any, state: Any) -> Any:
            cells = iter([problem.with_parameters(named) for named in copies])
            return problem.score(unroll(lambda x, s: next(cells)(x, s), x, state))

        copies = [problem.parameters for _ in range(self.steps)]
        found = grad(untied)(copies, problem.x, problem.state)
        self._close("the sum of untied copies", summed(list(found)), problem.gradients()[1]["parameters"])

    # --- batch

    def test_batch_is_the_sum_of_its_examples(self) -> None:
        """Rows do not see each other: values and gradients are those of each example alone."""
        problem = self._problem()
        value, whole = problem.gradients()
        alone = [problem.rows(slice(b, b + 1)).gradients() for b in range(self.batch)]
        self._close("the loss of a batch", value, sum(v for v, _ in alone))
        parameters = summed([g["parameters"] for _, g in alone])
        self._close("the gradient by the parameters", whole["parameters"], parameters)
        for b, (_, gradients) in enumerate(alone):
            self._close(
                f"the gradient by the inputs of row {b}", whole["inputs"][:, b : b + 1], gradients["inputs"]
            )

    def test_order_of_the_batch_does_not_matter(self) -> None:
        """Rows in another order give the same rows in that order."""
        problem = self._problem()
        order = np.roll(np.arange(self.batch), 1)
        outputs, final = problem.results()
        permuted = problem.rows(order).results()
        pick = lambda a: a[order]  # noqa: E731
        self._close("outputs of the rows in another order", permuted[0], [tree_map(pick, y) for y in outputs])
        self._close("final states of the rows in another order", permuted[1], tree_map(pick, final))

    def test_a_batch_of_one_keeps_its_axis(self) -> None:
        """B = 1 gives outputs and states of one row."""
        problem = self._problem()
        single = problem.rows(slice(0, 1))
        outputs, final = problem.results()
        row = lambda a: a[:1]  # noqa: E731
        self._close("outputs of a batch of one", single.results()[0], [tree_map(row, y) for y in outputs])
        self._close("final state of a batch of one", single.results()[1], tree_map(row, final))

    def test_ragged_rows_equal_each_row_alone(self) -> None:
        """With ``lengths``, row b is its first lengths[b] steps: padding changes nothing and gets no gradient."""
        problem = self._problem()
        lengths = np.array(
            [self.steps - (b * self.steps) // (self.batch - 1 or 1) for b in range(self.batch)]
        )
        mask = np.arange(self.steps)[:, None] < lengths
        problem = problem.masked(mask)
        value, whole = problem.gradients(lambda *args: problem.loss(*args, lengths=lengths))
        alone = [problem.rows(slice(b, b + 1)).first(n).gradients() for b, n in enumerate(lengths)]
        self._close("the loss of ragged rows", value, sum(v for v, _ in alone))
        parameters = summed([g["parameters"] for _, g in alone])
        self._close("the gradient by the parameters", whole["parameters"], parameters)
        padding = np.where(mask[:, :, None], 0.0, whole["inputs"])
        identical("the gradient by the padding", padding, np.zeros_like(padding))

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

    # --- other ways to run it

    def test_scalarized_equals_tensor(self) -> None:
        """The network written out in single numbers has the same loss and the same gradients."""
        problem = self._problem().first(2)
        leaves = [tree_map(Tensor, part) for part in problem.arguments()]
        loss = problem.loss(*leaves)
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
        net = unroll(problem.with_parameters(single[0]), single[1], single[2])
        for path, y in flatten([net.outputs, net.final_state]):
            if y.dtype != np.float32:
                raise AssertionError(f"float32 inputs, state and parameters gave output{path} of {y.dtype}")
        close("outputs in float32", [tree_map(array, y) for y in net.outputs], problem.results()[0], 1e-4)

    def test_running_it_again_gives_the_same(self) -> None:
        """A cell has no memory beside its state, no randomness of its own, and changes neither inputs nor weights."""
        problem = self._problem()
        before = tree_map(np.copy, problem.arguments())
        first = problem.results()
        identical("a second run", problem.results(), first)
        replace(problem, x=problem.x + 1.0).results()
        identical("a run after one over other inputs", problem.results(), first)
        identical("parameters, inputs and state after a run", problem.arguments(), before)

    def test_state_dict_round_trip(self) -> None:
        """All that a cell has learned is in its state_dict: loaded into a new cell, it computes the same."""
        problem = self._module_problem()
        fresh = self.make(np.random.default_rng(self.seed + 99))
        fresh.load_state_dict(problem.cell.state_dict())
        identical("the state_dict of the copy", fresh.state_dict(), problem.cell.state_dict())
        identical("outputs of the copy", replace(problem, cell=fresh).results(), problem.results())

    def _module_problem(self) -> Problem:
        problem = self._problem()
        if not isinstance(problem.cell, Parameterized):
            skip("the cell is no Module: it has no parameters to look at")
        return problem


def _gradients(entries: Any) -> np.ndarray:
    """Return the gradients of a nested list of Values."""
    return np.asarray(tree_map(lambda value: float(value.grad), entries), dtype=float)
