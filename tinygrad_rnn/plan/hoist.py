"""``hoisted``: what a recurrence adds in every step, but does not need to, is added before it."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import NO_PARAMS
from tinygrad_rnn.plan.program import Item, Program, alive, kind_of, with_args
from tinygrad_rnn.plan.schedule import Order


def hoisted(program: Program) -> Program:
    """Return the program with ``p + (c + b)`` as ``(p + b) + c`` where c alone belongs to a recurrence.

    The inner sum of all steps is then one operation; the recurrence has one operation less in each step.
    """
    order = Order(program)

    def inside(i: int) -> bool:
        return order.component.get(order.base[i]) in order.recurrent

    users = program.users()
    items: list[Item] = []
    new: list[int] = []
    for item in program.items:
        found = _split(program, item, inside, users) if item.op is ops.add else None
        if found is not None:
            p, b, c = (new[i] for i in found)
            items.append(Item("op", ops.add, NO_PARAMS, (p, b), item.shape, item.dtype, item.scope))
            items.append(
                Item("op", ops.add, NO_PARAMS, (len(items) - 1, c), item.shape, item.dtype, item.scope)
            )
        else:
            items.append(with_args(item, tuple(new[a] for a in item.args)))
        new.append(len(items) - 1)
    return alive(Program(items, tuple(new[i] for i in program.outputs)))


def _split(
    program: Program, item: Item, inside: Callable[[int], bool], users: list[list[int]]
) -> tuple[int, int, int] | None:
    """Return (p, b, c) of ``p + (c + b)`` with c in a recurrence, p and b outside, else None."""
    for p, q in (item.args, item.args[::-1]):
        inner = program.items[q]
        if inside(p) or inner.op is not ops.add or len(users[q]) != 1 or q in program.outputs:
            continue
        if kind_of(program.items[p]) != kind_of(item):
            continue
        for c, b in (inner.args, inner.args[::-1]):
            if program.items[b].dtype == item.dtype and inside(c) and not inside(b):
                return p, b, c
    return None
