"""``gradient_flow_external``: the flow of gradients through a network that knows nothing of this engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.flows.foreign import COMPLEX, DIFFERENCES, Array, measure
from tinygrad_rnn.analysis.flows.stateflow import Reach, StateFlow, heat_map
from tinygrad_rnn.analysis.reading.chain import Chain, require_room
from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.nn.inputs import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHODS = ("auto", "complex", "differences")


@dataclass(frozen=True, slots=True, eq=False)
class ExternalFlow:
    """Where a gradient goes in time in a network that was given as a function.

    Attributes:
        states: (T, *shape), the state after each step.
        flow: norms and Jacobians, as those of ``GradientFlow``.
        methods: for each step ``"complex step"`` or ``"differences"``.
        uncertainty: the largest estimated error of a Jacobian, relative to its largest entry; 0 for the complex step.
        losses: how many steps were given a cotangent.
    """

    states: Array
    flow: StateFlow
    methods: tuple[str, ...]
    uncertainty: float
    losses: int

    def __repr__(self) -> str:
        counts = [(self.methods.count(m), m) for m in (COMPLEX, DIFFERENCES) if m in self.methods]
        how = counts[0][1] if len(counts) == 1 else ", ".join(f"{m} ({count})" for count, m in counts)
        return f"<ExternalFlow over {len(self.methods)} steps by {how}: {self.flow.verdict}>"

    @property
    def norms(self) -> Array:
        """(T, T): ||dL_t/dh_k|| where cotangents were given, else the spectral norms of dh_t/dh_k; 0 for k > t."""
        return self.flow.norms

    @property
    def jacobian_norms(self) -> Array:
        """(T, T): the spectral norm of dh_t/dh_k for all pairs."""
        return self.flow.jacobian_norms

    def jacobians(self, t: int, k: int) -> Array:
        """Return dh_t/dh_k (n, n), the product of the Jacobians of the steps between; entries of h are raveled."""
        return self.flow.jacobians(t, k)

    def steps_in_the_past(self, squared: float = 1e-20, relative: float | None = None) -> Reach:
        """Return how far back a usable gradient reaches; see :meth:`StateFlow.steps_in_the_past`."""
        return self.flow.steps_in_the_past(squared, relative)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the norms as a heat map on a logarithmic scale."""
        if self.losses:
            return self.flow.plot(ax)
        title = f"‖∂$h_t$/∂$h_k$‖₂: {self.flow.verdict}"
        axes = heat_map(axes_for(ax, figsize=(5.6, 4.4)), self.norms, title, "k: by the state of step")
        axes.set_ylabel("t: of the state of step")
        return axes

    def plot_lags(self, ax: Axes | None = None) -> Axes:
        """Return axes with ||dh_t/dh_k|| over the lag t - k: geometric mean over t, and the range."""
        return self.flow.plot_lags(ax)

    def _repr_html_(self) -> str:
        return self.flow._repr_html_()

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts."""
        how = {"methods": list(self.methods), "uncertainty": self.uncertainty, "losses": self.losses}
        return self.flow.to_dict() | how


def gradient_flow_external(
    step: Callable[[Any, Array], Any],
    xs: Sequence[Any],
    h0: Any,
    cotangents: Any = None,
    method: str = "auto",
) -> ExternalFlow:
    """Return the flow of gradients through ``h_t = step(x_t, h_{t-1})``, for any function of numpy arrays.

    The n columns of each step's Jacobian come from n runs of the complex step, or from 4n runs that are differenced;
    ``"auto"`` tries the former, holds it against a difference, and the result says at which steps it was believed. A
    network of another library is wrapped (an LSTM keeps h and c side by side in one array)::

        cell = torch.nn.RNNCell(3, 8).double()                     # one sequence, no batch: h is (8,)
        def step(x, h):
            with torch.no_grad():
                return cell(torch.from_numpy(x), torch.from_numpy(h)).numpy()

    Args:
        step: gives the next state, of the same shape. It must give the same for the same: no dropout.
        xs: T inputs, each handed to ``step`` as it is.
        h0: the state before the first step, an array of any shape; its dtype (float64 or float32) is what ``step`` is
            given.
        cotangents: dL_t/dh_t for each step, of the state's shape; None where a step has no loss. Without any, the norms
            are those of the Jacobians dh_t/dh_k: the most that any loss can see.
        method: ``"auto"``, ``"complex"`` or ``"differences"``.

    Raises:
        ValueError: no steps, a shape that does not fit, a step that is random, an unknown method, or ``"complex"`` for
            a step that does not bear complex numbers.
        TypeError: ``step`` cannot be called, or h0 holds no real numbers.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> w = np.array([[0.5, 0.0], [0.0, 0.25]])
        >>> flow = tr.gradient_flow_external(lambda x, h: w @ h + x, np.ones(4), np.zeros(2))
        >>> flow
        <ExternalFlow over 4 steps by complex step: the gradient vanishes, ×0.5 per step back>
        >>> flow.norms[3].tolist()
        [0.125, 0.25, 0.5, 1.0]
    """
    if not callable(step):
        raise TypeError(
            f"gradient_flow_external: step must be callable as step(x, h), got {type(step).__name__}"
        )
    check.one_of("gradient_flow_external: method", method, METHODS)
    h = _start(h0)
    try:
        xs = list(xs)
    except TypeError as error:
        raise TypeError(f"gradient_flow_external: xs must be a sequence of inputs: {error}") from None
    if not xs:
        raise ValueError("gradient_flow_external: there are no steps: give at least one input")
    require_room(f"the Jacobians of {len(xs)} steps", len(xs) * h.size**2, "give fewer steps")
    direct = None if cotangents is None else _direct(cotangents, len(xs), h.shape)
    found = []
    for t, x in enumerate(xs):
        found.append(measure(f"gradient_flow_external: step {t}", partial(step, x), h, method))
        h = found[-1].value.astype(h.dtype)
    chain = Chain(np.stack([m.jacobian for m in found]))
    return ExternalFlow(
        np.stack([m.value for m in found]),
        _flow(chain, direct),
        tuple(m.method for m in found),
        max(m.uncertainty for m in found),
        0 if cotangents is None else sum(c is not None for c in cotangents),
    )


def _start(h0: Any) -> Array:
    h = np.array(plain("gradient_flow_external: h0", h0))
    if h.dtype.kind in "iu":
        h = h.astype(np.float64)
    if h.dtype not in (np.float64, np.float32):
        raise TypeError(f"gradient_flow_external: h0 must be a float64 or float32 array, got dtype {h.dtype}")
    if not h.size:
        raise ValueError(f"gradient_flow_external: h0 must have entries, got shape {h.shape}")
    return h


def _direct(cotangents: Any, steps: int, shape: tuple[int, ...]) -> Array:
    """Return dL_t/dh_t as (T, n), zeros where there is no loss."""
    try:
        cotangents = list(cotangents)
    except TypeError as error:
        raise TypeError(f"gradient_flow_external: cotangents must be a sequence: {error}") from None
    if len(cotangents) != steps:
        raise ValueError(
            f"gradient_flow_external: {len(cotangents)} cotangents for {steps} steps; None is for no loss"
        )
    rows = np.zeros((steps, *shape))
    for t, cotangent in enumerate(cotangents):
        if cotangent is not None:
            cotangent = plain(f"gradient_flow_external: the cotangent of step {t}", cotangent)
            if cotangent.dtype.kind not in "fiu":
                raise TypeError(
                    f"gradient_flow_external: the cotangent of step {t} must hold real numbers, got {cotangent.dtype}"
                )
            if np.shape(cotangent) != shape:
                raise ValueError(
                    f"gradient_flow_external: the cotangent of step {t} must have the state's shape {shape}, got "
                    f"{np.shape(cotangent)}"
                )
            rows[t] = cotangent
    return rows.reshape(steps, -1)


def _flow(chain: Chain, direct: Array | None) -> StateFlow:
    if direct is None:
        norms = chain.norms()
        return StateFlow("h", norms, norms[-1], lambda: chain)
    total, row = np.zeros(len(chain)), np.zeros(direct.shape[1])
    with np.errstate(all="ignore"):
        for t in reversed(range(len(chain))):
            row = row + direct[t]
            total[t] = np.linalg.norm(row)
            row = row @ chain.jacobians[t, 0]
    return StateFlow("h", chain.cotangent_norms(direct), total, lambda: chain)
