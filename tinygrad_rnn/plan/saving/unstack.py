"""``unstacked``: a program that works on whole sequences, row by row.

A stack of all steps, and what is computed of it step by step all the same (a readout, its loss, the way back), lies in
memory as a whole; each of its rows by itself need not. The schedule makes one operation of the rows of a phase again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import HERE, Slice
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program, operation, with_args

LONG = 8  # rows; less is not worth it
_ALONG = (
    ops.sum,
    ops.mean,
    ops.max,
    ops.min,
    ops.logsumexp,
    ops.softmax,
    ops.log_softmax,
    ops.norm,
    ops.prod,
)
_MAPS = (
    ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal, ops.logical_and,
    ops.logical_or, ops.alias, ops.astype,
)  # fmt: skip
_NOT_HOMED = (ops.transpose, ops.reshape, ops.getitem, ASSEMBLE)
_ALL = Slice(None, None, None)


def unstacked(program: Program) -> Program:
    """Return the program with the rows of long stacks in their place, as far as operations work row by row.

    Sums over the rows become sums of rows; whatever needs a whole gets it, put together from rows in place.
    """
    return _Unstacking(program).finished()


class _Unstacking:
    """Writes the new program item by item.

    Attributes:
        rows: for an old item the new ones of its rows; the first axis of each is a part of that of the whole.
        columns: likewise for what is split along its second axis.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.old = program, program.items
        self.items: list[Item] = []
        self.rows: dict[int, list[int]] = {}
        self.columns: dict[int, list[int]] = {}
        self._whole: dict[int, int] = {}
        self._parts: dict[tuple[int, int, int], int] = {}
        self._homed = {a for item in self.old if item.op is ASSEMBLE for a in item.args}
        self._sliced = _sliced(program)
        self._lengths: set[int] = set(self._sliced.values())

    def finished(self) -> Program:
        """Return the program."""
        read = {a for item in self.old for a in item.args}.union(self.program.outputs)
        kept = []
        for i, item in enumerate(self.old):
            if self._split(i, item):
                continue
            self._whole[i] = self.add(with_args(item, tuple([self.whole(a) for a in item.args])))
            if item.kind == "random" or i not in read:
                kept.append(self._whole[i])
        return _alive(self.items, tuple([self.whole(i) for i in self.program.outputs]), kept)

    def add(self, item: Item) -> int:
        """Return the index of a new item."""
        self.items.append(item)
        return len(self.items) - 1

    def whole(self, i: int) -> int:
        """Return what stands for an old item; one that was split is put together."""
        if i not in self._whole:
            item, rows = self.old[i], self.rows.get(i) or self.columns[i]
            if item.op is ASSEMBLE and item.params["keys"] == _steps(len(item.args)):
                self._whole[i] = self.add(with_args(item, tuple([self.whole(a) for a in item.args])))
                return self._whole[i]
            lead = () if i in self.rows else (_ALL,)
            each = item.shape[len(lead)] // len(rows)
            keys = tuple([(*lead, Slice(t * each, (t + 1) * each, None)) for t in range(len(rows))])
            params = {"keys": keys, "shape": item.shape}
            pieces = tuple([self._homeless(r) for r in rows])
            self._whole[i] = self.add(operation(ASSEMBLE, pieces, item, params))
        return self._whole[i]

    def _homeless(self, r: int) -> int:
        """Return item r, or a copy of it where it lives elsewhere already."""
        item = self.items[r]
        if item.kind != "op" or r in self._homed or item.op in _NOT_HOMED:
            r = self.add(operation(ops.alias, (r,), item))
        self._homed.add(r)
        return r

    def part(self, a: int, t: int, count: int) -> int:
        """Return row t of old item ``a``, of ``count``."""
        if a in self.rows:
            return self.rows[a][t]
        if (a, t, count) not in self._parts:
            item = self.old[a]
            each = item.shape[0] // count
            key = {"key": (Slice(t * each, (t + 1) * each, None),)}
            shape = (each, *item.shape[1:])
            self._parts[a, t, count] = self.add(
                operation(ops.getitem, (self.whole(a),), item, key, shape=shape)
            )
        return self._parts[a, t, count]

    # --- what can be split

    def _split(self, i: int, item: Item) -> bool:
        """Write an item row by row, or what it is in terms of rows; return whether that can be done."""
        if item.kind != "op":
            return False
        op, args = item.op, item.args
        if op is ASSEMBLE and len(args) > LONG and item.params["keys"] == _steps(len(args)):
            return self._root(i, item)
        counts = {len(self.rows[a]) for a in args if a in self.rows}
        if i in self._sliced:
            counts.add(self._sliced[i])
        if op is ops.scatter_add or op is ops.getitem:
            return self._indexed(i, item)
        if op is ops.matmul and args[0] in self.columns:
            return self._sum_of_products(i, item)
        if len(counts) != 1:
            return False
        return self._by_rows(i, item, counts.pop())

    def _root(self, i: int, item: Item) -> bool:
        """Split a stack into its pieces."""
        shape = (1, *item.shape[1:])
        pieces = [self.whole(a) for a in item.args]
        if self.program.outputs.count(i):
            self._whole[i] = self.add(with_args(item, tuple(pieces)))
        self.rows[i] = [
            self.add(operation(ops.reshape, (a,), item, {"shape": shape}, shape=shape)) for a in pieces
        ]
        self._lengths.add(len(pieces))
        return True

    def _by_rows(self, i: int, item: Item, count: int) -> bool:
        op, args, first = item.op, item.args, self.old[item.args[0]]
        split = [a in self.rows for a in args]
        if op is ops.transpose and len(item.shape) == 2 and item.params["axes"] == (1, 0):
            return self._turned(i, item)
        if op is ops.matmul:
            if len(first.shape) < 2 or len(self.old[args[1]].shape) != 2 or split[1]:
                return False
            return self._write(i, item, count, [True, False])
        if op is ops.reshape:
            return self._write(i, item, count, [True], reshaped=True)
        if op in _ALONG:
            return self._along(i, item, count)
        assert op is not None
        if op.partials is None and op not in _MAPS:
            return False
        rank = len(item.shape)
        own = (
            [len(self.old[a].shape) == rank and self.old[a].shape[0] == item.shape[0] for a in args]
            if rank
            else []
        )
        return any(own) and self._write(i, item, count, own)

    def _write(self, i: int, item: Item, count: int, own: Sequence[bool], reshaped: bool = False) -> bool:
        """Write the rows of an item; ``own`` tells which arguments it reads row by row."""
        if not item.shape or item.shape[0] % count or any(a in self.columns for a in item.args):
            return False
        if any(o and self.old[a].shape[0] % count for a, o in zip(item.args, own, strict=True)):
            return False
        shape = (item.shape[0] // count, *item.shape[1:])
        params = {"shape": shape} if reshaped else item.params
        fixed = [None if o else self.whole(a) for a, o in zip(item.args, own, strict=True)]
        self.rows[i] = [
            self.add(
                item._replace(
                    args=tuple(
                        [
                            self.part(a, t, count) if w is None else w
                            for a, w in zip(item.args, fixed, strict=True)
                        ]
                    ),
                    shape=shape,
                    params=params,
                )
            )
            for t in range(count)
        ]
        return True

    def _turned(self, i: int, item: Item) -> bool:
        if item.args[0] not in self.rows:
            return False
        rows = self.rows[item.args[0]]
        self.columns[i] = [self.add(item._replace(args=(r,), shape=self.items[r].shape[::-1])) for r in rows]
        return True

    def _sum_of_products(self, i: int, item: Item) -> bool:
        """Write the product of columns and rows as the sum of their products."""
        a, b = item.args
        count = len(self.columns[a])
        if len(self.old[b].shape) != 2 or self.old[b].shape[0] % count:
            return False
        if b in self.rows and len(self.rows[b]) != count:
            return False
        pairs = (*self.columns[a], *[self.part(b, t, count) for t in range(count)])
        self._whole[i] = self.add(operation(SUM_OF_MATMULS, pairs, item))
        return True

    def _along(self, i: int, item: Item, count: int) -> bool:
        """Write what goes along other axes row by row, and a sum over rows as that of the sum of them."""
        first = self.old[item.args[0]]
        rank = len(first.shape)
        axis = item.params["axis"]
        axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if 0 not in [a % rank for a in axes]:
            return self._write(i, item, count, [True])
        if item.op is not ops.sum or item.args[0] not in self.rows:
            return False
        rows = self.rows[item.args[0]]
        like = self.items[rows[0]]
        total = self.add(operation(ops.add_n, tuple(rows), like))
        self._whole[i] = self.add(with_args(item, (total,)))
        return True

    # --- indices

    def _indexed(self, i: int, item: Item) -> bool:
        if item.op is ops.getitem and len(item.args) == 1:
            return self._taken(i, item)
        source, *indices = item.args
        if not all(part is HERE for part in item.params["key"]) or not indices or not item.shape:
            return False
        count = self._counted(indices[0])
        if count not in self._lengths or self.old[source].shape[:1] != (count,):
            return False
        if source in self.columns or len(self.rows.get(source, range(count))) != count:
            return False
        if item.op is ops.scatter_add and item.shape[0] != count:
            return False
        rank = len(self.old[indices[0]].shape)
        if any(len(self.old[a].shape) != rank or self.old[a].dtype.kind == "b" for a in indices[1:]):
            return False
        zero = self.old[indices[0]]
        shape = (1,) * rank
        first = self.add(zero._replace(shape=shape, source=np.zeros(shape, zero.dtype)))
        own = [self.old[a].shape[0] == count for a in indices[1:]]
        params = {**item.params, "shape": (1, *item.shape[1:])} if "shape" in item.params else item.params
        rows = []
        for t in range(count):
            rest = [
                self.part(a, t, count) if o else self.whole(a) for a, o in zip(indices[1:], own, strict=True)
            ]
            args = (self.part(source, t, count), first, *rest)
            rows.append(self.add(item._replace(args=args, shape=(1, *item.shape[1:]), params=params)))
        self.rows[i] = rows
        return True

    def _counted(self, a: int) -> int:
        """Return n if item ``a`` is the constant 0 ... n-1 along its first axis, else 0."""
        item = self.old[a]
        if item.kind != "constant" or not item.shape or math.prod(item.shape) != item.shape[0]:
            return 0
        return item.shape[0] if np.array_equal(item.source.ravel(), np.arange(item.shape[0])) else 0

    def _taken(self, i: int, item: Item) -> bool:
        """Write what a key of integers and slices takes of rows of length 1."""
        source = item.args[0]
        rows = self.rows.get(source)
        if rows is None or self.items[rows[0]].shape[0] != 1:
            return False
        start, *rest = item.params["key"] or (Ellipsis,)
        if isinstance(start, int):
            key = {"key": (0, *rest)}
            self._whole[i] = self.add(item._replace(args=(rows[start],), params=key))
            return True
        if not isinstance(start, Slice):
            return False
        chosen = rows[slice(start.start, start.stop, start.step)]
        if len(chosen) <= LONG:
            return False
        if rest:
            shape = (1, *item.shape[1:])
            key = {"key": (_ALL, *rest)}
            chosen = [self.add(item._replace(args=(r,), params=key, shape=shape)) for r in chosen]
        self.rows[i] = list(chosen)
        self._lengths.add(len(chosen))
        return True


def _steps(count: int) -> tuple[tuple[int], ...]:
    return tuple([(t,) for t in range(count)])


def _sliced(program: Program) -> dict[int, int]:
    """Return the operations that are read step by step, and what they are computed of, with the number of steps."""
    readers: Counter[int] = Counter()
    for item in program.items:
        if item.op is ops.getitem and len(item.args) == 1 and isinstance((*item.params["key"], None)[0], int):
            readers[item.args[0]] += 1
    found: dict[int, int] = {}
    for i in range(len(program.items) - 1, -1, -1):
        item = program.items[i]
        if item.kind != "op" or item.op in _NOT_HOMED or not item.shape:
            continue
        if i in found or LONG < readers[i] <= item.shape[0]:
            found.setdefault(i, item.shape[0])
            for a in item.args:
                if program.items[a].shape[:1] == item.shape[:1]:
                    found.setdefault(a, item.shape[0])
    return {i: n for i, n in found.items() if program.items[i].kind == "op"}


def _alive(items: list[Item], outputs: tuple[int, ...], kept: list[int]) -> Program:
    """Return the program of what is needed by the outputs and by what is kept."""
    needed = bytearray(len(items))
    for i in (*outputs, *kept):
        needed[i] = 1
    for i in range(len(items) - 1, -1, -1):
        if needed[i]:
            for a in items[i].args:
                needed[a] = 1
    new = [0] * len(items)
    result: list[Item] = []
    for i, item in enumerate(items):
        if needed[i] or item.kind == "input":
            new[i] = len(result)
            result.append(with_args(item, tuple([new[a] for a in item.args])))
    return Program(result, tuple([new[i] for i in outputs]))
