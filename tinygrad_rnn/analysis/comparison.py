"""``compare_gradients``: estimates of a gradient beside the exact one, in angle and in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.agreement import cosine, relative_error, vector
from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.table import Table, Tabulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#1d4e79", "#c05a1c", "#3a7d44", "#8a4f9e", "#6b6b6b")


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One way to estimate a gradient.

    Attributes:
        name: such as ``"SnAp-1"``.
        cosines: (m,) the cosine between the exact gradient and the mean of the first 1, 2, ..., m draws.
        errors: (m,) the relative error of that mean.
        typical: the median relative error of a single draw.
    """

    name: str
    cosines: Any
    errors: Any
    typical: float

    @property
    def draws(self) -> int:
        """The number m of draws; 1 for an estimate without chance."""
        return len(self.errors)


@dataclass(frozen=True, slots=True, eq=False)
class GradientComparison(Tabulated):
    """Estimates of one gradient; a bias is an error that more draws do not take away.

    Attributes:
        estimates: in the order in which they were given.
    """

    estimates: tuple[Estimate, ...]

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of that name.

        Raises:
            KeyError: there is none; the message lists the names.
        """
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        raise KeyError(f"no estimate {name!r}; there are {', '.join(repr(e.name) for e in self.estimates)}")

    def __repr__(self) -> str:
        return f"<GradientComparison of {', '.join(e.name for e in self.estimates)}>"

    def _table(self) -> Table:
        headings = ("estimate", "draws", "cosine", "relative error", "of one draw")
        rows = [(e.name, e.draws, e.cosines[-1], e.errors[-1], e.typical) for e in self.estimates]
        return Table("estimates against the exact gradient; of several draws their mean", headings, rows)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the relative error of the mean of m draws over m, both on logarithmic scales.

        An estimate without chance is a level line; an unbiased one falls as 1/sqrt(m), which is dotted.
        """
        ax = axes_for(ax, figsize=(6.0, 3.6))
        most = max((e.draws for e in self.estimates), default=1)
        for k, estimate in enumerate(self.estimates):
            color = COLORS[k % len(COLORS)]
            if estimate.draws == 1:
                ax.axhline(max(float(estimate.errors[0]), 1e-16), color=color, label=estimate.name)
                continue
            m = np.arange(1, estimate.draws + 1)
            ax.plot(m, estimate.errors, color=color, label=f"{estimate.name}, mean of m")
            ax.plot(m, estimate.typical / np.sqrt(m), color=color, linestyle=":", linewidth=1)
        ax.set(xscale="log", yscale="log", xlim=(1, max(most, 2)), xlabel="draws m", ylabel="relative error")
        ax.set_title("error against the exact gradient")
        ax.legend(frameon=False)
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers under the names of the estimates."""
        return {
            e.name: {
                "cosines": [float(x) for x in e.cosines],
                "errors": [float(x) for x in e.errors],
                "typical": e.typical,
            }
            for e in self.estimates
        }


def compare_gradients(
    exact: Any, estimates: Mapping[str, Any], draws: Mapping[str, Sequence[Any]] | None = None
) -> GradientComparison:
    """Return how far each estimate is from the exact gradient.

    Args:
        exact: a gradient in any structure, such as ``tr.grad`` gives.
        estimates: under its name one gradient of the same structure: that of ``tr.RTRL``, ``tr.SnAp1``, or of a
            truncated network.
        draws: under its name several gradients that differ by chance, such as those of ``tr.UORO``.

    Raises:
        ValueError: a gradient has other shapes, or there is a name without draws.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> rng = np.random.default_rng(0)
        >>> cell, xs = tr.nn.RNNCell(2, 8, rng=rng), rng.normal(size=(20, 2))
        >>> energy = lambda h: (h * h).sum()
        >>> exact = tr.grad(lambda cell: tr.add_n(tr.unroll(cell, xs).each(energy)))(cell)
        >>> print(tr.compare_gradients(
        ...     exact,
        ...     {"SnAp-1": tr.SnAp1(cell, cell).run(xs, energy).gradient},
        ...     {"UORO": [tr.UORO(cell, cell, rng=rng).run(xs, energy).gradient for _ in range(20)]},
        ... ))
        estimates against the exact gradient; of several draws their mean
          estimate  draws  cosine  relative error  of one draw
            SnAp-1      1  0.9965         0.09637      0.09637
              UORO     20  0.9956         0.09685       0.4563
    """
    several_draws = {} if draws is None else draws
    for what, given in (("estimates", estimates), ("draws", several_draws)):
        if not isinstance(given, Mapping):
            raise TypeError(f"compare_gradients: {what} must be a dict by name, got {type(given).__name__}")
    found = [_estimate(name, [gradient], exact) for name, gradient in estimates.items()]
    for name, several in several_draws.items():
        if not isinstance(several, (list, tuple)) or not several:
            raise ValueError(f"compare_gradients: {name!r} has no draws; give at least one gradient")
        found.append(_estimate(name, several, exact))
    return GradientComparison(tuple(found))


def _estimate(name: str, draws: Sequence[Any], exact: Any) -> Estimate:
    try:
        single = [relative_error(draw, exact) for draw in draws]
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"compare_gradients: {name!r}: {error}") from None
    vectors = np.array([vector(draw) for draw in draws])
    means = np.cumsum(vectors, axis=0) / np.arange(1, len(draws) + 1)[:, None]
    true = vector(exact)
    cosines = np.array([cosine([mean], [true]) for mean in means])
    errors = np.array([relative_error([mean], [true]) for mean in means])
    return Estimate(name, cosines, errors, float(np.median(single)))
