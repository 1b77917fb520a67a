"""``Instruction``: what an executor does, one after the other, on windows of memory.

A plan is lowered once, to eight kernels. Each executor has its own form of them; nothing else tells executors apart.

    ==========  =======================================================================================
    kernel      what it does
    ==========  =======================================================================================
    map         out = op(*args, **params), entry by entry; arguments broadcast to the shape of out
    gemm        out = a @ b, with out of shape (m, n), a (m, k), b (k, n)
    bmm         out = a @ b, with out of shape (p, m, n), a (p, m, k), b (p, k, n)
    reduce      out = op of all entries along params["axes"]; op is add, maximum or minimum
    copy        out = a, cast to the dtype of out; a broadcasts to the shape of out
    take        out = a[key], the key being params["key"] with the other arguments in the place of ``HERE``
    scatter     out = zeros with a added at that key, once for each time that an entry is named
    call        out = op.forward(NUMPY, *args, **params): whatever has no kernel of its own
    ==========  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.core.op import NO_PARAMS, Op


class Place(NamedTuple):
    """A strided window of a block of memory; a block is a run of entries of one dtype.

    Attributes:
        block: the number of the block.
        offset: of the first entry from the beginning of the block, in entries.
        shape: of the window.
        strides: the distance of neighbors along each axis, in entries.
        dtype: of the block.
    """

    block: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


class Scattered(NamedTuple):
    """Entries that lie anywhere, of a list of small arrays of one shape.

    Attributes:
        blocks: for each array the number of its block.
        offsets: the offset of each entry in its array's block; shape (arrays, *shape of an array).
        dtype: of the blocks.
    """

    blocks: np.ndarray
    offsets: np.ndarray
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(arrays, *shape of an array)."""
        return self.offsets.shape


Operand = Place | Scattered


class Instruction(NamedTuple):
    """One step of an executor. Only map and copy may read or write what is scattered."""

    kernel: str
    out: Operand
    args: tuple[Operand, ...]
    op: Op | None = None
    params: Mapping[str, Any] = NO_PARAMS
