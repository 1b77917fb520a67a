"""level="step": one box for each cell and step, with what enters and what leaves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinygrad_rnn.nn.places import Lane, series
from tinygrad_rnn.viz.cuts import Cuts
from tinygrad_rnn.viz.dot import Canvas, Vertex
from tinygrad_rnn.viz.flow import Flow
from tinygrad_rnn.viz.ghosts import plan_ghosts
from tinygrad_rnn.viz.label import heading, inlined, value_lines
from tinygrad_rnn.viz.oplevel import Wish
from tinygrad_rnn.viz.order import CUT, SHARED, WOULD_CUT, fan_ins, lay_rail, links, stack, step_of
from tinygrad_rnn.viz.timeline import Timeline
from tinygrad_rnn.viz.tips import Lines, Tips

Frame = tuple[str, ...]


@dataclass(slots=True)
class Cell:
    """What happens inside one step of one lane.

    Attributes:
        ports: the nodes that leave the cell: states, readouts, losses.
        inputs: for each port the nodes outside the cell's operations that it is made from, by index.
        operations: how many operations the cell itself has, without readout and loss.
        weights: the names of the shared leaves that it uses.
    """

    ports: list[int] = field(default_factory=list)
    inputs: dict[int, dict[int, None]] = field(default_factory=dict)
    operations: int = 0
    weights: dict[str, None] = field(default_factory=dict)


class StepLevel:
    """One drawing of the unrolled network by cells; ``draw`` fills and returns its canvas."""

    def __init__(self, timeline: Timeline, wish: Wish) -> None:
        self.timeline, self.graph, self.wish = timeline, timeline.graph, wish
        self.flow = Flow(timeline, wish.cotangents)
        self.cuts = Cuts(timeline, wish.truncate)
        self.hubs = plan_ghosts(timeline)
        self._ports = self._find_ports()
        self.cells = self._find_cells()
        self._entering = {p for cell in self.cells.values() for p in cell.ports if not cell.inputs[p]}
        self._count()
        self._loose = [
            i for i in range(len(self.graph)) if not timeline.places[i].frame and not self._unneeded(i)
        ]
        drawn = [*self._ports, *self._loose]
        self.canvas = wish.canvas(map(self.flow.node, drawn), len(drawn) + len(self.cells))
        self._tips = Tips(self.graph, self.flow) if self.canvas.told else None
        self._next_id = len(self.graph)
        self._cell_ids: dict[Frame, str] = {}
        self._fold_ids: dict[Lane, str] = {}
        self._seen: set[tuple[str, str]] = set()
        self._put: set[int] = set()
        self._chains: dict[int, list[list[int]]] = {}
        self._anchors: dict[Frame, str] = {}

    # --- what the graph's steps consist of

    def _unneeded(self, i: int) -> bool:
        return inlined(self.graph[i]) is not None

    def _find_ports(self) -> dict[int, None]:
        """Return the operations of steps that are named for their step, used outside of it, or outputs."""
        places = self.timeline.places
        found = dict.fromkeys(self.timeline.output_indices)
        for i, (node, parents) in enumerate(zip(self.graph, self.graph.parent_indices, strict=True)):
            if node.op is not None and node.name and series(node.name) != node.name:
                found[i] = None
            for p in parents:
                if places[p].frame != places[i].frame:
                    found[p] = None
        return {
            i: None
            for i in sorted(found)
            if places[i].frame and self.graph[i].op is not None and not self._cut(i)
        }

    def _cut(self, i: int) -> bool:
        op = self.graph[i].op
        return op is not None and op.name == "detach"

    def _find_cells(self) -> dict[Frame, Cell]:
        """Return each step's cell; walks the graph once, handing each operation's inputs on to its users."""
        cells: dict[Frame, Cell] = {}
        reach: dict[int, dict[int, None]] = {}
        for i, parents in enumerate(self.graph.parent_indices):
            frame, node = self.timeline.places[i].frame, self.graph[i]
            if not frame or node.op is None:
                continue
            cell = cells.setdefault(frame, Cell())
            mine: dict[int, None] = {}
            for p in parents:
                if p in self.hubs and not self.timeline.places[p].frame:
                    continue  # a weight: the cell lists it
                inner = p in reach and p not in self._ports and not self._cut(p)
                if inner and self.timeline.places[p].frame == frame:
                    mine |= reach[p]
                elif not self._unneeded(p):
                    mine[p] = None
            reach[i] = mine
            if i in self._ports:
                cell.ports.append(i)
                cell.inputs[i] = mine
        return cells

    def _count(self) -> None:
        """Count each cell's own operations and weights: what its own ports are made from, walking back."""
        made = ((frame, port) for frame, cell in self.cells.items() for port in cell.ports)
        own = {port for frame, port in made if port not in self._entering and self._inside(frame, port)}
        places = self.timeline.places
        for i in reversed(range(len(self.graph))):
            if i not in own:
                continue
            cell = self.cells[places[i].frame]
            cell.operations += not self._cut(i)
            for p in self.graph.parent_indices[i]:
                node = self.graph[p]
                if p in self.hubs and not places[p].frame:
                    cell.weights[node.name or heading(node)] = None
                elif places[p].frame == places[i].frame and node.op is not None and p not in self._entering:
                    own.add(p)

    def _inside(self, frame: Frame, port: int) -> bool:
        """Return whether a port is made by the cell itself, not by a readout or loss upon another port."""
        sources = self.cells[frame].inputs[port]
        own = [p for p in sources if self._is_port_of(p, frame)]
        other = [p for p in sources if p not in own and self.graph[p].op is not None]
        return not own or bool(other) or self._from_initial(sources)

    def _is_port_of(self, p: int, frame: Frame) -> bool:
        """Return whether a node is made and handed out by this step, not an input looked up in it."""
        return p in self._ports and p not in self._entering and self.timeline.places[p].frame == frame

    def _from_initial(self, sources: dict[int, None]) -> bool:
        return any(not self.timeline.places[p].frame and self.graph[p].op is None for p in sources)

    # --- putting it down

    def draw(self) -> Canvas:
        """Put everything down."""
        leaves = [i for i in self._loose if i in self.hubs and self.graph[i].op is None]
        self._chains = fan_ins(self.timeline, self._loose, lambda p: not self._unneeded(p))
        for i in self._loose:
            if i not in self._chains:
                self._box(i, (SHARED,) if i in leaves else self.timeline.places[i].path)
        stack(self.canvas, [f"n{i}" for i in leaves], SHARED)
        shown = [f for f in self.cells if not self._hidden_step(f)]
        for frame in sorted(shown, key=step_of):
            self._cell(frame)
        for frame in self.cells:
            self._cell_edges(frame)
        for i in self._loose:
            if i in self._chains:
                self._chain(i, self._chains[i])
                continue
            for p in self.graph.parent_indices[i]:
                if not self._unneeded(p):
                    self._edge(self._name(p), f"n{i}", self.flow.node(p))
        self._enlist()
        self._rail(shown, leaves)
        return self.canvas

    def _enlist(self) -> None:
        """Let the boxes stand for what has none of its own, from the outputs back: each node for what makes it."""
        owners: dict[int, dict[str, None]] = {}
        for i in reversed(range(len(self.graph))):
            drawn = i in self._put
            names = {f"n{i}": None} if drawn else owners.pop(i, {})
            if self._name(i) != f"n{i}":
                names = {self._name(i): None}
            for name in () if drawn else names:
                self.canvas.enlist(name, i)
            cell = self._cell_ids.get(self.timeline.places[i].frame)
            inner = {cell: None} if cell and self._is_own(i) else names
            for p in self.graph.parent_indices[i]:
                owners.setdefault(p, {}).update(inner)

    def _is_own(self, i: int) -> bool:
        """Return whether node i is a port that the cell of its step makes."""
        return i in self._ports and i not in self._entering and self._inside(self.timeline.places[i].frame, i)

    def _hidden_step(self, frame: Frame) -> bool:
        return self.wish.fold.hides(step_of(frame)[1])

    def _chain(self, i: int, terms: list[list[int]]) -> None:
        """Draw an operation over many steps as a chain: one link a step, the node itself the last."""
        node, previous, size = self.graph[i], "", self.flow.node(i)
        groups = links(terms, lambda p: self._name(p) != f"n{p}")
        for k, parents in enumerate(groups):
            link = f"n{i}" if k == len(groups) - 1 else self._new_id()
            if k == len(groups) - 1:
                self._box(i, self.timeline.places[i].path)
            else:
                vertex = Vertex(link, [node.op.symbol], "chain", size, f"w{i}", (i,), link=f"n{i}")
                self.canvas.box(vertex)
            if previous:
                self.canvas.arrow(previous, link, size, "constraint=false")
                if all(self._name(p) != f"n{p}" for p in parents):
                    self.canvas.layout(f"{{rank=same; {previous}; {link}}}")
            for name in dict.fromkeys(map(self._name, parents)):
                self._edge(name, link, size)
            previous = link

    def _new_id(self) -> str:
        self._next_id += 1
        return f"n{self._next_id - 1}"

    def _box(self, i: int, frame: Frame) -> None:
        node = self.graph[i]
        constants = [inlined(self.graph[p]) for p in self.graph.parent_indices[i]]
        self._put.add(i)
        values = value_lines(node) if self.wish.values else ()
        lines = [node.name or heading(node, constants), *values, *self.flow.lines(i)]
        tokens = f"w{i}" if i in self.hubs or i in self._chains else ""
        size, named, tip = self.flow.node(i), bool(node.name), self._tip(i)
        vertex = Vertex(f"n{i}", lines, node.kind, size, tokens, (i,), named, tip)
        self.canvas.box(vertex, self.timeline.drawn(frame))

    def _tip(self, i: int) -> Lines:
        return self._tips.node(i) if self._tips else ()

    def _cell(self, frame: Frame) -> None:
        cell = self.cells[frame]
        name = self._cell_ids[frame] = self._anchors[frame] = self._new_id()
        lines = ["cell", f"{cell.operations} operations", *cell.weights]
        self.canvas.box(Vertex(name, lines, "cell"), self.timeline.drawn(frame))
        for port in cell.ports:
            self._box(port, frame)

    def _cell_edges(self, frame: Frame) -> None:
        cell, hidden = self.cells[frame], self._hidden_step(frame)
        own = self._fold(frame[:-1]) if hidden else self._cell_ids[frame]
        for port in cell.ports:
            if port in self._entering:
                continue
            inside = self._inside(frame, port)
            if inside and not hidden:
                self._edge(own, f"n{port}", self.flow.node(port))
            for p in cell.inputs[port]:
                if self._is_port_of(p, frame):
                    if not inside and not hidden:
                        self._edge(f"n{p}", f"n{port}", self.flow.node(p))
                elif not (hidden and self.graph[p].op is None):
                    self._arrive(p, own if inside or hidden else f"n{port}", port)

    def _arrive(self, p: int, head: str, port: int) -> None:
        """Draw what enters a cell: an input of this step, a state of another, or what stands outside of all steps."""
        if self._cut(p):
            for source in self.graph.parent_indices[p]:
                self._edge(self._name(source), head, None, self.canvas.palette.cut(CUT), row=True)
            return
        place, frame = self.timeline.places[p], self.timeline.places[port].frame
        if place.frame and p not in self._put and self.graph[p].op is None and self._name(p) == f"n{p}":
            self._box(p, place.frame)
        if place.frame == frame and head == self._cell_ids.get(frame):
            self._anchors[frame] = f"n{p}"
        row = place.frame != frame and place.lane == frame[:-1] and self.graph[p].op is not None
        cell = self.cells[frame]
        users = [port] if head == f"n{port}" else [q for q in cell.ports if p in cell.inputs[q]]
        marks = self.canvas.palette.cut(WOULD_CUT) if self.cuts.between(p, *users) else ""
        self._edge(self._name(p), head, self.flow.node(p), marks, row=row)

    def _name(self, p: int) -> str:
        place = self.timeline.places[p]
        return self._fold(place.lane) if place.frame and self.wish.fold.hides(place.step) else f"n{p}"

    def _edge(
        self, tail: str, head: str, size: float | None, attributes: str = "", row: bool = False
    ) -> None:
        if tail == head or (tail, head) in self._seen:
            return
        self._seen.add((tail, head))
        parts = (attributes, "constraint=false" if row else "")
        self.canvas.arrow(tail, head, size, ",".join(filter(None, parts)))

    def _fold(self, lane: Lane) -> str:
        if lane not in self._fold_ids:
            self._fold_ids[lane] = self._new_id()
            fold = self.wish.fold
            cuts = self.cuts.inside(lane, fold)
            lines = [f"… {fold.count:,} more steps …", *([f"with {cuts:,} cuts"] if cuts else ())]
            self.canvas.box(Vertex(self._fold_ids[lane], lines, "fold"), self.timeline.lane_frame(lane))
        return self._fold_ids[lane]

    def _rail(self, shown: list[Frame], leaves: list[int]) -> None:
        """Keep weights, cells and folds in their order from left to right."""
        stops = [(*step_of(frame), self._anchors[frame]) for frame in shown]
        firsts = {lane: self._cell_ids[(*lane, f"t={step}")] for lane, step, _ in reversed(stops)}
        for lane, name in self._fold_ids.items():
            self.canvas.layout(f"{{rank=same; {firsts[lane]}; {name}}}")
            stops.append((lane, self.wish.fold.first, name))
        if leaves and stops:
            stops.append(((), -1, f"n{leaves[0]}"))
        lay_rail(self.canvas, self.timeline, stops, self._new_id)
