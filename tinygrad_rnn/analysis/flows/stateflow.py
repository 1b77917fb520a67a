"""``StateFlow``: how the gradient of each loss fades or grows on its way back through the states, from arrays alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import MAGNITUDES, axes_for
from tinygrad_rnn.analysis.reading.chain import Chain
from tinygrad_rnn.analysis.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]
STEADY = 0.005  # a mean factor so near to 1 neither vanishes nor explodes


@dataclass(frozen=True, eq=False)
class Reach:
    """How far back a gradient is of use.

    Attributes:
        share: the share of the steps whose state gets a usable gradient of all losses together.
        lags: for each loss t how many steps back its own gradient is usable; 0 if only in its own step, -1 where there
            is no loss.
        criterion: what counts as usable.
    """

    share: float
    lags: Array
    criterion: str

    def __repr__(self) -> str:
        back = int(self.lags.max(initial=-1))
        how_far = f"a loss reaches back {back} steps at most" if back >= 0 else "no loss"
        return f"<Reach: {self.share:.0%} of the steps; {how_far} ({self.criterion})>"

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python."""
        return {"share": self.share, "lags": self.lags.tolist(), "criterion": self.criterion}


@dataclass(frozen=True, eq=False)
class StateFlow:
    """The flow of gradients through one state, or one part of it.

    Attributes:
        name: ``"h"``.
        norms: (T, T), ||dL_t/dS_k||, row t and column k; 0 where there is no way.
        total_norms: (T,), ||dL/dS_k|| of all losses together.
        make_chain: returns the Jacobians of the steps; called when they are asked for.
        members: returns, for the number of rows of the batch that the Jacobians have, the entries of a row of the state
            that belong to this part; None for all.
        backward: whether the states are made from the last step to the first.
        lanes: of several lanes together the flows of each, which may run in both directions; else none.
    """

    name: str
    norms: Array
    total_norms: Array
    make_chain: Callable[[], Chain]
    members: Callable[[int], Array] | None = None
    backward: bool = False
    lanes: Sequence[StateFlow] = ()

    def __repr__(self) -> str:
        return f"<StateFlow of {self.name} over {len(self.norms)} steps: {self.verdict}>"

    @property
    def chain(self) -> Chain:
        """The Jacobians of the single steps, of the whole state."""
        return self.make_chain()

    def jacobians(self, t: int, k: int) -> Array:
        """Return dS_t/dS_k as a matrix: I for t = k, 0 where S_k is later than S_t.

        The entries of a batch follow each other row by row; within a row the parts of the state.
        """
        chain = self.chain
        whole = chain.between(t, k)
        if self.members is None:
            return whole
        _, batch, n, _ = chain.jacobians.shape
        chosen = (np.arange(batch)[:, None] * n + self.members(batch)).ravel()
        return np.asarray(whole[np.ix_(chosen, chosen)])

    @cached_property
    def jacobian_norms(self) -> Array:
        """(T, T): the spectral norm of dS_t/dS_k, the most by which the steps between stretch any change of S_k."""
        chain = self.chain
        found = np.zeros_like(self.norms)
        steps = sorted(chain.steps)
        found[np.ix_(steps, steps)] = chain.norms(self.members and self.members(chain.jacobians.shape[1]))
        return found

    @property
    def ages(self) -> Array:
        """(T, T): how many steps S_k lies before S_t; negative where it is later."""
        t = np.arange(len(self.norms))
        ages = t[:, None] - t
        return -ages if self.backward else ages

    @property
    def factor(self) -> float:
        """The mean factor by which a gradient changes in one step back, nan where no loss goes back a step.

        It is the geometric mean over all losses, each from the first state that it reaches to the last one; and over
        the lanes where there are several.
        """
        found = [flow._decay for flow in self.lanes or (self,)]
        ratio, steps = sum(ratio for ratio, _ in found), sum(steps for _, steps in found)
        return math.exp(ratio / steps) if steps else math.nan

    @property
    def _decay(self) -> tuple[float, int]:
        """The logarithm of the product of all factors, and their number."""
        ratio, steps = 0.0, 0
        for row, age in zip(self.norms, self.ages, strict=True):
            usable = np.flatnonzero((row > 0) & np.isfinite(row) & (age >= 0))
            if len(usable) > 1:
                near, far = usable[np.argmin(age[usable])], usable[np.argmax(age[usable])]
                ratio += math.log(row[far]) - math.log(row[near])
                steps += int(age[far] - age[near])
        return ratio, steps

    @property
    def verdict(self) -> str:
        """One clause: whether the gradient vanishes, explodes or holds, and by which factor."""
        factor = self.factor
        if not np.isfinite(self.norms).all():
            return "the gradient is not finite"
        if math.isnan(factor):
            return "no loss reaches back in time"
        what = "holds" if abs(factor - 1) <= STEADY else "vanishes" if factor < 1 else "explodes"
        return f"the gradient {what}, ×{factor:.3g} per step back"

    def steps_in_the_past(self, squared: float = 1e-20, relative: float | None = None) -> Reach:
        """Return how far back a usable gradient reaches.

        Args:
            squared: a gradient is usable if its squared norm is larger; the measure in the code that accompanies
                Pascanu, Mikolov and Bengio (2013).
            relative: instead, if its norm is at least this fraction of the largest that the same loss has at any
                state.

        Raises:
            ValueError: a threshold that is not positive.
        """
        threshold = squared if relative is None else relative
        if not threshold > 0:
            raise ValueError(f"steps_in_the_past: the threshold must be positive, got {threshold}")
        if relative is None:
            least, criterion = math.sqrt(squared), f"|dL/dS|² > {squared:g}"
            far, every = self.norms > least, self.total_norms > least
        else:
            criterion = f"|dL/dS| >= {relative:g} of its largest"
            far = (self.norms > 0) & (
                self.norms >= relative * self.norms.max(axis=1, initial=0.0, keepdims=True)
            )
            every = (self.total_norms > 0) & (
                self.total_norms >= relative * self.total_norms.max(initial=0.0)
            )
        lags = np.where(far, self.ages, -1).max(axis=1, initial=-1)
        return Reach(float(every.mean()) if len(every) else 0.0, lags, criterion)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the norms as a heat map on a logarithmic scale: row t the loss, column k the state."""
        ax = axes_for(ax, figsize=(5.6, 4.4))
        return heat_map(
            ax, self.norms, f"‖∂$L_t$/∂{self.name}$_k$‖: {self.verdict}", "k: at the state of step"
        )

    def plot_lags(self, ax: Axes | None = None) -> Axes:
        """Return axes with ||dS_t/dS_k|| over the lag t - k: geometric mean over t, and the range."""
        ax = axes_for(ax, figsize=(5.6, 4.0))
        lags, middle, low, high = by_lag(self.jacobian_norms, self.ages)
        if len(lags):
            ax.fill_between(lags, low, high, alpha=0.2, linewidth=0, label="smallest to largest over t")
            ax.plot(lags, middle, label="measured, geometric mean over t")
            ax.set_yscale("log")
        ax.set(xlabel="steps back, t − k", ylabel=f"‖∂{self.name}$_t$/∂{self.name}$_k$‖₂")
        ax.legend()
        return ax

    def table(self) -> Table:
        """Return the norms by the number of steps back: geometric mean, smallest and largest over the losses."""
        lags, middle, low, high = by_lag(self.norms, self.ages)
        rows = list(zip(map(int, lags), middle, low, high, strict=True))
        headings = ("steps back", "mean", "smallest", "largest")
        return Table(f"‖∂L_t/∂{self.name}_k‖: {self.verdict}", headings, rows)

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_dict(self) -> dict[str, Any]:
        """Return the norms and the mean factor as plain Python numbers; what is not finite is None."""
        factor = self.factor
        return {
            "name": self.name,
            "norms": plain(self.norms),
            "total_norms": plain(self.total_norms),
            "factor": None if math.isnan(factor) else factor,
        }


def plain(array: Array) -> Any:
    """Return an array as nested lists that json can write: None for what is not finite."""
    entries = array.astype(object)
    entries[~np.isfinite(array)] = None
    return entries.tolist()


def by_lag(norms: Array, ages: Array) -> tuple[Array, Array, Array, Array]:
    """Return the lags, and for each the geometric mean, the smallest and the largest of the positive norms."""
    usable = (norms > 0) & np.isfinite(norms) & (ages >= 0)
    lags = np.unique(ages[usable])
    groups = [norms[usable & (ages == lag)] for lag in lags]
    middle = np.array([np.exp(np.log(group).mean()) for group in groups])
    return lags, middle, np.array([g.min() for g in groups]), np.array([g.max() for g in groups])


def heat_map(ax: Axes, matrix: Array, title: str, xlabel: str) -> Axes:
    """Return ``ax`` with a matrix of magnitudes by t and k; zeros are left blank."""
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_where(~((matrix > 0) & np.isfinite(matrix)), matrix)
    ax.set(title=title, xlabel=xlabel, ylabel="t: the loss of step")
    if shown.count():
        low, high = float(shown.min()), float(shown.max())
        scale = LogNorm(max(low, high * 1e-16), high if high > low else low * 10)
        image = ax.imshow(shown, cmap=MAGNITUDES, norm=scale, interpolation="nearest")
        ax.figure.colorbar(image, ax=ax, extend="min" if low < high * 1e-16 else "neither")
    return ax
