"""What is put together from pieces is computed in place: each piece gets its memory inside of the whole."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import Slice, decode
from tinygrad_rnn.plan.program import ASSEMBLE, Item, operation
from tinygrad_rnn.plan.rewrites.draft import Draft

_NOT_HOMED = (ops.transpose, ops.reshape, ops.getitem, ASSEMBLE)  # they read memory that is another's


def assemble(draft: Draft) -> None:
    """Make stacks, concatenations, and sums of arrays that are zero but for one piece each, an ``ASSEMBLE``."""
    assembler = Assembler(draft)
    items = draft.items
    scatters = []
    for i in range(len(items)):
        item = items[i]
        if not draft.uses[i]:
            continue
        if item.op is ops.stack or item.op is ops.concatenate:
            assembler.put(i, i, list(item.args), _joining_keys(item))
        elif item.op is ops.add or item.op is ops.add_n:
            assembler.put_sum(i)
        elif _is_scatter(item):
            scatters.append(i)
    for i in scatters:
        if draft.uses[i]:
            assembler.put(i, i, list(items[i].args), [items[i].params["key"]])


class Assembler:
    """Gives pieces their place in a whole; one that lives elsewhere already is copied."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.homed = {p for item in draft.items if item.op is ASSEMBLE for p in item.args}
        self._apart: dict[Any, bool] = {}

    def homeless(self, i: int) -> bool:
        """Return whether item i can be given a place."""
        item = self.draft.items[i]
        return item.kind == "op" and i not in self.homed and item.op not in _NOT_HOMED

    def put(self, host: int, i: int | None, pieces: list[int], keys: list[Any]) -> Item:
        """Put pieces together, in the place of item i or, without one, just as an item that it returns."""
        draft, like = self.draft, self.draft.items[host]
        places = []
        for piece in pieces:
            source = draft.items[piece]
            if not self.homeless(piece) or source.dtype != like.dtype:
                source = source._replace(dtype=like.dtype)
                piece = draft.insert(host, operation(ops.alias, (piece,), source, scope=like.scope))
            self.homed.add(piece)
            places.append(piece)
        whole = operation(ASSEMBLE, tuple(places), like, {"keys": tuple(keys), "shape": like.shape})
        if i is not None:
            draft.replace(i, whole)
        return whole

    def put_sum(self, i: int) -> None:
        """Put the terms of sum i together that are pieces of one array without any overlap."""
        draft = self.draft
        items, item = draft.items, draft.items[i]
        parts = [a for a in item.args if _is_scatter(items[a]) and items[a].shape == item.shape]
        keys = [items[a].params["key"] for a in parts]
        if not parts or len(set(parts)) < len(parts) or not self._are_apart(tuple(keys), item.shape):
            return
        taken = set(parts)
        rest = [a for a in item.args if a not in taken]
        whole = self.put(i, None, [items[a].args[0] for a in parts], keys)
        if not rest:
            draft.replace(i, whole)
            return
        args = (*rest, draft.insert(i, whole))
        draft.replace(i, operation(ops.add_n if len(args) > 2 else ops.add, args, item))

    def _are_apart(self, keys: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
        """Return whether no two keys have an entry in common; the same question is asked in each step."""
        if len(keys) == 1:
            return True
        found = self._apart.get((keys, shape))
        if found is None:
            count = np.zeros(shape, np.int8)
            for key in keys:
                count[decode(key, ())] += 1
            found = self._apart[keys, shape] = bool((count <= 1).all())
        return found


def _is_scatter(item: Item) -> bool:
    """Return whether an item puts its argument at a fixed place into zeros."""
    return item.op is ops.scatter_add and len(item.args) == 1


def _joining_keys(item: Item) -> list[Any]:
    """Return where each argument of a stack or concatenation goes."""
    before = (Slice(None, None, None),) * (item.params["axis"] % len(item.shape))
    if item.op is ops.stack:
        return [(*before, k) for k in range(len(item.args))]
    return [(*before, Slice(a, b, None)) for a, b in pairwise(item.params["starts"])]
