"""Wrong rules, found one by one: each node's operation is differentiated alone and held against its own complex step.

A rule that is right alone and wrong in the whole does not exist: what is left, when every rule is right, is what lies
between them (an accumulation, a hook, a number that left the graph). So nothing is blamed that only passes a
fault on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import local_vjp
from tinygrad_rnn.core.graph import Graph, Node, recording
from tinygrad_rnn.core.op import CONSTANT, LEAF
from tinygrad_rnn.nn.places import place_of
from tinygrad_rnn.testing import hints
from tinygrad_rnn.testing.comparison import SCALE
from tinygrad_rnn.testing.findings import Fault, Mismatch
from tinygrad_rnn.testing.recorded import RecordedComparison
from tinygrad_rnn.testing.trial import same_data
from tinygrad_rnn.testing.truth import OURS, ForwardTruth

TOLERANCE = 1e-10
_SUSPECT = 2e-14  # of the sum of all terms: a projection this far off is looked into


def faults_of(graph: Graph, rng: np.random.Generator, most: int | None = None) -> list[Fault]:
    """Return the nodes of ``graph`` whose own rules are wrong, in topological order.

    Args:
        graph: what was recorded.
        rng: draws the directions.
        most: stop after so many.
    """
    found: list[Fault] = []
    for index, node in enumerate(graph):
        if node.op is None or not node.parents or node.dtype.kind != "f" or not _reached(node):
            continue
        fault = _fault(index, node, rng)
        found += [] if fault is None else [fault]
        if len(found) == most:
            break
    return found


def _fault(index: int, node: Node, rng: np.random.Generator) -> Fault | None:
    def fault(what: str, argument: str = "", hint: str = "", mismatch: Mismatch | None = None) -> Fault:
        scope = node._scope
        step = place_of(scope).step
        return Fault(node.op.name, node.name, step, scope, index, argument, what, hint, mismatch=mismatch)

    if not node._call.active:
        return fault("it has no derivative rule at all, and its argument is differentiable")
    with np.errstate(all="ignore"):
        try:
            twin, leaves, slots = _alone(node)
        except Exception as error:  # an operation of anyone's
            return fault(f"its forward raised {type(error).__name__} when run again: {error}")
        if not same_data(np.asarray(twin._data), np.asarray(node._data)):
            return fault("its forward gives another value when it is run again")
        if not leaves or not _suspicious(twin, leaves, rng):
            return None
        paths = tuple(f"argument {i}" for i in slots)
        check = RecordedComparison(leaves, paths, [("result", twin)], TOLERANCE, rng)
        try:
            check.pull()
        except Exception as error:
            return fault(
                f"its rule raised {type(error).__name__}: {error}", hint=_shape_hint(check, twin, slots)
            )
        try:
            mismatch = check.worst()
        except Exception:  # not defined beside the point: nothing can be said
            return None
        if check.doubts() or (mismatch is not None and not np.isfinite(mismatch.expected)):
            return None
        if mismatch is not None:
            return fault(str(mismatch), mismatch.argument, _hint(check, mismatch), mismatch)
        return fault(check.problems[0]) if check.problems else None


def _reached(node: Node) -> bool:
    """Return whether ``node`` should have a rule: ours where one exists, a user's where a leaf stands behind it."""
    if node.op in OURS:
        return bool(node._call.active and node.op.name != "detach")
    return any(parent._call.active for parent in node.parents)


def _alone(node: Node) -> tuple[Node, list[Node], list[int]]:
    """Return the node's operation on fresh copies of its arguments, the differentiable copies, and their slots."""
    twins, slots = [], []
    for i, parent in enumerate(node.parents):
        active = parent._call.active and parent.dtype.kind == "f"
        twins.append(parent._new(parent._data, LEAF if active else CONSTANT))
        slots += [i] if active else []
    with recording(on=True, scope=(), transforms=("gradcheck",)):
        result = twins[0]._apply(node.op, tuple(twins), node.params)
    return result, [twins[i] for i in slots], slots


def _suspicious(twin: Node, leaves: Sequence[Node], rng: np.random.Generator) -> bool:
    """Return whether one random projection of the rule differs from the truth at all, or cannot tell."""
    g = rng.standard_normal(twin.shape)
    truth = ForwardTruth([twin])
    seed = twin._seed(g if twin.shape else float(g))
    if isinstance(seed, np.ndarray):
        seed.flags.writeable = False  # as it is in a backward pass
    try:
        pulled = dict(zip(twin.parents, local_vjp(twin, seed), strict=True))
        if not _linear(twin, g, pulled):
            return True
        for leaf in leaves:
            v = rng.standard_normal(leaf.shape)
            tangent = truth.push({leaf: v[None]}).get(twin, np.zeros((1, *twin.shape)))[0]
            c = pulled.get(leaf)
            expected, got = g * tangent, 0.0 * v if c is None else np.asarray(c) * v
            size = float(np.sum(np.abs(expected)) + np.sum(np.abs(got)))
            if not abs(float(np.sum(expected) - np.sum(got))) <= _SUSPECT * size:
                return True
    except Exception:  # a rule of anyone's; the full comparison says what is wrong
        return True
    return bool(truth.differenced)


def _linear(twin: Node, g: Any, pulled: dict[Node, Any]) -> bool:
    scaled = twin._local_vjp(SCALE * g if twin.shape else SCALE * float(g))
    pairs = [(pulled[p], c) for p, c in zip(twin.parents, scaled, strict=True)]
    return all(
        (a is None) == (b is None) and (a is None or np.array_equal(SCALE * np.asarray(a), b, equal_nan=True))
        for a, b in pairs
    )


def _shape_hint(check: RecordedComparison, twin: Node, slots: Sequence[int]) -> str:
    """Return what the shape of an opaque rule's cotangent tells, ``""`` where it has the right one."""
    if twin.op.vjp is None:
        return ""
    row = check.rng.standard_normal(twin.shape)
    try:
        args = [np.asarray(p._data) for p in twin.parents]
        found = twin.op.vjp(row, np.asarray(twin._data), *args, **twin.params)
        found = found if isinstance(found, (tuple, list)) else (found,)
        for leaf, i in enumerate(slots):
            if found[i] is not None and np.shape(found[i]) != args[i].shape:
                expected = check.expected(0, row, leaf)
                return "" if expected is None else hints.hint(expected, found[i])
    except Exception:  # what it raised is told already
        return ""
    return ""


def _hint(check: RecordedComparison, mismatch: Mismatch) -> str:
    """Return the kind of mistake, judged by the gradient of a random mix of all entries of the result."""
    leaf = next(i for i, (path, _) in enumerate(check.inputs) if path == mismatch.argument)
    row = check.mixed(0)
    pair = check.of_output(0, row, leaf)
    if pair is None:
        return ""
    if hints.alike(pair[1], row):
        return "the cotangent is passed on as it is: the derivative is missing"
    return hints.hint(*pair, of=mismatch.argument) or check.hint(mismatch)
