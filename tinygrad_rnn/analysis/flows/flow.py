"""``gradient_flow``: where the gradient of each loss goes in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.flows.bound import Bound, find_bound
from tinygrad_rnn.analysis.flows.contributions import AllContributions
from tinygrad_rnn.analysis.flows.saturation import Saturation, saturation
from tinygrad_rnn.analysis.flows.stateflow import Reach, StateFlow, by_lag
from tinygrad_rnn.analysis.reading.chain import Chain
from tinygrad_rnn.analysis.reading.cotangents import Coordinates
from tinygrad_rnn.analysis.reading.jacobians import step_jacobians
from tinygrad_rnn.analysis.reading.norms import leaf_norms, row_norms
from tinygrad_rnn.analysis.reading.recurrences import Recurrence
from tinygrad_rnn.analysis.reading.steps import Steps, of_loss, of_losses
from tinygrad_rnn.nn.unroll import Unrolled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


def gradient_flow(unrolled: Any, losses: Any = None) -> GradientFlow:
    """Return where the gradient of each step's loss goes in time: exact numbers, read from the graph.

    Args:
        unrolled: what ``tr.unroll`` or a stack's ``.unroll`` returned; or the loss alone (a Value or Tensor), whose
            scopes tell the steps.
        losses: one for each step, None where there is none; or one number made from the network, whose gradient is
            then told apart by the step at which it enters.

    The derivatives are those of the recorded operations; hooks on nodes are not run, and no ``.grad`` is read or set.

    Raises:
        TypeError: a loss is not a Value or Tensor.
        ValueError: losses that are not of this network, or not one number each; another number of them than steps; a
            graph without time steps.
        TooLargeError: what is asked of the result later would not fit into memory.

    Example:
        >>> import tinygrad_rnn as tr
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: w * h + x, [1.0, 1.0, 1.0], state=0.0)
        >>> flow = tr.gradient_flow(net, net.each(lambda h: 2 * h))
        >>> flow
        <GradientFlow over 3 steps, 3 with a loss: the gradient vanishes, ×0.5 per step back>
        >>> flow.norms[2].tolist()
        [0.5, 1.0, 2.0]
        >>> float(flow.contributions["w"][2, 1])  # dL_2/dw through its use in step 1: 2 * w * h_0
        1.0
    """
    return GradientFlow(steps_of(unrolled, losses))


def steps_of(unrolled: Any, losses: Any = None) -> Steps:
    """Return a graph by time for the arguments of :func:`gradient_flow`, which says what is raised."""
    both = isinstance(unrolled, Unrolled) or losses is not None
    steps = of_losses(unrolled, losses) if both else of_loss(unrolled)
    if not steps.recurrences:
        raise ValueError(
            "gradient_flow: the graph of this loss has no time steps; unroll a cell with tr.unroll, or make what "
            'belongs to step 3 inside `with tr.scope("t=3")`'
        )
    return steps


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """The gradient of each step's loss at every state and through every use of a weight.

    Rows t are losses, columns k are the states S_k, the uses of a weight in step k. S_k is what step k hands to the
    next step and to readers outside of the recurrence; its parts (h and c) are coordinates of their own.

    Attributes:
        steps: the graph by time.
    """

    steps: Steps

    def __repr__(self) -> str:
        count = len(self.steps.losses)
        return f"<GradientFlow over {self.steps.length} steps, {count} with a loss: {self._whole.verdict}>"

    @property
    def norms(self) -> Array:
        """(T, T): ||dL_t/dS_k||; 0 where there is no way. Of several lanes the root of the sum of their squares."""
        return self._whole.norms

    @property
    def total_norms(self) -> Array:
        """(T,): ||dL/dS_k|| of all losses together."""
        return self._whole.total_norms

    @cached_property
    def parts(self) -> Mapping[str, StateFlow]:
        """The flow through each part of the state: ``"h"``, ``"c"``; with several lanes ``"layer 0 h"``, ..."""
        several = len(self.steps.recurrences) > 1
        found: dict[str, StateFlow] = {}
        for recurrence in self.steps.recurrences:
            norms, total = self._norms(recurrence)
            for part, members in recurrence.parts.items():
                key = f"{recurrence.lane} {part}" if several else part
                chosen = list(members)
                found[key] = StateFlow(
                    part,
                    np.hypot.reduce(norms[:, chosen], axis=1),
                    np.hypot.reduce(total[chosen], axis=0),
                    partial(self._chain, recurrence.lane),
                    _entries(recurrence, chosen),
                    recurrence.backward,
                )
        return found

    @property
    def lanes(self) -> Mapping[str, GradientFlow]:
        """The flow of each layer and direction by itself, for what is of one lane: Jacobians, saturation, bound."""
        return {r.lane: GradientFlow(replace(self.steps, recurrences=(r,))) for r in self.steps.recurrences}

    def jacobians(self, t: int, k: int) -> Array:
        """Return dS_t/dS_k as a matrix, the product of the Jacobians of the steps between."""
        return self._only("jacobians").jacobians(t, k)

    @property
    def jacobian_norms(self) -> Array:
        """(T, T): the spectral norm of dS_t/dS_k for all pairs."""
        return self._only("jacobian_norms").jacobian_norms

    @property
    def contributions(self) -> AllContributions:
        """For each weight by name the shares ``[t, k]`` of dL_t/dW that entered through its use at step k."""
        return AllContributions(self.steps)

    @cached_property
    def saturation(self) -> Saturation:
        """For each nonlinearity the share of its units with |phi'| < 0.1, step by step."""
        return saturation(self.steps)

    @property
    def bound(self) -> Bound | None:
        """The theory's bound on :attr:`jacobian_norms`; None for a cell without its form, see :attr:`why_no_bound`."""
        return None if isinstance(self._bound, str) else self._bound

    @property
    def why_no_bound(self) -> str:
        """What keeps the cell from having a bound; ``""`` if it has one."""
        return self._bound if isinstance(self._bound, str) else ""

    def steps_in_the_past(self, squared: float = 1e-20, relative: float | None = None) -> Reach:
        """Return how far back a usable gradient reaches; see :meth:`StateFlow.steps_in_the_past`."""
        return self._whole.steps_in_the_past(squared, relative)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the norms as a heat map on a logarithmic scale."""
        return self._whole.plot(ax)

    def plot_lags(self, ax: Axes | None = None) -> Axes:
        """Return axes with ||dS_t/dS_k|| over the lag t - k, beside the bound, or with the reason why there is none."""
        ax = self._only("plot_lags").plot_lags(ax)
        bound = self.bound
        if bound is None:
            ax.set_title(f"no bound: {self.why_no_bound}", wrap=True, fontsize="small")
            return ax
        for norms, label, style in (
            (bound.measured, "bound, with the slopes of the units", ":"),
            (bound.theory, "bound, (γσ) to the power t − k", "--"),
        ):
            lags, middle, _, _ = by_lag(norms, self._whole.ages)
            ax.plot(lags, middle, style, color="0.35", label=label)
        ax.legend()
        return ax

    def plot_contributions(self, name: str, ax: Axes | None = None) -> Axes:
        """Return axes with the signed share of each step's use of a weight in its whole gradient."""
        return self.contributions[name].plot(ax)

    def _repr_html_(self) -> str:
        tables = [self._whole, *(self.parts.values() if len(self.parts) > 1 else ())]
        return "".join(flow._repr_html_() for flow in tables)

    def to_dict(self) -> dict[str, Any]:
        """Return norms and mean factors, of the whole and of each part, as plain Python numbers."""
        whole = self._whole.to_dict()
        return {
            "steps": self.steps.length,
            "losses": list(self.steps.losses),
            "norms": whole["norms"],
            "total_norms": whole["total_norms"],
            "factor": whole["factor"],
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }

    @cached_property
    def _whole(self) -> StateFlow:
        parts = list(self.parts.values())
        lanes = self.steps.recurrences
        return StateFlow(
            parts[0].name if len(parts) == 1 else "S",
            np.hypot.reduce([part.norms for part in parts], axis=0),
            np.hypot.reduce([part.total_norms for part in parts], axis=0),
            partial(self._chain, lanes[0].lane),
            backward=all(recurrence.backward for recurrence in lanes),
            lanes=parts if len(lanes) > 1 else (),
        )

    def _only(self, what: str) -> StateFlow:
        lanes = self.steps.recurrences
        if len(lanes) > 1:
            names = ", ".join(repr(recurrence.lane) for recurrence in lanes)
            raise ValueError(
                f"{what} are of one lane; this network has {names}: .lanes[{lanes[0].lane!r}].{what}"
            )
        return self._whole

    def _norms(self, recurrence: Recurrence) -> tuple[Array, Array]:
        """The norms by (loss, leaf of the state, step), and (leaf, step) for all losses together."""
        length, leaves = self.steps.length, len(recurrence.shapes)
        order = list(recurrence.steps)
        norms, total = np.zeros((length, leaves, length)), np.zeros((leaves, length))
        norms[..., order] = leaf_norms(self.steps, recurrence)
        for position, j, rows in Coordinates.of(self.steps, recurrence).cotangents(self.steps.total()):
            total[j, order[position]] = row_norms(rows.array)[0]
        return norms, total

    @cached_property
    def _bound(self) -> Bound | str:
        self._only("bound")
        return find_bound(self.steps, self.steps.recurrences[0])

    @cached_property
    def _chains(self) -> dict[str, Chain]:
        return {}

    def _chain(self, lane: str) -> Chain:
        """The Jacobians of a lane, made once."""
        if lane not in self._chains:
            recurrence = next(r for r in self.steps.recurrences if r.lane == lane)
            self._chains[lane] = step_jacobians(self.steps, recurrence)
        return self._chains[lane]


def _entries(recurrence: Recurrence, chosen: list[int]) -> Callable[[int], Array] | None:
    """Return how to find which entries of a row of the state belong to the chosen leaves."""
    if len(chosen) == len(recurrence.shapes):
        return None

    def entries(batch: int) -> Array:
        bounds = np.concatenate([[0], np.cumsum([size // batch for size in recurrence.sizes])])
        return np.concatenate([np.arange(bounds[j], bounds[j + 1]) for j in chosen])

    return entries
