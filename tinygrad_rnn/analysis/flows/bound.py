"""``Bound``: the theory's bound on ||dS_t/dS_k||, where a cell has the form that it speaks of.

For S_j = phi(W_j S_{j-1} + what does not depend on S_{j-1}) the Jacobian of a step is diag(phi') W_j, so that

    ||dS_t/dS_k|| <= prod_{j=k+1..t} sigma_max(W_j) * gamma

with gamma = the largest slope of phi: 1 for tanh, 1/4 for sigmoid. With the largest slope that the units of step j
really have, max|phi'_j|, in the place of gamma the bound is tighter and still holds. Source: Pascanu, Mikolov and
Bengio (2013), section 2.1. A product of two things that both depend on the state, such as a gate times the state,
has no such form; then there is no bound, and the reason is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.flows.slopes import is_nonlinearity, slope, steepest
from tinygrad_rnn.analysis.reading.cotangents import Coordinates
from tinygrad_rnn.analysis.reading.jacobians import batch_of, pulled, units_of
from tinygrad_rnn.analysis.reading.recurrences import ABSENT, Recurrence
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """The factors of the bound, one for each step; those of the first step are of the initial state.

    Attributes:
        sigma: (T,), sigma_max(W_j), which is the same in each step if W is one weight.
        gamma: the largest slope that phi can have.
        slopes: (T,), the largest slope of a unit in step j.
        backward: whether the lane walks from the last step to the first.
    """

    sigma: Array
    gamma: float
    slopes: Array
    backward: bool = False

    def __repr__(self) -> str:
        sigma = self.sigma[1:] if len(self.sigma) > 1 else self.sigma
        return (
            f"<Bound: a step stretches by at most σ·γ = {sigma.max(initial=0.0) * self.gamma:.3g}; "
            f"with the slopes that the units have, {(self.sigma * self.slopes)[1:].max(initial=0.0):.3g}>"
        )

    @property
    def theory(self) -> Array:
        """(T, T): the product of sigma_j * gamma over the steps k+1 ... t; 1 for t = k, 0 where k is later."""
        return self._products(self.sigma * self.gamma)

    @property
    def measured(self) -> Array:
        """(T, T): the product of sigma_j * max|phi'_j| over the steps k+1 ... t."""
        return self._products(self.sigma * self.slopes)

    def _products(self, factors: Array) -> Array:
        factors = factors[::-1] if self.backward else factors
        length = len(factors)
        found = np.zeros((length, length))
        with np.errstate(all="ignore"):
            for k in range(length):
                found[k:, k] = np.cumprod(np.concatenate([[1.0], factors[k + 1 :]]))
        return found[::-1, ::-1] if self.backward else found

    def to_dict(self) -> dict[str, Any]:
        """Return the factors as plain Python numbers."""
        return {"sigma": self.sigma.tolist(), "gamma": self.gamma, "slopes": self.slopes.tolist()}


def find_bound(steps: Steps, recurrence: Recurrence) -> Bound | str:
    """Return the bound for a recurrence, or one sentence that says why its cell has none."""
    coordinates = Coordinates.of(steps, recurrence)
    gamma = 0.0
    for position in range(len(recurrence.steps)):
        for node in (steps.graph[i] for i in coordinates.nodes(position) if is_nonlinearity(steps.graph[i])):
            gamma = max(gamma, steepest(node))
            if np.isinf(gamma):
                return f"the largest slope of {node.op.name} is not known"
        reason = _not_linear(coordinates, position) if position else ""
        if reason:
            return reason
    every = len(recurrence.steps)
    sigma, slopes = np.zeros(every), np.zeros(every)
    batch = batch_of(coordinates)
    units = units_of(recurrence, batch)
    for position in range(every):
        inner, slopes[position] = _inner(coordinates, position)
        if position:
            blocks = pulled(coordinates, position, units, batch, inner).swapaxes(0, 1)
            finite = np.isfinite(blocks).all()
            sigma[position] = np.linalg.norm(blocks, 2, axis=(-2, -1)).max(initial=0.0) if finite else np.inf
    order = np.argsort(recurrence.steps)
    return Bound(sigma[order], gamma or 1.0, slopes[order], recurrence.backward)


def _inner(coordinates: Coordinates, position: int) -> tuple[tuple[int, ...], float]:
    """Return what phi acts on in each node of the state, itself where there is no phi, and the largest slope of phi."""
    graph, inner, largest = coordinates.graph, [], 0.0
    for i in coordinates.recurrence.states[position]:
        if i != ABSENT and is_nonlinearity(graph[i]):
            largest = max(largest, float(np.abs(slope(graph[i])).max(initial=0.0)))
            inner.append(graph.parent_indices[i][0])
        else:
            largest = max(largest, 1.0)
            inner.append(i)
    return tuple(inner), largest


def _not_linear(coordinates: Coordinates, position: int) -> str:
    """Return what inside a step is not linear in the state before it, ``""`` where nothing is but phi."""
    graph, before = coordinates.graph, set(coordinates.nodes(position - 1))
    inside = coordinates.after & (coordinates.settled == position)
    states = set(coordinates.nodes(position))
    found: list[tuple[int, Node]] = []
    for i in np.flatnonzero(inside).tolist():
        moved = [bool(inside[p]) or p in before for p in graph.parent_indices[i]]
        if i in before or not any(moved) or (i in states and is_nonlinearity(graph[i])):
            continue
        if not _is_linear(graph[i], moved):
            found.append((sum(moved), graph[i]))
    if not found:
        return ""
    count, node = max(found, key=lambda pair: pair[0] > 1)  # a product says more than a gate inside it
    both = " of two things that both depend" if count > 1 else ", which is not linear,"
    what = f"{node.name or 'a node'} = {node.op.name}(...){both} on the state before it"
    return f"the state is not φ(W S + ...): step t={coordinates.recurrence.steps[position]} makes {what}"


def _is_linear(node: Node, moved: list[bool]) -> bool:
    """Return whether an operation is linear in those of its arguments that move, all together."""
    op = node.op
    if op is ops.detach or op.linear == "jointly":
        return True
    if op is ops.divide:
        return not moved[1]
    if op is ops.sum_of_products:
        half = len(moved) // 2
        return not any(a and b for a, b in zip(moved[:half], moved[half:], strict=True))
    return bool(op.linear == "each" and sum(moved) == 1)
