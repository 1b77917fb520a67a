"""``Layout``: the block of memory and the window in it of each value of a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.codegen.links import Links, homes
from tinygrad_rnn.plan.codegen.windows import entries, reshaped, transposed, window
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program

TALL = 2  # times as many rows as columns
LONG = (
    800  # terms of each entry: from there on a product gains more than it costs to hand the result out turned
)
FEW = 64  # bytes; shorter chains share one block for each dtype: a block of their own would cost more than it saves


class Layout:
    """Where each value lies. A chain of linked values is a block; views read the block of what they view.

    Attributes:
        blocks: for each block its dtype and its number of entries.
        places: for each item its window.
        gaps: the blocks that are only right as long as entries that nobody writes stay zero.
        shared: the blocks of many small values, which live as long as the run does.
    """

    def __init__(self, program: Program, links: Links, base: list[int]) -> None:
        self.blocks: list[tuple[np.dtype[Any], int]] = []
        self.gaps: set[int] = set()
        self.shared: dict[np.dtype[Any], int] = {}
        inside = homes(program)
        places: list[Any] = [None] * len(program.items)
        own = [i for i in range(len(program.items)) if base[i] == i and i not in inside]
        for chain in links.chains(own):
            self._lay(program, chain, places)
        for i in _tall(program, inside):
            places[i] = _by_columns(places[i])
        for i, item in enumerate(program.items):
            if item.op is ASSEMBLE:
                self._settle(program, i, places)
        for i, item in enumerate(program.items):
            if base[i] != i:
                places[i] = _read(item, places[item.args[0]])
        self.places: list[Place] = places

    def add(self, dtype: np.dtype[Any], size: int) -> int:
        """Return the number of a new block."""
        self.blocks.append((dtype, size))
        return len(self.blocks) - 1

    def _lay(self, program: Program, chain: list[int], places: list[Any]) -> None:
        """Give the values of a chain a place, one behind the other. They are of one dtype, as lists of operands are."""
        dtype = program.items[chain[0]].dtype
        sizes = [math.prod(program.items[i].shape) for i in chain]
        block, offset = self._room(dtype, sum(sizes))
        for i, size in zip(chain, sizes, strict=True):
            places[i] = window(block, offset, program.items[i].shape, dtype)
            offset += size

    def _room(self, dtype: np.dtype[Any], size: int) -> tuple[int, int]:
        """Return the block and the offset of a free run of entries."""
        if size * dtype.itemsize > FEW:
            return self.add(dtype, size), 0
        if dtype not in self.shared:
            self.shared[dtype] = self.add(dtype, 0)
        block = self.shared[dtype]
        start = self.blocks[block][1]
        self.blocks[block] = dtype, start + size
        return block, start

    def _settle(self, program: Program, whole: int, places: list[Any]) -> None:
        """Give the pieces of an assembled value their places in it."""
        item = program.items[whole]
        covered = 0
        for piece, key in zip(item.args, item.params["keys"], strict=True):
            places[piece] = entries(places[whole], key)
            covered += math.prod(places[piece].shape)
        if covered < math.prod(item.shape):
            self.gaps.add(places[whole].block)


def _tall(program: Program, inside: Mapping[int, object]) -> list[int]:
    """Return the long sums of products that are only handed out and have more rows than columns."""
    items = program.items
    found = [i for i in program.outputs if items[i].op is SUM_OF_MATMULS and i not in inside]
    read = {a for item in items for a in item.args} if found else set()
    found = [i for i in found if i not in read and items[i].shape[0] >= TALL * items[i].shape[1]]
    return [i for i in found if len(items[i].args) // 2 * items[items[i].args[0]].shape[1] >= LONG]


def _by_columns(place: Place) -> Place:
    """Return the window column by column: BLAS makes a wide product up to 1.5 times faster than a tall one."""
    return transposed(window(place.block, place.offset, place.shape[::-1], place.dtype), (1, 0))


def _read(item: Item, source: Place) -> Place:
    """Return the window of a view of ``source``."""
    if item.op is ops.transpose:
        return transposed(source, [a % len(source.shape) for a in item.params["axes"]])
    if item.op is ops.reshape:
        place = reshaped(source, item.shape)
        assert place is not None  # the schedule takes it for a view only where it is one
        return place
    return entries(source, item.params["key"])
