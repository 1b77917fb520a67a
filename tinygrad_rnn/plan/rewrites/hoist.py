"""``hoisted``: what a recurrence adds in every step, but does not need to, is added before it."""

from __future__ import annotations

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import Item, Program, kind_of, operation
from tinygrad_rnn.plan.rewrites.draft import Draft
from tinygrad_rnn.plan.rewrites.factors import collect_factors
from tinygrad_rnn.plan.rewrites.frames import frame_factors
from tinygrad_rnn.plan.rewrites.recurrences import Recurrences
from tinygrad_rnn.plan.rewrites.sums import add_small_first
from tinygrad_rnn.plan.scheduling.schedule import Order


def hoisted(program: Program) -> Program:
    """Return the program with what need not run step by step outside of its recurrences."""
    if not any(item.shape for item in program.items if item.kind == "op"):
        return program  # numbers run in waves, whatever they are
    order = Order(program)
    if not order.recurrent:
        return program
    draft, inside = Draft(program), Recurrences(order)
    for rewrite in _REWRITES:
        rewrite(draft, inside)
    add_small_first(draft)
    return draft.finished()


def hoist_sums(draft: Draft, inside: Recurrences) -> None:
    """Make ``p + (c + b)`` into ``(p + b) + c`` where c alone belongs to a recurrence.

    The inner sum of all steps is then one operation; the recurrence has one operation less in each step.
    """
    for i, item in enumerate(list(draft.items)):
        if item.op is ops.add and inside[i] >= 0 and draft.uses[i]:
            found = _split(draft, item, inside)
            if found is not None:
                p, b, c = found
                outer = draft.insert(i, operation(ops.add, (p, b), item))
                draft.replace(i, operation(ops.add, (outer, c), item))


def _split(draft: Draft, item: Item, inside: Recurrences) -> tuple[int, int, int] | None:
    """Return (p, b, c) of ``p + (c + b)`` with c in a recurrence, p and b outside, else None."""
    items = draft.items
    for p, q in (item.args, item.args[::-1]):
        inner = items[q]
        if (
            inside[p] >= 0
            or inner.op is not ops.add
            or draft.uses[q] != 1
            or kind_of(items[p]) != kind_of(item)
        ):
            continue
        for c, b in (inner.args, inner.args[::-1]):
            if items[b].dtype == item.dtype and inside[c] >= 0 and inside[b] < 0:
                return p, b, c
    return None


_REWRITES = (hoist_sums, collect_factors, frame_factors)
