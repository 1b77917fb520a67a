"""``Experiment``: a small recurrent network with a few knobs, and what its gradients through time are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.norms import state_norms
from tinygrad_rnn.analysis.reading.steps import of_loss
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.primitives import add_n
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.nn.cells import Cell, GRUCell, LSTMCell, RNNCell
from tinygrad_rnn.nn.unroll import Unrolled, unroll
from tinygrad_rnn.viz.draw import draw
from tinygrad_rnn.viz.engine import LayoutProgramNotFound

CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
SOURCES = ("impulse", "sine", "noise")
LEVELS = ("step", "op", "rolled")
MOST_STEPS = 200
MOST_UNITS = 32
MOST_SEED = 1_000_000
LARGEST_RADIUS = 3.0
PERIOD = 10.0  # of the sine, in steps
_CANDIDATE = {"rnn": 0, "lstm": 2, "gru": 2}  # the block of weight_hh that makes the new state


@dataclass(frozen=True, slots=True)
class Experiment:
    """A network that reads one number a step, and is asked in each step for the mean direction of its state.

    The loss of step t is ``L_t = sum(h_t) / sqrt(H)``: its gradient at h_t has norm 1, so that what is seen of
    ||dL_t/dh_k|| comes from the way through time alone.

    Attributes:
        kind: ``"rnn"`` (tanh), ``"lstm"`` or ``"gru"``.
        steps: T, from 1 to 200.
        radius: the spectral radius that each gate's recurrent matrix is scaled to, from 0 to 3.
        source: the input: ``"impulse"`` (1, then 0), ``"sine"`` (ten steps a period) or ``"noise"`` (standard normal).
        seed: of the weights and of the noise.
        level: of the drawing: ``"step"``, ``"op"`` or ``"rolled"``.
        hidden: H, from 1 to 32.
        notes: what the reader should know about where the numbers came from.

    Raises:
        ValueError: a value is none of these.
    """

    kind: str = "rnn"
    steps: int = 20
    radius: float = 0.9
    source: str = "impulse"
    seed: int = 0
    level: str = "step"
    hidden: int = 8
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, legal in (("kind", tuple(CELLS)), ("source", SOURCES), ("level", LEVELS)):
            if getattr(self, name) not in legal:
                raise ValueError(f"widget: {name} is {getattr(self, name)!r}; legal: {', '.join(legal)}")
        bounds = (("steps", 1, MOST_STEPS), ("hidden", 1, MOST_UNITS), ("seed", 0, MOST_SEED))
        for name, low, high in (*bounds, ("radius", 0.0, LARGEST_RADIUS)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"widget: {name} is {getattr(self, name)!r}; legal: from {low:g} to {high:g}"
                )

    @classmethod
    def like(cls, net: Any) -> Experiment:
        """Return an experiment with the kind, size, spectral radius and number of steps of an unrolled network.

        Raises:
            TypeError: it is not what ``unroll`` returned.
        """
        if not isinstance(net, Unrolled):
            raise TypeError(
                f"widget: needs what tr.unroll or a module's .unroll returned, or nothing, got {type(net).__name__}"
            )
        nodes = [x for _, x in flatten((net.outputs, net.final_state)) if isinstance(x, Carrier)]
        notes = [] if 1 <= len(net) <= MOST_STEPS else [f"the network has {len(net):,} steps"]
        steps = min(max(len(net), 1), MOST_STEPS)
        weight = _recurrent_weight(nodes)
        if weight is None:
            return cls(
                steps=steps, notes=(*notes, "its cell is of no known kind: a tanh network stands here")
            )
        rows, hidden = weight.shape
        kind = {1: "rnn", 3: "gru", 4: "lstm"}[rows // hidden]
        block = np.split(weight, rows // hidden)[_CANDIDATE[kind]]
        radius = round(spectral_radius(block), 2)
        if hidden > MOST_UNITS:
            notes.append(f"its {hidden:,} units are {MOST_UNITS} here")
        if radius > LARGEST_RADIUS:
            notes.append(f"its spectral radius is {radius:g}")
        return cls(
            kind, steps, min(radius, LARGEST_RADIUS), hidden=min(hidden, MOST_UNITS), notes=tuple(notes)
        )

    def network(self) -> tuple[Unrolled, list[Any]]:
        """Return the unrolled network and the loss of each step."""
        cell = CELLS[self.kind](1, self.hidden, rng=np.random.default_rng(self.seed))
        blocks = np.split(np.array(cell.weight_hh.data), cell.gates)
        cell.weight_hh.data = np.concatenate([_scaled(block, self.radius) for block in blocks])
        net = unroll(cell, self.inputs()[:, None])
        readout = constant(np.full(self.hidden, self.hidden**-0.5), name="mean")
        return net, net.each(lambda h: h @ readout)

    def inputs(self) -> np.ndarray[Any, Any]:
        """Return the inputs, (T,)."""
        t = np.arange(self.steps)
        if self.source == "impulse":
            return np.where(t == 0, 1.0, 0.0)
        if self.source == "sine":
            return np.asarray(np.sin(2 * np.pi * t / PERIOD))
        return np.random.default_rng((self.seed, 1)).normal(size=self.steps)

    def payload(self) -> dict[str, Any]:
        """Return what the page shows, as plain numbers, texts and lists.

        ``flows`` has for each part of the state (h, and c of an LSTM) ``norms[t][k]`` = ||dL_t/dS_k|| for k <= t, and
        ``lags[j]``, the mean over t of ``norms[t][t - j]``; in six digits.
        """
        _, losses = self.network()
        loss = add_n(losses).named("L")
        loss.backward()
        flows = [_flow(found.part, found.norms) for found in state_norms(of_loss(loss))]
        drawing = draw(loss, level=self.level)
        notices = list(self.notes)
        try:
            svg: str | None = drawing.pipe(format="svg").decode("utf-8")
        except LayoutProgramNotFound as error:
            svg = None
            notices.append(str(error))
        return {
            "steps": self.steps,
            "svg": svg,
            "notices": notices,
            "flows": sorted(flows, key=lambda f: f["state"] != "h"),
        }


def _flow(state: str, norms: np.ndarray[Any, Any]) -> dict[str, Any]:
    lags = [float(np.diagonal(norms, -lag).mean()) for lag in range(len(norms))]
    return {
        "state": state,
        "norms": [[_short(x) for x in row[: t + 1]] for t, row in enumerate(norms.tolist())],
        "lags": [_short(x) for x in lags],
    }


def _short(x: float) -> float | str:
    """Return a number in six digits; JSON has no inf and no nan, which become texts."""
    return float(f"{x:.6g}") if np.isfinite(x) else str(x)


def spectral_radius(matrix: np.ndarray[Any, Any]) -> float:
    """Return the largest magnitude of an eigenvalue."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def _scaled(matrix: np.ndarray[Any, Any], radius: float) -> np.ndarray[Any, Any]:
    """Return the matrix with the spectral radius ``radius``; one that is nilpotent stays as it is."""
    now = spectral_radius(matrix)
    return matrix * (radius / now) if now else matrix


def _recurrent_weight(nodes: list[Any]) -> np.ndarray[Any, Any] | None:
    """Return the first leaf that is the recurrent weight of a cell by its name and shape."""
    for node in Graph.of(*nodes) if nodes else ():
        if node.kind == "leaf" and "weight_hh" in node.name and node.ndim == 2:
            rows, hidden = node.shape
            if rows in (hidden, 3 * hidden, 4 * hidden):
                return np.array(node.data)
    return None
