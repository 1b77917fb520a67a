"""The same operation on several parts of an array is one operation on the whole of it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import Slice
from tinygrad_rnn.plan.program import Item, operation
from tinygrad_rnn.plan.rewrites.draft import Draft

COVERED = 0.7  # of an array, at least: what is computed in vain beside is less than another call costs


Span = tuple[tuple[Any, ...], tuple[int, ...]]  # the key of a part, and the shape of what it reads


class _Whole:
    """An operation on whole arrays that several items are parts of.

    Attributes:
        args: what it is applied to: indices of items, other wholes, or numbers as tuples of one index.
        members: the items that are its parts, by key.
        made: the index of the item that computes it, and which part of it that is; None where it does not pay.
    """

    __slots__ = ("args", "made", "members")

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args
        self.members: dict[Any, int] = {}
        self.made: tuple[int, Span] | None = None


def join_slices(draft: Draft) -> None:
    """Make ``f(x[a]), f(x[b])`` readings of ``f(x[c])`` where the parts a, b make up most of c; x may be several."""
    parts: dict[int, tuple[int | _Whole, Any]] = {}  # what an item is a part of, and which
    wholes: dict[Hashable, _Whole] = {}
    for i in range(len(draft.items)):
        item = draft.items[i]
        if item.op is None or not draft.uses[i]:
            continue
        if item.op is ops.getitem:
            if len(item.args) == 1 and _is_plain(item.params["key"]):
                parts[i] = item.args[0], item.params["key"]
        elif parts and isinstance(item.op.partials, tuple) and any(a in parts for a in item.args):
            found = _virtual(draft.items, item, parts, wholes)
            if found is not None:
                whole, key = found
                whole.members[key] = i
                parts[i] = whole, key
    for whole in wholes.values():
        _make(draft, whole)


def _is_plain(key: tuple[Any, ...]) -> bool:
    return all(isinstance(part, int) or (isinstance(part, Slice) and part.step in (None, 1)) for part in key)


def _virtual(
    items: list[Item], item: Item, parts: dict[int, Any], wholes: dict[Hashable, _Whole]
) -> tuple[_Whole, Any] | None:
    """Return the whole that an item is a part of, and which part, where it is one."""
    sources: list[Any] = []
    key: Any = None
    for a in item.args:
        if a in parts:
            source, here = parts[a]
            if key is not None and here != key:
                return None
            key = here
            sources.append(source)
        elif items[a].shape:
            return None
        else:
            sources.append((a,))  # a number, the same for each part
    if key is None:
        return None
    shapes = {_shape(items, s) for s in sources if not isinstance(s, tuple)}
    if len(shapes) > 1:
        return None
    name = item.op, tuple(sorted(item.params.items())), item.dtype, tuple(sources)
    return wholes.setdefault(name, _Whole(tuple(sources))), key


def _shape(items: list[Item], source: Any) -> tuple[int, ...]:
    while isinstance(source, _Whole):
        source = next(s for s in source.args if not isinstance(s, tuple))
    shape: tuple[int, ...] = items[source].shape
    return shape


def _make(draft: Draft, whole: _Whole) -> None:
    """Compute the part of a whole that its members span, if that pays, and read them from it."""
    items, members = draft.items, whole.members
    if len(members) < 2:
        return
    first = min(members.values())
    like = items[first]
    span = _span(list(members), _shape(items, whole), like.shape)
    if span is None or len(members) * math.prod(like.shape) < COVERED * math.prod(span[1]):
        return
    args = []
    for source in whole.args:
        if isinstance(source, tuple):
            args.append(source[0])
            continue
        if isinstance(source, _Whole):
            if source.made is None or source.made[1] != span:
                return
            args.append(source.made[0])
        else:
            args.append(_read(draft, first, source, span))
    assert like.op is not None
    made = draft.insert(first, operation(like.op, tuple(args), like, like.params, shape=span[1]))
    whole.made = made, span
    for key, i in members.items():
        params = {"key": _within(key, span[0])}
        draft.replace(i, operation(ops.getitem, (made,), items[i], params))


def _read(draft: Draft, host: int, source: int, span: Span) -> int:
    """Return the index of the spanned part of an item."""
    if span[1] == draft.items[source].shape:
        return source
    part = operation(ops.getitem, (source,), draft.items[source], {"key": span[0]}, shape=span[1])
    return draft.insert(host, part)


def _span(keys: list[tuple[Any, ...]], shape: tuple[int, ...], part: tuple[int, ...]) -> Span | None:
    """Return the part from the first key to the last along the one axis in which they differ; else the whole."""
    whole = (Slice(None, None, None),) * len(shape), shape
    if len({len(key) for key in keys}) > 1 or any(isinstance(x, int) for key in keys for x in key):
        return whole
    axes = {k for key in keys for k in range(len(key)) if key[k] != keys[0][k]}
    if len(axes) != 1:
        return whole
    axis = axes.pop()
    ends = [(key[axis].start or 0, shape[axis] if key[axis].stop is None else key[axis].stop) for key in keys]
    if any(not 0 <= a < b <= shape[axis] for a, b in ends):
        return whole
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    if (low, high) == (0, shape[axis]):
        return whole
    key = (*keys[0][:axis], Slice(low, high, None), *keys[0][axis + 1 :])
    return key, (*part[:axis], high - low, *part[axis + 1 :])


def _within(key: tuple[Any, ...], span: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the key of a part as one of the span that it lies in."""
    result: list[Any] = []
    for k, s in zip(key, span, strict=False):
        if isinstance(s, Slice) and s.start is not None and k != s:
            stop: Any = s.stop if k.stop is None else k.stop
            result.append(Slice((k.start or 0) - s.start, stop - s.start, None))
        else:
            result.append(Slice(None, None, None) if k == s else k)
    return tuple(result)
