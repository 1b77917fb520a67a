"""Which time step each node of a graph belongs to, and which steps a drawing shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.nn.places import Lane, Place, place_of

MOST_STEPS = 8  # "auto" folds a longer sequence
FOLDED_STEPS = 4  # and then shows so many steps


class Timeline:
    """A graph's nodes by time step. Read-only.

    Attributes:
        graph: the graph.
        places: for each node its place.
        columns: for each node its step; for an operation outside of all steps the latest step that it is made from,
            and -1 for what comes before the first.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        known: dict[tuple[str, ...], Place] = {}
        self.places = [known.get(s) or known.setdefault(s, place_of(s)) for s in (n.scope for n in graph)]
        columns: list[int] = []
        for place, parents in zip(self.places, graph.parent_indices, strict=True):
            late = place.step
            if late < 0:
                for p in parents:
                    late = max(late, columns[p])
            columns.append(late)
        self.columns = columns
        self.steps = sorted({place.step for place in known.values() if place.step >= 0})
        lanes = {place.lane for place in known.values() if place.step >= 0}
        self._by_time = len(lanes) < 2 or not self._runs_back()
        self._drawn: dict[tuple[str, ...], tuple[str, ...]] = {}

    def _runs_back(self) -> bool:
        """Return whether some lane uses a later step of another, as a decoder does that reads a whole encoder."""
        for place, parents in zip(self.places, self.graph.parent_indices, strict=True):
            if place.step >= 0 and place.lane:
                for p in parents:
                    before = self.places[p]
                    if before.step > place.step and before.lane != place.lane:
                        return True
        return False

    def drawn(self, scope: tuple[str, ...]) -> tuple[str, ...]:
        """Return the frames in which a scope is drawn, outermost first: the time step, then its layers.

        Where two sequences do not share one time axis, each stands in its own frame: the scope as it is.
        """
        frames = self._drawn.get(scope)
        if frames is None:
            place = place_of(scope)
            shared = place.step >= 0 and self._by_time
            inner = scope[len(place.frame) :]
            frames = self._drawn[scope] = (f"t={place.step}", *place.lane, *inner) if shared else scope
        return frames

    def lane_frame(self, lane: Lane) -> Lane:
        """Return the frame that holds all steps of a lane: none where the steps hold the lanes."""
        return () if self._by_time else lane

    @cached_property
    def uses(self) -> list[int]:
        """For each node how often it is an argument, or an output."""
        uses = [0] * len(self.graph)
        for parents in self.graph.parent_indices:
            for p in parents:
                uses[p] += 1
        for output in self.graph.outputs:
            uses[self.graph.index(output)] += 1
        return uses

    @cached_property
    def output_indices(self) -> frozenset[int]:
        """The indices of the graph's outputs."""
        return frozenset(self.graph.index(output) for output in self.graph.outputs)


@dataclass(frozen=True, slots=True)
class Fold:
    """The steps that are not drawn: ``first <= t < last``; none when they are equal."""

    first: int = 0
    last: int = 0
    count: int = 0

    def hides(self, step: int) -> bool:
        """Return whether a step is folded away."""
        return self.first <= step < self.last


def fold_steps(steps: list[int], fold: Any) -> Fold:
    """Return which steps of a sequence to fold.

    Args:
        steps: the numbers of all steps, ascending.
        fold: ``"auto"``: a sequence of more than 8 steps shows its first and last two; True: so does any of more than
            4; False: nothing is folded; a whole number: at most so many steps are shown.

    Raises:
        TypeError, ValueError: another ``fold``.

    Example:
        >>> fold_steps(list(range(50)), "auto")
        Fold(first=2, last=48, count=46)
    """
    shown = _steps_shown(fold, len(steps))
    if shown >= len(steps):
        return Fold()
    head, tail = (shown + 1) // 2, shown // 2
    hidden = steps[head : len(steps) - tail]
    return Fold(hidden[0], hidden[-1] + 1, len(hidden))


def _steps_shown(fold: Any, total: int) -> int:
    if fold is True or (isinstance(fold, str) and fold == "auto"):
        return FOLDED_STEPS if fold is True or total > MOST_STEPS else total
    if fold is False:
        return total
    if not isinstance(fold, int):
        raise TypeError(f"draw: fold must be 'auto', True, False or a number of steps to show, got {fold!r}")
    if fold < 1:
        raise ValueError(f"draw: fold={fold} shows no step; give at least 1, or False to fold nothing")
    return fold


def fold_nodes(total: int, fold: Any, limit: int) -> Fold:
    """Return which nodes, by index, to fold of a graph without time steps that is too large to look at."""
    if fold is False or total <= limit:
        return Fold()
    half = limit // 4
    return Fold(half, total - half, total - 2 * half)
