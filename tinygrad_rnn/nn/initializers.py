"""Initial weights, each drawn from the Generator that is passed in.

Every function returns a float64 ndarray; assign it to a leaf, which casts it to its own dtype::

    cell.weight_hh.data = orthogonal(rng, (hidden, hidden))
"""

from __future__ import annotations

import math

import numpy as np


def uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> np.ndarray:
    """Return numbers drawn uniformly from [-bound, bound).

    PyTorch's default for every weight and bias of a recurrent cell has bound = 1/sqrt(hidden_size), and for a
    linear layer 1/sqrt(in_features).
    """
    if not bound >= 0:
        raise ValueError(f"uniform: bound must be at least 0, got {bound}")
    return rng.uniform(-bound, bound, size=shape)


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return a matrix (out, in) drawn uniformly within gain * sqrt(6 / (in + out)).

    Source: Glorot and Bengio (2010), eq. 16: activations and gradients keep their variance.
    """
    return uniform(rng, shape, gain * math.sqrt(6 / _fans("xavier_uniform", shape)))


def xavier_normal(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return a normal matrix (out, in) with standard deviation gain * sqrt(2 / (in + out)).

    Source: Glorot and Bengio (2010), eq. 12.
    """
    return rng.normal(scale=gain * math.sqrt(2 / _fans("xavier_normal", shape)), size=shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return gain times a random matrix with orthonormal rows, or columns where those are fewer.

    The QR decomposition of a normal matrix, with R's diagonal made positive: uniform over all such matrices
    (Mezzadri 2007). All its singular values are ``gain``, so that with gain 1 a linear recurrence neither
    shrinks nor blows up a gradient (Saxe, McClelland and Ganguli 2014).
    """
    rows, columns = _matrix("orthogonal", shape)
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return gain * (q if rows >= columns else q.T)


def identity(shape: tuple[int, int], scale: float = 1.0) -> np.ndarray:
    """Return ``scale`` on the main diagonal and 0 elsewhere.

    With relu and zero biases this is the recurrent matrix of an IRNN (Le, Jaitly and Hinton 2015): a unit
    without input keeps its value for ever.

    Example:
        >>> identity((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return scale * np.eye(*_matrix("identity", shape))


def sparse(
    rng: np.random.Generator, shape: tuple[int, int], nonzeros: int = 15, scale: float = 1.0
) -> np.ndarray:
    """Return a matrix (out, in) each of whose rows has ``nonzeros`` normal entries, of deviation ``scale``.

    The rest is 0. A row with fewer columns than ``nonzeros`` is full. Source: Martens (2010), section 5.
    """
    rows, columns = _matrix("sparse", shape)
    if nonzeros < 0:
        raise ValueError(f"sparse: nonzeros must be at least 0, got {nonzeros}")
    weights = np.zeros((rows, columns))
    count = min(nonzeros, columns)
    for row in weights:
        row[rng.choice(columns, size=count, replace=False)] = rng.normal(scale=scale, size=count)
    return weights


def _matrix(who: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"{who}: shape must be (out, in), got {shape}")
    return shape[0], shape[1]


def _fans(who: str, shape: tuple[int, ...]) -> int:
    return max(1, sum(_matrix(who, shape)))
