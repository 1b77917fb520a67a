"""``Chain``: the Jacobians of single steps, and from their products dS_t/dS_k for any two steps.

dS_t/dS_k = J_t J_{t-1} ... J_{k+1} with J_j = dS_j/dS_{j-1}. Of T steps there are T(T-1)/2 products; they are made one
lag t - k at a time, all of a lag at once, and only their spectral norms (largest singular values) are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
MOST_BYTES = 1 << 31  # what the Jacobians, or a matrix that is asked for, may take


class TooLargeError(MemoryError):
    """What was asked for would need too much memory; the message says how much, and what to ask for instead."""


def require_room(what: str, entries: int, instead: str) -> None:
    """Raise a TooLargeError if so many float64 entries are more than ``MOST_BYTES``."""
    if 8 * entries > MOST_BYTES:
        raise TooLargeError(
            f"{what} would take {8 * entries / 2**30:.1f} GiB, more than the {MOST_BYTES / 2**30:.0f} GiB allowed "
            f"here; {instead}"
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """The Jacobians J_j = dS_j/dS_{j-1} of the steps of one recurrence.

    Attributes:
        jacobians: (T, n, n), or (T, B, n, n) where the B rows of a batch do not act on each other; J of the first
            step is by the initial state, and not used.
        steps: the time step of each; 0 ... T-1 by default, from the last to the first where it walks backward.

    Example:
        >>> import numpy as np
        >>> chain = Chain(np.full((4, 1, 1), 0.5))
        >>> chain.between(3, 0)
        array([[0.125]])
        >>> chain.norms()[3].tolist()
        [0.125, 0.25, 0.5, 1.0]
    """

    jacobians: Array
    steps: Sequence[int] = ()
    _position: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        jacobians = np.asarray(self.jacobians, dtype=float)
        if jacobians.ndim not in (3, 4) or jacobians.shape[-1] != jacobians.shape[-2]:
            raise ValueError(f"Chain: jacobians must be (T, n, n) or (T, B, n, n), got {jacobians.shape}")
        steps = tuple(self.steps) or tuple(range(len(jacobians)))
        if len(steps) != len(jacobians):
            raise ValueError(f"Chain: {len(steps)} steps for {len(jacobians)} Jacobians")
        object.__setattr__(self, "jacobians", jacobians if jacobians.ndim == 4 else jacobians[:, None])
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "_position", {step: p for p, step in enumerate(steps)})

    def __len__(self) -> int:
        return len(self.jacobians)

    def blocks(self, t: int, k: int) -> Array:
        """Return dS_t/dS_k as (B, n, n), one matrix for each row of the batch: I for t = k, 0 where k is later."""
        late, early = self._at(t), self._at(k)
        _, batch, n, _ = self.jacobians.shape
        if early > late:
            return np.zeros((batch, n, n))
        product = np.broadcast_to(np.eye(n), (batch, n, n)).copy()
        with np.errstate(all="ignore"):
            for position in range(early + 1, late + 1):
                product = self.jacobians[position] @ product
        return product

    def between(self, t: int, k: int) -> Array:
        """Return dS_t/dS_k as one matrix (B*n, B*n), rows of the batch one after the other.

        Raises:
            KeyError: t or k is no step.
            TooLargeError: the matrix of a large batch; ``blocks`` gives it row by row.
        """
        blocks = self.blocks(t, k)
        batch, n, _ = blocks.shape
        if batch == 1:
            return np.asarray(blocks[0])
        require_room(f"the matrix dS_{t}/dS_{k}", (batch * n) ** 2, "ask for .blocks(t, k)")
        whole = np.zeros((batch, n, batch, n))
        whole[np.arange(batch), :, np.arange(batch), :] = blocks
        return whole.reshape(batch * n, batch * n)

    def norms(self, members: Array | None = None) -> Array:
        """Return (T, T): the spectral norm of dS_t/dS_k, by step; 0 where k is later than t.

        Args:
            members: the entries of a state to look at: the norm is that of the block dS_t[members]/dS_k[members].
        """
        found = np.zeros((len(self), len(self)))
        for lag, products in self._products():
            block = products if members is None else products[..., members[:, None], members]
            largest = _spectral(block).max(axis=1, initial=0.0)
            early = np.arange(len(self) - lag)
            found[early + lag, early] = largest
        order = np.argsort(self.steps)
        return found[np.ix_(order, order)]

    def cotangent_norms(self, direct: Array) -> Array:
        """Return (T, T): ||dL_t/dS_k||, from ``direct`` = (T, n) or (T, B, n), dL_t/dS_t by position."""
        direct = np.asarray(direct, dtype=float).reshape(self.jacobians.shape[:3])
        found = np.zeros((len(self), len(self)))
        rows = np.zeros((0, *direct.shape[1:]))  # of L_t for t = T-1 ... position, latest first
        with np.errstate(all="ignore"):
            for position in reversed(range(len(self))):
                rows = np.concatenate([rows, direct[position : position + 1]])
                found[position:, position] = np.linalg.norm(rows[::-1].reshape(len(rows), -1), axis=1)
                rows = np.einsum("tbi,bij->tbj", rows, self.jacobians[position])
        order = np.argsort(self.steps)
        return found[np.ix_(order, order)]

    def _products(self) -> Iterator[tuple[int, Array]]:
        """Yield each lag with the products of all pairs of positions that are so far apart."""
        _, batch, n, _ = self.jacobians.shape
        products = np.broadcast_to(np.eye(n), (len(self), batch, n, n))
        for lag in range(len(self)):
            if lag:
                with np.errstate(all="ignore"):
                    products = self.jacobians[lag:] @ products[:-1]
            yield lag, products

    def _at(self, step: int) -> int:
        try:
            return self._position[step]
        except KeyError:
            legal = f"{min(self.steps)} to {max(self.steps)}" if len(self) else "none"
            raise IndexError(f"step {step} is none of this network's: {legal}") from None


def _spectral(matrices: Array) -> Array:
    """Return the largest singular value of each matrix; nan where it holds inf or nan."""
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    if not matrices.shape[-1]:
        return np.zeros(matrices.shape[:-2])
    if matrices.shape[-1] == 1:
        largest = np.abs(safe[..., 0, 0])
    else:
        largest = np.linalg.svd(safe, compute_uv=False)[..., 0]
    return np.asarray(np.where(finite, largest, np.nan))
