"""``Program``: a recorded graph as a flat list of items.

An item is one value: an input, a leaf that is read at each replay, a constant, a random draw, or an operation on items
before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.core.op import NO_PARAMS, Op
from tinygrad_rnn.core.primitives.indexing import decode

SUM_OF_MATMULS = Op(
    name="sum_of_matmuls",
    symbol="Σ@",
    forward=lambda xp, *args: sum(
        a @ b for a, b in zip(args[: len(args) // 2], args[len(args) // 2 :], strict=True)
    ),
    doc="a_1 b_1 + ... + a_n b_n given (a_1 ... a_n, b_1 ... b_n): one product of the joined operands",
)
ASSEMBLE = Op(
    name="assemble",
    symbol="⊞",
    forward=lambda xp, *args, keys, shape: _put(args, keys, shape),
    doc="zeros with each argument at its key; the arguments are computed in place, so that this costs nothing",
)


class Item(NamedTuple):
    """One value of a program.

    Attributes:
        kind: ``"input"``, ``"leaf"``, ``"constant"``, ``"random"`` or ``"op"``.
        op: the operation of kind op.
        params: its static parameters.
        args: indices of items before this one.
        shape: of the value.
        dtype: of the value.
        scope: where it was recorded.
        source: the recorded node of a leaf; the data of a constant; the position of an input,
            and of the generator of a draw if it is one.
        name: of the recorded node, ``""`` where it has none.
    """

    kind: str
    op: Op | None
    params: Mapping[str, Any]
    args: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scope: tuple[str, ...] = ()
    source: Any = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """Items in an order in which arguments come first, and the indices of those that are wanted."""

    items: list[Item]
    outputs: tuple[int, ...]

    def users(self) -> list[list[int]]:
        """Return for each item the items that use it, once for each use."""
        users: list[list[int]] = [[] for _ in self.items]
        for i, item in enumerate(self.items):
            for a in item.args:
                users[a].append(i)
        return users


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that run as one operation: same operation, parameters, shapes, and none depends on another."""

    members: tuple[int, ...]


def operation(
    op: Op, args: tuple[int, ...], like: Item, params: Mapping[str, Any] = NO_PARAMS, **changed: Any
) -> Item:
    """Return an operation with the shape, dtype and scope of ``like``, but for what is ``changed``."""
    item = Item("op", op, params, args, like.shape, like.dtype, like.scope)
    return item._replace(**changed) if changed else item


def with_args(item: Item, args: tuple[int, ...]) -> Item:
    """Return the item with other arguments."""
    if args == item.args:
        return item
    return tuple.__new__(Item, (*item[:3], args, *item[4:]))  # half the price of a call of Item


def generator_of(item: Item, inputs: Sequence[Any]) -> np.random.Generator:
    """Return where a draw comes from: a generator among the inputs, or one that the function closed over."""
    found: np.random.Generator = item.params["generator"] if item.source is None else inputs[item.source]
    return found


def drawn(item: Item, inputs: Sequence[Any]) -> np.ndarray:
    """Return the numbers of a draw, which advances its generator."""
    return generator_of(item, inputs).random(item.shape, dtype=item.dtype.type)


def kind_of(item: Item) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype of an item."""
    return item.shape, item.dtype


def _put(args: tuple[Any, ...], keys: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, np.result_type(*args))
    for a, key in zip(args, keys, strict=True):
        out[decode(key, ())] = a
    return out
