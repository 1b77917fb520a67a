"""``first_without_twin``: where a rewritten program leaves the recorded one, found by the values themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.checking.reference import deviation
from tinygrad_rnn.plan.program import Program

CLOSE = 1e-9  # of a value's largest entry; in float32 1e-4


class Twins:
    """Finds values among those of another program. Each is known by a sum of its entries with random weights."""

    def __init__(self, others: Sequence[np.ndarray]) -> None:
        self._groups: dict[Any, list[tuple[float, int]]] = {}
        self._others = others
        for k, y in enumerate(others):
            self._groups.setdefault((y.shape, y.dtype), []).append((_mark(y), k))
        for group in self._groups.values():
            group.sort()

    def has(self, y: np.ndarray) -> bool:
        """Return whether some other value is ``y``, but for rounding."""
        group = self._groups.get((y.shape, y.dtype), [])
        close = 1e-4 if y.dtype == np.float32 else CLOSE
        limit = close * float(np.abs(y[np.isfinite(y)]).max(initial=0.0)) if y.dtype.kind == "f" else 0.0
        mark, reach = _mark(y), 2.0 * limit * max(1, y.size)
        start = bisect_left(group, (mark - reach, -1))
        for other, k in group[start:]:
            if other > mark + reach:
                break
            if deviation(self._others[k], y) <= limit:
                return True
        return False


def _mark(y: np.ndarray) -> float:
    weights = np.random.default_rng(y.size).uniform(0.5, 1.5, y.size)
    return float(np.nan_to_num(y.astype(np.float64), posinf=1.0, neginf=-1.0).ravel() @ weights)


def first_without_twin(
    program: Program, found: Sequence[np.ndarray], output: int, original: Sequence[np.ndarray]
) -> int:
    """Return the first item from which the wrong ``output`` follows by way of values that were never recorded.

    A rewrite may compute values that the recorded program does not have (a sum in another order); what follows from
    them is recorded again. The values between a fault and the output are not.
    """
    twins = Twins(original)
    first, seen, path = output, {output}, [output]
    while path:
        i = path.pop()
        first = min(first, i)
        for a in program.items[i].args:
            if a not in seen:
                seen.add(a)
                if not twins.has(found[a]):
                    path.append(a)
    return first
