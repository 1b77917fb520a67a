"""``omega``: Pascanu's regularizer, which asks that an error keeps its size on its way back through time.

Omega is made of derivatives, so its own gradient is of second order. Here it is recorded in operations like anything
else and can be differentiated exactly, beside the cheaper approximation that its authors used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.comparison import GradientComparison, compare_gradients
from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.leaves import gradient_of, leaves_of
from tinygrad_rnn.analysis.table import Table, Tabulated
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.carriers import constant, plain
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.nn.unroll import Unrolled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one step adds to Omega.

    Attributes:
        step: t, the step from S_{t-1} to S_t.
        ratio: ||(dE/dS_t) (dS_t/dS_{t-1})|| / ||dE/dS_t||, a node with an entry for each row of the batch.
        node: the mean of (ratio - 1)^2 over the rows.
        held: the nodes that the immediate derivative holds still: S_{t-1} and dE/dS_t.
    """

    step: int
    ratio: Node
    node: Node
    held: frozenset[Node]


@dataclass(frozen=True, slots=True, eq=False)
class Omega(Tabulated):
    """Pascanu's regularizer of one unrolled network and one error, as a node and as numbers.

    Attributes:
        node: Omega, recorded: add it to a loss and differentiate the sum.
        terms: one for each step that an error passes on its way back, in the order of time.
    """

    node: Node
    terms: tuple[Term, ...]

    @property
    def value(self) -> float:
        """Omega as a number."""
        return float(self.node.item())

    @property
    def steps(self) -> list[int]:
        """The steps t of the terms."""
        return [term.step for term in self.terms]

    @property
    def ratios(self) -> Any:
        """(terms,) the mean over the batch of ||(dE/dS_t) (dS_t/dS_{t-1})|| / ||dE/dS_t||: 1 keeps the error's size."""
        return np.array([float(np.mean(plain(term.ratio))) for term in self.terms])

    def exact(self, parameters: Any) -> Any:
        """Return dOmega/dtheta through everything, in the structure of the parameters (leaves of the network)."""
        return _gradient([(self.node, frozenset())], parameters)

    def immediate(self, parameters: Any) -> Any:
        """Return the immediate derivative: in each term S_{t-1} and dE/dS_t are constants (eq. 10 of the paper).

        What is left is how theta acts within the one step's Jacobian dS_t/dS_{t-1}.
        """
        return _gradient([(term.node, term.held) for term in self.terms], parameters)

    def compare(self, parameters: Any) -> GradientComparison:
        """Return the immediate derivative beside the exact one: cosine and relative error."""
        return compare_gradients(self.exact(parameters), {"immediate": self.immediate(parameters)})

    def __repr__(self) -> str:
        return f"<Omega {self.value:.4g} of {len(self.terms)} steps>"

    def _table(self) -> Table:
        rows = [
            (t, r, plain(term.node)) for t, r, term in zip(self.steps, self.ratios, self.terms, strict=True)
        ]
        return Table(f"Omega = {self.value:.4g}", ("t", "ratio", "(ratio - 1)²"), rows)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the ratio of each step; on the line at 1 the error keeps its size."""
        ax = axes_for(ax, figsize=(6.0, 3.0))
        ax.axhline(1.0, color="black", linewidth=0.8)
        ax.plot(self.steps, self.ratios, color="#1d4e79", marker=".")
        ax.set(
            yscale="log",
            xlabel="step t",
            ylabel="ratio",
            title=rf"size kept by the error, $\Omega$ = {self.value:.3g}",
        )
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {
            "value": self.value,
            "steps": self.steps,
            "ratios": [float(ratio) for ratio in self.ratios],
            "terms": [float(plain(term.node)) for term in self.terms],
        }


def omega(net: Unrolled, error: Any) -> Omega:
    """Return Omega of an unrolled network and an error E made from it.

        Omega = sum_t ( ||(dE/dS_t) (dS_t/dS_{t-1})|| / ||dE/dS_t|| - 1 )^2

    over the steps t that connect two states and that an error reaches. Where ratios are under 1 the gradient vanishes
    on its way back, where they are over 1 it explodes. dE/dS_t is the whole derivative, by way of all later steps. A
    state of several parts (h and c of an LSTM) is one vector; each row of a batch has its own ratio and Omega is
    their mean. Rows whose dE/dS_t is 0 (or so small, under 1e-154, that its square is) add nothing.

    Args:
        net: of ``tr.unroll``. The path between two blocks of a truncated network is cut, and has no term.
        error: one number made from the network, such as ``tr.add_n(net.each(...))``.

    Raises:
        TypeError: ``net`` is not an Unrolled, or ``error`` is not a node.
        ValueError: the error has several entries, no step connects two states that it depends on, or the network is
            bidirectional.

    Source: Pascanu, Mikolov and Bengio (2013), eq. 9 and 10.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> rng = np.random.default_rng(0)
        >>> cell, xs = tr.nn.RNNCell(2, 4, rng=rng), rng.normal(size=(6, 2))
        >>> def regularized(cell):
        ...     net = tr.unroll(cell, xs)
        ...     error = (net.outputs[-1] ** 2).sum()
        ...     return error + 4.0 * tr.omega(net, error).node
        >>> bool(tr.testing.gradcheck(regularized, cell))
        True
    """
    if not isinstance(net, Unrolled):
        raise TypeError(f"omega: needs an Unrolled (of tr.unroll or .unroll), got {type(net).__name__}")
    if not isinstance(error, Variable):
        raise TypeError(f"omega: the error must be a Value or Tensor, got {type(error).__name__}")
    if int(np.prod(error.shape)) != 1:
        raise ValueError(f"omega: the error must be one number, got shape {error.shape}; reduce it (.sum())")
    terms = _terms(net, error)
    if not terms:
        raise ValueError("omega: no step connects two states that the error depends on")
    return Omega(ops.add_n([term.node for term in terms]), tuple(sorted(terms, key=lambda term: term.step)))


def _terms(net: Unrolled, error: Node) -> list[Term]:
    """Walk back from the last step taken, with the cotangents of one state at a time.

    The error's own part in every state is found first, with all states as ends of the way. Then the cotangents of a
    state are those that the error gives it and those that the step after it pulls back: h and c do not mix.
    """
    states = [[x for _, x in flatten(state)] for state in net.states]
    own = pullback([error], [_one(error)], stop=frozenset(x for state in states for x in state), record=True)
    terms: list[Term] = []
    cotangents: dict[Node, Node] = {}
    for t in _backwards(net):
        previous = [x for _, x in flatten(net.previous_states[t])]
        for state in states[t]:
            parts = [g for g in (cotangents.get(state), own.pop(state, None)) if g is not None]
            if parts:
                cotangents[state] = ops.alias(parts[0] + parts[1] if len(parts) == 2 else parts[0])
        here = [(x, cotangents[x]) for x in dict.fromkeys(states[t]) if x in cotangents]
        nodes, seeds = [x for x, _ in here], [g for _, g in here]
        found = pullback(nodes, seeds, stop=frozenset(previous), record=True)
        cotangents = {x: found[x] for x in previous if x in found}
        if cotangents:
            held = frozenset((*previous, *seeds))
            terms.append(_term(t, list(cotangents.values()), seeds, held))
    return terms


def _backwards(net: Unrolled) -> list[int]:
    """Return the steps, the last one taken first."""
    start = [x for _, x in flatten(net.initial_state)]
    taken = list(range(len(net)))
    for order in (taken, taken[::-1]):
        if order and all(
            a is b for a, (_, b) in zip(start, flatten(net.previous_states[order[0]]), strict=True)
        ):
            return order[::-1]
    if not taken:
        return []
    raise ValueError(
        "omega: the two directions of a bidirectional network have no common order; take one of them"
    )


def _term(t: int, pulled: Sequence[Node], cotangents: Sequence[Node], held: frozenset[Node]) -> Term:
    """Return (||pulled|| / ||cotangents|| - 1)^2; ratios and slopes are kept from 0/0 where a norm is 0."""
    after, before = _squares(cotangents), _squares(pulled)
    reached = ops.greater(after, 0.0)
    quotient = before / ops.where(reached, after, 1.0)
    some = ops.greater(quotient, 0.0)
    ratio = ops.where(some, ops.sqrt(ops.where(some, quotient, 1.0)), 0.0)
    term = ops.where(reached, (ratio - 1.0) ** 2, 0.0)
    return Term(t, ratio, term if isinstance(term, Value) else ops.mean(term), held)


def _squares(parts: Sequence[Node]) -> Node:
    """Return the sum of squares over the parts and the units (the last axis): an entry for each row of a batch."""
    sums = [part * part if not part.shape else ops.sum(part * part, axis=-1) for part in parts]
    shapes = {x.shape for x in sums}
    if len(shapes) > 1:
        raise ValueError(f"omega: the parts of the state have different batches: {sorted(shapes)}")
    return sums[0] if len(sums) == 1 else ops.add_n(sums)


def _one(node: Node) -> Node:
    return constant(1.0) if isinstance(node, Value) else constant(np.ones(node.shape, node.dtype))


def _gradient(nodes: Sequence[tuple[Node, frozenset[Node]]], parameters: Any) -> Any:
    """Return the gradient of the sum of some nodes, each with what it holds still, in the parameters' structure."""
    leaves = leaves_of("omega", parameters)
    totals: dict[Node, Any] = {}
    for node, held in nodes:
        seed = 1.0 if isinstance(node, Value) else np.ones(node.shape, node.dtype)
        found = pullback([node], [seed], stop=held | frozenset(leaves))
        for leaf in dict.fromkeys(leaves):
            if leaf in found:
                totals[leaf] = totals[leaf] + found[leaf] if leaf in totals else found[leaf]
    return unflatten(parameters, iter([gradient_of(leaf, totals.get(leaf)) for leaf in leaves]))
