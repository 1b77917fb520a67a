"""What a recurrence multiplies with in every step is multiplied before it, as far as it does not depend on it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.plan.program import Item, kind_of, operation
from tinygrad_rnn.plan.rewrites.draft import Draft
from tinygrad_rnn.plan.rewrites.recurrences import Recurrences


class Scaled(NamedTuple):
    """A value as ``sign * atom * factor``: the atom belongs to the recurrence of the value, the factor does not."""

    atom: int
    factor: int
    sign: int


def collect_factors(draft: Draft, inside: Recurrences) -> None:
    """Make ``(x a) b`` into ``x (a b)`` and ``x a + x b`` into ``x (a + b)`` where x alone belongs to the recurrence.

    The products and sums of factors of all steps are then one operation. A value that is read as it is by the
    recurrence stays as it was.
    """
    collector = _Collector(draft, inside)
    for i in range(len(inside)):
        if inside[i] >= 0 and draft.uses[i] and draft.items[i].shape:
            collector.visit(i)  # numbers are computed in large batches anyway


class _Collector:
    def __init__(self, draft: Draft, inside: Recurrences) -> None:
        self.draft, self.inside = draft, inside
        self.forms: dict[int, Scaled] = {}
        self._users: dict[int, list[int]] = {}
        for i in range(len(inside)):
            if inside[i] >= 0 and draft.uses[i] and draft.items[i].shape:
                for a in draft.items[i].args:
                    self._users.setdefault(a, []).append(i)
        self._made: dict[tuple[Op, int, int], int] = {}

    def visit(self, i: int) -> None:
        """Find the form of item i, and replace it by that where it is another."""
        item = self.draft.items[i]
        if item.op is ops.multiply:
            self._visit_product(i, item)
        elif item.op is ops.negative:
            form = self._form_of(item.args[0], item)
            if form is not None and self._goes(item.args[0]):
                self.forms[i] = form._replace(sign=-form.sign)
        elif item.op in (ops.add, ops.subtract):
            self._visit_sum(i, item)

    def _visit_product(self, i: int, item: Item) -> None:
        own = self.inside[i]
        for u, v in (item.args, item.args[::-1]):
            if self.inside[u] == own != self.inside[v]:
                break
        else:
            return
        if self.draft.items[v].dtype != item.dtype:
            return
        form = self._form_of(u, item)
        if form is None or not self._goes(u):
            self.forms[i] = Scaled(u, v, 1)
            return
        factor = self._combined(i, ops.multiply, form.factor, v)
        self._settle(i, Scaled(form.atom, factor, form.sign))

    def _visit_sum(self, i: int, item: Item) -> None:
        a, b = item.args
        one, two = (self._form_of(k, item) for k in (a, b))
        if one is None or two is None or one.atom != two.atom:
            return
        sign = two.sign if item.op is ops.add else -two.sign
        if sign == one.sign:
            factor = self._combined(i, ops.add, one.factor, two.factor)
            self._settle(i, Scaled(one.atom, factor, one.sign))
        else:
            plus, minus = (one, two) if one.sign > 0 else (two, one)
            factor = self._combined(i, ops.subtract, plus.factor, minus.factor)
            self._settle(i, Scaled(one.atom, factor, 1))

    def _form_of(self, u: int, like: Item) -> Scaled | None:
        """Return the form of item u, if its atom is of the kind of ``like``."""
        form = self.forms.get(u)
        return form if form is not None and kind_of(self.draft.items[form.atom]) == kind_of(like) else None

    def _goes(self, u: int) -> bool:
        """Return whether the recurrence can do without item u: all that it does with it is to scale it further."""
        own = self.inside[u]
        return all(self._scales(k, u) for k in self._users.get(u, ()) if self.inside[k] == own)

    def _scales(self, k: int, u: int) -> bool:
        user = self.draft.items[k]
        if u not in user.args:
            return True  # not any more
        if user.op is ops.multiply and kind_of(user) == kind_of(self.draft.items[u]):
            other = [a for a in user.args if a != u]
            return len(other) == 1 and self.inside[other[0]] != self.inside[u]
        return self.draft.uses[u] == 1 and user.op in (ops.negative, ops.add, ops.subtract)

    def _settle(self, i: int, form: Scaled) -> None:
        item = self.draft.items[i]
        factor = form.factor
        if form.sign < 0:
            factor = self._combined(i, ops.negative, factor, factor)
        self.forms[i] = Scaled(form.atom, factor, 1)
        self.draft.replace(i, operation(ops.multiply, (form.atom, factor), item))

    def _combined(self, i: int, op: Op, a: int, b: int) -> int:
        """Return the index of an operation on two factors, which is computed before item i."""
        known = self._made.get((op, a, b))
        if known is None:
            items = self.draft.items
            args: tuple[Any, ...] = (a,) if op is ops.negative else (a, b)
            shape = np.broadcast_shapes(*[items[k].shape for k in args])
            known = self.draft.insert(i, operation(op, args, items[i], shape=shape))
            self._made[op, a, b] = known
        return known
