"""The classic mistakes of hand-written backpropagation through time, each as a backward pass that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.nn.places import series
from tinygrad_rnn.testing.tape import BEFORE, Edit, Tape, rule

_LIMITS = (0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0)  # at which people clip
_PRODUCTS = frozenset([ops.matmul, ops.multiply, ops.einsum, ops.sum_of_products])
Crossing = Callable[[Node, Node], bool]
_SLOPES = frozenset([ops.tanh, ops.sigmoid, ops.relu, ops.leaky_relu, ops.softplus, ops.sin, ops.exp])


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake: what it is, in words, and as an edit of the backward pass; ``at`` is a node that it is made at."""

    cause: str
    edit: Edit
    at: Node | None = None


def mistakes(tape: Tape, limits: Iterable[float] = ()) -> Iterator[Mistake]:
    """Yield the mistakes that can be made on this network, the commonest first.

    Args:
        tape: the recorded loss.
        limits: magnitudes at which the gradients under test may have been clipped.
    """
    states = tape.states()
    names = [frozenset(states), *(frozenset([name]) for name in states if len(states) > 1)]
    for chosen in names:
        yield from _forgotten_carry(tape, chosen)
    yield from _missing_slopes(tape)
    yield from _late_states(tape, states)
    yield _slopes_of_the_step_before(tape)
    yield _not_transposed(tape)
    for limit in dict.fromkeys([*limits, *_LIMITS]):
        for chosen in names:
            yield from _clipped(tape, limit, chosen)
    yield _last_loss_only(tape)
    for chosen in names:
        yield _twice_carried(tape, chosen)


def _state(tape: Tape, names: frozenset[str]) -> Callable[[Node], bool]:
    """Return whether a node is one of these states; any is where none has a name."""
    return lambda node: not names or tape.called(node) in names


def _next(names: frozenset[str]) -> str:
    return " and ".join(f"d{name}_next" for name in sorted(names, reverse=True)) or "dh_next"


def _forgotten_carry(tape: Tape, names: frozenset[str]) -> Iterator[Mistake]:
    """With and without a gradient of the initial state, which is made after the loop."""
    chosen = _state(tape, names)

    def inner(node: Node, parent: Node, c: Any) -> Any:
        return c if tape.is_initial(parent) else every(node, parent, c)

    def every(node: Node, parent: Node, c: Any) -> Any:
        return None if tape.crosses(node, parent) and chosen(parent) else c

    what = f"{_next(names)} is not added: what comes back from the next step never reaches the state"
    for edge in (inner, every):
        yield Mistake(what, Edit(edge=edge))


def _twice_carried(tape: Tape, names: frozenset[str]) -> Mistake:
    chosen = _state(tape, names)
    return Mistake(
        f"{_next(names)} is added twice", Edit(carry=lambda node, c: 2.0 * c if chosen(node) else c)
    )


def _missing_slopes(tape: Tape) -> Iterator[Mistake]:
    """For all nodes of one nonlinearity, for each name and for each place in a step: its derivative is forgotten."""
    groups: dict[str, list[Node]] = {}
    for node in tape.graph:
        if node.op in _SLOPES and (tape.step(node) >= 0 or tape.last == BEFORE):
            groups.setdefault(f"{node.op.name}' is missing", []).append(node)
            if node.name:
                groups.setdefault(f"{node.op.name}' is missing at {series(node.name)}", []).append(node)
    for op in groups:
        yield _missing_slope(groups[op], op, None)
    for number, nodes in tape.positions():
        if nodes[0].op in _SLOPES and not nodes[0].name:
            op = nodes[0].op.name
            yield _missing_slope(nodes, f"{op}' is missing at {op} number {number} of each step", nodes[0])


def _missing_slope(nodes: Sequence[Node], what: str, at: Node | None) -> Mistake:
    members = frozenset(nodes)
    cause = f"{what}: the cotangent is passed on without the slope of {nodes[0].op.name}"
    return Mistake(cause, Edit(contribution=lambda node, i, g: g if node in members else NotImplemented), at)


