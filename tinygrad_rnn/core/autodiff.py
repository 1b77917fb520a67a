"""Reverse and forward mode over recorded nodes, from the rules in the operations' records.

Let a graph compute y from x. Reverse mode (:func:`pullback`) carries cotangents from the outputs to the leaves: the
cotangent of a node is complete when all its users have added theirs, which holds when nodes are visited youngest
first. Forward mode (:func:`pushforward`) carries tangents the other way. Run with ``record=True`` either one runs
its rules on the nodes themselves, so that its result is a graph that can be differentiated again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as NODES
from tinygrad_rnn.core.graph import RECORDING, Node, Observer, Recording, ancestors, recording, refuse_stale
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Carrier, Op


class Ledger:
    """The cotangents of one backward pass. What another use of a node adds is summed here, and only here.

    Attributes:
        sums: the cotangent of each node so far; a plain dict, which the printed functions of Value write directly.
        wanted: the nodes whose cotangent is of use; None for all.
    """

    __slots__ = ("_owned", "sums", "wanted")

    def __init__(self, wanted: set[Node] | None = None) -> None:
        self.sums: dict[Node, Any] = {}
        self.wanted = wanted
        self._owned: set[Node] = set()  # nodes whose array was made here, so that it may be added to in place

    def add(self, node: Node, contribution: Any) -> None:
        """Accumulate one use's contribution."""
        old = self.sums.get(node)
        if old is None:
            self.sums[node] = contribution
        elif contribution.__class__ is not np.ndarray:
            self.sums[node] = old + contribution
        elif node in self._owned:
            np.add(old, contribution, out=old)
        else:
            self.sums[node] = np.asarray(old + contribution)
            if contribution.ndim:
                self._owned.add(node)


def pullback(
    outputs: Sequence[Node],
    cotangents: Sequence[Any],
    *,
    stop: frozenset[Node] = frozenset(),
    record: bool = False,
) -> dict[Node, Any]:
    """Return the cotangent of every node that ``outputs`` depend on, given the cotangents of the outputs.

    Args:
        outputs: the nodes to start from.
        cotangents: one for each output, of its shape: floats and arrays, or with ``record`` nodes.
        stop: nodes beyond which nothing is wanted.
        record: whether to compute with recorded operations.

    Raises:
        GraphMutationError: a leaf was assigned after an operation had used it.
    """
    pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._call.active]
    nodes = ancestors([y for y, _ in pairs], stop=stop, active=True)
    wanted = _between(nodes, stop) if stop else None
    if wanted is not None:
        _refuse_stale(nodes, stop)
        nodes = [node for node in nodes if node in wanted]
    ledger = Ledger(wanted)
    found = ledger.sums
    for output, cotangent in pairs:
        if wanted is None or output in wanted:
            ledger.add(output, cotangent)
    observer = RECORDING.get().observer
    if observer is not None:
        observer.started(outputs)
    waiting = []
    leaves: dict[Node, Any] = {}  # taken out at their turn, so that what comes later is seen to be late
    states: dict[tuple[str, ...], Recording] = {}
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            g = found.get(node)
            if g is None:
                waiting.append(node)
                continue
            if observer is not None:
                observer.completed(node, g, found)
            if node._note is not None and node._note.__class__ is not str:
                found[node] = g = node._run_hooks(g)
                if observer is not None:
                    observer.hooked(node, g, found)
            if node._call.op is None:
                leaves[node] = found.pop(node)
            elif record:
                if node not in stop:
                    _record_pull(node, g, ledger, _backward(node._scope, states))
            elif observer is not None:
                if node not in stop:
                    array_pull(node, g, found, ledger, observer)
            elif node._call.pull is not None and node not in stop:
                node._call.pull(node, g, found, ledger)
    if not (found.keys().isdisjoint(waiting) and found.keys().isdisjoint(leaves)):
        refuse_stale(nodes)
    found.update(leaves)
    return found


