"""The drawing of a plan: a box for all operations that could run as one, a frame for each recurrence."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from tinygrad_rnn.nn.places import series
from tinygrad_rnn.plan.checking.cost import flops_of
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.program import ASSEMBLE, Item
from tinygrad_rnn.plan.scheduling.schedule import Order
from tinygrad_rnn.viz.dot import Canvas, Path, Vertex
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.label import number, symbol
from tinygrad_rnn.viz.theme import LIGHT, Palette, Scale, Theme

_NUMBER = re.compile(r"\d+")
_CARRIED = 'style=dashed,constraint=false,label="next",penwidth=1.5'
MOST_CLASSES = 150  # of a plan that is drawn class by class
FEW_ARGUMENTS = 3  # tell operations of one kind apart
MOST_RESULTS = 4  # that are listed in a box
_SOURCES = {"leaf": "leaf", "input": "leaf", "constant": "constant", "random": "constant"}


@dataclass(slots=True)
class Box:
    """Operations that could run as one, or data of one kind.

    Attributes:
        name: its identifier.
        members: the items, in the order of running.
        batches: how many are in each batch, in the order of running; empty for data.
        frame: the recurrence that it is part of.
        first: the number of its first batch; -1 for data.
    """

    name: str
    members: list[int] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    frame: Path = ()
    first: int = -1


class PlanLevel:
    """One drawing of a plan; ``draw`` fills and returns its canvas."""

    def __init__(self, plan: Plan, theme: Theme = LIGHT) -> None:
        self.items = plan.program.items
        self.program = plan.program
        self._order = Order(plan.program)
        self.boxes: list[Box] = []
        self.box_of: dict[int, Box] = {}
        self._collect(plan)
        self._made: dict[int, list[int]] = {}
        self._names = plan.example.names() if plan.example is not None else []
        self._outputs = [set(self._makers(i)) for i in plan.program.outputs]
        self._data()
        sizes = [self._flops(box) for box in self.boxes]
        self.canvas = Canvas(Palette(Scale.of(map(float, sizes)), theme), len(self.boxes))

    def _collect(self, plan: Plan) -> None:
        """Make a box for each class of operations, in the order of running; for each kind where classes are many."""
        key_of: Sequence[Hashable] = self._order.classes
        if len(set(key_of)) > MOST_CLASSES:
            key_of = self._kinds()
        known: dict[Hashable, Box] = {}
        frames: dict[int, Path] = {}
        for k, batch in enumerate(plan.batches):
            i = batch.members[0]
            component, key = self._order.component[i], key_of[i]
            if key not in known:
                box = known[key] = self._new()
                box.first = k
                if component in self._order.recurrent:
                    box.frame = frames.setdefault(component, (f"recurrence {len(set(frames.values())) + 1}",))
            box = known[key]
            if box.frame:
                frames.setdefault(component, box.frame)
            box.members += batch.members
            box.batches.append(len(batch.members))
            self.box_of.update(dict.fromkeys(batch.members, box))

    def _kinds(self) -> list[Hashable]:
        """Return what items are, of what, and where but for numbers: phases of a plan then share their boxes."""
        plain: list[Hashable] = []
        for item in self.items:
            where = tuple(_NUMBER.sub("#", part) for part in item.scope)
            params = "" if item.op is ASSEMBLE else str(sorted(item.params.items()))
            plain.append((item.op, params, item.shape, item.dtype, where, series(item.name)))
        base = self._order.base
        return [
            (plain[i], *(plain[base[a]] for a in dict.fromkeys(item.args[:FEW_ARGUMENTS])))
            for i, item in enumerate(self.items)
        ]

    def _new(self) -> Box:
        self.boxes.append(Box(f"n{len(self.boxes)}"))
        return self.boxes[-1]

    def _data(self) -> None:
        """Make boxes for the inputs, weights, constants and draws in use; what looks and is used alike is one."""
        users: dict[int, dict[str, None]] = {}
        for box in list(self.boxes):
            for i in box.members:
                for a in self._sources(i):
                    users.setdefault(a, {})[box.name] = None
        known: dict[tuple[object, ...], Box] = {}
        for i in sorted(users):
            item = self.items[i]
            if i in self.box_of or self._inlined(i) is not None:
                continue
            key = (item.kind, item.shape, item.dtype, series(item.name), tuple(users[i]))
            if key not in known:
                known[key] = self._new()
            box = known[key]
            box.members.append(i)
            self.box_of[i] = box

    def _sources(self, i: int) -> list[int]:
        """Return the items whose memory the arguments of item i read."""
        return list(dict.fromkeys(m for a in self.items[i].args for m in self._makers(a)))

    def _makers(self, a: int) -> list[int]:
        source = self._order.base[a]
        if source not in self._made:
            item = self.items[source]
            parts = [m for p in item.args for m in self._makers(p)] if item.op is ASSEMBLE else [source]
            self._made[source] = parts
        return self._made[source]

    def _inlined(self, i: int) -> str | None:
        """Return the text of a constant number, which is written into its users' labels."""
        item = self.items[i]
        return number(item.source.item()) if item.kind == "constant" and not item.shape else None

    def _flops(self, box: Box) -> int:
        return len(box.members) * flops_of(self.items[box.members[0]], self.program) if box.batches else 0

    # --- putting it down

    def draw(self) -> Canvas:
        """Put everything down."""
        for box in self.boxes:
            cost = self._flops(box)
            given = self._results(box)
            self.canvas.box(
                Vertex(
                    box.name,
                    [self._title(box), *self._lines(box), *given],
                    ("cell" if given else "op") if box.batches else _SOURCES[self.items[box.members[0]].kind],
                    float(cost) if cost else None,
                    f"batches-{len(box.batches)}" if box.batches else "",
                    box.members,
                    self._is_named(box),
                    self._tip(box),
                ),
                self._frame(box),
            )
        drawn: set[str] = set()
        for tail, head in self._edges():
            name = tail.name
            if not tail.batches and name in drawn:
                name = self._ghost(tail, head)
            drawn.add(tail.name)
            back = tail is head or (tail.first >= head.first and tail.frame == head.frame != ())
            line = f'{_CARRIED},color="{self.canvas.palette.theme.line}"'
            self.canvas.arrow(name, head.name, None, line if back else "")
        return self.canvas

    def _ghost(self, source: Box, head: Box) -> str:
        """Put down another box of data beside its second and every later user: far edges hide what is near."""
        name = f"{source.name}_{head.name}"
        lines, named = [self._title(source)], self._is_named(source)
        vertex = Vertex(name, lines, "ghost", members=source.members, named=named, link=source.name)
        self.canvas.box(vertex, self._frame(head))
        return name

    def _is_named(self, box: Box) -> bool:
        return any(self.items[i].name for i in box.members)

    def _tip(self, box: Box) -> list[str]:
        """Return all about a box: what it does and to how much, with the formula and the arithmetic."""
        op = self.items[box.members[0]].op
        doc = [op.doc.strip().split("\n", 1)[0]] if op is not None and op is not ASSEMBLE and op.doc else []
        cost = self._flops(box)
        return [self._title(box), *doc, *self._lines(box), *([f"{cost:,} flops"] if cost else ())]

    def _results(self, box: Box) -> list[str]:
        """Return which results of the function the box has part in."""
        numbers = [str(k) for k, made in enumerate(self._outputs) if any(i in made for i in box.members)]
        if len(numbers) > MOST_RESULTS:
            numbers[MOST_RESULTS - 1 :] = ["…"]
        return [f"result {', '.join(numbers)}"] if numbers else []

    def _frame(self, box: Box) -> Path:
        if not box.frame:
            return ()
        longest = max(len(other.batches) for other in self.boxes if other.frame == box.frame)
        return (f"{box.frame[0]}: {longest:,} times one after the other",)

    def _edges(self) -> list[tuple[Box, Box]]:
        """Return each pair of boxes of which the second reads what the first holds, once."""
        found: dict[tuple[str, str], tuple[Box, Box]] = {}
        for head in self.boxes:
            for i in head.members if head.batches else ():
                for a in self._sources(i):
                    tail = self.box_of.get(a)
                    if tail is not None:
                        found.setdefault((tail.name, head.name), (tail, head))
        return list(found.values())

    def _title(self, box: Box) -> str:
        item = self.items[box.members[-1]]
        names = dict.fromkeys(series(self.items[i].name) for i in box.members)
        name = next(iter(names)) if len(names) == 1 else ""
        if name and name != item.name:
            name = f"{name}_t" if len(box.members) > 1 else item.name
        if item.op is None:
            return name or self._given(box, item)
        sign = symbol(item, self._constants(box, item))
        return f"{name} = {sign}" if name else sign

    def _given(self, box: Box, item: Item) -> str:
        """Return the name of data that has none of its own: what the function calls an argument."""
        if item.kind != "input" or len(box.members) > 1:
            return item.kind
        return self._names[item.source] if self._names else f"input {item.source}"

    def _constants(self, box: Box, item: Item) -> list[str | None]:
        texts: list[str | None] = []
        for p, a in enumerate(item.args):
            text = self._inlined(a)
            if text is not None and any(self._inlined(self.items[i].args[p]) != text for i in box.members):
                text = "…"
            texts.append(text)
        return texts

    def _lines(self, box: Box) -> list[str]:
        """Return how many run together and how often, their shape, and where they were recorded."""
        lines = []
        if box.batches:
            low, high = min(box.batches), max(box.batches)
            together = f"{high:,}" if low == high else f"{low:,} … {high:,}"
            times = f" × {len(box.batches):,}" if len(box.batches) > 1 else ""
            if high > 1:
                lines.append(f"{together} together{times}")
            elif times:
                lines.append(f"1 at a time{times}")
        elif len(box.members) > 1:
            lines.append(f"{len(box.members):,} of them")
        shape = self.items[box.members[0]].shape
        lines += [str(shape)] if shape else []
        where = places([self.items[i].scope for i in box.members])
        return lines + ([where] if where else [])


