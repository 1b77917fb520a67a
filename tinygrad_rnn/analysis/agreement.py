"""How far one gradient is from another: the angle between them and the relative error."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.tree import flatten


def vector(gradient: Any) -> Any:
    """Return all entries of a nested gradient as one float64 vector, in the order of its structure.

    Example:
        >>> import numpy as np
        >>> vector({"w": np.array([[1.0, 2.0]]), "b": 3.0}).tolist()
        [1.0, 2.0, 3.0]
    """
    parts = [np.ravel(np.asarray(part, dtype=np.float64)) for _, part in flatten(gradient)]
    return np.concatenate(parts) if parts else np.zeros(0)


def cosine(estimate: Any, exact: Any) -> float:
    """Return the cosine of the angle between two gradients of one structure; nan where one of them is zero.

    Raises:
        ValueError: the structures hold different shapes.
    """
    a, b = _pair(estimate, exact)
    a, b = a / (_largest(a) or 1.0), b / (_largest(b) or 1.0)  # squares of tiny entries would underflow
    sizes = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / sizes, -1.0, 1.0)) if sizes else float("nan")


def relative_error(estimate: Any, exact: Any) -> float:
    """Return ||estimate - exact|| / ||exact||: 0 for equal gradients, inf for an error where the exact one is zero.

    Raises:
        ValueError: the structures hold different shapes.
    """
    a, b = _pair(estimate, exact)
    unit = max(_largest(a), _largest(b)) or 1.0
    error, size = float(np.linalg.norm((a - b) / unit)), float(np.linalg.norm(b / unit))
    if size:
        return error / size
    return float("inf") if error else 0.0


def _pair(estimate: Any, exact: Any) -> tuple[Any, Any]:
    shapes = [[np.shape(part) for _, part in flatten(gradient)] for gradient in (estimate, exact)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"two gradients to compare must have the same shapes, got {shapes[0]} and {shapes[1]}"
        )
    return vector(estimate), vector(exact)


def _largest(entries: Any) -> float:
    return float(np.max(np.abs(entries), initial=0.0))