def _refuse_stale(nodes: list[Node], stop: frozenset[Node]) -> None:
    """Refuse a leaf outside of what is differentiated (a weight that a function closes over) that was assigned since.

    Only a leaf that is younger than some operation can have been; there is none when a function has just been run.
    """
    first = next((i for i, node in enumerate(nodes) if node._call.op is not None), len(nodes))
    if any(node._call.op is None and node not in stop for node in nodes[first:]):
        refuse_stale(nodes)


def _between(nodes: list[Node], stop: frozenset[Node]) -> set[Node]:
    """Return the nodes of a topological order that depend on a node in ``stop``, those included."""
    between = set(stop)
    for node in nodes:
        if not between.isdisjoint(node._parents):
            between.add(node)
    return between


def array_pull(
    node: Node, g: Any, found: dict[Node, Any], ledger: Ledger, observer: Observer | None = None
) -> None:
    """Add the contributions of ``node``, whose complete cotangent is the array ``g``, to its parents."""
    if g.__class__ is np.ndarray:
        g.flags.writeable = False  # other nodes may share it: a rule must not change it
    for i, (parent, c) in enumerate(zip(node._parents, local_vjp(node, g, ledger.wanted), strict=True)):
        if c is not None:
            if observer is not None:
                observer.pulled(node, i, c, found)
            ledger.add(parent, c)


def local_vjp(node: Node, g: Any, wanted: set[Node] | None = None) -> list[Any]:
    """Return local derivative times ``g`` for each parent, None where there is none or it is not ``wanted``."""
    op, params, parents = node._call.op, node._call.params, node._parents
    if op is None:
        return []
    args = tuple([p._data for p in parents])
    if op.vjp is not None:
        return _opaque(op, node, g, args, params)
    xp, y = _world(op, node), node._data
    result = []
    for i, parent in enumerate(parents):
        needed = parent._call.active and (wanted is None or parent in wanted)
        c = _cotangent(op, i, xp, g, y, args, params) if needed else None
        result.append(None if c is None else _admitted(op, i, parent, c))
    return result


def _admitted(op: Op, i: int, parent: Node, c: Any) -> Any:
    try:
        return parent._admit(c)
    except ValueError as error:
        raise ValueError(f"{op.name}: the rule of argument {i} is wrong: {error}") from None


def _cotangent(
    op: Op, i: int, xp: Any, g: Any, y: Any, args: tuple[Any, ...], params: Mapping[str, Any]
) -> Any:
    """Return the cotangent of one argument; where Python's floats raise, numpy's give the IEEE result."""
    try:
        return op.cotangent(i, xp, g, y, args, params)
    except ArithmeticError:
        numbers = tuple(map(np.asarray, args))
        return op.cotangent(i, NUMPY, np.asarray(g), np.asarray(y), numbers, params)
    except ValueError as error:
        raise ValueError(f"{op.name}: the rule of argument {i} failed: {error}") from error


def _world(op: Op, node: Node) -> Any:
    """Return the namespace of a node's rules: arrays where it goes from one carrier to the other."""
    return NUMPY if op.result else node._xp


def _opaque(op: Op, node: Node, g: Any, args: tuple[Any, ...], params: Mapping[str, Any]) -> list[Any]:
    """Return what a user's plain numpy rule gives, held to the shapes of the arguments."""
    found = _opaque_found(op, g, node._data, args, params)
    return [
        None if c is None or not parent._call.active else parent._admit(c)
        for parent, c in zip(node._parents, found, strict=True)
    ]


