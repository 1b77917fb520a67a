"""``program_of``: the nodes that a function has recorded, as a flat program of its inputs."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.draws import RANDOM
from tinygrad_rnn.core.graph import Node, refuse_reading
from tinygrad_rnn.core.op import LEAF, NO_PARAMS
from tinygrad_rnn.plan.program import Item, Program

_INDEXED = (ops.getitem, ops.scatter_add)
_age = attrgetter("_stamp")


def program_of(
    outputs: Sequence[Node],
    draws: Sequence[Node],
    inputs: Mapping[Node, int],
    generators: Mapping[int, int],
    since: int,
) -> tuple[Program, list[weakref.ref[Node]]]:
    """Return the program of ``outputs``, and references to the operations on leaves (see ``trace``).

    Args:
        outputs: those whose value is wanted.
        draws: random draws, which are made whether or not anything needs them.
        inputs: the position of each input among the leaves of the arguments.
        generators: likewise for random generators, by ``id``.
        since: a stamp. The result of an operation that is older was there before the function ran: its value is fixed.

    Raises:
        TraceError: an index is a mask, so that a size depends on data.
    """
    index: dict[Node, int] = {}
    items: list[Item] = []
    watched: list[weakref.ref[Node]] = []
    for node in _reached((*outputs, *draws), since):
        index[node] = len(items)
        call = node._call
        if call.op is None or call.op is RANDOM or node._stamp < since:
            items.append(_source(node, inputs, generators, since))
            continue
        data, note = node._data, node._note
        if data.__class__ is not np.ndarray:
            data = np.asarray(data)
        args = tuple([index[p] for p in node._parents])
        name = "" if note is None else node.name
        items.append(Item("op", call.op, call.params, args, data.shape, data.dtype, node._scope, None, name))
        if call.op in _INDEXED:
            _refuse_masks(node)
        for parent in node._parents:
            if parent._call is LEAF:
                watched.append(weakref.ref(node))
                break
    return Program(items, tuple([index[y] for y in outputs])), watched


def _reached(outputs: Sequence[Node], since: int) -> list[Node]:
    """Return what the outputs are computed from, parents first; what is older than ``since`` is not taken apart."""
    seen = set(outputs)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node._stamp < since:
            continue
        first = node._first  # the two slots behind node.parents, read here without a call
        for parent in first if first.__class__ is tuple else (first, node._second):
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_age)


def _source(node: Node, inputs: Mapping[Node, int], generators: Mapping[int, int], since: int) -> Item:
    """Return the item of a node that is not computed by the plan from others."""
    data = np.asarray(node._data)
    kind, params, source = "constant", NO_PARAMS, cast(Any, data)
    if node in inputs:
        kind, source = "input", inputs[node]
    elif node._call is LEAF:
        kind, source = "leaf", node
    elif node._call.op is RANDOM and node._stamp >= since:
        kind, params, source = "random", node.params, generators.get(id(node.params["generator"]))
    return Item(kind, None, params, (), data.shape, data.dtype, node._scope, source, node.name)


def _refuse_masks(node: Node) -> None:
    """Refuse a mask as an index: how many entries it takes is decided by its data."""
    for index in node._parents[1:]:
        if index.dtype.kind == "b":
            refuse_reading(index, "a boolean index (its size depends on data)")
