"""``diff_backward``: where a hand-written backward pass departs from the right one, and why."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.table import Table
from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.testing.causes import cause_of, expected_of, factor_of
from tinygrad_rnn.testing.findings import place, told_apart
from tinygrad_rnn.testing.handwritten import NO_STEP, Entry, Names, entries, result_of
from tinygrad_rnn.testing.lines import age, lines_of
from tinygrad_rnn.testing.tape import BEFORE, Cotangents, Tape
from tinygrad_rnn.testing.trial import Trial

TOLERANCE = 1e-7
_MOST = 8


@dataclass(frozen=True, slots=True)
class Departure:
    """An array that differs from the right one.

    Attributes:
        tensor: what it is called.
        t: its time step; None of a parameter, -1 of an initial state.
        index: its worst entry.
        expected: the right value there.
        got: the value there; nan where the shape is wrong.
        shape: the shape that was got.
    """

    tensor: str
    t: int | None
    index: tuple[int, ...]
    expected: float
    got: float
    shape: tuple[int, ...]

    def __str__(self) -> str:
        at = place(self.index)
        step = "" if self.t is None else f" at t={self.t}" if self.t >= 0 else " of the initial state"
        ratio = f" (ratio {self.got / self.expected:.6g})" if self.expected else ""
        if np.isnan(self.got):
            return f"{self.tensor}{step}: shape {self.shape} does not fit"
        expected, got = told_apart(self.expected, self.got)
        return f"{self.tensor}{at}{step}: expected {expected}, got {got}{ratio}"


@dataclass(frozen=True, slots=True)
class BackwardDiff:
    """A hand-written backward pass held against the engine; true where they agree.

    Attributes:
        departures: the arrays that differ, in the order in which a backward pass makes them: the last step first,
            parameters at the end.
        cause: the likely mistake, ``""`` where none fits.
        certain: whether making that mistake on purpose gives every one of the arrays under test.
        compared: how many arrays were compared.
        notes: what a reader should know.
    """

    departures: tuple[Departure, ...]
    cause: str
    certain: bool
    compared: int
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every array that was given is right."""
        return not self.departures and not self.cause

    def __bool__(self) -> bool:
        return self.ok

    @property
    def first(self) -> Departure | None:
        """The first array that departs."""
        return self.departures[0] if self.departures else None

    @property
    def t(self) -> int | None:
        """The time step of the first departure."""
        return self.first.t if self.first is not None else None

    @property
    def tensor(self) -> str | None:
        """What the first array that departs is called."""
        return self.first.tensor if self.first is not None else None

    def __str__(self) -> str:
        if self.ok:
            return "\n".join([f"the backward pass is right: {self.compared} arrays agree", *self._notes()])
        lines = [f"first departure: {self.first}" if self.departures else "the forward pass departs"]
        if self.cause:
            sure = "; making this mistake on purpose gives all of your arrays" if self.certain else ""
            lines.append(f"  likely cause: {self.cause}{sure}")
        rest = self.departures[1:]
        lines += [f"  then {departure}" for departure in rest[: _MOST - 1]]
        lines += [f"  ... and {len(rest) - _MOST + 1} more"] if len(rest) >= _MOST else []
        right = self.compared - len(self.departures)
        return "\n".join([*lines, f"  {right} of {self.compared} arrays agree", *self._notes()])

    def _notes(self) -> list[str]:
        return [f"  note: {note}" for note in self.notes]

    def _repr_html_(self) -> str:
        head = html.escape(str(self).splitlines()[0])
        cause = f"<p>likely cause: <b>{html.escape(self.cause)}</b></p>" if self.cause else ""
        rows = [
            (d.tensor, "" if d.t is None else str(d.t), place(d.index), *told_apart(d.expected, d.got))
            for d in self.departures
        ]
        table = Table("departures", ("tensor", "t", "entry", "expected", "got"), rows).html() if rows else ""
        return f"<p>{head}</p>{cause}{table}"

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain texts and numbers."""
        return {
            "ok": self.ok,
            "t": self.t,
            "tensor": self.tensor,
            "cause": self.cause,
            "certain": self.certain,
            "compared": self.compared,
            "departures": [str(d) for d in self.departures],
            "notes": list(self.notes),
        }


def diff_backward(
    mine: Callable[..., Any] | Mapping[str, Any],
    fn: Callable[..., Any],
    *args: Any,
    tolerance: float = TOLERANCE,
) -> BackwardDiff:
    """Return where a hand-written backward pass first departs from the engine's, and the likely cause.

    ``fn(*args)`` is recorded and differentiated. Arrays are compared in the order in which backpropagation through
    time makes them, so the first that departs is where the mistake was made and not where it ended up. Then the classic
    mistakes are made on purpose, one after the other, and the one that gives the same wrong numbers is named.

    Args:
        mine: a dict of gradients by name, or a function of the same arguments that returns one (or a gradient for each
            argument; a loss may stand before). A name is that of an argument, a parameter or a node, with or without
            a d in front: ``"weight_hh"``, ``"dWhh"``. Under ``"dh"`` stands a list over t (or a dict from t, or an
            array) of the total derivatives by the states h_t, under ``"dz"`` those by what is squashed to h_t, under
            ``"dh_next"`` what step t hands back to h_{t-1}.
        fn: returns the loss, computed with ``tr.unroll`` (or in scopes ``"t=3"``); what follows it is ignored.
        args: floats, arrays, nodes and Modules, nested in any way.
        tolerance: relative to the largest entry of an array.

    Raises:
        KeyError: a name that is not in the network; the message lists those that are.
        TypeError: ``mine`` gives no gradients, or ``fn`` no loss.
        ValueError: a list over time has another length than the network, or ``mine`` is empty.

    Example:
        >>> import tinygrad_rnn as tr
        >>> def loss(w, h0):
        ...     net = tr.unroll(lambda x, h: tr.ops.tanh(w * h + x), [0.5, -0.3], state=h0)
        ...     return tr.add_n(net.each(lambda h: h * h))
        >>> def by_hand(w, h0):
        ...     h1 = np.tanh(w * h0 + 0.5)
        ...     h2 = np.tanh(w * h1 - 0.3)
        ...     dz2 = 2 * h2 * (1 - h2**2)
        ...     dz1 = 2 * h1 * (1 - h1**2)
        ...     return {"w": dz2 * h1 + dz1 * h0, "dz": [dz1, dz2]}
        >>> print(tr.testing.diff_backward(by_hand, loss, 0.8, 0.1))
        first departure: dz at t=0: expected 0.89..., got 0.75... (ratio 0.849264)
          likely cause: dh_next is not added: ...; making this mistake on purpose gives all of your arrays
          ...
    """
    check.number("diff_backward: tolerance", tolerance, 0.0)
    trial = Trial(fn, args)
    leaves, outputs = trial.run()
    paths = list(zip(trial.paths, leaves, strict=True))
    tape = Tape(_loss(outputs))
    names = Names(tape, fn, paths)
    loss, given = result_of(mine, args, names, paths)
    found = tape.backward()
    under_test = sorted(entries(given, names, tape), key=lambda e: _order(e, tape))
    if not under_test:
        raise ValueError("diff_backward: mine has no array to compare")
    departures = [d for d in (_departure(e, found, tolerance) for e in under_test) if d is not None]
    notes = _notes(given, names, tape)
    if loss is not None and not np.isclose(loss, float(tape.loss._data), rtol=tolerance, atol=0.0):
        said = f"the forward passes differ: your loss is {loss:.9g}, that of fn {float(tape.loss._data):.9g}"
        ratio = factor_of(loss, float(tape.loss._data), tape)
        return BackwardDiff(tuple(departures), f"{said}{ratio}", False, len(under_test), notes)
    if not departures:
        return BackwardDiff((), "", False, len(under_test), notes)
    wrong = [e for e in under_test if _departure(e, found, tolerance) is not None]
    cause = cause_of(tape, under_test, wrong, found)
    line = "" if cause.at is None else lines_of(trial.run).get(age(cause.at, leaves[0]), "")
    text = f"{cause.text} ({line})" if line else cause.text
    if not text and tape.last != BEFORE and all(e.t == NO_STEP for e in under_test):
        notes += ('hand over the derivatives by the states, too ({"dh": list over t}): they tell the step',)
    return BackwardDiff(tuple(departures), text, cause.certain, len(under_test), notes)


def _loss(outputs: list[tuple[str, Any]]) -> Any:
    loss = outputs[0][1] if outputs else None
    if not isinstance(loss, Variable) or int(np.prod(loss.shape)) != 1:
        raise TypeError("diff_backward: fn must return the loss, one number as a Value or Tensor")
    return loss


def _order(entry: Entry, tape: Tape) -> tuple[int, int]:
    """Return the place of an array in a backward pass: late steps first, in a step the later node first."""
    index = tape.graph.index(entry.node) if entry.node in tape.graph else 0
    return (1 if entry.t == NO_STEP else 0, -entry.t * len(tape.graph) - index)


def _departure(entry: Entry, found: Cotangents, tolerance: float) -> Departure | None:
    expected = expected_of(entry, found)
    t = None if entry.t == NO_STEP else entry.t
    if np.shape(entry.got) != np.shape(expected):
        return Departure(entry.name, t, (), float("nan"), float("nan"), np.shape(entry.got))
    error = np.abs(entry.got - expected)
    if not error.size or np.max(error) <= tolerance * np.max(np.abs(expected)):
        return None
    error = np.where(np.isnan(error), np.inf, error)
    place = tuple(int(k) for k in np.unravel_index(int(np.argmax(error)), error.shape))
    return Departure(entry.name, t, place, float(expected[place]), float(entry.got[place]), error.shape)


def _notes(given: Mapping[str, Any], names: Names, tape: Tape) -> tuple[str, ...]:
    notes = []
    if tape.last == BEFORE:
        notes.append(
            "fn recorded no time steps: use tr.unroll, or with tr.scope('t=3'), to compare step by step"
        )
    named = {names.parameter(key) for key in given}
    absent: dict[Any, str] = {}
    for name, node in names.parameters.items():
        if node not in named and node in tape.graph:
            absent.setdefault(node, name)
    if any(node is not None for node in named) and absent:
        notes.append(f"not compared, as it is not given: {', '.join(absent.values())}")
    return tuple(notes)
