"""Who checks the checker's truth? The same derivatives in mpmath, with 250 digits and without a rule for any.

A step of a cell is a plain formula F(state, x, weights). Its tangent is (F(state + e t) - F(state)) / e with e so small
that 250 digits keep it, taken at the states that the engine had: rounding in a chaotic network moves all later states,
and both sides are to differentiate at the same point.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from tests.benchmarks.agreement import Gradient, gradients, known
from tests.benchmarks.right_draws import ENTROPY, LAST, Draw, draw
from tinygrad_rnn.nn.cells import PARAMETERS
from tinygrad_rnn.testing.trial import data_of

DIGITS = 250  # a state that explodes needs a hundred for itself, and so does the step
STEP = mpmath.mpf(10) ** -100
Arrays = dict[str, Any]

exact = np.vectorize(mpmath.mpf, otypes=[object])
exp = np.vectorize(mpmath.exp, otypes=[object])
log = np.vectorize(mpmath.log, otypes=[object])
tanh = np.vectorize(mpmath.tanh, otypes=[object])
LEAVES = {
    **{f"argument 0[{i}]": name for i, name in enumerate("UWb")},
    **dict(zip((f"argument 0['{name}']" for name in PARAMETERS), "WUbd", strict=True)),
    **{"argument 2": "h", "argument 2[0]": "h", "argument 2[1]": "c"},
}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def next_state(kind: str, x: Any, s: list[Any], p: Arrays) -> list[Any]:
    """Return the parts of the state after a step, h first."""
    u, v = x @ p["W"].T + p["b"], s[0] @ p["U"].T + p["d"]
    if kind in ("tanh", "Values"):
        return [tanh(u + v)]
    if kind == "relu":
        return [np.maximum(u + v, 0)]
    if kind == "GRU":
        (a, b, c), (k, l, m) = np.split(u, 3, axis=1), np.split(v, 3, axis=1)  # noqa: E741
        z = sigmoid(b + l)
        return [(1 - z) * tanh(c + sigmoid(a + k) * m) + z * s[0]]
    i, f, g, o = np.split(u + v, 4, axis=1)
    c = sigmoid(f) * s[1] + sigmoid(i) * tanh(g)
    return [sigmoid(o) * tanh(c), c]


def loss(case: Draw, t: int, h: Any) -> Any:
    """Return what step ``t`` adds to the loss."""
    if case.losses == LAST and t < len(case.x) - 1:
        return mpmath.mpf(0)
    if case.losses != ENTROPY:
        return (h * h).sum()
    if case.kind == "Values":
        return log(1 + exp(-h)).sum()
    return log(exp(h).sum(1)).sum() - (h * case.targets[t]).sum()


def weights(case: Draw) -> Arrays:
    """Return the weights under short names, exactly."""
    if case.kind == "Values":
        u, w, b = case.cell
        return {"U": exact([[u]]), "W": exact([[w]]), "b": exact([b]), "d": exact([0.0])}
    return {
        LEAVES[f"argument 0['{name}']"]: exact(node.data)
        for name, node in case.cell.named_parameters().items()
    }


@dataclass
class Move:
    """A direction in which the weights ``p``, the inputs ``x`` and the parts of the first state go."""

    p: Arrays
    x: Any
    state: list[Any]

    @classmethod
    def along(cls, case: Draw, leaf: str, v: Any) -> "Move":
        """Return the direction ``v`` in one leaf, which is named as a ``Gradient`` names it."""
        still = {name: 0 * array for name, array in weights(case).items()}
        parts = parts_of(case.state)
        move = cls(still, 0 * exact(case.x), [0 * exact(part) for part in parts])
        if leaf.startswith("x_"):
            move.x[int(leaf[2:])] = exact(v)
        elif LEAVES[leaf] in "hc":
            move.state["hc".index(LEAVES[leaf])][:] = exact(v)
        else:
            move.p[LEAVES[leaf]][:] = exact(v)
        return move


def derivative(case: Draw, move: Move) -> Any:
    """Return the derivative of the loss along ``move``, exactly."""
    p, x, ds = weights(case), exact(case.x), move.state
    shape = (*case.x.shape[1:2], -1)
    net = case.network(*case.args)
    states = [[exact(part).reshape(shape) for part in parts_of(s)] for s in (net.initial_state, *net.states)]
    total = mpmath.mpf(0)
    for t, (s, (h, *_)) in enumerate(itertools.pairwise(states)):
        e = small((*ds, move.x[t], *move.p.values()))
        if e is None:
            continue
        q = {name: array + e * move.p[name] for name, array in p.items()}
        beside = next_state(
            case.kind, x[t] + e * move.x[t], [a + e * d for a, d in zip(s, ds, strict=True)], q
        )
        here = next_state(case.kind, x[t], s, p)
        ds = [(a - b) / e for a, b in zip(beside, here, strict=True)]
        e = small(ds[:1])
        total += 0 if e is None else (loss(case, t, h + e * ds[0]) - loss(case, t, h)) / e
    return total


def small(arrays: Sequence[Any]) -> Any:
    """Return a step that is small beside the entries, None where all are 0."""
    size = max(abs(d) for array in arrays for d in array.flat)
    return STEP / size if size else None


def parts_of(state: Any) -> list[Any]:
    """Return the numbers of a state, part by part."""
    return [data_of(part) for part in (state if isinstance(state, tuple) else (state,))]


@dataclass(frozen=True)
class Proof:
    """One directional derivative: its exact value, and the relative errors of the truth and of the engine."""

    size: float
    of_truth: float
    of_engine: float


def proof(case: Draw, gradient: Gradient, rng: np.random.Generator) -> Proof:
    """Return how far both sides are from the third, along a direction in which no two entries cancel."""
    v = np.where(gradient.expected < 0, -1.0, 1.0) * rng.uniform(0.5, 1.5, np.shape(gradient.expected))
    with mpmath.workdps(DIGITS):
        right = derivative(case, Move.along(case, gradient.leaf, v))
        truth, engine = (np.sum(exact(side) * exact(v)) for side in (gradient.expected, gradient.got))
        errors = [float(abs(side - right) / abs(right)) for side in (truth, engine)]
        return Proof(float(abs(right)), *errors)


def proofs(draws: int, seed: int = 1, each: int = 3) -> list[Proof]:
    """Return the proofs of a few gradients of each of many draws: of the smallest, and of others.

    Half of the networks are long, so that the smallest are very small.
    """
    found = []
    for k in range(draws):
        rng = np.random.default_rng([seed, k])
        case = draw(rng, long=1 / 2)
        smallest_first = sorted(known(gradients(case)), key=lambda g: g.size)
        others = 1 + rng.permutation(len(smallest_first[1:]))[: each - 1]
        found += [proof(case, g, rng) for g in (*smallest_first[:1], *(smallest_first[i] for i in others))]
    return found


def summary(found: Sequence[Proof]) -> str:
    """Return the largest errors as text."""
    truth, engine = [p.of_truth for p in found], [p.of_engine for p in found]
    small = sum(p.size < 1e-100 for p in found)
    return (
        f"mpmath, {DIGITS} digits, no rules: {len(found)} directional derivatives, {small} of them below 1e-100\n"
        f"  the truth is off by at most {max(truth):.2g}, median {np.median(truth):.2g}; "
        f"the engine by {max(engine):.2g}, median {np.median(engine):.2g}"
    )
