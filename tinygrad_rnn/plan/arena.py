"""``Layout``: where each value of a program lives, such that what is stacked lies side by side.

All values of one dtype live in one array. A batch, and a product of joined operands, want lists of values at a
constant distance from each other; each such list links its neighbors, and linked values are laid out one behind the
other. A list that is not laid out so is gathered when the plan runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import decode
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Program, kind_of
from tinygrad_rnn.plan.schedule import Batch


class Links:
    """Which value lies behind which."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}
        self.previous: dict[int, int] = {}
        self._group: dict[int, int] = {}

    def fits(self, items: Sequence[int]) -> int:
        """Return how many neighbors in ``items`` are linked, less those that cannot be."""
        score = 0
        for a, b in pairwise(items):
            if self.next.get(a) == b:
                score += 1
            elif a in self.next or b in self.previous:
                score -= 1
        return score

    def add(self, items: Sequence[int]) -> None:
        """Link neighbors where both are free and no ring would close."""
        for a, b in pairwise(items):
            if a in self.next or b in self.previous or self._root(a) == self._root(b):
                continue
            self.next[a], self.previous[b] = b, a
            self._group[self._root(a)] = self._root(b)

    def _root(self, i: int) -> int:
        while i in self._group:
            above = self._group[i]
            if above in self._group:
                self._group[i] = self._group[above]
            i = above
        return i

    def chains(self, items: Iterable[int]) -> list[list[int]]:
        """Return all items in chains, each in order."""
        result = []
        for i in items:
            if i in self.previous:
                continue
            chain = [i]
            while chain[-1] in self.next:
                chain.append(self.next[chain[-1]])
            result.append(chain)
        return result


def operands(program: Program, batch: Batch) -> list[list[int]]:
    """Return the lists of items that a batch reads side by side, one for each place of an argument."""
    first = program.items[batch.members[0]]
    if len(batch.members) == 1:
        if first.op is SUM_OF_MATMULS:
            half = len(first.args) // 2
            return [list(first.args[:half]), list(first.args[half:])]
        return [list(first.args)] if first.op is ops.add_n else []
    return [[program.items[m].args[p] for m in batch.members] for p in range(len(first.args))]


def oriented(program: Program, batches: list[Batch], base: list[int]) -> tuple[list[Batch], Links]:
    """Return the batches with their members in the order that suits the layout best, and the links."""
    links = Links()
    size = [max(1, math.prod(item.shape)) for item in program.items]

    def weight(batch: Batch) -> int:
        return -sum(size[i] for items in [batch.members, *operands(program, batch)] for i in items)

    inside = homes(program)
    result = {}
    for n in sorted(range(len(batches)), key=lambda n: weight(batches[n])):
        batch = batches[n]
        choices = [batch, Batch(batch.members[::-1])] if len(batch.members) > 1 else [batch]
        lists = [_requests(program, choice, base, inside) for choice in choices]
        best = max(range(len(choices)), key=lambda c: sum(links.fits(items) for items in lists[c]))
        result[n] = choices[best]
        for items in lists[best]:
            links.add(items)
    return [result[n] for n in range(len(batches))], links


def homes(program: Program) -> dict[int, tuple[int, Any]]:
    """Return for each piece of an assembled value that value and the place in it."""
    inside: dict[int, tuple[int, Any]] = {}
    for i, item in enumerate(program.items):
        if item.op is ASSEMBLE:
            inside.update((a, (i, key)) for a, key in zip(item.args, item.params["keys"], strict=True))
    return inside


def _requests(
    program: Program, batch: Batch, base: list[int], inside: dict[int, tuple[int, Any]]
) -> list[list[int]]:
    """Return the lists of distinct values of one shape that should lie side by side; a piece stands for its whole."""
    lists = [list(batch.members), *([base[i] for i in items] for items in operands(program, batch))]
    result = []
    for items in lists:
        if not 1 < len(items) == len(set(items)) or not _uniform(program, items):
            continue
        wholes = [inside[i][0] if i in inside else i for i in items]
        result.append([w for k, w in enumerate(wholes) if k == 0 or w != wholes[k - 1]])
    return [items for items in result if 1 < len(items) == len(set(items))]


def _uniform(program: Program, items: list[int]) -> bool:
    return len({kind_of(program.items[i]) for i in items}) == 1


class Layout:
    """The place of each value that has memory of its own.

    Attributes:
        sizes: for each dtype the number of entries of its array.
        offsets: for each base item, where in the array of its dtype it begins.
    """

    def __init__(self, program: Program, links: Links, base: list[int]) -> None:
        self.program, self.base = program, base
        self.sizes: dict[np.dtype[Any], int] = {}
        self.offsets: dict[int, int] = {}
        self.inside = homes(program)
        own = [i for i in range(len(program.items)) if base[i] == i and i not in self.inside]
        for chain in links.chains(own):
            for i in chain:
                item = program.items[i]
                start = self.sizes.get(item.dtype, 0)
                self.offsets[i] = start
                self.sizes[item.dtype] = start + math.prod(item.shape)

    def arrays(self) -> list[np.ndarray]:
        """Return memory for one run: an array for each item, those of views reading their base's memory."""
        memory = {dtype: np.zeros(size, dtype=dtype) for dtype, size in self.sizes.items()}
        result: list[Any] = [None] * len(self.program.items)
        for i, start in self.offsets.items():
            item = self.program.items[i]
            result[i] = memory[item.dtype][start : start + math.prod(item.shape)].reshape(item.shape)
        for i, item in enumerate(self.program.items):
            if i in self.inside:
                whole, key = self.inside[i]
                result[i] = _entries(result[whole], key)
            elif self.base[i] != i:
                result[i] = _view(item, result[item.args[0]])
        return result


def _view(item: Any, source: np.ndarray) -> np.ndarray:
    if item.op is ops.transpose:
        return source.transpose(item.params["axes"])
    if item.op is ops.reshape:
        return source.reshape(item.params["shape"])
    return _entries(source, item.params["key"])


def _entries(source: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    """Return a view, of no axes where the key leaves none: numpy returns a number then, unless it has an ellipsis."""
    key = decode(key, ())
    view: np.ndarray = source[key if any(part is Ellipsis for part in key) else (*key, ...)]
    return view


def side_by_side(arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return arrays at a constant distance in one memory as one array with a new first axis, else None."""
    first = arrays[0]
    addresses = [a.__array_interface__["data"][0] for a in arrays]
    step = addresses[1] - addresses[0] if len(arrays) > 1 else 0
    if any(b - a != step for a, b in pairwise(addresses)):
        return None
    if any(a.strides != first.strides or a.shape != first.shape or a.dtype != first.dtype for a in arrays):
        return None
    return np.lib.stride_tricks.as_strided(first, (len(arrays), *first.shape), (step, *first.strides))
