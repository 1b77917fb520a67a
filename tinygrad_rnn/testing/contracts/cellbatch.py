"""A cell over a batch: rows that do not see each other, in any order and number, of any length."""

from __future__ import annotations

import numpy as np

from tinygrad_rnn.core.tree import tree_map
from tinygrad_rnn.testing.contracts.comparing import identical
from tinygrad_rnn.testing.contracts.problem import summed
from tinygrad_rnn.testing.contracts.subject import CellSubject


class CellBatch(CellSubject):
    """Tests of the rows; left out where ``batch`` is None."""

    def test_batch_is_the_sum_of_its_examples(self) -> None:
        """Rows do not see each other: values and gradients are those of each example alone."""
        problem, batch = self._problem(), self._batch()
        value, whole = problem.gradients()
        alone = [problem.rows(slice(b, b + 1)).gradients() for b in range(batch)]
        self._close("the loss of a batch", value, sum(v for v, _ in alone))
        parameters = summed([g["parameters"] for _, g in alone])
        self._close("the gradient by the parameters", whole["parameters"], parameters)
        for b, (_, gradients) in enumerate(alone):
            self._close(
                f"the gradient by the inputs of row {b}", whole["inputs"][:, b : b + 1], gradients["inputs"]
            )

    def test_order_of_the_batch_does_not_matter(self) -> None:
        """Rows in another order give the same rows in that order."""
        problem, order = self._problem(), np.roll(np.arange(self._batch()), 1)
        outputs, final = problem.results()
        permuted = problem.rows(order).results()
        pick = lambda a: a[order]  # noqa: E731
        self._close("outputs of the rows in another order", permuted[0], [tree_map(pick, y) for y in outputs])
        self._close("final states of the rows in another order", permuted[1], tree_map(pick, final))

    def test_a_batch_of_one_keeps_its_axis(self) -> None:
        """B = 1 gives outputs and states of one row."""
        self._batch()
        problem = self._problem()
        single = problem.rows(slice(0, 1))
        outputs, final = problem.results()
        row = lambda a: a[:1]  # noqa: E731
        self._close("outputs of a batch of one", single.results()[0], [tree_map(row, y) for y in outputs])
        self._close("final state of a batch of one", single.results()[1], tree_map(row, final))

    def test_ragged_rows_equal_each_row_alone(self) -> None:
        """With ``lengths``, row b is its first lengths[b] steps: padding changes nothing and gets no gradient."""
        problem, batch = self._problem(), self._batch()
        lengths = np.array([self.steps - (b * self.steps) // (batch - 1) for b in range(batch)])
        mask = np.arange(self.steps)[:, None] < lengths
        problem = problem.masked(mask)
        value, whole = problem.gradients(lambda *args: problem.loss(*args, lengths=lengths))
        alone = [problem.rows(slice(b, b + 1)).first(n).gradients() for b, n in enumerate(lengths)]
        self._close("the loss of ragged rows", value, sum(v for v, _ in alone))
        parameters = summed([g["parameters"] for _, g in alone])
        self._close("the gradient by the parameters", whole["parameters"], parameters)
        padding = np.where(mask[:, :, None], 0.0, whole["inputs"])
        identical("the gradient by the padding", padding, np.zeros_like(padding))
