"""Initial weights, each drawn from the Generator that is passed in.

Every function returns a float64 ndarray; assign it to a leaf, which casts it to its own dtype::

    cell.weight_hh.data = orthogonal(rng, (hidden, hidden))
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_rnn.core import arguments as check


def uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> np.ndarray:
    """Return numbers drawn uniformly from [-bound, bound).

    PyTorch's default for every weight and bias of a recurrent cell has bound = 1/sqrt(hidden_size), and for a
    linear layer 1/sqrt(in_features).
    """
    check.generator("uniform: rng", rng)
    check.number("uniform: bound", bound, 0.0)
    return rng.uniform(-bound, bound, size=check.extent("uniform: shape", shape))


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return a matrix (out, in) drawn uniformly within gain * sqrt(6 / (in + out)).

    Source: Glorot and Bengio (2010), eq. 16: activations and gradients keep their variance.
    """
    who = "xavier_uniform"
    check.generator(f"{who}: rng", rng)
    return uniform(rng, shape, check.number(f"{who}: gain", gain, 0.0) * math.sqrt(6 / _fans(who, shape)))


def xavier_normal(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return a normal matrix (out, in) with standard deviation gain * sqrt(2 / (in + out)).

    Source: Glorot and Bengio (2010), eq. 12.
    """
    who = "xavier_normal"
    check.generator(f"{who}: rng", rng)
    deviation = check.number(f"{who}: gain", gain, 0.0) * math.sqrt(2 / _fans(who, shape))
    return rng.normal(scale=deviation, size=shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], gain: float = 1.0) -> np.ndarray:
    """Return gain times a random matrix with orthonormal rows, or columns where those are fewer.

    The QR decomposition of a normal matrix, with R's diagonal made positive: uniform over all such matrices
    (Mezzadri 2007). All its singular values are ``gain``, so that with gain 1 a linear recurrence neither
    shrinks nor blows up a gradient (Saxe, McClelland and Ganguli 2014).
    """
    check.generator("orthogonal: rng", rng)
    check.number("orthogonal: gain", gain)
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
    return check.number("identity: scale", scale) * np.eye(*_matrix("identity", shape))


def sparse(
    rng: np.random.Generator, shape: tuple[int, int], nonzeros: int = 15, scale: float = 1.0
) -> np.ndarray:
    """Return a matrix (out, in) each of whose rows has ``nonzeros`` normal entries, of deviation ``scale``.

    The rest is 0. A row with fewer columns than ``nonzeros`` is full. Source: Martens (2010), section 5.
    """
    check.generator("sparse: rng", rng)
    check.number("sparse: scale", scale, 0.0)
    rows, columns = _matrix("sparse", shape)
    weights = np.zeros((rows, columns))
    count = min(check.whole("sparse: nonzeros", nonzeros, 0), columns)
    for row in weights:
        row[rng.choice(columns, size=count, replace=False)] = rng.normal(scale=scale, size=count)
    return weights


def _matrix(who: str, shape: tuple[int, ...]) -> tuple[int, int]:
    sides = check.extent(f"{who}: shape", shape)
    if len(sides) != 2:
        raise ValueError(f"{who}: shape must be (out, in), got {shape}")
    return sides[0], sides[1]


def _fans(who: str, shape: tuple[int, ...]) -> int:
    return max(1, sum(_matrix(who, shape)))
