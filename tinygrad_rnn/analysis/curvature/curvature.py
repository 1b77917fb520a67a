"""``top_eigenvalues``: how sharply a loss bends, and along which directions, from Hessian-vector products alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.table import Table, Tabulated
from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.transforms import hvp
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHICH = ("LM", "LA", "SA")
DENSE = 12  # up to this many parameters the whole Hessian costs no more than Lanczos


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum(Tabulated):
    """Eigenvalues of a Hessian, the one that was asked for first.

    Attributes:
        values: (k,) the eigenvalues.
        vectors: for each the eigenvector of length 1, in the structure of the parameters.
        residuals: (k,) ||H v - value v||: how far each pair is from being one.
        products: how many Hessian-vector products it took.
    """

    values: Any
    vectors: tuple[Any, ...]
    residuals: Any
    products: int

    def __repr__(self) -> str:
        values = ", ".join(f"{value:.4g}" for value in self.values)
        return f"<Spectrum of {values} by {self.products} Hessian-vector products>"

    def _table(self) -> Table:
        rows = [(i, *pair) for i, pair in enumerate(zip(self.values, self.residuals, strict=True))]
        return Table(f"Hessian, by {self.products} products", ("", "eigenvalue", "residual"), rows)

    def shares(self, i: int = 0) -> dict[str, float]:
        """Return which part of eigenvector i, as its squared length, lies in each leaf of the parameters."""
        parts = flatten(self.vectors[i])
        return {path: float(np.sum(np.square(part, dtype=np.float64))) for path, part in parts}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the eigenvalues in order, those that bend downwards in another color."""
        ax = axes_for(ax, figsize=(5.0, 3.2))
        colors = ["#1d4e79" if value >= 0 else "#c05a1c" for value in self.values]
        ax.bar(range(len(self.values)), self.values, color=colors)
        ax.axhline(0.0, color="black", linewidth=0.8)
        ax.set(xlabel="i", ylabel=r"eigenvalue $\lambda_i$", title="curvature of the loss")
        ax.set_xticks(range(len(self.values)))
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, each eigenvector under the paths of the structure."""
        return {
            "values": [float(value) for value in self.values],
            "residuals": [float(residual) for residual in self.residuals],
            "products": self.products,
            "vectors": [{path: np.asarray(part).tolist() for path, part in flatten(v)} for v in self.vectors],
        }


def top_eigenvalues(
    fn: Callable[[Any], Any], params: Any, k: int = 1, which: str = "LM", tolerance: float = 1e-10
) -> Spectrum:
    """Return the k outermost eigenvalues of the Hessian of ``fn`` at ``params``, with their eigenvectors.

    Lanczos' method asks for nothing but products H v, and each of these is one ``tr.hvp``: the Hessian of an unrolled
    network is never formed. The start is drawn from a fixed seed, so that two runs agree.

    Args:
        fn: the loss of the parameters, one number: ``fn(params)``.
        params: what ``tr.grad`` takes: a Module, or nested arrays, floats, Values and Tensors.
        k: how many, at most as many as there are parameters.
        which: ``"LM"`` of largest magnitude, ``"LA"`` largest (the sharpness first), ``"SA"`` smallest.
        tolerance: of the eigenvalues, relative.

    Raises:
        ValueError: ``k`` or ``which`` is out of range, or there are no parameters.
        ImportError: scipy is not installed.
        ArithmeticError: a product is not finite, or Lanczos does not converge.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> a = np.diag([5.0, -7.0, 2.0])
        >>> found = tr.top_eigenvalues(lambda w: 0.5 * (w * (a @ w)).sum(), np.zeros(3), k=2)
        >>> found.values.round(9).tolist()
        [-7.0, 5.0]
    """
    size = sum(int(np.prod(np.shape(plain(part)))) for _, part in flatten(params))
    check.one_of("top_eigenvalues: which", which, WHICH)
    check.number("top_eigenvalues: tolerance", tolerance, 0.0)
    if not size:
        raise ValueError("top_eigenvalues: there are no parameters")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= size:
        raise ValueError(
            f"top_eigenvalues: k must be an integer from 1 to {size} (the parameters), got {k!r}"
        )
    hessian = _Products(fn, params, size)
    if size <= DENSE or k > size // 2:
        values, vectors = _dense(hessian)
    else:
        values, vectors = _lanczos(hessian, int(k), which, tolerance)
    order = np.argsort({"LM": -np.abs(values), "LA": -values, "SA": values}[which], kind="stable")[:k]
    values, vectors = values[order], vectors[:, order]
    residuals = [np.linalg.norm(hessian(v) - value * v) for value, v in zip(values, vectors.T, strict=True)]
    shaped = tuple(hessian.structured(_signed(v)) for v in vectors.T)
    return Spectrum(values, shaped, np.array(residuals), hessian.count)


class _Products:
    """``v -> H v`` for flat vectors, counted."""

    __slots__ = ("_fn", "_params", "count", "size")

    def __init__(self, fn: Callable[[Any], Any], params: Any, size: int) -> None:
        self._fn, self._params, self.size, self.count = fn, params, size, 0

    def __call__(self, v: Any) -> Any:
        self.count += 1
        product = hvp(self._fn, (self._params,), (self.structured(np.ravel(v)),))[0]
        flat = np.concatenate([np.ravel(np.asarray(part, np.float64)) for _, part in flatten(product)])
        if not np.all(np.isfinite(flat)):
            raise ArithmeticError(
                "top_eigenvalues: a Hessian-vector product is not finite at these parameters"
            )
        return flat

    def structured(self, v: Any) -> Any:
        """Return a flat vector in the structure of the parameters."""
        leaves, at = [], 0
        for _, part in flatten(tree_map(plain, self._params)):
            size = int(np.prod(np.shape(part)))
            piece = v[at : at + size]
            at += size
            leaves.append(np.reshape(piece, part.shape) if isinstance(part, np.ndarray) else float(piece[0]))
        return unflatten(self._params, iter(leaves))


def _dense(hessian: _Products) -> tuple[Any, Any]:
    full = np.array([hessian(row) for row in np.eye(hessian.size)])
    values, vectors = np.linalg.eigh((full + full.T) / 2)
    return values, vectors


def _lanczos(hessian: _Products, k: int, which: str, tolerance: float) -> tuple[Any, Any]:
    try:
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
    except ImportError as error:
        raise ImportError('top_eigenvalues needs scipy: pip install "tinygrad_rnn[analysis]"') from error
    operator = LinearOperator((hessian.size, hessian.size), matvec=hessian, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(hessian.size)
    try:
        values, vectors = eigsh(operator, k=k, which=which, v0=start, tol=tolerance)
    except ArpackNoConvergence as error:
        raise ArithmeticError(
            f"top_eigenvalues: no convergence after {hessian.count} products: {error}"
        ) from error
    return values, vectors


def _signed(v: Any) -> Any:
    """Return ``v`` or ``-v``, whichever has its largest entry positive: an eigenvector has no sign of its own."""
    return v if v[np.argmax(np.abs(v))] > 0 else -v
