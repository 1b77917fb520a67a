"""``Uses``: what reaches the weights of a network through their uses at each step."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.cotangents import descendants
from tinygrad_rnn.analysis.reading.rows import SEED, Edge, Rows, Seed, run, sweep
from tinygrad_rnn.analysis.reading.steps import BEFORE, Steps

Array = np.ndarray[Any, np.dtype[Any]]
NOWHERE = -1  # in the place of a step: a use that stands at no single step


@dataclass(frozen=True, eq=False)
class Uses:
    """The uses of some weights by the steps of a network.

    A weight that is first made into another node outside of all steps (W.T, or x @ W for all steps at once) is used
    where that node is used.

    Attributes:
        steps: the graph by time.
        leaves: the weights, by index.
    """

    steps: Steps
    leaves: tuple[int, ...]

    def reached(
        self,
        seeds: Iterable[Seed],
        only: int | None = None,
        watched: Set[int] = frozenset(),
        edge: Edge | None = None,
    ) -> dict[tuple[int, int], Rows]:
        """Return, for each weight and step (leaf, k), what reaches it through its uses there.

        Args:
            seeds: where the sweep starts.
            only: the step that is of interest: the sweep goes no further back.
            watched: nodes whose incoming edges pass ``edge`` first, as in :func:`sweep`.
            edge: decides what goes on.
        """
        found: dict[tuple[int, int], Rows] = {}

        def use(child: int, parent: int, rows: Rows) -> Rows | None:
            passed = edge(child, parent, rows) if edge is not None and parent in watched else rows
            if passed is None or parent not in self._early_nodes:
                return passed
            k = NOWHERE if child == SEED else max(self.steps.columns[child], NOWHERE)
            if only is None or k == only:
                _add(found, (parent, k), passed)
            return None

        through = self._way if only is None else self._way_to(only)
        run(sweep(self.steps.graph, seeds, through, self._early_nodes | watched, use))
        return self._at_leaves(found)

    def apart(self, leaf: int) -> Array:
        """Return what the one loss sends to a weight on ways through no time step; 0 with a loss for each step."""
        shape = self.steps.graph[leaf].shape
        loss = self.steps.loss
        entered = frozenset(node for nodes in self.steps.losses.values() for node, _ in nodes)
        if loss is None or loss in entered:
            return np.zeros(shape)
        one = Rows(0, np.ones((1, *self.steps.graph[loss].shape)))
        arrived = self._arriving([(loss, one)], entered | {leaf}, self._way)
        return np.array(arrived[leaf].array[0]) if leaf in arrived else np.zeros(shape)

    def _at_leaves(self, found: dict[tuple[int, int], Rows]) -> dict[tuple[int, int], Rows]:
        """Pull what has reached a node that is made of weights before all steps back to those weights."""
        leaves = frozenset(self.leaves)
        result: dict[tuple[int, int], Rows] = {}
        for (node, k), rows in found.items():
            if node in leaves:
                _add(result, (node, k), rows)
            else:
                for leaf, arrived in self._arriving([(node, rows)], leaves, self._early).items():
                    _add(result, (leaf, k), arrived)
        return result

    def _arriving(self, seeds: list[Seed], watched: frozenset[int], through: Array) -> dict[int, Rows]:
        """Return what arrives at each weight; watched nodes let nothing pass."""
        arrived: dict[int, Rows] = {}

        def edge(child: int, parent: int, rows: Rows) -> None:
            if parent in self.leaves:
                arrived[parent] = arrived[parent] + rows if parent in arrived else rows

        run(sweep(self.steps.graph, seeds, through, watched, edge))
        return arrived

    @cached_property
    def _way(self) -> Array:
        return descendants(self.steps.graph, self.leaves)

    @cached_property
    def _early(self) -> Array:
        """For each node whether it is one of the weights, or made of them before all steps."""
        return np.asarray(self._way & (np.array(self.steps.columns) == BEFORE))

    @cached_property
    def _early_nodes(self) -> frozenset[int]:
        return frozenset(np.flatnonzero(self._early).tolist())

    def _way_to(self, k: int) -> Array:
        """The nodes on the way from the losses to the uses at step k, and the weights."""
        users = (
            i
            for i, parents in enumerate(self.steps.graph.parent_indices)
            if self.steps.columns[i] == k and any(self._early[p] for p in parents)
        )
        return np.asarray(descendants(self.steps.graph, users) | self._early)


def _add(found: dict[tuple[int, int], Rows], key: tuple[int, int], rows: Rows) -> None:
    found[key] = found[key] + rows if key in found else rows
