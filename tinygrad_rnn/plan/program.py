"""``Program``: a recorded graph as a flat list of items, and the rewrites that make it smaller.

An item is one value: an input, a leaf that is read at each replay, a constant, a random draw, or an operation on items
before it. Rewrites keep results (sums may be added up in another order).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import LEAF, NO_PARAMS, Op
from tinygrad_rnn.core.primitives.indexing import Slice, decode
from tinygrad_rnn.core.tensor import RANDOM

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
_NOT_HOMED = (ops.transpose, ops.reshape, ops.getitem, ASSEMBLE)
_IDENTITIES = (ops.alias, ops.detach)


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a program.

    Attributes:
        kind: ``"input"``, ``"leaf"``, ``"constant"``, ``"random"`` or ``"op"``.
        op: the operation of kind op.
        params: its static parameters.
        args: indices of items before this one.
        shape: of the value.
        dtype: of the value.
        scope: where it was recorded.
        source: the recorded node of a leaf; the data of a constant; the position of an input.
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

    def uses(self) -> list[int]:
        """Return how often each item is used; being an output counts as one use more."""
        counts = [len(users) for users in self.users()]
        for i in self.outputs:
            counts[i] += 1
        return counts


def of_graph(
    nodes: Iterable[Node], outputs: Iterable[Node], inputs: Mapping[Node, int], generators: Mapping[int, int]
) -> Program:
    """Return the program of recorded nodes in topological order.

    Args:
        nodes: parents first.
        outputs: those whose value is wanted.
        inputs: the position of each input among the leaves of the arguments.
        generators: likewise for random generators, by ``id``.
    """
    index: dict[Node, int] = {}
    items: list[Item] = []
    for node in nodes:
        index[node] = len(items)
        items.append(_item(node, index, inputs, generators))
    return Program(items, tuple(index[y] for y in outputs))


def _item(
    node: Node, index: Mapping[Node, int], inputs: Mapping[Node, int], generators: Mapping[int, int]
) -> Item:
    data = np.asarray(node._data)
    shape, dtype = data.shape, data.dtype
    if node in inputs:
        return Item("input", None, NO_PARAMS, (), shape, dtype, node.scope, inputs[node], node.name)
    if node.op is RANDOM:
        return Item(
            "random",
            None,
            node.params,
            (),
            shape,
            dtype,
            node.scope,
            generators.get(id(node.params["generator"])),
            node.name,
        )
    if node.op is not None:
        args = tuple(index[p] for p in node.parents)
        return Item("op", node.op, node.params, args, shape, dtype, node.scope, None, node.name)
    if node._call is LEAF:
        return Item("leaf", None, NO_PARAMS, (), shape, dtype, node.scope, node, node.name)
    return Item("constant", None, NO_PARAMS, (), shape, dtype, node.scope, data, node.name)


def _put(args: tuple[Any, ...], keys: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, np.result_type(*args))
    for a, key in zip(args, keys, strict=True):
        out[decode(key, ())] = a
    return out


class Rewriter:
    """Builds a program item by item; equal operations on equal arguments become one item."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._known: dict[Any, int] = {}

    def add(self, item: Item) -> int:
        """Return the index of ``item``, which may be that of an equal one."""
        if item.kind == "op" and item.op in _IDENTITIES:
            return item.args[0]
        if item.kind == "op" and _keeps(item, self.items):
            return item.args[0]
        if item.op is ops.transpose:
            turned = self._turned(item)
            if turned is not None:
                return turned
        if item.kind == "op" and item.args and all(self.items[a].kind == "constant" for a in item.args):
            item = self._folded(item)
        key = _key(item)
        if key is not None and key in self._known:
            return self._known[key]
        self.items.append(item)
        if key is not None:
            self._known[key] = len(self.items) - 1
        return len(self.items) - 1

    def _turned(self, item: Item) -> int | None:
        """Return a matrix transposed twice as itself, and a transposed product as the product of the transposed."""
        source = self.items[item.args[0]]
        if len(item.shape) != 2 or item.params["axes"] != (1, 0):
            return None
        if source.op is ops.transpose and source.params["axes"] == (1, 0):
            return source.args[0]
        if source.op is not ops.matmul or any(len(self.items[a].shape) != 2 for a in source.args):
            return None
        a, b = source.args
        left, right = (self.add(self._transposed(i, item)) for i in (b, a))
        return self.add(Item("op", ops.matmul, NO_PARAMS, (left, right), item.shape, item.dtype, item.scope))

    def _transposed(self, i: int, like: Item) -> Item:
        shape = self.items[i].shape[::-1]
        return Item("op", ops.transpose, like.params, (i,), shape, self.items[i].dtype, like.scope)

    def _folded(self, item: Item) -> Item:
        assert item.op is not None
        with np.errstate(all="ignore"):
            data = np.asarray(
                item.op.forward(NUMPY, *(self.items[a].source for a in item.args), **item.params)
            )
        return Item("constant", None, NO_PARAMS, (), data.shape, data.dtype, item.scope, data)


