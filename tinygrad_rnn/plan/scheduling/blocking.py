"""``in_blocks``: long elementwise batches are cut into blocks that fit the cache, each run just before it is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import Batch, Item

BLOCK_BYTES = 1 << 18  # a quarter of the second-level cache of today's CPUs
LONG = 2  # blocks; shorter batches stay whole
_LIKE = (ops.alias, ops.astype, ops.broadcast_to)


class Needs(Protocol):
    """What of :class:`~tinygrad_rnn.plan.scheduling.schedule.Order` is asked for here."""

    items: list[Item]
    deps: list[list[int]]
    home: dict[int, int]


def in_blocks(order: Needs, batches: list[Batch], fixed: list[bool]) -> list[Batch]:
    """Return the batches in an order in which they can run, those cut that are not ``fixed`` and too long.

    What one block has computed is still in the cache when the next operation reads it; a block that a recurrence reads
    runs just before the step that needs it first, so that it is in the cache there too and its memory is free soon.

    Args:
        order: what must run before what.
        batches: in an order in which they can run.
        fixed: for each batch whether it must stay as and where it is.
    """
    parts: list[Batch] = []
    movable: list[bool] = []
    progress: dict[int, float] = {}
    for batch, stays in zip(batches, fixed, strict=True):
        count = 0 if stays else _blocks(order.items[batch.members[0]], len(batch.members))
        parts += _cut(batch, count, order.deps, progress) if count else [batch]
        movable += [count > 0] * (len(parts) - len(movable))
    if not any(movable):
        return batches
    turns = _turns(order, parts, movable)
    return [parts[k] for k in sorted(range(len(parts)), key=lambda k: (turns[k], not movable[k], k))]


def _blocks(item: Item, count: int) -> int:
    """Return into how many blocks a batch is cut, 0 if it is not; a power of two, so that blocks of batches nest."""
    assert item.op is not None
    size = count * math.prod(item.shape) * item.dtype.itemsize
    if size <= LONG * BLOCK_BYTES or not (isinstance(item.op.partials, tuple) or item.op in _LIKE):
        return 0
    return 1 << math.ceil(math.log2(min(count, size / BLOCK_BYTES)))


def _cut(batch: Batch, count: int, deps: Sequence[Sequence[int]], progress: dict[int, float]) -> list[Batch]:
    """Return the blocks of a batch. What is computed from members of other batches is in the block that those are in.

    Args:
        batch: its members.
        count: into how many blocks.
        deps: for each item those that must be made before.
        progress: for each member of a batch that was cut how far along it comes, from 0 to 1; is added to.
    """
    blocks: dict[int, list[int]] = {}
    for k, m in enumerate(batch.members):
        done = max([progress[d] for d in deps[m] if d in progress], default=k / len(batch.members))
        progress[m] = done
        blocks.setdefault(int(done * count), []).append(m)
    return [Batch(tuple(blocks[k])) for k in sorted(blocks)]


def _turns(order: Needs, parts: list[Batch], movable: list[bool]) -> list[int]:
    """Return for each batch the place of the first batch that reads it, for one that stays its own."""
    never, home = len(parts), order.home
    need: dict[int, int] = {}
    turns = list(range(len(parts)))
    for k in range(len(parts) - 1, -1, -1):
        members = parts[k].members
        if movable[k]:
            first = min([min(need.get(m, never), need.get(home.get(m, -1), never)) for m in members])
            turns[k] = k if first == never else first
        turn = turns[k]
        for m in members:
            for d in order.deps[m]:
                need[d] = min(need.get(d, never), turn)
    return turns
