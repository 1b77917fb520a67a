"""The classic mistakes of hand-written backpropagation through time, each as a backward pass that makes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.nn.places import series
from tinygrad_rnn.testing.tape import BEFORE, Edit, Tape, rule

_LIMITS = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 100.0)  # at which people clip
_PRODUCTS = frozenset([ops.matmul, ops.multiply, ops.einsum, ops.sum_of_products])
_SLOPES = frozenset([ops.tanh, ops.sigmoid, ops.relu, ops.leaky_relu, ops.softplus, ops.sin, ops.exp])


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake: what it is, in words, and as an edit of the backward pass."""

    cause: str
    edit: Edit


def mistakes(tape: Tape, magnitudes: Iterable[float] = ()) -> Iterator[Mistake]:
    """Yield the mistakes that can be made on this network, the commonest first.

    Args:
        tape: the recorded loss.
        magnitudes: largest magnitudes in the gradients under test: limits at which they may have been clipped.
    """
    yield from _forgotten_carry(tape)
    yield from _missing_slopes(tape)
    yield from _late_states(tape)
    yield _slopes_of_the_step_before(tape)
    yield _not_transposed(tape)
    for limit in dict.fromkeys([*magnitudes, *_LIMITS]):
        yield from _clipped(tape, limit)
    yield _last_loss_only(tape)
    yield _twice_carried(tape)


def _forgotten_carry(tape: Tape) -> Iterator[Mistake]:
    """With and without a gradient of the initial state, which is made after the loop."""

    def inner(node: Node, parent: Node, c: Any) -> Any:
        return None if tape.crosses(node, parent) and not tape.is_initial(parent) else c

    def every(node: Node, parent: Node, c: Any) -> Any:
        return None if tape.crosses(node, parent) else c

    for edge in (inner, every):
        yield Mistake(
            "dh_next is not added: what comes back from the next step never reaches the state",
            Edit(edge=edge),
        )


def _twice_carried(tape: Tape) -> Mistake:
    def edge(node: Node, parent: Node, c: Any) -> Any:
        return 2.0 * c if tape.crosses(node, parent) else c

    return Mistake("dh_next is added twice", Edit(edge=edge))


def _missing_slopes(tape: Tape) -> Iterator[Mistake]:
    """For each nonlinearity, and for all nodes of one operation, a pass that forgets its derivative."""
    groups: dict[tuple[str, str], set[Node]] = {}
    for node in tape.graph:
        if node.op in _SLOPES and tape.step(node) >= 0:
            groups.setdefault((node.op.name, ""), set()).add(node)
            groups.setdefault((node.op.name, series(node.name)), set()).add(node)
    seen: list[set[Node]] = []
    for (op, name), members in groups.items():
        if members in seen:
            continue
        seen.append(members)
        yield Mistake(
            f"{op}' is missing{f' at {name}' if name else ''}: the cotangent is passed on without the slope of {op}",
            Edit(contribution=_without_slope(members)),
        )


def _without_slope(members: set[Node]) -> Any:
    return lambda node, i, g: g if node in members else NotImplemented


def _late_states(tape: Tape) -> Iterator[Mistake]:
    """Products that are given a state or an input of another step when the weight's gradient is made."""
    for names, shift, what in (
        (_states(tape), 1, "h_t is used where h_{t-1} is wanted"),
        (_inputs(tape), 1, "x_{t+1} is used where x_t is wanted"),
        (_inputs(tape), -1, "x_{t-1} is used where x_t is wanted"),
    ):
        if names:
            yield Mistake(f"off by one time step: {what}", Edit(contribution=_shifted(tape, names, shift)))


def _shifted(tape: Tape, names: set[str], shift: int) -> Any:
    def contribution(node: Node, i: int, g: Any) -> Any:
        if node.op not in _PRODUCTS or node.op.packed or tape.step(node) < 0:
            return NotImplemented
        data = {}
        for k, parent in enumerate(node.parents):
            if k == i or tape.called(parent) not in names:
                continue
            other = tape.at(tape.called(parent), tape.step(parent) + shift)
            data[k] = np.zeros(parent.shape) if other is None else np.asarray(other._data)
        return rule(node, i, g, data) if data else NotImplemented

    return contribution


def _states(tape: Tape) -> set[str]:
    pairs = ((node, parent) for node in tape.graph for parent in node.parents)
    return {tape.called(p) for node, p in pairs if tape.crosses(node, p)} - {""}


def _inputs(tape: Tape) -> set[str]:
    states = _states(tape)
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


def _clipped(tape: Tape, limit: float) -> Iterator[Mistake]:
    names = _states(tape)

    def cotangent(node: Node, g: Any) -> Any:
        known = node.name and series(node.name) in names and tape.step(node) >= 0
        return np.clip(g, -limit, limit) if known else g

    def edge(node: Node, parent: Node, c: Any) -> Any:
        return np.clip(c, -limit, limit) if tape.crosses(node, parent) else c

    what = f"clipped at {limit:.6g} inside the loop (clip the sum after it)"
    yield Mistake(f"{what}: dh", Edit(cotangent=cotangent))
    yield Mistake(f"{what}: dh_next", Edit(edge=edge))


def _last_loss_only(tape: Tape) -> Mistake:
    def edge(node: Node, parent: Node, c: Any) -> Any:
        inner = tape.step(node) == BEFORE and node.op is not None and 0 <= tape.step(parent) < tape.last
        return None if inner else c

    return Mistake("only the loss of the last step is counted", Edit(edge=edge))