def _keeps(item: Item, items: list[Item]) -> bool:
    """Return whether the operation returns its argument as it is."""
    if item.op not in (ops.astype, ops.reshape, ops.broadcast_to):
        return False
    argument = items[item.args[0]]
    return kind_of(argument) == kind_of(item)


def _key(item: Item) -> Any:
    if item.kind == "op":
        return item.op, tuple(sorted(item.params.items())) if item.params else (), item.args
    if item.kind == "constant" and item.source.size <= 64:
        return "constant", item.shape, item.dtype, item.source.tobytes()
    return None


def simplified(program: Program) -> Program:
    """Return the program without dead, repeated and constant operations, its long sums flattened."""
    for rewrite in (_merged, _flattened, _summed_products, _assembled, alive):
        program = rewrite(program)
    return program


def _merged(program: Program) -> Program:
    rewriter = Rewriter()
    new: list[int] = []
    for item in program.items:
        args = tuple(new[a] for a in item.args)
        new.append(rewriter.add(with_args(item, args)))
    return alive(Program(rewriter.items, tuple(new[i] for i in program.outputs)))


def with_args(item: Item, args: tuple[int, ...]) -> Item:
    """Return the item with other arguments."""
    if args == item.args:
        return item
    return Item(
        item.kind, item.op, item.params, args, item.shape, item.dtype, item.scope, item.source, item.name
    )


def alive(program: Program) -> Program:
    """Return the program without what no output needs; a draw is made in any case, as the function makes it."""
    needed = bytearray([item.kind == "random" for item in program.items])
    for i in program.outputs:
        needed[i] = 1
    for i in range(len(program.items) - 1, -1, -1):
        if needed[i]:
            for a in program.items[i].args:
                needed[a] = 1
    if all(needed):
        return program
    new = [0] * len(program.items)
    items: list[Item] = []
    for i, item in enumerate(program.items):
        if needed[i]:
            new[i] = len(items)
            items.append(with_args(item, tuple([new[a] for a in item.args])))
    return Program(items, tuple(new[i] for i in program.outputs))


def _flattened(program: Program) -> Program:
    """Return the program with each chain of additions of one shape as a single ``add_n``."""
    uses = program.uses()
    terms: dict[int, list[int]] = {}
    items = list(program.items)
    for i, item in enumerate(items):
        if item.op not in (ops.add, ops.add_n) or any(kind_of(items[a]) != kind_of(item) for a in item.args):
            continue
        flat: list[int] = []
        for a in item.args:
            flat += terms[a] if a in terms and uses[a] == 1 else [a]
        terms[i] = flat
    for i, flat in terms.items():
        if len(flat) > 2:
            items[i] = with_args(_renamed(items[i], ops.add_n), tuple(flat))
    return alive(Program(items, program.outputs))


