"""``fitted``: the plan of a program in a given memory, cut into as few segments as that allows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.rewrites.hoist import hoisted
from tinygrad_rnn.plan.rewrites.simplify import simplified
from tinygrad_rnn.plan.saving.lifetimes import Lifetimes
from tinygrad_rnn.plan.saving.segments import phased
from tinygrad_rnn.plan.saving.timeline import Timeline
from tinygrad_rnn.plan.saving.unstack import unstacked

ROOT = "sqrt"
NEAR = 1.1  # times the least memory; so much is given for fewer segments


def require_memory(memory: Any) -> None:
    """Refuse what is not a memory to replay in.

    Raises:
        TypeError: it is neither None, an int nor a text.
        ValueError: a number below 1, or another text than ``"sqrt"``.
    """
    if memory is None or memory == ROOT:
        return
    if isinstance(memory, bool) or not isinstance(memory, (int, np.integer, str)):
        raise TypeError(
            f"compile: memory must be None, a number of bytes or {ROOT!r}, got {type(memory).__name__}"
        )
    if isinstance(memory, str) or memory < 1:
        raise ValueError(
            f"compile: memory must be None, a number of bytes from 1 on or {ROOT!r}, got {memory!r}"
        )


def fitted(program: Program, held: frozenset[int], executor: str, memory: int | str | None) -> Plan:
    """Return the plan whose run takes at most ``memory`` bytes, with about the fewest segments; see ``compile``.

    Raises:
        ValueError: no number of segments brings it down to that.
    """
    whole = Plan(program, held, executor) if memory != ROOT else None
    budget = 0 if memory is None or memory == ROOT else int(memory)
    if whole is not None and (memory is None or whole.bytes <= budget):
        return whole
    ready = hoisted(simplified(program)) if whole is None else whole.program
    ready = unstacked(ready)
    line = Timeline(ready)
    life = Lifetimes(line)
    given = sum(line.size[i] for i, item in enumerate(ready.items) if item.kind != "op")
    steps = _ladder(life.end)
    expected = [given + _needed(life, k) for k in steps]
    lowest = int(np.argmin(expected))
    if whole is None:
        enough = next(k for k, size in enumerate(expected) if size <= NEAR * expected[lowest])
        return Plan(program, held, executor, phased(line, life, steps[enough]))
    reached = []
    # expected is too much, as values of one phase share memory too; measured by the whole it is about right
    for k in range(1, min(lowest + 3, len(steps))):
        if expected[k] * whole.bytes > budget * expected[0] and k < lowest:
            continue
        plan = Plan(program, held, executor, phased(line, life, steps[k]))
        if plan.bytes <= budget:
            return plan
        reached.append(plan.bytes)
    least = min([*reached, whole.bytes])
    raise ValueError(
        f"compile: memory={memory} bytes are too few: the least that was reached is {least} bytes "
        f"(keeping everything takes {whole.bytes})"
    )


def _ladder(most: int) -> list[int]:
    """Return numbers of segments, each by about a third larger than the one before."""
    steps = [1]
    while steps[-1] < most:
        steps.append(max(steps[-1] + 1, steps[-1] * 4 // 3))
    return steps


def _needed(life: Lifetimes, segments: int) -> int:
    """Return about how many bytes a run in that many segments takes: what stays, and one segment there and back."""
    there = life.cuts_there(segments)
    born = np.searchsorted(there, life.born, "left")
    forth = life.born <= life.turn
    passing = forth & (life.wanted | (np.searchsorted(there, life.last_there, "left") > born))
    stays = passing | life.wanted
    each = np.bincount(born[forth & ~stays], life.size[forth & ~stays], len(there) + 1)
    back = life.size[~forth & ~stays].sum() / (len(there) + 1)
    return int(life.size[stays].sum() + each.max(initial=0) + back)
