"""Seeded faults in operations, accumulation and losses: right forward functions with one mistake in the backward.

Each is a pair of plain numpy functions, so that every checker can be given the very same fault: ``forward(*args)``
returns one array, ``backward(g, *args)`` a gradient for each argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Seeded:
    """A fault: what it is, the pair of functions, and how to draw arguments."""

    name: str
    category: str
    forward: Callable[..., Any]
    backward: Callable[..., Args]
    draw: Callable[[np.random.Generator], Args]


def normal(*shapes: tuple[int, ...], scale: float = 1.0) -> Callable[[np.random.Generator], Args]:
    return lambda rng: tuple(scale * rng.normal(size=shape) for shape in shapes)


def positive(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Args]:
    return lambda rng: tuple(rng.uniform(0.3, 2.0, size=shape) for shape in shapes)


def apart(shape: tuple[int, ...]) -> Callable[[np.random.Generator], Args]:
    """Entries that keep away from each other and from 0."""
    size = int(np.prod(shape))
    return lambda rng: ((rng.permutation(size) + 1.0 - 0.53 * size).reshape(shape) * 0.3,)


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(np.real(x), axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def tanh_off(factor: float) -> Callable[..., Args]:
    return lambda g, x: (factor * g * (1 - np.tanh(x) ** 2),)


def zeroed(g: Any, x: Any) -> Args:
    d = np.full(x.shape, g)
    d[137] = 0.0
    return (d,)


ORDER = np.random.default_rng(5).permutation(300)
SWAPPED = np.argsort(ORDER)
SWAPPED[[17, 230]] = SWAPPED[[230, 17]]
TAKEN = np.array([0, 2, 2, 1, 2])


def overwritten_rows(g: Any, x: Any) -> Args:
    d = np.zeros_like(x)
    d[TAKEN] = g
    return (d,)


def averaged_rows(g: Any, x: Any) -> Args:
    count = np.bincount(TAKEN, minlength=len(x))
    total = np.zeros_like(x)
    np.add.at(total, TAKEN, g)
    return (total / np.maximum(count, 1)[:, None],)


V, M = (5,), (3, 4)
OPERATIONS = [
    ("tanh' off by 5e-4", np.tanh, tanh_off(1 + 5e-4), normal(M)),
    ("tanh' off by 1e-5", np.tanh, tanh_off(1 + 1e-5), normal(M)),
    ("tanh' off by 5e-7", np.tanh, tanh_off(1 + 5e-7), normal(M)),
    ("1e-6 x², the 2 missing", lambda x: 1e-6 * x * x, lambda g, x: (1e-6 * g * x,), normal(M)),
    ("1e-7 tanh, sign lost", lambda x: 1e-7 * np.tanh(x), lambda g, x: (-1e-7 * g * (1 - np.tanh(x) ** 2),), normal(M)),
    ("saturated tanh gives 0", lambda x: np.tanh(8 + 0.1 * x),
     lambda g, x: (0.1 * g * np.where(np.abs(np.tanh(8 + 0.1 * x)) > 0.99999, 0.0, 1.0),), normal(V)),
    ("sum of 600, one entry zeroed", lambda x: x.sum(), zeroed, normal((600,))),
    ("1e6 x, slope off by 3", lambda x: 1e6 * x, lambda g, x: ((1e6 + 3.0) * g,), normal(V)),
    ("permutation of 300, two swapped", lambda x: x[ORDER], lambda g, x: (g[SWAPPED],), normal((300,))),
    ("softmax without its sum", softmax, lambda g, x: (g * softmax(x),), normal(V)),
    ("x @ W, W not transposed", lambda x, W: x @ W, lambda g, x, W: (g @ W, x.T @ g), normal((2, 3), (3, 3))),
    ("x @ W, weight from the wrong side", lambda x, W: x @ W, lambda g, x, W: (g @ W.T, (x.T @ g).T),
     normal((2, 3), (3, 3))),
    ("relu with a leak", lambda x: x * (np.real(x) > 0), lambda g, x: (g * np.where(x > 0, 1.0, 0.01),), apart(M)),
    ("division, sign of the second", lambda a, b: a / b, lambda g, a, b: (g / b, g * a / b**2), positive(M, M)),
    ("product, factors swapped", lambda a, b: a * b, lambda g, a, b: (g * a, g * b), normal(M, M)),
    ("max to the smallest", lambda x: x[np.argmax(np.real(x))], lambda g, x: (g * (x == x.min()),), apart(V)),
    ("logsumexp as mean", lambda x: np.log(np.sum(np.exp(x))), lambda g, x: (np.full(x.shape, g / len(x)),), normal(V)),
    ("mean without 1/n", lambda x: x.mean(), lambda g, x: (np.full(x.shape, g),), normal(V)),
    ("bias from the first row only", lambda x, b: x + b, lambda g, x, b: (g, g[0]), normal(M, (4,))),
    ("tanh wrong where x < -1", np.tanh, lambda g, x: (g * np.where(x < -1, 1.0, 1 - np.tanh(x) ** 2),), apart(M)),
]  # fmt: skip

ACCUMULATION = [
    ("x² counted once", lambda x: x * x, lambda g, x: (g * x,), normal(M)),
    ("second use overwrites the first", lambda x: np.sin(x) + np.tanh(x),
     lambda g, x: (g * (1 - np.tanh(x) ** 2),), normal(M)),
    ("third of three uses missing", lambda x: x + 2 * np.sin(x) + x**3,
     lambda g, x: (g * (1 + 2 * np.cos(x)),), normal(M)),
    ("diamond, one side doubled", lambda x: np.exp(x) * np.sin(x),
     lambda g, x: (2 * g * np.exp(x) * np.sin(x),), normal(M)),
    ("residual without its skip", lambda x, W: x + np.tanh(x @ W),
     lambda g, x, W: ((g * (1 - np.tanh(x @ W) ** 2)) @ W.T, x.T @ (g * (1 - np.tanh(x @ W) ** 2))),
     normal((2, 3), (3, 3))),
    ("tied weight, second layer only", lambda x, W: np.tanh(x @ W) @ W,
     lambda g, x, W: ((g @ W.T * (1 - np.tanh(x @ W) ** 2)) @ W.T, np.tanh(x @ W).T @ g), normal((2, 3), (3, 3))),
    ("rows taken twice, overwritten", lambda x: x[TAKEN], overwritten_rows, normal((4, 2))),
    ("embedding averaged, not summed", lambda x: x[TAKEN], averaged_rows, normal((4, 2))),
]  # fmt: skip

CLASSES = np.array([2, 0, 1])
HOT = np.eye(4)[CLASSES]
MASK = np.array([True, False, True])
GOAL = np.random.default_rng(9).normal(size=M)
BITS = (GOAL > 0).astype(float)


def cross_entropy(x: Any, mask: Any = None) -> Any:
    losses = -np.log(softmax(x)[np.arange(3), CLASSES])
    return losses.mean() if mask is None else losses[mask].mean()


LOSSES = [
    ("cross-entropy without 1/N", cross_entropy, lambda g, x: (g * (softmax(x) - HOT),), normal(M)),
    ("cross-entropy without the target", cross_entropy, lambda g, x: (g * softmax(x) / 3,), normal(M)),
    ("masked mean over all rows", lambda x: cross_entropy(x, MASK),
     lambda g, x: (g * (softmax(x) - HOT) * MASK[:, None] / 3,), normal(M)),
    ("binary cross-entropy, sign", lambda x: -np.sum(BITS * np.log(sigmoid(x)) + (1 - BITS) * np.log(1 - sigmoid(x))),
     lambda g, x: (g * (BITS - sigmoid(x)),), normal(M)),
    ("softened softmax without its temperature", lambda x: np.log(softmax(x / 2.0)),
     lambda g, x: (g - softmax(x / 2.0) * g.sum(-1, keepdims=True),), normal(M)),
]  # fmt: skip

SEEDED = [
    Seeded(name, category, *rest)
    for category, table in (("operations", OPERATIONS), ("accumulation", ACCUMULATION), ("losses", LOSSES))
    for name, *rest in table
]
