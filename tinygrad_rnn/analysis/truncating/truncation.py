"""``truncation``: what truncated backpropagation through time costs, for every length of truncation at once.

The contributions of one lag d = t - k, summed over t, are C_d. If each error runs back through k steps at most, its own
included, the gradient is g_k = C_0 + ... + C_{k-1}; so one backward sweep of all losses gives it for every k.
``unroll(truncate=k)`` cuts between blocks of k steps instead, where an error runs back to the beginning of its block: k
steps from the last step of the block, one from its first. Source: Williams and Peng (1990).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.flows.flow import steps_of
from tinygrad_rnn.analysis.flows.stateflow import plain
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.analysis.table import Table
from tinygrad_rnn.analysis.truncating.cuts import Agreement, Blocks, lag_sums, sliding, together
from tinygrad_rnn.core import arguments as check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


def truncation(unrolled: Any, losses: Any = None, weights: Sequence[str] | None = None) -> Truncation:
    """Return how far the truncated gradient is from the full one, for each length of truncation k = 1 ... T.

    Args:
        unrolled: an Unrolled, or a loss alone, as in :func:`gradient_flow`.
        losses: as in :func:`gradient_flow`.
        weights: the names of the leaves to look at, as in ``gradient_flow(...).contributions``; None for all.

    Raises:
        TypeError, ValueError: as in :func:`gradient_flow`; or lanes in both directions, or of two times (an encoder and
            its decoder), where steps back mean nothing.
        KeyError: no leaf has such a name.
        TooLargeError: a weight for which a row of contributions does not fit.

    Example:
        >>> import tinygrad_rnn as tr
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: w * h + x, [1.0, 1.0, 1.0], state=0.0)
        >>> cut = tr.truncation(net, net.final_state)  # h_1 + w h_0 = 1.5 + 0.5 * 1
        >>> cut.errors.tolist()
        [0.25, 0.0, 0.0]
    """
    steps = steps_of(unrolled, losses)
    _require_one_direction(steps)
    leaves = steps.leaves
    for name in [] if weights is None else check.items("truncation: weights", weights):
        if not isinstance(name, str) or name not in leaves:
            raise KeyError(
                f"truncation: weights: no weight {name!r}; there are {', '.join(map(repr, leaves))}"
            )
    chosen = {name: leaves[name] for name in (leaves if weights is None else weights)}
    blocks = Blocks.of(steps, chosen)
    windows = {name: sliding(steps, leaf) for name, leaf in chosen.items()}
    return Truncation(steps, chosen, windows, {name: blocks.compared(name) for name in chosen})


@dataclass(frozen=True, eq=False)
class Truncation:
    """How far truncated gradients are from the full one. Index k - 1 stands for truncation after k steps.

    Attributes:
        steps: the graph by time.
        leaves: the weights that were looked at, by name.
        sliding: for each weight how the gradient agrees in which each error runs back through k steps.
        blocks: for each weight how that of ``unroll(truncate=k)`` agrees.
    """

    steps: Steps
    leaves: Mapping[str, int]
    sliding: Mapping[str, Agreement]
    blocks: Mapping[str, Agreement]

    def __repr__(self) -> str:
        errors = self.errors
        enough = np.flatnonzero(errors <= 0.1)
        half = f"within 10% from k={enough[0] + 1} on" if len(enough) else "never within 10%"
        return f"<Truncation of {len(errors)} steps, {len(self.leaves)} weights: {half}>"

    @property
    def lengths(self) -> Array:
        """(T,): k = 1 ... T."""
        return np.arange(1, self.steps.length + 1)

    @property
    def errors(self) -> Array:
        """(T,): ||g - g_k|| / ||g|| over all weights together, each error running back through k steps."""
        return together(self.sliding).error

    @property
    def cosines(self) -> Array:
        """(T,): the cosine between g_k and g over all weights together."""
        return together(self.sliding).cosine

    @property
    def block_errors(self) -> Array:
        """(T,): the relative error of ``unroll(truncate=k)`` over all weights together."""
        return together(self.blocks).error

    @property
    def block_cosines(self) -> Array:
        """(T,): the cosine between the gradient of ``unroll(truncate=k)`` and the full one."""
        return together(self.blocks).cosine

    def gradients(self, k: int) -> dict[str, Array]:
        """Return the gradient of each weight if each error runs back through k steps.

        Raises:
            ValueError: k is less than 1.
        """
        self._require(k)
        return {name: lag_sums(self.steps, leaf)[:k].sum(axis=0) for name, leaf in self.leaves.items()}

    def block_gradients(self, k: int) -> dict[str, Array]:
        """Return the gradient of each weight under ``unroll(truncate=k)``, without unrolling again."""
        self._require(k)
        return Blocks.of(self.steps, self.leaves).gradients(k)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the relative error over k: each error k steps back, and blocks of k steps."""
        ax = axes_for(ax, figsize=(5.6, 4.0))
        curves = (self.errors, "each error k steps back", "-"), (self.block_errors, "blocks of k steps", ":")
        for error, label, style in curves:
            shown = np.where(error > 0, error, np.nan)  # no error at all has no place on a logarithmic scale
            ax.plot(self.lengths, shown, style, label=label)
        ax.set(xlabel="truncated after k steps", ylabel="‖g − $g_k$‖ / ‖g‖", xscale="log", yscale="log")
        ax.legend()
        return ax

    def table(self) -> Table:
        """Return errors and cosines by k."""
        columns = (self.lengths, self.errors, self.cosines, self.block_errors, self.block_cosines)
        rows = [(int(k), *rest) for k, *rest in zip(*columns, strict=True)]
        headings = ("k", "error", "cosine", "error in blocks", "cosine in blocks")
        return Table("truncated against full gradient", headings, rows)

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_dict(self) -> dict[str, Any]:
        """Return errors and cosines, of all weights together and of each, as plain Python numbers."""

        def numbers(agreement: Agreement) -> dict[str, Any]:
            return {"error": plain(agreement.error), "cosine": plain(agreement.cosine)}

        return {
            "k": self.lengths.tolist(),
            "sliding": numbers(together(self.sliding)),
            "blocks": numbers(together(self.blocks)),
            "weights": {
                name: {"sliding": numbers(self.sliding[name]), "blocks": numbers(self.blocks[name])}
                for name in self.leaves
            },
        }

    def _require(self, k: int) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"truncation: k must be a number of steps, at least 1, got {k!r}")


def _require_one_direction(steps: Steps) -> None:
    ways = {recurrence.backward for recurrence in steps.recurrences if len(recurrence.steps) > 1}
    if len(ways) > 1:
        lanes = ", ".join(repr(r.lane) for r in steps.recurrences)
        raise ValueError(
            f"truncation: the lanes {lanes} run in both directions of time, so that no number of steps back says "
            "where a gradient is cut"
        )
