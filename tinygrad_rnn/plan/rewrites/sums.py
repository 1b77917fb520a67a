"""Long sums in one go, and the products among their terms as one product."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import SUM_OF_MATMULS, Item, kind_of, operation
from tinygrad_rnn.plan.rewrites.draft import Draft

_SUMS = (ops.add, ops.add_n)


def flatten_sums(draft: Draft) -> None:
    """Make each tree of additions of one shape a single ``add_n``."""
    items, uses = draft.items, draft.uses
    terms: dict[int, deque[int]] = {}
    for i, item in enumerate(items):
        if item.op in _SUMS and uses[i] and all(kind_of(items[a]) == kind_of(item) for a in item.args):
            parts = [terms.pop(a) if uses[a] == 1 and a in terms else deque((a,)) for a in item.args]
            terms[i] = _chained(parts)
    for i, flat in terms.items():
        if len(flat) > 2:
            draft.replace(i, operation(ops.add_n, tuple(flat), items[i]))


def _chained(parts: list[deque[int]]) -> deque[int]:
    """Return all entries in order; the longest part takes in the others, so that long chains cost no square."""
    longest = max(range(len(parts)), key=lambda k: len(parts[k]))
    result = parts[longest]
    for part in reversed(parts[:longest]):
        result.extendleft(reversed(part))
    for part in parts[longest + 1 :]:
        result.extend(part)
    return result


def sum_outside(draft: Draft) -> None:
    """Make ``sum(a) + sum(b) + ...``, each over the same axes, ``sum(a + b + ...)``; so with reshaped terms."""
    for i, item in enumerate(list(draft.items)):
        if item.op is ops.add_n and draft.uses[i]:
            _sum_outside(draft, i)


def _sum_outside(draft: Draft, i: int) -> None:
    items, item = draft.items, draft.items[i]
    first = items[item.args[0]]
    if first.op not in (ops.sum, ops.reshape):
        return
    like = items[first.args[0]]
    for a in item.args:
        term = items[a]
        if term.op is not first.op or draft.uses[a] > 1 or term.params != first.params:
            return
        if kind_of(items[term.args[0]]) != kind_of(like):
            return
    inner = operation(ops.add_n, tuple([items[a].args[0] for a in item.args]), like, scope=item.scope)
    args = (draft.insert(i, inner),)
    draft.replace(i, operation(first.op, args, item, first.params))


def add_small_first(draft: Draft) -> None:
    """Make ``(x + a) + b`` into ``x + (a + b)`` where a and b have fewer entries than x: two biases are one."""
    made: dict[tuple[int, int], int] = {}
    for i, item in enumerate(list(draft.items)):
        found = _two_small(draft, item) if item.op is ops.add and item.shape and draft.uses[i] else None
        if found is None:
            continue
        x, a, b = found
        if (a, b) not in made:
            shape = np.broadcast_shapes(draft.items[a].shape, draft.items[b].shape)
            made[a, b] = draft.insert(i, operation(ops.add, (a, b), item, shape=shape))
        draft.replace(i, operation(ops.add, (x, made[a, b]), item))


def _two_small(draft: Draft, item: Item) -> tuple[int, int, int] | None:
    """Return (x, a, b) of ``(x + a) + b``, None where it is something else."""
    items, size = draft.items, math.prod(item.shape)
    for p, b in (item.args, item.args[::-1]):
        inner = items[p]
        if inner.op is not ops.add or draft.uses[p] > 1 or items[b].dtype != item.dtype:
            continue
        for x, a in (inner.args, inner.args[::-1]):
            small = np.broadcast_shapes(items[a].shape, items[b].shape)
            if (
                kind_of(items[x]) == kind_of(item)
                and items[a].dtype == item.dtype
                and math.prod(small) < size
            ):
                return x, a, b
    return None


def join_products(draft: Draft) -> None:
    """Make the products among the terms of each sum one product of the joined operands."""
    for i, item in enumerate(list(draft.items)):
        if item.op is ops.add_n and draft.uses[i]:
            _join(draft, i)


def _join(draft: Draft, i: int) -> None:
    items, item = draft.items, draft.items[i]
    groups: dict[Any, list[int]] = {}
    rest = []
    for a in item.args:
        if draft.uses[a] == 1 and _is_product(items, a):
            groups.setdefault(tuple([kind_of(items[f]) for f in items[a].args]), []).append(a)
        else:
            rest.append(a)
    joined = []
    for products in groups.values():
        if len(products) == 1:
            rest += products
            continue
        factors = [items[a].args for a in sorted(products, key=lambda a: _origin(items, a))]
        args = tuple([f[0] for f in factors] + [f[1] for f in factors])
        joined.append(operation(SUM_OF_MATMULS, args, item))
    if len(joined) == 1 and not rest:
        draft.replace(i, joined[0])
    elif joined:
        args = tuple(rest + [draft.insert(i, product) for product in joined])
        draft.replace(i, operation(ops.add_n if len(args) > 2 else ops.add, args, item))


def _origin(items: list[Item], i: int) -> tuple[int, tuple[int, ...]]:
    """Return which of a product's factors was computed first, and which part of it is read.

    Products are joined in this order, so that their older factors lie in the order in which they were computed,
    which is the one that suits their other readers too. Constants come before all, as initial states do.
    """
    return min(_source(items, a) for a in items[i].args)


def _source(items: list[Item], i: int) -> tuple[int, tuple[int, ...]]:
    """Return the item whose memory item i may read, and the integers of the keys on the way to it."""
    item = items[i]
    places: tuple[int, ...] = ()
    while item.op in (ops.transpose, ops.reshape, ops.getitem):
        places += tuple(part for part in item.params.get("key", ()) if isinstance(part, int))
        i = item.args[0]
        item = items[i]
    return (-1 if item.kind == "constant" else i), places


def _is_product(items: list[Item], i: int) -> bool:
    item = items[i]
    return item.op is ops.matmul and all(len(items[a].shape) == 2 for a in item.args)
