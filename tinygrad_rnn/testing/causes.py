"""Why a hand-written backward pass departs: the mistake that, made on purpose, gives the same wrong numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.testing import hints
from tinygrad_rnn.testing.handwritten import NO_STEP, Entry
from tinygrad_rnn.testing.mistakes import Mistake, mistakes
from tinygrad_rnn.testing.slips import slips
from tinygrad_rnn.testing.tape import Cotangents, Edit, Tape

_REPRODUCES = 1e-6


def expected_of(entry: Entry, found: Cotangents) -> Any:
    """Return the right array in the place of an entry."""
    source = found.carried if entry.carried else found
    return np.asarray(source.get(entry.node, np.zeros(entry.node.shape)), dtype=float)


@dataclass(frozen=True, slots=True)
class Cause:
    """A likely mistake.

    Attributes:
        text: what it is, ``""`` where none fits.
        certain: whether making it gives every array under test.
        at: a node that it is made at, where it is made at one place of a step.
    """

    text: str = ""
    certain: bool = False
    at: Node | None = None


def cause_of(tape: Tape, under_test: list[Entry], wrong: list[Entry], found: Cotangents) -> Cause:
    """Return the likely mistake.

    Args:
        tape: the recorded loss.
        under_test: all arrays.
        wrong: those that depart, in the order of a backward pass.
        found: the right cotangents.
    """
    simple = (
        _backwards(under_test, found)
        or _constant_factor(wrong, under_test, found, tape)
        or _clipped_after(wrong, found)
    )
    if simple:
        return Cause(simple, True)
    best: tuple[int, Mistake | None] = (0, None)
    for mistake in mistakes(tape, _limits(tape, wrong[0], found)):
        score = _score(tape, mistake, under_test, wrong)
        if score == len(under_test):
            return Cause(mistake.cause, True, mistake.at)
        best = max(best, (score, mistake), key=lambda pair: pair[0])
    local = _hint(tape, wrong[0], found)
    if not local or len(wrong) > 1:
        for slip in slips(tape):
            if _score(tape, slip, under_test, wrong) == len(under_test):
                return Cause(slip.cause, True, slip.at)
    alone = all(e.t == NO_STEP for e in wrong)
    if best[1] is None or (local and (alone or len(wrong) == 1)):
        return Cause(local)
    return Cause(best[1].cause, False, best[1].at)


def _score(tape: Tape, mistake: Mistake, under_test: list[Entry], wrong: list[Entry]) -> int:
    """Return how many of the arrays a mistake gives, 0 where not even the first that departs."""
    try:
        made = tape.backward(mistake.edit)
    except Exception:  # a mistake that cannot be made on this network
        return 0
    return sum(_same(e, made) for e in under_test) if _same(wrong[0], made) else 0


def _limits(tape: Tape, first: Entry, found: Cotangents) -> list[float]:
    """Return the magnitudes at which the first array that departs may have been clipped, or what is carried to it."""
    if first.t == NO_STEP or np.shape(first.got) != first.node.shape:
        return []

    def edge(node: Node, parent: Node, c: Any) -> Any:
        return None if parent is first.node and tape.crosses(node, parent) else c

    rest = 0.0 if first.carried else expected_of(first, tape.backward(Edit(edge=edge)))
    limit = hints.clipped_at(expected_of(first, found) - rest, first.got - rest)
    return [float(np.max(np.abs(first.got), initial=0.0)), *([] if limit is None else [limit])]


def _backwards(under_test: list[Entry], found: Cotangents) -> str:
    """Return a sentence if the lists over time agree when they are read from their ends."""
    names = dict.fromkeys(e.name for e in under_test if e.t != NO_STEP)
    turned = []
    for name in names:
        entries = sorted((e for e in under_test if e.name == name and e.t != NO_STEP), key=lambda e: e.t)
        pairs = list(zip(entries, reversed(entries), strict=True))
        if all(_same(e, found) for e in entries) or not all(
            _same(replace(e, got=r.got), found) for e, r in pairs
        ):
            continue
        turned.append(name)
    right = all(e.name in turned or _same(e, found) for e in under_test)
    said = f"backwards in time: the first item of {' and of '.join(turned)} is to be that of t=0"
    return said if turned and right else ""


def _clipped_after(wrong: list[Entry], found: Cotangents) -> str:
    """Return a sentence if the parameters' gradients are the right ones, clipped."""
    limit = max(float(np.max(np.abs(e.got), initial=0.0)) for e in wrong)
    clipped = all(hints.alike(e.got, np.clip(expected_of(e, found), -limit, limit)) for e in wrong)
    many = sum(int(np.size(e.got)) for e in wrong) > 1
    if not limit or not clipped or not many or any(e.t != NO_STEP for e in wrong):
        return ""
    return (
        f"clipped at {limit:.6g} after the loop: hand over what they were before that, nothing else is wrong"
    )