def places(scopes: Iterable[tuple[str, ...]]) -> str:
    """Return where several scopes are, numbers as ranges.

    Example:
        >>> places([("layer 0", "t=1"), ("layer 0", "t=3"), ("layer 0", "t=2")])
        'layer 0, t=1 … 3'
    """
    parts: dict[str, list[float]] = {}
    for scope in dict.fromkeys(scopes):
        for part in scope:
            found = _NUMBER.search(part)
            pattern = _NUMBER.sub("#", part, count=1) if found else part
            low, high = parts.get(pattern, (math.inf, -math.inf))
            if found:
                low, high = min(low, int(found[0])), max(high, int(found[0]))
            parts[pattern] = [low, high]
    return ", ".join(
        pattern
        if high < low
        else pattern.replace("#", f"{low:g}" if low == high else f"{low:g} … {high:g}", 1)
        for pattern, (low, high) in parts.items()
    )


def draw_plan(plan: Plan, theme: Theme = LIGHT) -> Drawing:
    """Return the drawing of a plan; the color is the number of flops of all that a box stands for."""
    canvas = PlanLevel(plan, theme).draw()
    notices = [f"{plan!r}"[1:-1]]
    drawing = Drawing("plan", body=canvas.lines(notices, True, "flops"))
    drawing.level, drawing.boxes, drawing.notices = "plan", canvas.boxes, tuple(notices)
    drawing.members = canvas.members
    return drawing
