"""Which entries of a Jacobian are looked at: all of them, or random signed directions and single entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FULL = 4096
DIRECTIONS = 8
COORDINATES = 32


@dataclass(frozen=True, slots=True)
class Probe:
    """Directions in one argument or output.

    Attributes:
        number: which leaf of the arguments (or of the outputs) moves.
        rows: (K, *shape) of that leaf, K directions.
    """

    number: int
    rows: Any

    def __len__(self) -> int:
        return len(self.rows)


def complete(shapes: Sequence[tuple[int, ...]]) -> list[Probe]:
    """Return every unit direction of every leaf."""
    return [Probe(i, _units(shape)) for i, shape in enumerate(shapes)]


def drawn(shapes: Sequence[tuple[int, ...]], rng: np.random.Generator, *, coordinates: bool) -> list[Probe]:
    """Return signed Gaussian directions of every leaf, with ``coordinates`` unit directions too; all of a small one."""
    many = max(1, min(DIRECTIONS, 8 * DIRECTIONS // max(1, len(shapes))))
    single = max(1, COORDINATES // max(1, len(shapes))) if coordinates else 0
    probes = []
    for i, shape in enumerate(shapes):
        size = int(np.prod(shape))
        if size <= many:
            probes.append(Probe(i, _units(shape)))
            continue
        rows = rng.standard_normal((many, *shape))
        picked = rng.choice(size, min(single, size), replace=False)
        units = np.zeros((len(picked), size))
        units[np.arange(len(picked)), picked] = 1.0
        probes.append(Probe(i, np.concatenate([rows, units.reshape(-1, *shape)])))
    return probes


def _units(shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    return np.eye(size).reshape(size, *shape)


def unit_of(row: Any) -> tuple[int, ...] | None:
    """Return the index of the only entry of a unit direction, None of any other direction."""
    places = np.flatnonzero(row)
    if len(places) == 1 and np.ravel(row)[places[0]] == 1.0:
        return tuple(int(i) for i in np.unravel_index(places[0], np.shape(row)))
    return None


def narrowed(row: Any, error: Any) -> Any:
    """Return a unit direction on which ``error`` (a function of directions) stays large, found by halving ``row``.

    ``error`` is linear but for its sign, so at least one half of a direction that shows a fault shows it too.
    """
    places = np.flatnonzero(row)
    while len(places) > 1:
        halves = (places[: len(places) // 2], places[len(places) // 2 :])
        places = max(halves, key=lambda half: error(_masked(row, half)))
    unit = np.zeros(np.size(row))
    unit[places] = 1.0
    return unit.reshape(np.shape(row))


def _masked(row: Any, places: Any) -> Any:
    kept = np.zeros(np.size(row))
    kept[places] = np.ravel(row)[places]
    return kept.reshape(np.shape(row))
