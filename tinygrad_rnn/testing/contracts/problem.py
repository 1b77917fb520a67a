"""A cell with inputs, a state and a loss that looks at every output and at the final state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import value_and_grad
from tinygrad_rnn.core.tree import Parameterized, flatten, tree_map, unflatten
from tinygrad_rnn.nn.unroll import Unrolled, unroll
from tinygrad_rnn.testing.contracts.comparing import array
from tinygrad_rnn.testing.rounding import spread

Gradients = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """A recurrent network and what is asked of it.

    Attributes:
        cell: the cell under test.
        x: inputs (T, B, I).
        state: arrays in the structure of the cell's state, batch first.
        weights: for each step the weights of its outputs' entries in the loss, and those of the final state.
    """

    cell: Any
    x: np.ndarray
    state: Any
    weights: tuple[list[Any], Any]

    @classmethod
    def of(cls, cell: Any, x: np.ndarray, state: Any, rng: np.random.Generator) -> Problem:
        """Return the problem whose loss weighs every entry differently."""
        net = unroll(cell, x, state)
        weigh = lambda y: rng.normal(size=y.shape)  # noqa: E731
        outputs = [tree_map(weigh, y) for y in net.outputs]
        return cls(cell, x, state, (outputs, tree_map(weigh, net.final_state)))

    def rows(self, rows: Any) -> Problem:
        """Return the problem of some rows of the batch, given as an index that keeps the axis."""
        outputs, final = self.weights
        pick = lambda a: a[rows]  # noqa: E731
        weights = ([tree_map(pick, w) for w in outputs], tree_map(pick, final))
        return replace(self, x=self.x[:, rows], state=tree_map(pick, self.state), weights=weights)

    def first(self, steps: int) -> Problem:
        """Return the problem of the first steps alone."""
        return replace(self, x=self.x[:steps], weights=(self.weights[0][:steps], self.weights[1]))

    def masked(self, alive: np.ndarray) -> Problem:
        """Return the problem in which only the outputs of ``alive`` (T, B) steps count."""

        def kept(t: int, w: np.ndarray) -> np.ndarray:
            rows: np.ndarray = alive[t].reshape((-1,) + (1,) * (w.ndim - 1))
            return np.where(rows, w, 0.0)

        outputs = [tree_map(partial(kept, t), tree) for t, tree in enumerate(self.weights[0])]
        return replace(self, weights=(outputs, self.weights[1]))

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The arrays of the cell's parameters by name; none where the cell is a plain function."""
        if not isinstance(self.cell, Parameterized):
            return {}
        return {name: np.array(leaf.data) for name, leaf in self.cell.named_parameters().items()}

    def arguments(self) -> tuple[dict[str, np.ndarray], np.ndarray, Any]:
        """What the loss is differentiated by: parameters, inputs, state."""
        return self.parameters, self.x, self.state

    def with_parameters(self, named: Mapping[str, Any]) -> Any:
        """Return the cell with other parameters in the place of its own."""
        return self.cell.with_parameters(named) if named else self.cell

    def score(self, net: Unrolled) -> Any:
        """Return the weighted sum of all outputs and the final state of an unrolled network."""
        return self.total(net.outputs, net.final_state)

    def total(self, outputs: list[Any], final: Any) -> Any:
        """Return the weighted sum of outputs and final state."""
        pairs = [*zip(outputs, self.weights[0], strict=True), (final, self.weights[1])]
        terms = [
            (y * w).sum()
            for tree, weights in pairs
            for (_, y), (_, w) in zip(flatten(tree), flatten(weights), strict=True)
        ]
        return ops.add_n(*terms)

    def loss(self, named: Mapping[str, Any], x: Any, state: Any, **options: Any) -> Any:
        """Return the loss as a function of parameters, inputs and state."""
        return self.score(unroll(self.with_parameters(named), x, state, **options))

    def traced(self) -> Any:
        """Return the node of the loss, with leaves for parameters, inputs and state."""
        return self.loss(*(tree_map(Tensor, part) for part in self.arguments()))

    def gradients(self, loss: Callable[..., Any] | None = None) -> tuple[float, Gradients]:
        """Return the loss and its gradients by parameters, inputs and state; of ``loss`` if another is given."""
        value, found = value_and_grad(loss or self.loss, (0, 1, 2))(*self.arguments())
        return value, dict(zip(("parameters", "inputs", "state"), found, strict=True))

    def rounding(self) -> float:
        """Return by how much of its largest entry rounding alone can move a gradient, the worst of all.

        A saturated unit knows its slope 1 - h² to no more digits than it has; two ways to it need not agree further.
        """
        leaves = [tree_map(Tensor, part) for part in self.arguments()]
        loss = self.loss(*leaves)
        loss.backward()
        rng, worst = np.random.default_rng(0), 0.0
        for _, leaf in flatten(leaves):
            size = float(np.max(np.abs(leaf.grad), initial=0.0)) if leaf.has_grad else 0.0
            worst = max(worst, spread(loss, 1.0, leaf, rng) / size if size else 0.0)
        return worst

    def directions(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return random directions with the structure of ``arguments()``."""
        return tuple(tree_map(lambda a: rng.normal(size=np.shape(a)), part) for part in self.arguments())

    def results(self, **options: Any) -> tuple[list[Any], Any]:
        """Return arrays of all outputs and of the final state."""
        net = unroll(self.cell, self.x, self.state, **options)
        return [tree_map(array, y) for y in net.outputs], tree_map(array, net.final_state)


def stepped(cell: Any, x: Any, state: Any) -> tuple[Any, Any]:
    """Return (output, new state) of one step, whichever of the two forms the cell has."""
    result = cell(x, state)
    shape = [path for path, _ in flatten(state)]
    if [path for path, _ in flatten(result)] == shape:
        first = result[0] if isinstance(result, tuple) else result
        return (next(iter(first.values())) if isinstance(first, dict) else first), result
    output, new = result
    return output, new


def dot(gradient: Any, direction: Any) -> float:
    """Return the inner product of two nested results."""
    pairs = zip(flatten(gradient), flatten(direction), strict=True)
    return float(sum(np.sum(array(g) * d) for (_, g), (_, d) in pairs))


def summed(parts: list[Any]) -> Any:
    """Return the sum of nested results of one structure."""
    columns = zip(*([array(leaf) for _, leaf in flatten(part)] for part in parts), strict=True)
    return unflatten(parts[0], iter([sum(column) for column in columns]))