def _same(entry: Entry, made: Cotangents) -> bool:
    expected = expected_of(entry, made)
    if np.shape(expected) != np.shape(entry.got):
        return False
    scale = float(np.max(np.abs(expected), initial=0.0))
    return bool(np.max(np.abs(expected - entry.got), initial=0.0) <= _REPRODUCES * scale)


def _sizes(tape: Tape) -> dict[str, int]:
    steps = tape.last + 1
    state = tape.at("h", tape.last)
    batch = state.shape[0] if state is not None and len(state.shape) > 1 else 1
    return {"T": steps, "batch": batch, "T * batch": steps * batch}


def _constant_factor(wrong: list[Entry], under_test: list[Entry], found: Cotangents, tape: Tape) -> str:
    """Return the sentence on one factor that all arrays are off by, ``""`` where there is none."""
    ratios = []
    for entry in under_test:
        expected = expected_of(entry, found)
        if np.shape(expected) != np.shape(entry.got) or not np.any(expected):
            continue
        k = float(np.sum(entry.got * expected) / np.sum(expected * expected))
        if not k or not hints.alike(entry.got, k * expected):
            return ""
        ratios.append(k)
    if len(wrong) < len(ratios) or not ratios or max(ratios) - min(ratios) > 1e-6 * abs(ratios[0]):
        return ""
    if len(ratios) == 1 and hints.nice(ratios[0]) is None:
        return ""
    return hints.hint(np.array([3.0, 5.0]), ratios[0] * np.array([3.0, 5.0]), sizes=_sizes(tape))


def factor_of(mine: float, right: float, tape: Tape) -> str:
    """Return what the ratio of two losses tells, in brackets; ``""`` where that is nothing."""
    text = hints.hint(np.array([right, 2 * right]), np.array([mine, 2 * mine]), sizes=_sizes(tape))
    return f" ({text})" if "=" in text else ""


def _hint(tape: Tape, entry: Entry, found: Cotangents) -> str:
    expected = expected_of(entry, found)
    if entry.t != NO_STEP:
        return hints.hint(expected, entry.got, sizes=_sizes(tape), of=entry.name)
    axis = _wrong_axis(tape, entry, found)
    if axis:
        return axis
    parts = tape.parts(entry.node, found)
    if not np.any(entry.got) and np.shape(entry.got) == np.shape(expected) and "b" in entry.name.lower():
        return f"{entry.name} is zero: the bias is forgotten"
    return hints.hint(expected, entry.got, parts=parts, sizes=_sizes(tape), of=entry.name)


def _wrong_axis(tape: Tape, entry: Entry, found: Cotangents) -> str:
    """Return a sentence if the cotangents of a broadcast parameter were summed over another axis."""
    users = [node for node in tape.graph if node in found and any(p is entry.node for p in node.parents)]
    arrays = [np.asarray(found[node]) for node in users if np.ndim(found[node]) > np.ndim(entry.node._data)]
    if len(arrays) != len(users) or not arrays or len({a.shape for a in arrays}) != 1:
        return ""
    total = np.sum(arrays, axis=0)
    for axis in range(total.ndim):
        summed = total.sum(axis)
        if (
            summed.shape == entry.got.shape
            and hints.alike(entry.got, summed)
            and not hints.alike(summed, expected_of(entry, found))
        ):
            return f"summed over the wrong axis: over axis {axis} of {total.shape}, which is not the batch"
    return ""
