"""``merged``: each value once, and nothing computed that is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import NO_PARAMS, Op
from tinygrad_rnn.plan.program import Item, Program, kind_of, with_args

SMALL_CONSTANT = 64  # entries; larger ones are not compared with each other


def merged(program: Program) -> Program:
    """Return the program with equal operations done once, constants folded, and no operation that does nothing.

    What nothing uses any more is still in it.
    """
    merger = _Merger()
    new: list[int] = []
    for item in program.items:
        new.append(merger.add(item, tuple([new[a] for a in item.args])))
    return Program(merger.items, tuple([new[i] for i in program.outputs]))


class _Merger:
    """Builds a program item by item; equal operations on equal arguments become one item."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._fixed: list[bool] = []
        self._known: dict[Any, int] = {}
        self._statics: dict[int, tuple[Mapping[str, Any], Any]] = {}

    def add(self, item: Item, args: tuple[int, ...]) -> int:
        """Return the index of ``item`` on ``args``, which may be that of an equal one."""
        op = item.op
        if op is None:
            return self._add_given(item)
        rule = _RULES.get(op)
        if rule is not None:
            found = rule(self, with_args(item, args))
            if found is not None:
                return found
        key = op, self._static(item.params), args
        known = self._known.get(key)
        if known is None:
            if args and self._fixed[args[0]] and all(self._fixed[a] for a in args):
                known = self._add_given(self._folded(item, args))
            else:
                known = self._append(with_args(item, args), fixed=False)
            self._known[key] = known
        return known

    def _append(self, item: Item, *, fixed: bool) -> int:
        self.items.append(item)
        self._fixed.append(fixed)
        return len(self.items) - 1

    def _add_given(self, item: Item) -> int:
        """Return the index of an item that is no operation; small constants of equal numbers are one."""
        if item.kind != "constant":
            return self._append(item, fixed=False)
        if item.source.size > SMALL_CONSTANT:
            return self._append(item, fixed=True)
        key = item.shape, item.dtype, item.source.tobytes()
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._append(item, fixed=True)
        return known

    def _static(self, params: Mapping[str, Any]) -> Any:
        """Return parameters as something that can be looked up, made once for each object."""
        if not params:
            return ()
        found = self._statics.get(id(params))
        if found is None:  # the object is kept: another one must not get its id
            found = self._statics[id(params)] = params, tuple(sorted(params.items()))
        return found[1]

    def _folded(self, item: Item, args: tuple[int, ...]) -> Item:
        assert item.op is not None
        with np.errstate(all="ignore"):
            data = np.asarray(item.op.forward(NUMPY, *(self.items[a].source for a in args), **item.params))
        return Item("constant", None, NO_PARAMS, (), data.shape, data.dtype, item.scope, data, item.name)


def _passes(merger: _Merger, item: Item) -> int | None:
    """An operation that passes its argument on is that argument."""
    return item.args[0]


def _keeps(merger: _Merger, item: Item) -> int | None:
    """So is one that makes it what it is already."""
    return item.args[0] if kind_of(merger.items[item.args[0]]) == kind_of(item) else None


def _adds_one(merger: _Merger, item: Item) -> int | None:
    """The sum of one term is that term."""
    return _keeps(merger, item) if len(item.args) == 1 else None


def _sums(merger: _Merger, item: Item) -> int | None:
    """A sum over axes of length 1 is a reshape."""
    source = merger.items[item.args[0]]
    if not source.shape or kind_of(source)[1] != item.dtype:
        return None
    axis, rank = item.params["axis"], len(source.shape)
    axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(source.shape[a] != 1 for a in axes):
        return None
    reshaped = item._replace(op=ops.reshape, params={"shape": item.shape})
    return merger.add(reshaped, item.args)


def _turns(merger: _Merger, item: Item) -> int | None:
    """A matrix transposed twice is itself, and a transposed product is the product of the transposed."""
    if len(item.shape) != 2 or item.params["axes"] != (1, 0):
        return None
    source = merger.items[item.args[0]]
    if source.op is ops.transpose and source.params["axes"] == (1, 0):
        return source.args[0]
    if source.op is not ops.matmul or any(len(merger.items[a].shape) != 2 for a in source.args):
        return None
    turned = [_transposed(merger, a, item) for a in source.args[::-1]]
    product = Item("op", ops.matmul, NO_PARAMS, (), item.shape, item.dtype, item.scope, None, item.name)
    return merger.add(product, tuple(turned))


def _transposed(merger: _Merger, i: int, like: Item) -> int:
    source = merger.items[i]
    item = like._replace(args=(i,), shape=source.shape[::-1], dtype=source.dtype, name="")
    return merger.add(item, (i,))


_RULES: dict[Op, Callable[[_Merger, Item], int | None]] = {
    ops.alias: _passes,
    ops.detach: _passes,
    ops.astype: _keeps,
    ops.reshape: _keeps,
    ops.broadcast_to: _keeps,
    ops.add_n: _adds_one,
    ops.sum: _sums,
    ops.transpose: _turns,
}