def _opaque_found(op: Op, g: Any, y: Any, args: tuple[Any, ...], params: Mapping[str, Any]) -> Sequence[Any]:
    found = op.vjp(g, y, *args, **params)  # type: ignore[misc]
    found = found if isinstance(found, (tuple, list)) else (found,)
    if len(found) != len(args):
        raise ValueError(
            f"{op.name}: its vjp must return {len(args)} cotangents, one for each argument, got {len(found)}"
        )
    for i, (arg, c) in enumerate(zip(args, found, strict=True)):
        if c is not None and np.shape(c) != np.shape(arg):
            raise ValueError(
                f"{op.name}: its vjp gave argument {i} of shape {np.shape(arg)} a cotangent of {np.shape(c)}"
            )
    return found


@functools.lru_cache(maxsize=256)
def _opaque_cotangent(op: Op, i: int) -> Op:
    """Return the operation that computes the cotangent of argument ``i`` of an opaque one, itself opaque.

    It is recorded where a first derivative is compiled or differentiated again; the latter is refused by its vjp.
    """

    def forward(xp: Any, g: Any, y: Any, *args: Any, **params: Any) -> Any:
        c = _opaque_found(op, g, y, args, params)[i]
        return np.zeros(np.shape(args[i])) if c is None else c

    return Op(
        name=f"{op.name}_vjp",
        symbol=f"{op.symbol}'",
        forward=forward,
        vjp=lambda *args, **params: _refuse_opaque(op),
        doc=f"the cotangent of argument {i} of {op.name}",
    )


def _backward(scope: tuple[str, ...], states: dict[tuple[str, ...], Recording]) -> Recording:
    """Return how to record what pulls back a node of ``scope``; made once for each scope, as many nodes share one."""
    state = states.get(scope)
    if state is None:
        state = states[scope] = replace(RECORDING.get(), on=True, scope=("backward", *scope))
    return state


def _record_pull(node: Node, g: Node, ledger: Ledger, state: Recording) -> None:
    op, wanted, observer = node._call.op, ledger.wanted, state.observer
    token = RECORDING.set(state if observer is None else replace(state, observer=observer.within(node)))
    try:
        for i, parent in enumerate(node._parents):
            if not parent._call.active or (wanted is not None and parent not in wanted):
                continue
            if op.vjp is not None:
                c = _opaque_cotangent(op, i)(g, node, *node._parents, **node._call.params)
            else:
                c = op.cotangent(i, NODES, g, node, node._parents, node._call.params)
            if c is not None:
                if observer is not None:
                    observer.pulled(node, i, c, ledger.sums)
                ledger.add(parent, fit(c, parent))
    finally:
        RECORDING.reset(token)


def _refuse_opaque(op: Op) -> None:
    if op.vjp is not None:
        raise TypeError(
            f"{op.name} is opaque (its vjp is plain numpy) and can be differentiated once, in reverse mode only; "
            "give it partials or transpose rules for higher derivatives and forward mode"
        )


def fit(c: Node, node: Node) -> Node:
    """Return the recorded cotangent (or tangent) ``c`` with the carrier, shape and dtype of ``node``."""
    if c.shape != node.shape:
        c = NODES.sum_to(NODES, c, node.shape)
    if c._carrier != node._carrier:
        c = NODES.item(c) if node._carrier == "Value" else NODES.reshape(NODES.stack([c]), ())
    return c if c.dtype == node.dtype else NODES.astype(c, node.dtype)


def pushforward(nodes: Sequence[Node], tangents: dict[Node, Any], *, record: bool = False) -> dict[Node, Any]:
    """Return the tangent of every node in ``nodes`` (in topological order) that depends on a node in ``tangents``.

    Args:
        nodes: the graph's nodes, parents first.
        tangents: the tangents to start from, each of its node's shape.
        record: whether to compute with recorded operations (the tangents are then nodes).

    Raises:
        GraphMutationError: a leaf was assigned after an operation had used it.
    """
    found = dict(tangents)
    observer = RECORDING.get().observer
    with np.errstate(all="ignore"):
        for node in nodes:
            op = node._call.op
            if op is None or node in found or not node._call.active:
                continue
            incoming = [found.get(p) for p in node._parents]
            if any(t is not None for t in incoming):
                _refuse_opaque(op)
                refuse_stale((node,))
                push = _record_push if record else _array_push
                if observer is not None:
                    tangent = _observed_push(push, op, node, incoming, observer)
                else:
                    tangent = push(op, node, incoming)
                if tangent is not None:
                    found[node] = tangent
                    if observer is not None:
                        observer.pushed(node, tangent, found)
    return found


