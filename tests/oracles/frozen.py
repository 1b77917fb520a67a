"""Reads the frozen vectors of tests/data; see the README.md there for their keys."""

from functools import cache
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "data"


@cache
def load(file: str) -> dict[str, np.ndarray]:
    """All arrays of ``tests/data/file.npz``."""
    with np.load(DATA / f"{file}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def case(file: str, prefix: str) -> dict[str, np.ndarray]:
    """The arrays under ``prefix/``, without it."""
    start = f"{prefix}/"
    found = {key.removeprefix(start): array for key, array in load(file).items() if key.startswith(start)}
    if not found:
        raise KeyError(f"{file}.npz has no keys under {start}")
    return found


def close(got: object, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    """Assert the same shape and, relative to the largest expected entry, at most ``tolerance`` between them."""
    got = np.asarray(got)
    assert got.shape == expected.shape
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    worst = float(np.max(np.abs(got - expected), initial=0.0))
    assert worst <= tolerance * scale, f"differs by {worst:.3g}, allowed {tolerance * scale:.3g}"
