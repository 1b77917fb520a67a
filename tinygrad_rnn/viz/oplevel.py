"""level="op": every node of the graph, one frame for each time step.

Inputs stand below, losses above, time runs from left to right. What fans out over the steps (weights) is drawn as
ghosts, what fans in from them (the total loss) as a running chain above them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinygrad_rnn.nn.places import Lane, series
from tinygrad_rnn.viz.cuts import Cuts
from tinygrad_rnn.viz.dot import Canvas, Vertex
from tinygrad_rnn.viz.flow import Cotangents, Flow
from tinygrad_rnn.viz.ghosts import Frame, plan_ghosts
from tinygrad_rnn.viz.label import gradient_text, heading, inlined, magnitude, value_lines
from tinygrad_rnn.viz.order import CUT, SHARED, WOULD_CUT, fan_ins, lay_rail, links, stack, step_of
from tinygrad_rnn.viz.states import Entry, States
from tinygrad_rnn.viz.theme import LIGHT, Palette, Scale, Theme
from tinygrad_rnn.viz.timeline import Fold, Timeline
from tinygrad_rnn.viz.tips import Lines, Tips

_UNSORTED = 20_000  # so many nodes in one frame are put down as they come


@dataclass(frozen=True, slots=True)
class Wish:
    """What a drawing shows.

    Attributes:
        values: whether values are written.
        cotangents: the gradient of each node by index, None where it has none; None when no gradients are wanted.
        fold: the steps that are folded away.
        fold_nodes: the nodes that are folded away, of a graph without steps.
        truncate: the block length of the truncation whose cuts are marked; None for none.
        theme: colors and lines.
        numbers: whether the magnitude at each edge is written.
        bare: whether caption, tips and links are left out.
    """

    values: bool = True
    cotangents: Cotangents | None = None
    fold: Fold = Fold()  # noqa: RUF009 - frozen
    fold_nodes: Fold = Fold()  # noqa: RUF009 - frozen
    truncate: int | None = None
    theme: Theme = LIGHT
    numbers: bool = False
    bare: bool = False

    def canvas(self, magnitudes: Iterable[float | None], expected: int) -> Canvas:
        """Return an empty canvas, its scale that of the ``magnitudes``, for about ``expected`` boxes."""
        palette = Palette(Scale.of(m for m in magnitudes if m is not None), self.theme)
        return Canvas(palette, expected, self.bare, self.numbers)


class OpLevel:
    """One drawing of all nodes; ``draw`` fills and returns its canvas."""

    def __init__(self, timeline: Timeline, wish: Wish) -> None:
        self.timeline, self.graph, self.wish = timeline, timeline.graph, wish
        self.flow = Flow(timeline, wish.cotangents)
        self.cuts = Cuts(timeline, wish.truncate)
        self._folding = bool(wish.fold.count or wish.fold_nodes.count)
        self._inlined = self._constants_in_labels()
        self.visible = [i for i in range(len(self.graph)) if self._shown(i)]
        self.ghosts = plan_ghosts(timeline)
        self.states = States(timeline, self._in_step, set(self.ghosts))
        self.chains = fan_ins(timeline, self.visible, lambda p: self._inlined[p] is None)
        ghosts = len(self.ghosts) * (len(timeline.steps) - wish.fold.count)
        self.canvas = wish.canvas(map(self.flow.node, self.visible), len(self.visible) + ghosts)
        self._tips = Tips(self.graph, self.flow) if self.canvas.told else None
        self._next_id = len(self.graph)
        self._ghost_ids: dict[tuple[int, Frame], str] = {}
        self._entry_ids: dict[tuple[int, Frame], str] = {}
        self._fold_ids: dict[Lane, str] = {}
        self._anchors: dict[Frame, str] = {}
        self._anchored: set[Frame] = set()
        self._level_of: dict[str, str] = {}
        self._reads: dict[Frame, int] = {}
        self._bottoms: dict[Frame, list[str]] = {}
        self._folded_edges: set[tuple[str, str]] = set()
        self._hanging = {(e.source, f): e for f, es in self.states.entries.items() for e in es}
        self._echoed = {*self.ghosts, *self.chains, *(source for source, _ in self._hanging)}
        self._cut_sources = {e.cut: e for e in self._hanging.values() if e.cut is not None}

    # --- what is shown

    def _constants_in_labels(self) -> list[str | None]:
        """Return the text of each unnamed scalar constant, which is written into its users' labels."""
        outputs = self.timeline.output_indices
        return [None if i in outputs else inlined(node) for i, node in enumerate(self.graph)]

    def _tip(self, i: int, what: str = "") -> Lines:
        return self._tips.node(i, what) if self._tips else ()

    def _edge_tip(self, p: int, i: int, size: float | None) -> Lines:
        return self._tips.edge(p, i, size) if self._tips else ()

    def _hidden(self, i: int) -> bool:
        if not self._folding:
            return False
        if self.wish.fold_nodes.count:
            return self.wish.fold_nodes.hides(i) and i not in self.timeline.output_indices
        place = self.timeline.places[i]
        if place.step < 0 and (self.graph[i].op is None or i in self.timeline.output_indices):
            return False
        return self.wish.fold.hides(self.timeline.columns[i])

    def _shown(self, i: int) -> bool:
        return self._inlined[i] is None and not self._hidden(i)

    def _in_step(self, i: int) -> bool:
        return self.timeline.places[i].step >= 0 and self._shown(i)

    def _new_id(self) -> str:
        self._next_id += 1
        return f"n{self._next_id - 1}"

    # --- boxes

    def draw(self) -> Canvas:
        """Put everything down."""
        self._weights()
        frames: dict[Frame, list[int]] = {}
        for i in self.visible:
            if i not in self.chains and not self._is_shared_leaf(i):
                frames.setdefault(self.timeline.places[i].frame, []).append(i)
        for frame, members in sorted(frames.items(), key=lambda item: step_of(item[0])):
            for entry in self.states.entries.get(frame, ()):
                self._enter(entry, frame)
            for i in self._recurrent_first(frame, members):
                self._node(i)
                self._edges(i)
        for i, terms in self.chains.items():
            self._chain(i, terms)
        self._edges_into_folds()
        for frame, entries in self.states.entries.items():
            for entry in entries:
                self._row(entry, frame)
        self._enlist()
        self._rail(frames)
        return self.canvas

    def _enlist(self) -> None:
        """Let the boxes stand for what has none of its own: a fold for its nodes, a node for constants in its label."""
        for i, parents in enumerate(self.graph.parent_indices):
            own = f"n{i}" if not self._hidden(i) else self._fold_of(i)
            if own != f"n{i}":
                self.canvas.enlist(own, i)
            for p in parents:
                if self._inlined[p] is not None:
                    self.canvas.enlist(own, p)

    def _is_shared_leaf(self, i: int) -> bool:
        return i in self.ghosts and not self.timeline.places[i].frame and self.graph[i].op is None

    def _weights(self) -> None:
        """Put down the shared leaves, one above the other, left of everything."""
        title = SHARED if self.timeline.steps else "used many times"
        leaves = self._shared_leaves()
        for i in leaves:
            self._node(i, frame=(title,))
        stack(self.canvas, [f"n{i}" for i in leaves], title)

    def _shared_leaves(self) -> list[int]:
        return [i for i in self.visible if self._is_shared_leaf(i)]

    def _node(self, i: int, frame: Frame | None = None) -> None:
        node = self.graph[i]
        constants = [self._inlined[p] for p in self.graph.parent_indices[i]] if node.op is not None else ()
        cut = i in self._cut_sources
        if not cut and frame is None:
            self._anchors.setdefault(self.timeline.places[i].frame, f"n{i}")
            if node.op is None:
                self._bottoms.setdefault(self.timeline.places[i].frame, []).append(f"n{i}")
        values = value_lines(node) if self.wish.values else ()
        self.canvas.box(
            Vertex(
                f"n{i}",
                [heading(node, constants), *values, *(() if cut else self.flow.lines(i))],
                "cut" if node.op is not None and node.op.name == "detach" else node.kind,
                self.flow.node(i),
                f"w{i}" if i in self._echoed else "",
                (i,),
                bool(node.name),
                self._tip(i),
            ),
            self._path(self.timeline.places[i].path) if frame is None else frame,
        )

    def _ghost(self, i: int, frame: Frame) -> str:
        """Return the ghost of hub i in a frame; put it down at its first use, with the gradient of this use."""
        found = self._ghost_ids.get((i, frame))
        if found:
            return found
        name = self._ghost_ids[i, frame] = self._new_id()
        self._bottoms.setdefault(frame, []).append(name)
        if frame not in self._anchored:
            self._anchored.add(frame)
            self._anchors[frame] = name
        node = self.graph[i]
        lines = [node.name or heading(node)]
        share = self.flow.through(i, self.ghosts[i][frame])
        if share is not None:
            lines.append(gradient_text(share, node.shape) + " here")
        tip = self._tips.share(i, share) if self._tips else ()
        size, named = self.flow.node(i), bool(node.name)
        vertex = Vertex(name, lines, "ghost", size, f"w{i}", (i,), named, tip, f"n{i}")
        self.canvas.box(vertex, self._beside_user(frame))
        return name

    def _path(self, scope: Frame) -> Frame:
        return self.timeline.drawn(scope)

    def _beside_user(self, frame: Frame) -> Frame:
        """Return where a hub's ghost stands: in the step, or in a graph without steps in its user's own scope."""
        return self.timeline.drawn(frame) if self.timeline.steps else self.timeline.places[int(frame[0])].path

    def _recurrent_first(self, frame: Frame, members: list[int]) -> list[int]:
        """Return a step's nodes, parents first, and what comes from the state before the rest: dot puts it left."""
        if not frame or len(members) > _UNSORTED:
            return members
        inside, carried = set(members), set()
        users = {user for entry in self.states.entries.get(frame, ()) for user in (*entry.users, entry.cut)}
        for i in members:
            if i in users or any(p in carried for p in self.graph.parent_indices[i]):
                carried.add(i)
        order: dict[int, None] = {}
        stack = [(i, False) for i in sorted(members, key=lambda i: (i in carried, -i))]
        while stack:
            i, ready = stack.pop()
            if ready:
                order[i] = None
            elif i not in order:
                stack.append((i, True))
                parents = [p for p in self.graph.parent_indices[i] if p in inside and p not in order]
                stack += [(p, False) for p in sorted(parents, key=lambda p: p in carried)]
        return list(order)

    # --- edges

    def _edges(self, i: int) -> None:
        if not self.graph.parent_indices[i] or i in self._cut_sources:
            return
        frame = self.timeline.places[i].frame
        for p, size in zip(self.graph.parent_indices[i], self.flow.edges(i), strict=True):
            if self._inlined[p] is None:
                self._edge(p, i, frame, size)

    def _edge(self, p: int, i: int, frame: Frame, size: float | None) -> None:
        cut = "cut" if self.graph[i].op.name == "detach" else ""
        if (p, frame) in self._hanging or p in self._cut_sources:
            above = self._entry_ids.get((p, frame)) or f"n{p}"
            path = self._path(self.timeline.places[i].path)
            self.canvas.layout(
                f"n{i}->{above} [style=invis]", path
            )  # the user hangs below, its arrow points down
            tip = self._edge_tip(p, i, size)
            self.canvas.arrow(above, f"n{i}", size, "constraint=false", frame=path, tip=tip)
        elif self._hidden(p):
            self._folded_edge(self._fold_of(p), f"n{i}", size, self._marks(p, i))
        elif frame in self.ghosts.get(p, ()) or (str(i),) in self.ghosts.get(p, ()):
            corner = frame if self.timeline.steps else (str(i),)
            marks, tip, beside = self._marks(p, i), self._edge_tip(p, i, size), self._beside_user(corner)
            self.canvas.arrow(self._ghost(p, corner), f"n{i}", size, marks, frame=beside, tip=tip)
        else:
            self._direct(p, i, size, cut=bool(cut))

    def _direct(self, p: int, i: int, size: float | None, cut: bool) -> None:
        columns, places = self.timeline.columns, self.timeline.places
        apart = places[p].frame != places[i].frame and columns[p] >= 0 and columns[p] != columns[i]
        inner = places[p].path == places[i].path
        if places[p].step == places[i].step >= 0 and places[p].lane != places[i].lane:
            self._reads[places[i].frame] = max(p, self._reads.get(places[i].frame, p), key=self._height)
        marks = self.canvas.palette.cut(CUT) if cut else self._marks(p, i)
        attributes = ",".join(filter(None, ("constraint=false" if apart else "", marks)))
        frame = self._path(places[i].path) if inner else ()
        self.canvas.arrow(f"n{p}", f"n{i}", size, attributes, frame=frame, tip=self._edge_tip(p, i, size))

    def _marks(self, p: int, *users: int) -> str:
        """Return how the edge from p to its users looks where a truncation would cut it."""
        return self.canvas.palette.cut(WOULD_CUT) if self.cuts.between(p, *users) else ""

    def _height(self, i: int) -> int:
        return self.states.levels.get(i, -1)

    def _enter(self, entry: Entry, frame: Frame) -> None:
        """Put down the ghost of a state, at the place where it enters a step."""
        if entry.cut is not None:
            return
        source = entry.source
        name = self._entry_ids[source, frame] = self._new_id()
        node = self.graph[source]
        kind = "cut" if self.cuts.between(source, *entry.users) else "state"
        lines, tip = [node.name or heading(node)], self._tip(source, "the state that enters this step")
        link = "" if self._hidden(source) else f"n{source}"
        size, named = self.flow.node(source), bool(node.name)
        vertex = Vertex(name, lines, kind, size, f"w{source}", (source,), named, tip, link)
        self.canvas.box(vertex, self._path(frame))

    def _row(self, entry: Entry, frame: Frame) -> None:
        """Draw the state's way into the step, level with the state that the step makes of it."""
        name = f"n{entry.cut}" if entry.cut is not None else self._entry_ids[entry.source, frame]
        share = self.flow.through(entry.source, entry.users)
        size = None if share is None else magnitude(share)
        marks = self._marks(entry.source, *entry.users)
        attributes = self.canvas.palette.cut(CUT) if entry.cut is not None else marks
        if not self._hidden(entry.source):
            tip = self._edge_tip(entry.source, entry.users[0], size) if entry.users else ()
            self.canvas.arrow(f"n{entry.source}", name, size, attributes, tip=tip, level=True)
            self.canvas.layout(f"{{rank=same; n{entry.source}; {name}}}")
        else:
            self._folded_edge(self._fold_of(entry.source), name, size, attributes)
            self._level_with_fold(self._fold_of(entry.source), entry.source, name, "right")
        if entry.counterpart is not None:
            self.canvas.layout(f"{{rank=same; {name}->n{entry.counterpart} [style=invis]}}")

    # --- folds, chains, order

    def _fold_of(self, i: int) -> str:
        """Return the box that stands for the folded steps of node i's lane; put it down at its first use."""
        lane = self.timeline.places[i].lane
        if lane not in self._fold_ids:
            self._fold_ids[lane] = self._new_id()
            count = self.wish.fold_nodes.count or self.wish.fold.count
            what = "nodes" if self.wish.fold_nodes.count else "steps"
            cuts = self.cuts.inside(lane, self.wish.fold)
            lines = [f"… {count:,} more {what} …", *([f"with {cuts:,} cuts"] if cuts else ())]
            self.canvas.box(Vertex(self._fold_ids[lane], lines, "fold"), self.timeline.lane_frame(lane))
        return self._fold_ids[lane]

    def _folded_edge(self, tail: str, head: str, size: float | None, marks: str = "") -> None:
        if (tail, head) not in self._folded_edges and tail != head:
            self._folded_edges.add((tail, head))
            self.canvas.arrow(tail, head, size, f"{marks or 'style=dotted'},constraint=false")

    def _level_with_fold(self, fold: str, state: int, box: str, side: str) -> None:
        """Put the folded steps at the height of one state, the same on both sides."""
        family = series(self.graph[state].name)
        if (
            self._level_of.setdefault(fold, family) == family
            and self._level_of.setdefault(f"{fold} {side}", box) == box
        ):
            self.canvas.layout(f"{{rank=same; {fold}; {box}}}")

    def _edges_into_folds(self) -> None:
        if not self._folding:
            return
        by_nodes = bool(self.wish.fold_nodes.count)
        for i, parents in enumerate(self.graph.parent_indices):
            if not self._hidden(i):
                continue
            for p in parents:
                state = by_nodes or self.timeline.columns[p] >= 0
                if self._inlined[p] is None and state and not self._hidden(p) and p not in self.ghosts:
                    self._folded_edge(f"n{p}", self._fold_of(i), self.flow.node(p), self._marks(p, i))
                    self._level_with_fold(self._fold_of(i), p, f"n{p}", "left")

    def _chain(self, i: int, terms: list[list[int]]) -> None:
        """Draw an operation over many steps as a chain: one link a step, the node itself the last."""
        node, previous = self.graph[i], ""
        sizes = dict(zip(self.graph.parent_indices[i], self.flow.edges(i), strict=True))
        groups = links(terms, self._hidden)
        for k, parents in enumerate(groups):
            last = k == len(groups) - 1
            link = f"n{i}" if last else self._new_id()
            if last:
                self._node(i)
            else:
                tip, size = self._tip(i, "the sum so far, on the way to"), self.flow.node(i)
                vertex = Vertex(link, [node.op.symbol], "chain", size, f"w{i}", (i,), tip=tip, link=f"n{i}")
                self.canvas.box(vertex, self._path(self.timeline.places[i].path))
            if previous:
                self.canvas.arrow(previous, link, self.flow.node(i), "constraint=false", level=True)
                if all(map(self._hidden, parents)):
                    self.canvas.layout(f"{{rank=same; {previous}; {link}}}")
            for p in parents:
                if self._hidden(p):
                    self._folded_edge(self._fold_of(p), link, sizes[p])
                else:
                    self.canvas.arrow(f"n{p}", link, sizes[p], tip=self._edge_tip(p, i, sizes[p]))
            previous = link

    def _rail(self, frames: Iterable[Frame]) -> None:
        """Keep weights, steps and folds in their order from left to right, and a layer above the layer it reads."""
        stops = [(*step_of(frame), self._anchors[frame]) for frame in frames if frame]
        leaves = self._shared_leaves()
        if leaves and stops:
            stops.append(((), -1, f"n{leaves[0]}"))
        if not self.wish.fold_nodes.count:
            stops += [(lane, self.wish.fold.first, name) for lane, name in self._fold_ids.items()]
        lay_rail(self.canvas, self.timeline, stops, self._new_id)
        for frame, top in self._reads.items():
            for bottom in self._bottoms.get(frame, ()):
                self.canvas.layout(f"n{top}->{bottom} [style=invis,weight=0]")
