"""level="rolled": the recurrent network itself, its steps merged into one, its state fed back through a delay.

Nothing but the unrolled graph is read: nodes of one kind (see ``kinds``) become one box, an edge that crosses from one
step to the next becomes a cycle through the delay z⁻¹, which holds the state for one step.
"""

from __future__ import annotations

from tinygrad_rnn.nn.places import Lane, is_initial, series
from tinygrad_rnn.viz.dot import Canvas, Vertex
from tinygrad_rnn.viz.flow import Flow
from tinygrad_rnn.viz.ghosts import plan_ghosts
from tinygrad_rnn.viz.kinds import OUTSIDE, Kinds
from tinygrad_rnn.viz.label import heading, inlined, symbol, value_lines
from tinygrad_rnn.viz.oplevel import Wish
from tinygrad_rnn.viz.timeline import Timeline
from tinygrad_rnn.viz.tips import Tips

Box = tuple[str, int]  # ("kind", number) or ("node", index)


class RolledLevel:
    """One drawing of the rolled network; ``draw`` fills and returns its canvas."""

    def __init__(self, timeline: Timeline, wish: Wish) -> None:
        self.timeline, self.graph, self.wish = timeline, timeline.graph, wish
        self.flow = Flow(timeline, wish.cotangents)
        self.kinds = Kinds(timeline, set(plan_ghosts(timeline)))
        self._sizes = [self._largest(members) for members in self.kinds.members]
        loose = [self.flow.node(i) for i in range(len(self.graph)) if self.kinds.of[i] == OUTSIDE]
        self.canvas = wish.canvas((*self._sizes, *loose), len(self.kinds.members))
        self._tips = Tips(self.graph, self.flow) if self.canvas.told else None
        self._names: dict[Box, str] = {}
        self._delays: dict[tuple[Box, int], str] = {}
        self._hanging: dict[tuple[str, str], None] = {}
        self._delay_of: dict[tuple[int, int], str] = {}
        self._heights = self._levels()

    def _largest(self, members: list[int]) -> float | None:
        return max((m for m in map(self.flow.node, members) if m is not None), default=None)

    def _levels(self) -> list[int]:
        """Return for each kind the longest way up to it within one step."""
        levels = [0] * len(self.kinds.members)
        places, of = self.timeline.places, self.kinds.of
        for i, parents in enumerate(self.graph.parent_indices):
            if of[i] != OUTSIDE:
                inside = [
                    levels[of[p]] for p in parents if of[p] != OUTSIDE and places[p].step == places[i].step
                ]
                levels[of[i]] = max(levels[of[i]], max(inside, default=-1) + 1)
        return levels

    def draw(self) -> Canvas:
        """Put everything down: the boxes in the graph's order, then each edge between two boxes once."""
        for i in range(len(self.graph)):
            box = self._box(i)
            if box not in self._names and not self._inlined(i):
                self._names[box] = f"n{len(self._names)}"
                if box[0] == "kind":
                    self._kind(box)
                else:
                    self._node(i)
        edges = self._edges()
        for user, delay in self._hanging:  # once: beside 200 parallel edges an arrow goes a long way round
            self.canvas.layout(f"{user}->{delay} [style=invis]")
        for (tail, head, attributes), size in edges.items():
            self.canvas.arrow(tail, head, size, attributes)
        self._enlist()
        return self.canvas

    def _enlist(self) -> None:
        """Let each box stand for the constants in its label too."""
        for i, parents in enumerate(self.graph.parent_indices):
            for p in parents:
                if self._inlined(p):
                    self.canvas.enlist(self._names[self._box(i)], p)

    def _box(self, i: int) -> Box:
        kind = self.kinds.of[i]
        return ("node", i) if kind == OUTSIDE else ("kind", kind)

    def _inlined(self, i: int) -> bool:
        return inlined(self.graph[i]) is not None

    def _kind(self, box: Box) -> None:
        members = self.kinds.members[box[1]]
        node = self.graph[members[-1]]
        self.canvas.box(
            Vertex(
                self._names[box],
                [self._title(members[-1]), *self._lines(members)],
                "cut" if node.op is not None and node.op.name == "detach" else node.kind,
                self._sizes[box[1]],
                members=members,
                named=bool(node.name),
                tip=self._kind_tip(members),
            ),
            self._frame(members[-1]),
        )

    def _kind_tip(self, members: list[int]) -> list[str]:
        """Return what all nodes of a kind have in common, and how many they are."""
        if not self._tips:
            return []
        lines = [self._title(members[-1]), *self._tips.formula(members[-1]), *self._lines(members)]
        return [*lines, f"stands for {len(members):,} nodes of {len(self.timeline.steps):,} steps"]

    def _frame(self, i: int) -> tuple[str, ...]:
        place = self.timeline.places[i]
        first, last = self.timeline.steps[0], self.timeline.steps[-1]
        return (*place.lane, f"every step, t = {first} … {last}", *place.path[len(place.frame) :])

    def _title(self, i: int) -> str:
        """Return the heading of a kind: ``h_t = tanh`` where each step calls it by its number."""
        node = self.graph[i]
        family = series(node.name)
        name = f"{family}_t" if family != node.name else family
        if node.op is None:
            return name or node.kind
        constants = self._constants(i)
        signs = {symbol(self.graph[k], constants) for k in self.kinds.members[self.kinds.of[i]]}
        sign = signs.pop() if len(signs) == 1 else "[…]" if node.op.name == "getitem" else node.op.symbol
        return f"{name} = {sign}" if name else sign

    def _constants(self, last: int) -> list[str | None]:
        """Return the constants among the arguments of a kind, by its last member; dots where steps differ."""
        texts: list[str | None] = []
        for slot, p in enumerate(self.graph.parent_indices[last]):
            text = inlined(self.graph[p])
            if text is not None:
                arguments = (self.graph.parent_indices[i] for i in self.kinds.members[self.kinds.of[last]])
                found = {inlined(self.graph[a[slot]]) for a in arguments if len(a) > slot}
                text = text if found == {text} else "…"
            texts.append(text)
        return texts

    def _lines(self, members: list[int]) -> list[str]:
        node = self.graph[members[-1]]
        lines = [str(node.shape)] if node.shape and self.wish.values else []
        if len(members) != len(self.timeline.steps):
            lines.append(f"in {len(members)} of {len(self.timeline.steps)} steps")
        cut = node.op is not None and node.op.name == "detach"
        return lines if cut else [*lines, *self.flow.range_lines(members)]

    def _node(self, i: int) -> None:
        node = self.graph[i]
        constants = [inlined(self.graph[p]) for p in self.graph.parent_indices[i]]
        values = value_lines(node) if self.wish.values else ()
        lines = [heading(node, constants), *values, *self.flow.lines(i)]
        tokens = f"w{i}" if node.kind == "leaf" else ""
        name = self._names[self._box(i)]
        tip, named = self._tips.node(i) if self._tips else (), bool(node.name)
        self.canvas.box(Vertex(name, lines, node.kind, self.flow.node(i), tokens, (i,), named, tip))

    # --- edges

    def _edges(self) -> dict[tuple[str, str, str], float | None]:
        """Return the edges between boxes, each once, with the largest flow of those that it stands for."""
        edges: dict[tuple[str, str, str], float | None] = {}
        initial = []
        for i, parents in enumerate(self.graph.parent_indices):
            sizes = self.flow.edges(i)
            for slot, (p, size) in enumerate(zip(parents, sizes, strict=True)):
                if self._inlined(p):
                    continue
                if (
                    self.kinds.of[i] != OUTSIDE
                    and self.kinds.of[p] == OUTSIDE
                    and is_initial(self.graph[p].name)
                ):
                    initial.append((p, i, slot))
                    continue
                for edge in self._route(p, i, slot):
                    known = edges.get(edge)
                    edges[edge] = size if known is None else max(known, size or 0.0)
        for p, i, slot in initial:
            start = self._delay_of.get((self.kinds.of[i], slot), self._names[self._box(i)])
            label = 'style=dashed,label="at first"'
            edges[self._names[self._box(p)], start, label] = None
        return edges

    def _route(self, p: int, i: int, slot: int) -> list[tuple[str, str, str]]:
        """Return the edge from p's box to i's, or the two that lead through a delay."""
        tail, head = self._box(p), self._box(i)
        places = self.timeline.places
        lag = places[i].step - places[p].step
        if lag == 0 or OUTSIDE in (self.kinds.of[p], self.kinds.of[i]) or places[p].lane != places[i].lane:
            return [(self._names[tail], self._names[head], "")]
        delay = self._delay(tail, lag, places[p].lane)
        self._delay_of.setdefault((head[1], slot), delay)
        below = self._heights[head[1]] < self._heights[tail[1]]
        if below:  # dot keeps the delay level with the state, its users hang below
            self._hanging[self._names[head], delay] = None
        back = f'weight=0,class="delay",label="{_steps(lag)}"'
        down = "constraint=false" if below else ""
        return [(self._names[tail], delay, back), (delay, self._names[head], down)]

    def _delay(self, box: Box, lag: int, lane: Lane) -> str:
        """Return the delay box behind a state; put it down at its first use."""
        if (box, lag) not in self._delays:
            name = self._delays[box, lag] = f"n{len(self._names) + len(self._delays)}"
            last = self.kinds.members[box[1]][-1]
            held = series(self.graph[last].name)
            title = ["z⁻¹" if lag == 1 else f"z^{-lag}"]
            if held:
                title.append(f"{held}_(t-{lag})" if lag > 0 else f"{held}_(t+{-lag})")
            k = self.wish.truncate
            title += [f"cut every {k:,}"] if k and k < len(self.timeline.steps) else []
            frame = self._frame(last)[: len(lane) + 1]
            members = self.kinds.members[box[1]]
            self.canvas.box(Vertex(name, title, "delay", self._sizes[box[1]], members=members), frame)
            self.canvas.layout(f"{{rank=same; {name}->{self._names[box]} [style=invis]}}", frame)
        return self._delays[box, lag]


def _steps(lag: int) -> str:
    return f"delay {lag} step{'s' if abs(lag) != 1 else ''}"
