"""The state's way from step to step: a row across the drawing, from left to right.

In a layered layout an edge from the top of one step to the bottom of the next wanders. So the state enters a step
as a ghost at the height of the state itself, and its users hang below that: h_0 -> (h_0) in t=1, h_1 -> (h_1) in t=2.
A cut of truncated backpropagation stands in the place of the ghost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinygrad_rnn.nn.places import is_initial, series
from tinygrad_rnn.viz.timeline import Timeline

Frame = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A state that enters a step.

    Attributes:
        source: the state's node, in the step before (or before the first).
        users: the nodes that use it in this step.
        cut: the detaching node that stands between them, None where the gradient passes.
        counterpart: the state of the same series that this step makes, None if there is none.
    """

    source: int
    users: tuple[int, ...]
    cut: int | None
    counterpart: int | None


class States:
    """The entries of every drawn step.

    Args:
        timeline: the graph's steps.
        shown: whether a node, by index, is drawn in its frame.
        hubs: nodes that are drawn as ghosts.
    """

    def __init__(self, timeline: Timeline, shown: Callable[[int], bool], hubs: set[int]) -> None:
        self._timeline = timeline
        self._graph = timeline.graph
        self._shown = shown
        self._incoming = self._find(hubs) if timeline.steps else {}
        self._cuts = self._find_cuts()
        self._made = self._series()
        self.levels = self._heights()
        self.entries: dict[Frame, list[Entry]] = {}
        for frame, sources in self._incoming.items():
            found = [self._entry(frame, u, users) for u, users in sources.items()]
            self.entries[frame] = sorted((e for e in found if self._hangs_below(e)), key=lambda e: e.source)

    def _find(self, hubs: set[int]) -> dict[Frame, dict[int, list[int]]]:
        """Return for each drawn step the nodes of its own lane's other steps that it uses, with their users."""
        places = self._timeline.places
        incoming: dict[Frame, dict[int, list[int]]] = {}
        for i, parents in enumerate(self._graph.parent_indices):
            place = places[i]
            if not place.frame or not self._shown(i):
                continue
            for p in parents:
                before = places[p]
                if p in hubs or before.frame == place.frame:
                    continue
                carried = before.lane == place.lane if before.frame else is_initial(self._graph[p].name)
                if carried:
                    users = incoming.setdefault(place.frame, {}).setdefault(p, [])
                    if i not in users[-1:]:
                        users.append(i)
        return incoming

    def _find_cuts(self) -> dict[int, list[int]]:
        """Return the detaching nodes through which a state enters, each with its users in the step."""
        cuts: dict[int, list[int]] = {}
        if not self._incoming:
            return cuts
        for sources in self._incoming.values():
            for users in sources.values():
                if len(users) == 1 and _is_cut(self._graph[users[0]]):
                    cuts[users[0]] = []
        places = self._timeline.places
        for i, parents in enumerate(self._graph.parent_indices):
            for p in parents:
                if p in cuts and places[p].frame == places[i].frame and i not in cuts[p][-1:]:
                    cuts[p].append(i)
        return cuts

    def _heights(self) -> dict[int, int]:
        """Return each drawn node's longest way up from the bottom of its step, states that enter left out."""
        levels: dict[int, int] = {}
        if not self._incoming:
            return levels
        places = self._timeline.places
        for i, parents in enumerate(self._graph.parent_indices):
            if places[i].frame and self._shown(i):
                inside = [levels[p] for p in parents if p in levels and places[p].frame == places[i].frame]
                levels[i] = -1 if i in self._cuts else max(inside, default=-1) + 1
        return levels

    def _entry(self, frame: Frame, source: int, users: list[int]) -> Entry:
        cut = users[0] if len(users) == 1 and users[0] in self._cuts else None
        below = self._cuts[users[0]] if cut is not None else users
        return Entry(source, tuple(below), cut, self._counterpart(frame, source))

    def _counterpart(self, frame: Frame, source: int) -> int | None:
        name = series(self._graph[source].name)
        return self._made.get((frame, name)) if name else None

    def _series(self) -> dict[tuple[Frame, str], int]:
        """Return for each step and series of names the node that the step makes last of it."""
        if not self._incoming:
            return {}
        return {
            (place.frame, series(node.name)): i
            for i, (place, node) in enumerate(zip(self._timeline.places, self._graph, strict=True))
            if place.frame in self._incoming and node.name and node.op is not None and not _is_cut(node)
        }

    def _hangs_below(self, entry: Entry) -> bool:
        """Return whether all users lie lower than the state itself, so that the row can be drawn level."""
        above = [
            self.levels[i] for i in (entry.source, entry.counterpart) if i is not None and i in self.levels
        ]
        top = max((self.levels[user] for user in entry.users), default=-1)
        return bool(above) and top < min(above)


def _is_cut(node: object) -> bool:
    op = getattr(node, "op", None)
    return op is not None and op.name == "detach"