def _observed_push(
    push: Callable[..., Any], op: Op, node: Node, incoming: list[Any], observer: Observer
) -> Any:
    token = RECORDING.set(replace(RECORDING.get(), observer=observer.within(node)))
    try:
        return push(op, node, incoming)
    finally:
        RECORDING.reset(token)


def _array_push(op: Op, node: Node, incoming: list[Any]) -> Any:
    args = tuple([p._data for p in node._parents])
    if op.partials is None and not op.linear:
        with recording(on=True):
            nodes = tuple(p._constant_like(a) for p, a in zip(node._parents, args, strict=True))
            return _by_double_transpose(op, node, nodes, incoming, record=False)
    xp = _world(op, node)

    def forward(*values: Any) -> Any:
        return op.forward(xp, *values, **node._call.params)

    zeros = [np.zeros(p.shape, dtype=p.dtype) if p.shape else 0.0 for p in node._parents]
    total = _short_cut(op, xp, forward, node._data, args, incoming, zeros, node._call.params)
    return None if total is None else node._admit(np.broadcast_to(total, node.shape) if node.shape else total)


def _record_push(op: Op, node: Node, incoming: list[Any]) -> Any:
    with recording(on=True, scope=("forward", *node._scope)):
        if op.partials is None and not op.linear:
            return _by_double_transpose(op, node, node._parents, incoming, record=True)

        def forward(*values: Any) -> Any:
            return next(v for v in values if isinstance(v, Carrier))._apply(op, values, node._call.params)

        zeros = [p._constant_like(np.zeros(p.shape, dtype=p.dtype)) for p in node._parents]
        total = _short_cut(op, NODES, forward, node, node._parents, incoming, zeros, node._call.params)
        if total is None:
            return None
        if total.shape != node.shape:
            total = NODES.broadcast_to(total, node.shape)
        return fit(total, node)


def _short_cut(
    op: Op,
    xp: Any,
    forward: Any,
    y: Any,
    args: Sequence[Any],
    incoming: list[Any],
    zeros: list[Any],
    params: Mapping[str, Any],
) -> Any:
    """Return the tangent of an elementwise or linear operation, None where no argument that moves has a derivative."""
    if op.partials is None and op.linear == "jointly":
        return forward(*(z if t is None else t for t, z in zip(incoming, zeros, strict=True)))
    total = None
    for i, t in enumerate(incoming):
        if t is None:
            continue
        if op.partials is None:
            part = forward(*args[:i], t, *args[i + 1 :])
        else:
            part = _cotangent(op, i, xp, t, y, tuple(args), params)
        if part is not None:
            total = part if total is None else total + part
    return total


def _by_double_transpose(
    op: Op, node: Node, args: tuple[Node, ...], incoming: list[Any], *, record: bool
) -> Any:
    """Return the tangent as the transpose of the transpose: the rule is linear in g, so pulling a tangent back
    through it to g gives the derivative times that tangent. Always right, for any operation with a vjp.
    """
    g = node._leaf_like(np.zeros(node.shape, dtype=node.dtype))
    y = node if record else node._constant_like(node._data)
    outputs, seeds = [], []
    for i, t in enumerate(incoming):
        if t is None:
            continue
        c = op.cotangent(i, NODES, g, y, args, node._call.params)
        if c is not None:
            outputs.append(c)
            seeds.append(t)
    found = pullback(outputs, seeds, stop=frozenset([g]), record=record)
    return found.get(g)
