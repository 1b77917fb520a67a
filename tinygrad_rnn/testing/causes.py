"""Why a hand-written backward pass departs: the mistake that, made on purpose, gives the same wrong numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.testing import hints
from tinygrad_rnn.testing.handwritten import NO_STEP, Entry
from tinygrad_rnn.testing.mistakes import mistakes
from tinygrad_rnn.testing.tape import Cotangents, Tape

_REPRODUCES = 1e-6


def expected_of(entry: Entry, found: Cotangents) -> Any:
    """Return the right array in the place of an entry."""
    return np.asarray(found.get(entry.node, np.zeros(entry.node.shape)), dtype=float)


def cause_of(tape: Tape, under_test: list[Entry], wrong: list[Entry], found: Cotangents) -> tuple[str, bool]:
    """Return the likely mistake, and whether making it gives every array under test.

    Args:
        tape: the recorded loss.
        under_test: all arrays.
        wrong: those that depart, in the order of a backward pass.
        found: the right cotangents.
    """
    simple = _constant_factor(wrong, under_test, found, tape)
    if simple:
        return simple, True
    best: tuple[int, str] = (0, "")
    magnitudes = [float(np.max(np.abs(e.got), initial=0.0)) for e in wrong if e.t != NO_STEP]
    for mistake in mistakes(tape, magnitudes):
        try:
            made = tape.backward(mistake.edit)
        except Exception:  # a mistake that cannot be made on this network
            continue
        if not _same(wrong[0], made):
            continue
        if all(_same(e, made) for e in under_test):
            return mistake.cause, True
        score = sum(_same(e, made) for e in under_test)
        best = max(best, (score, mistake.cause), key=lambda pair: pair[0])
    local = _hint(tape, wrong[0], found)
    alone = len(wrong) == 1 or all(e.t == NO_STEP for e in wrong)
    if local and (alone or not best[1]):
        return local, False
    return best[1] or local, False


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
