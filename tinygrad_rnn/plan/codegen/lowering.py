"""``lowered``: the batches of a program as instructions on windows of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives.indexing import HERE
from tinygrad_rnn.core.primitives.reductions import reduced_axes
from tinygrad_rnn.nn.inputs import BOUNDED
from tinygrad_rnn.plan.codegen.emitting import SPELLED_OUT, Emitted, Emitter
from tinygrad_rnn.plan.codegen.instructions import Instruction, Operand, Place, Scattered
from tinygrad_rnn.plan.codegen.layout import Layout
from tinygrad_rnn.plan.codegen.links import operands
from tinygrad_rnn.plan.codegen.products import product, with_axis
from tinygrad_rnn.plan.codegen.windows import (
    aligned,
    dropped,
    grid,
    joined,
    members,
    reshaped,
    runs,
    transposed,
    window,
)
from tinygrad_rnn.plan.codegen.writer import Writer
from tinygrad_rnn.plan.program import SUM_OF_MATMULS, Item, Program
from tinygrad_rnn.plan.scheduling.schedule import Batch

SMALL = 64  # entries; arrays up to this size are read and written entry by entry where they do not lie side by side
STRIDED = 3  # calls; what a call on windows of several axes costs more than one on vectors
FEW_RUNS = 4  # of small arrays; more are copied entry by entry
MANY = 3  # terms; more small ones are copied and added up in one go
Form = Callable[[Place], None]
_EXTREMA: dict[Op | None, Op] = {ops.max: ops.maximum, ops.min: ops.minimum}
_REDUCTIONS = (ops.sum, ops.mean, *_EXTREMA)
_COMPARISONS = (
    ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal, ops.logical_and,
    ops.logical_or,
)  # fmt: skip
_COPIES = (ops.broadcast_to, ops.alias, ops.astype)


class Lowering:
    """Turns batches into instructions.

    Attributes:
        instructions: in the order of running.
        constants: windows with what must stand in them before the first run.
    """

    def __init__(self, program: Program, layout: Layout) -> None:
        self.program, self.layout = program, layout
        self._writer = Writer(layout)
        self.instructions = self._writer.instructions
        self.constants = self._writer.constants
        self.constants += [
            (layout.places[i], item.source) for i, item in enumerate(program.items) if item.kind == "constant"
        ]
        self._grids: dict[tuple[tuple[int, ...], tuple[int, ...]], np.ndarray] = {}

    def lower(self, batch: Batch) -> None:
        """Append the instructions of one batch: all its members together, or one by one where that is cheaper."""
        if len(batch.members) == 1:
            self._one_by_one(batch)
            return
        start = len(self.instructions)
        found = self._together(batch)
        if found and _cost(self.instructions[start:]) <= len(batch.members):
            return
        together, self.instructions[start:] = self.instructions[start:], []
        self._one_by_one(batch)
        if found and _cost(together) <= _cost(self.instructions[start:]):
            self.instructions[start:] = together

    def _one_by_one(self, batch: Batch) -> None:
        places = self.layout.places
        for m in batch.members:
            item = self.program.items[m]
            if item.op is SUM_OF_MATMULS:
                self._sum_of_matmuls(item, places[m])
            else:
                self._single(item, [places[a] for a in item.args], places[m])

    # --- reading several values as one

    def _several(self, items: Sequence[int]) -> Operand:
        """Return the values of ``items``, with a new first axis, as they lie, or copied where that takes many reads."""
        places = [self.layout.places[i] for i in items]
        together = joined(places)
        if together is not None:
            return together
        return (
            self._scattered(places) if math.prod(places[0].shape) <= SMALL else self._copied_together(places)
        )

    def _one(self, items: Sequence[int]) -> Place:
        """Return the values of ``items`` as one window, copied if they do not lie side by side."""
        places = [self.layout.places[i] for i in items]
        return joined(places) or self._copied_together(places)

    def _copied_together(self, places: Sequence[Place]) -> Place:
        """Return a copy of several windows as one; what lies side by side is copied in one go."""
        parts = runs(places)
        if len(parts) > FEW_RUNS and math.prod(places[0].shape) <= SMALL:
            return self._gathered(self._scattered(places))
        room = self._writer.room((len(places), *places[0].shape), places[0].dtype)
        for start, part in parts:
            self._writer.emit("copy", members(room, start, part.shape[0]), (part,))
        return room

    def _gathered(self, several: Scattered) -> Place:
        """Return a copy of what is scattered."""
        room = self._writer.room(several.shape, several.dtype)
        self._writer.emit("copy", room, (several,))
        return room

    def _scattered(self, places: Sequence[Place]) -> Scattered:
        blocks = np.array([p.block for p in places])
        if not places[0].shape:
            return Scattered(blocks, np.array([p.offset for p in places]), places[0].dtype)
        offsets = np.stack([p.offset + self._grid(p) for p in places])
        return Scattered(blocks, offsets, places[0].dtype)

    def _grid(self, place: Place) -> np.ndarray:
        """Return the distance of each entry from the first."""
        key = place.shape, place.strides
        if key not in self._grids:
            self._grids[key] = grid(place)
        return self._grids[key]

    # --- one operation

    def _single(self, item: Item, args: list[Place], out: Place) -> None:
        op = item.op
        assert op is not None
        if op is ops.add_n:
            self._sum(args, out)
        elif op in _COPIES:
            self._writer.emit("copy", out, args)
        elif _is_map(item):
            self._writer.emit("map", out, args, op, item.params)
        elif _is_dot(item):
            self._dots([[a] for a in args], with_axis(out, 0))
        else:
            self._structural(item, args, out)

    def _structural(self, item: Item, args: list[Place], out: Place) -> None:
        if item.op is ops.matmul:
            product(self._writer, args[0], args[1], out)
        elif item.op in _REDUCTIONS:
            self._reduce(item, args[0], out, item.params["axis"])
        elif item.op in SPELLED_OUT and all(args[0].shape):
            self._spelled_out(item, args[0], out, item.params)
        elif item.op in (ops.getitem, ops.scatter_add) and _by_integers(args):
            kernel = "take" if item.op is ops.getitem else "scatter"
            self._writer.emit(kernel, out, args, None, {"key": item.params["key"]})
        else:
            self._writer.emit("call", out, args, item.op, item.params)

    def _sum(self, args: Sequence[Place], out: Place) -> None:
        """Sum up windows of one shape: side by side in one go, else one after the other."""
        together = joined(args) if len(args) > 2 else None
        if together is None and len(args) > MANY and math.prod(args[0].shape) <= SMALL:
            together = self._gathered(self._scattered(args))
        if together is not None:
            self._writer.emit("reduce", out, (together,), ops.add, {"axes": (0,)})
            return
        self._writer.emit("map", out, args[:2], ops.add)
        for a in args[2:]:
            self._writer.emit("map", out, (out, a), ops.add)

    def _reduce(self, item: Item, x: Place, out: Place, axis: Any) -> None:
        rank = len(x.shape)
        axes = tuple(sorted(reduced_axes(axis, rank)))
        narrow = dropped(out, axes) if item.params["keepdims"] else out
        if axes:
            self._writer.emit("reduce", narrow, (x,), _EXTREMA.get(item.op, ops.add), {"axes": axes})
        else:
            self._writer.emit("copy", narrow, (x,))
        if item.op is ops.mean:
            count = math.prod(x.shape[a] for a in axes)
            share = self._writer.number(1.0 / count if count else math.nan, out.dtype)
            self._writer.emit("map", narrow, (narrow, share), ops.multiply)

    def _spelled_out(self, item: Item, x: Place, out: Place, params: Mapping[str, Any]) -> None:
        """Append the steps of an operation whose ``forward`` consists of a few; the last one writes ``out``."""
        assert item.op is not None
        emitter = Emitter(self._writer.emit, self._writer.room)
        result = item.op.forward(emitter, Emitted(x, emitter), **params).place
        last = self.instructions[-1]
        target = reshaped(out, last.out.shape)
        if target is not None and last.out.block == result.block:  # type: ignore[union-attr]
            self.instructions[-1] = last._replace(out=target)
        else:
            self._writer.emit("copy", out, (result,))

    def _sum_of_matmuls(self, item: Item, out: Place) -> None:
        """One product: [a_1 ... a_n] times b_1 ... b_n one below the other."""
        half = len(item.args) // 2
        a, b = self._one(item.args[:half]), self._one(item.args[half:])
        n, m, k = a.shape
        left = self._writer.flat(transposed(a, (0, 2, 1)), (n * k, m))
        right = self._writer.flat(b, (n * k, b.shape[2]))
        self._writer.emit("gemm", out, (transposed(left, (1, 0)), right))

    # --- several members at once

    def _together(self, batch: Batch) -> bool:
        """Append the instructions of a batch of several; False if the operation has no batched form."""
        item = self.program.items[batch.members[0]]
        lists = operands(self.program, batch)
        form = self._form(item, lists)
        if form is None:
            return False
        places = [self.layout.places[m] for m in batch.members]
        out: Operand | None = joined(places)
        small = math.prod(item.shape) <= SMALL
        if out is None and small and item.op is not ops.add_n and (item.op in _COPIES or _is_map(item)):
            self._mapped(item, lists, self._scattered(places))
            return True
        if out is not None:
            form(out)  # type: ignore[arg-type]
            return True
        room = self._writer.room((len(places), *item.shape), item.dtype)
        form(room)
        if small:
            self._writer.emit("copy", self._scattered(places), (room,))
        else:
            for start, part in runs(places):
                self._writer.emit("copy", part, (members(room, start, part.shape[0]),))
        return True

    def _form(self, item: Item, lists: list[list[int]]) -> Form | None:
        op = item.op
        assert op is not None
        if op is ops.add_n:
            return lambda out: self._sum([aligned(self._one(x), len(out.shape)) for x in lists], out)
        if op in _COPIES or _is_map(item):
            return lambda out: self._mapped(item, lists, out)
        if _is_dot(item):
            return lambda out: self._dots([[self.layout.places[i] for i in items] for items in lists], out)
        if op is ops.matmul:
            return lambda out: self._products(lists, out)
        if not lists:
            return None
        rank = len(self.program.items[lists[0][0]].shape)
        if op in _REDUCTIONS:
            axes = tuple(a + 1 for a in reduced_axes(item.params["axis"], rank))
            return lambda out: self._reduce(item, self._one(lists[0]), out, axes)
        if op in SPELLED_OUT and all(self.program.items[lists[0][0]].shape):
            axes = tuple(a + 1 for a in reduced_axes(item.params["axis"], rank))
            params = {**item.params, "axis": axes}
            return lambda out: self._spelled_out(item, self._one(lists[0]), out, params)
        if op is BOUNDED:
            return lambda out: self._writer.emit("call", out, [self._one(lists[0])], op, item.params)
        if op in (ops.getitem, ops.scatter_add) and all(part is HERE for part in item.params["key"]):
            kernel = "take" if op is ops.getitem else "scatter"
            integers = all(self.program.items[x[0]].dtype.kind in "iu" for x in lists[1:])
            return (lambda out: self._indexed(kernel, lists, out)) if integers else None
        return None

    def _mapped(self, item: Item, lists: list[list[int]], out: Operand) -> None:
        args: list[Operand] = []
        rank = len(out.shape)
        for items in lists:
            several = self._several(items)
            if isinstance(several, Place):
                args.append(aligned(several, rank))
            else:
                first, *rest = several.shape
                shape = (first, *(1,) * (rank - len(several.shape)), *rest)
                args.append(several._replace(offsets=several.offsets.reshape(shape)))
        if item.op in _COPIES:
            self._writer.emit("copy", out, args)
        else:
            self._writer.emit("map", out, args, item.op, item.params)

    def _dots(self, factors: list[list[Place]], out: Place) -> None:
        """Sums of products of numbers: all products at once, then the sum of each; ``factors[k][m]`` for result m."""
        half, count = len(factors) // 2, len(factors[0])
        sides = [
            [side[k][m] for m in range(count) for k in range(half)]
            for side in (factors[:half], factors[half:])
        ]
        room = self._writer.room((count * half,), out.dtype)
        self._writer.emit(
            "map", room, [joined(side) or self._scattered(side) for side in sides], ops.multiply
        )
        products = window(room.block, room.offset, (count, half), room.dtype)
        self._writer.emit("reduce", out, (products,), ops.add, {"axes": (1,)})

    def _products(self, lists: list[list[int]], out: Place) -> None:
        shared = [len(set(items)) == 1 for items in lists]
        places = self.layout.places
        a, b = (places[x[0]] if s else self._one(x) for x, s in zip(lists, shared, strict=True))
        vector = [len(p.shape) - (not s) == 1 for p, s in zip((a, b), shared, strict=True)]
        if vector[0]:
            a, out = with_axis(a, len(a.shape) - 1), with_axis(out, len(out.shape) - (not vector[1]))
        if vector[1]:
            b, out = with_axis(b, len(b.shape)), with_axis(out, len(out.shape))
        rank = len(out.shape)
        a = a if shared[0] else aligned(a, rank)
        b = b if shared[1] else aligned(b, rank)
        product(self._writer, a, b, out)

    def _indexed(self, kernel: str, lists: list[list[int]], out: Place) -> None:
        source = self._one(lists[0])
        indices = [self._one(items) for items in lists[1:]]
        rank = max(len(i.shape) for i in indices)
        which = self._writer.room((source.shape[0], *(1,) * (rank - 1)), np.dtype(np.int64))
        self.constants.append((which, np.arange(source.shape[0]).reshape(which.shape)))
        key = {"key": (HERE,) * (len(indices) + 1)}
        self._writer.emit(kernel, out, (source, which, *(aligned(i, rank) for i in indices)), None, key)


def _is_map(item: Item) -> bool:
    """Return whether each entry depends on the entries at its place of a few arguments."""
    op = item.op
    assert op is not None
    return isinstance(op.partials, tuple) or op in _COMPARISONS


def _is_dot(item: Item) -> bool:
    """Return whether it is a sum of products of numbers."""
    return item.op is ops.sum_of_products and not item.shape


def _by_integers(args: Sequence[Place]) -> bool:
    return len(args) > 1 and all(a.dtype.kind in "iu" for a in args[1:])


def _cost(instructions: Sequence[Instruction]) -> int:
    """Return what instructions cost to dispatch, in calls on contiguous windows.

    One more for each operand that is read or written entry by entry; three more for one of several axes.
    """
    return sum(
        1 + sum(isinstance(x, Scattered) for x in (i.out, *i.args)) + STRIDED * (len(i.out.shape) > 1)
        if i.kernel in ("map", "copy")
        else 1
        for i in instructions
    )