def kind_of(item: Item) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype of an item."""
    return item.shape, item.dtype


def _assembled(program: Program) -> Program:
    """Return the program with what is put together from pieces that do not overlap as an ``ASSEMBLE``."""
    uses, users = program.uses(), program.users()
    items: list[Item] = []
    new: list[int] = []
    homed: set[int] = set()

    def assemble(item: Item, pieces: list[int], keys: list[Any]) -> int:
        places = []
        for piece in pieces:
            if items[piece].kind != "op" or piece in homed or items[piece].op in _NOT_HOMED:
                source = items[piece]
                items.append(
                    Item("op", ops.alias, NO_PARAMS, (piece,), source.shape, source.dtype, item.scope)
                )
                piece = len(items) - 1
            homed.add(piece)
            places.append(piece)
        params = {"keys": tuple(keys), "shape": item.shape}
        items.append(Item("op", ASSEMBLE, params, tuple(places), item.shape, item.dtype, item.scope))
        return len(items) - 1

    for i, item in enumerate(program.items):
        args = tuple(new[a] for a in item.args)
        if item.op in (ops.stack, ops.concatenate):
            new.append(assemble(item, list(args), _joining_keys(item)))
        elif _is_scatter(item) and (uses[i] != 1 or not _summed(program, i, users[i])):
            new.append(assemble(item, [args[0]], [item.params["key"]]))
        elif item.op in (ops.add, ops.add_n) and (parts := _pieces(program, item, uses)):
            rest = tuple(new[a] for a in item.args if a not in parts)
            sources = [program.items[a] for a in parts]
            whole = assemble(item, [new[s.args[0]] for s in sources], [s.params["key"] for s in sources])
            if rest:
                items.append(
                    with_args(_renamed(item, ops.add_n if len(rest) > 1 else ops.add), (*rest, whole))
                )
            new.append(len(items) - 1)
        else:
            items.append(with_args(item, args))
            new.append(len(items) - 1)
    return alive(Program(items, tuple(new[i] for i in program.outputs)))


def _renamed(item: Item, op: Op) -> Item:
    return Item(item.kind, op, NO_PARAMS, item.args, item.shape, item.dtype, item.scope, None, item.name)


def _is_scatter(item: Item) -> bool:
    """Return whether an item puts its argument at a fixed place into zeros."""
    return item.op is ops.scatter_add and len(item.args) == 1


def _summed(program: Program, i: int, users: list[int]) -> bool:
    """Return whether the only user of item i is a sum that takes it in."""
    user = program.items[users[0]] if users else None
    return user is not None and user.op in (ops.add, ops.add_n) and user.shape == program.items[i].shape


def _pieces(program: Program, item: Item, uses: list[int]) -> list[int]:
    """Return the terms of a sum that are pieces of one array, without any overlap; none where they overlap."""
    found = [a for a in item.args if uses[a] == 1 and _is_scatter(program.items[a])]
    if not found or any(program.items[a].shape != item.shape for a in found):
        return []
    count = np.zeros(item.shape, np.int8)
    for a in found:
        count[decode(program.items[a].params["key"], ())] += 1
    return found if (count <= 1).all() else []


def _joining_keys(item: Item) -> list[Any]:
    """Return where each argument of a stack or concatenation goes."""
    before = (Slice(None, None, None),) * (item.params["axis"] % len(item.shape))
    if item.op is ops.stack:
        return [(*before, k) for k in range(len(item.args))]
    starts = item.params["starts"]
    return [(*before, Slice(a, b, None)) for a, b in pairwise(starts)]


def _summed_products(program: Program) -> Program:
    """Return the program with the products among the terms of a sum as one product of the joined operands."""
    uses = program.uses()
    items: list[Item] = []
    new: list[int] = []
    for item in program.items:
        args = tuple(new[a] for a in item.args)
        if item.op is ops.add_n:
            args = _joined_products(program, item, uses, new, items)
            if len(args) == 1:
                new.append(args[0])
                continue
        items.append(with_args(item, args))
        new.append(len(items) - 1)
    return Program(items, tuple(new[i] for i in program.outputs))


def _joined_products(
    program: Program, item: Item, uses: list[int], new: list[int], items: list[Item]
) -> tuple[int, ...]:
    """Return the arguments of a sum after products of one shape were made one; appends that to ``items``."""
    groups: dict[Any, list[int]] = {}
    for a in item.args:
        shapes = tuple(kind_of(program.items[f]) for f in program.items[a].args)
        groups.setdefault(shapes if uses[a] == 1 and _is_product(program, a) else None, []).append(a)
    args = [new[a] for a in groups.pop(None, [])]
    for products in groups.values():
        if len(products) == 1:
            args.append(new[products[0]])
            continue
        factors = [program.items[a].args for a in sorted(products, key=lambda a: _origin(program, a))]
        joined = tuple(new[f[0]] for f in factors) + tuple(new[f[1]] for f in factors)
        items.append(Item("op", SUM_OF_MATMULS, NO_PARAMS, joined, item.shape, item.dtype, item.scope))
        args.append(len(items) - 1)
    return tuple(args)


def _origin(program: Program, i: int) -> tuple[int, tuple[int, ...]]:
    """Return which of a product's factors was computed first, and which part of it is read.

    Products are joined in this order, so that their older factors lie in the order in which they were computed,
    which is the one that suits their other readers too. Constants come before all, as initial states do.
    """
    return min(_source(program, a) for a in program.items[i].args)


def _source(program: Program, i: int) -> tuple[int, tuple[int, ...]]:
    """Return the item whose memory item i may read, and the integers of the keys on the way to it."""
    item = program.items[i]
    places: tuple[int, ...] = ()
    while item.op in (ops.transpose, ops.reshape, ops.getitem):
        places += tuple(part for part in item.params.get("key", ()) if isinstance(part, int))
        i = item.args[0]
        item = program.items[i]
    return (-1 if item.kind == "constant" else i), places


def _is_product(program: Program, i: int) -> bool:
    item = program.items[i]
    return item.op is ops.matmul and all(len(program.items[a].shape) == 2 for a in item.args)
