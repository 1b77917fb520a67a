"""``OnlineGradient``: the gradient of a recurrent network while its sequence is still running, step by step.

What the methods share: one step is recorded at a time, and of the past only an *influence* is kept, some form of
P_t = dS_t/dtheta. They differ in how they keep it: see ``rtrl``, ``snap`` and ``uoro``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.leaves import gradient_of, leaves_of
from tinygrad_rnn.analysis.online.onestep import Cotangents, OneStep, numbers, start
from tinygrad_rnn.analysis.table import Table, Tabulated
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.graph import Node, recording
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.nn.unroll import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class OnlineRun(Tabulated):
    """What a run over a sequence gave.

    Attributes:
        method: such as ``"RTRL"``.
        gradient: the sum of the steps' gradients, in the structure of the parameters.
        losses: (T,) the loss at each step, 0 where a step has none.
        norms: (T,) the norm of each step's gradient.
        carried: how many numbers were carried from one step to the next.
    """

    method: str
    gradient: Any
    losses: Any
    norms: Any
    carried: int

    def __repr__(self) -> str:
        total = float(np.sum(self.losses))
        return (
            f"<{self.method} over {len(self.losses)} steps: loss {total:.4g}, {self.carried} numbers carried>"
        )

    def _table(self) -> Table:
        rows = list(zip(range(len(self.losses)), self.losses, self.norms, strict=True))
        caption = f"{self.method}: {self.carried} numbers carried from step to step"
        return Table(caption, ("t", "loss", "norm of its gradient"), rows)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the loss and the norm of its gradient at each step."""
        ax = axes_for(ax, figsize=(6.0, 3.0))
        ax.plot(self.losses, label="loss $L_t$", color="#1d4e79")
        ax.plot(self.norms, label=r"$\|\partial L_t/\partial\theta\|$", color="#c05a1c")
        ax.set_xlabel("step t")
        ax.set_title(f"{self.method}, online")
        ax.legend(frameon=False)
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, the gradient under the paths of its structure."""
        return {
            "method": self.method,
            "losses": [float(x) for x in self.losses],
            "norms": [float(x) for x in self.norms],
            "carried": self.carried,
            "gradient": {path: np.asarray(g).tolist() for path, g in flatten(self.gradient)},
        }


class OnlineGradient:
    """A cell in operation, whose every step gives the gradient of that step's loss. Abstract: use ``RTRL``.

    Args:
        cell: as for ``tr.unroll``: ``(x_t, state) -> state`` or ``(output, state)``, over Values or Tensors.
        parameters: the leaves to differentiate: a Module, or a nested dict, list or tuple of leaves. The parameters of
            a readout belong to it, too.
        state: the state before the first step, as for ``tr.unroll``; None asks the cell. It may be, or depend on, a
            parameter.

    Raises:
        TypeError: the cell is not callable, or a parameter is not a leaf.
    """

    method: ClassVar[str]

    def __init__(self, cell: Cell, parameters: Any, state: Any = None) -> None:
        who = type(self).__name__
        if not callable(cell):
            raise TypeError(f"{who}: cell must be callable as cell(x_t, state), got {type(cell).__name__}")
        leaves_of(who, parameters)
        self._cell, self._parameters, self._initial = cell, parameters, state
        self._state: Any = None
        self._output: Any = None
        self._steps = 0

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._steps

    @property
    def state(self) -> Any:
        """The state after the last step, as plain numbers and arrays; None before the first."""
        return tree_map(copy.copy, self._state) if self._steps else None

    @property
    def output(self) -> Any:
        """The output of the last step, as plain numbers and arrays; None before the first."""
        return self._output

    @property
    def carried(self) -> int:
        """How many numbers the influence consists of: what is kept of the past besides the state."""
        raise NotImplementedError(f"{type(self).__name__} is abstract: use RTRL, SnAp1 or UORO")

    def step(self, x: Any, loss: Callable[..., Any] | None = None, *items: Any) -> tuple[float, Any]:
        """Return the loss of one step further and its gradient, in the parameters' structure (a Module: a dict).

        Args:
            x: the input x_t.
            loss: ``loss(output, *items)`` gives a node of one entry; it may use parameters of its own. None, or a loss
                that returns None, stands for a step without one: loss 0 and a gradient of zeros.
            items: further arguments of the loss, such as a target.

        Raises:
            ValueError: the loss has several entries; the cell changes the state's structure, shape or dtype.
            TypeError: the loss is not a node.
        """
        leaves = leaves_of(type(self).__name__, self._parameters)
        if not self._steps:
            first = start(self._cell, x, self._initial, leaves)
            self._advance(first)
            self._state = numbers(first.after)
        recorded = OneStep.record(self._cell, x, self._state, leaves)
        with recording(on=True):
            node = None if loss is None else loss(recorded.output, *items)
        value, found = (0.0, {}) if node is None else self._gradient(recorded, _one_number(node))
        self._advance(recorded)
        self._state = numbers(recorded.after)
        self._output = tree_map(plain, recorded.output)
        self._steps += 1
        return value, unflatten(
            self._parameters, iter([gradient_of(leaf, found.get(leaf)) for leaf in leaves])
        )

    def run(self, inputs: Any, loss: Callable[..., Any], *sequences: Any) -> OnlineRun:
        """Return losses and the summed gradient of a whole sequence: one :meth:`step` for each input.

        Args:
            inputs: T items, or an array of shape (T, ...).
            loss: called as ``loss(outputs[t], s[t], ...)``, as by ``Unrolled.each``.
            sequences: further arguments, each with one item for each step.

        Raises:
            ValueError: a sequence has another length than there are inputs.
        """
        for i, sequence in enumerate(sequences):
            if len(sequence) != len(inputs):
                raise ValueError(
                    f"run: sequence {i} has {len(sequence)} items, there are {len(inputs)} inputs"
                )
        losses, norms = np.zeros(len(inputs)), np.zeros(len(inputs))
        total = [gradient_of(leaf, None) for _, leaf in flatten(self._parameters)]
        for t in range(len(inputs)):
            losses[t], gradient = self.step(inputs[t], loss, *(s[t] for s in sequences))
            parts = [part for _, part in flatten(gradient)]
            norms[t] = np.sqrt(sum(float(np.sum(np.square(part))) for part in parts))
            total = [a + b for a, b in zip(total, parts, strict=True)]
        gradient = unflatten(self._parameters, iter(total))
        return OnlineRun(self.method, gradient, losses, norms, self.carried)

    def _gradient(self, recorded: OneStep, loss: Node) -> tuple[float, Cotangents]:
        """Return the loss and dL/dtheta: what this step's own use of theta gives, and what comes through the past."""
        to_state, found = recorded.pull(loss, np.ones(loss.shape))
        for leaf, part in self._through(to_state).items():
            part = np.reshape(part, leaf.shape)
            found[leaf] = part if leaf not in found else found[leaf] + part
        return float(loss.item()), found

    def _through(self, cotangent: Any) -> Cotangents:
        """Return ``cotangent @ P``, for a cotangent (n,) of the state before the step."""
        raise NotImplementedError(f"{type(self).__name__} is abstract: use RTRL, SnAp1 or UORO")

    def _advance(self, recorded: OneStep) -> None:
        """Bring the influence to the state after the step: P' = J P + dF/dtheta, or what stands for it."""
        raise NotImplementedError(f"{type(self).__name__} is abstract: use RTRL, SnAp1 or UORO")


def _one_number(node: Any) -> Node:
    if not isinstance(node, Variable):
        raise TypeError(
            f"step: the loss must return a Value or Tensor of one entry, got {type(node).__name__}"
        )
    if int(np.prod(node.shape)) != 1:
        raise ValueError(f"step: the loss must return one number, got shape {node.shape}; reduce it (.sum())")
    return node