def _late_states(tape: Tape, states: list[str]) -> Iterator[Mistake]:
    """Products that are given a state or an input of another step when the other factor's gradient is made."""
    for name in states:
        what = f"off by one time step: {name}_t is used where {name}_{{t-1}} is wanted"
        for products in (_PRODUCTS - {ops.multiply}, _PRODUCTS & {ops.multiply}, _PRODUCTS):
            yield Mistake(what, Edit(contribution=_shifted(tape, {name}, 1, products, tape.crosses)))
    inputs = _inputs(tape, states)
    for shift, other in ((1, "x_{t+1}"), (-1, "x_{t-1}")):
        if inputs:
            what = f"off by one time step: {other} is used where x_t is wanted"
            yield Mistake(what, Edit(contribution=_shifted(tape, inputs, shift, _PRODUCTS)))


def _shifted(
    tape: Tape,
    names: set[str],
    shift: int,
    products: frozenset[Any],
    where: Crossing = lambda node, parent: True,
) -> Any:
    def contribution(node: Node, i: int, g: Any) -> Any:
        if node.op not in products or node.op.packed or tape.step(node) < 0:
            return NotImplemented
        data = {}
        for k, parent in enumerate(node.parents):
            if k == i or tape.called(parent) not in names or not where(node, parent):
                continue
            other = tape.at(tape.called(parent), tape.step(parent) + shift)
            data[k] = np.zeros(parent.shape) if other is None else np.asarray(other._data)
        return rule(node, i, g, data) if data else NotImplemented

    return contribution


def _inputs(tape: Tape, states: list[str]) -> set[str]:
    candidates = {name for name in tape.names() if tape.at(name, 0) is not None and name not in states}
    return {name for name in candidates if _is_input(tape, name)}


def _is_input(tape: Tape, name: str) -> bool:
    node = tape.at(name, 0)
    return node is not None and (node.op is None or node.op.name in ("getitem", "alias", "copy"))


def _slopes_of_the_step_before(tape: Tape) -> Mistake:
    def contribution(node: Node, i: int, g: Any) -> Any:
        if node.op not in _SLOPES or not node.name or tape.step(node) < 0:
            return NotImplemented
        before = tape.at(series(node.name), tape.step(node) - 1)
        if before is None or before.shape != node.shape:
            return NotImplemented
        known = before.op is node.op
        y = np.asarray(before._data)
        return rule(node, i, g, {0: np.asarray(before.parents[0]._data) if known else y}, y=y)

    return Mistake(
        "off by one time step: the slope (1 - h²) is taken at h_{t-1} and not at h_t",
        Edit(contribution=contribution),
    )


def _not_transposed(tape: Tape) -> Mistake:
    def contribution(node: Node, i: int, g: Any) -> Any:
        if node.op is not ops.matmul or not tape.crosses(node, node.parents[i]):
            return NotImplemented
        other = node.parents[1 - i]
        if len(other.shape) != 2 or other.shape[0] != other.shape[1]:
            return NotImplemented
        return rule(node, i, g, {1 - i: np.asarray(other._data).T})

    return Mistake(
        "transposed: the state's gradient is made with W where W.T is wanted (or the other way round)",
        Edit(contribution=contribution),
    )


def _clipped(tape: Tape, limit: float, names: frozenset[str]) -> Iterator[Mistake]:
    chosen = _state(tape, names)

    def cotangent(node: Node, g: Any) -> Any:
        known = node.name and series(node.name) in names and tape.step(node) >= 0
        return np.clip(g, -limit, limit) if known else g

    def carry(node: Node, c: Any) -> Any:
        return np.clip(c, -limit, limit) if chosen(node) else c

    what = f"clipped at {limit:.6g} inside the loop (clip the sum after it)"
    yield Mistake(f"{what}: {_next(names).replace('_next', '')}", Edit(cotangent=cotangent))
    yield Mistake(f"{what}: {_next(names)}", Edit(carry=carry))


def _last_loss_only(tape: Tape) -> Mistake:
    def edge(node: Node, parent: Node, c: Any) -> Any:
        inner = tape.step(node) == BEFORE and node.op is not None and 0 <= tape.step(parent) < tape.last
        return None if inner else c

    return Mistake("only the loss of the last step is counted", Edit(edge=edge))
