"""``verified``: a plan held against the function that it was made from, and where they part.

Three things could be wrong with a replay, and each has its own stage:

- *recording*: the recorded program, computed one item after the other, is not what the function returns;
- *rewriting*: the rewritten program is not what the recorded one is;
- *running*: what a batch leaves in memory is not what the rewritten program says.

After them the plan is replayed as a user would: results of one replay must not be touched by the next, nor depend on
the one before.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.plan.checking.reference import (
    allowances,
    described,
    deviation,
    generators,
    restored,
    values,
)
from tinygrad_rnn.plan.checking.twins import first_without_twin
from tinygrad_rnn.plan.checking.watch import Watch
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.recording.example import Example
from tinygrad_rnn.plan.recording.result import Output
from tinygrad_rnn.plan.recording.trace import trace


@dataclass(frozen=True, slots=True)
class Fault:
    """The first value that is wrong.

    Attributes:
        stage: ``"recording"``, ``"rewriting"``, ``"running"`` or ``"replaying"``.
        value: what it is: its number in the plan, name, operation and scope; or which output.
        got: its entry that is furthest off.
        expected: what that entry should be.
        deviation: by how much it is off.
        allowed: what rounding could explain.
        hints: what else is known, a sentence each.
    """

    stage: str
    value: str
    got: float
    expected: float
    deviation: float
    allowed: float
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        off = f"off by {self.deviation:.3g}, rounding explains {self.allowed:.3g}"
        lines = [
            f"{self.stage}: {self.value}",
            f"  is {self.got:.17g}, should be {self.expected:.17g} ({off})",
        ]
        return "\n".join([*lines, *(f"  {hint}" for hint in self.hints)])


@dataclass(frozen=True, slots=True)
class Verification:
    """What ``verify`` found; true when the replay is right.

    Attributes:
        fault: the first value that is wrong, None where all are right.
        deviation: the largest distance of an output's entry from the function's own.
        outputs: how many outputs were compared with those of the function.
        items: how many values were compared inside the plan.
    """

    fault: Fault | None
    deviation: float
    outputs: int
    items: int

    @property
    def ok(self) -> bool:
        """Whether the replay is right."""
        return self.fault is None

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.fault is not None:
            return f"verify FAILED in {self.fault}"
        return (
            f"verify passed: {self.outputs} outputs within {self.deviation:.3g} of the eager run, "
            f"{self.items} values inside the plan"
        )

    def _repr_html_(self) -> str:
        color = "#1b7f3b" if self.ok else "#b3261e"
        return f'<pre style="border-left:4px solid {color};padding-left:8px">{html.escape(str(self))}</pre>'


def verified(
    plan: Plan,
    inputs: Sequence[Any],
    recorded: Program | None = None,
    eager: Sequence[np.ndarray] | None = None,
) -> Verification:
    """Return whether a replay for these inputs gives what the function gives, and where it does not.

    Args:
        plan: to be verified.
        inputs: the leaves of the arguments.
        recorded: the program before any rewrite; without it rewriting is not verified.
        eager: the outputs of the function itself; without them recording is not verified.
    """
    program = plan.program
    drawn_from = generators(program, inputs)
    try:
        with restored(drawn_from):
            truth = values(program, inputs)
    except Exception as error:
        return Verification(raised("rewriting", "an item", error, ()), np.inf, len(program.outputs), 0)
    limits = allowances(program, inputs, truth)
    expected, allowed = _outputs(program, truth), [limits[i] for i in program.outputs]
    fault = None
    if recorded is not None:
        with restored(drawn_from):
            original = values(recorded, inputs)
        first = allowances(recorded, inputs, original)
        allowed = [max(a, first[i]) for a, i in zip(allowed, recorded.outputs, strict=True)]
        fault = _rewriting_fault(recorded, original, program, truth, allowed)
        expected = _outputs(recorded, original)
        if fault is None and eager is not None:
            fault = _difference("recording", expected, eager, allowed)
    expected = expected if eager is None else list(eager)
    fault = fault or _running_fault(plan, inputs, truth, limits)
    replayed, again = _replaying_fault(plan, inputs, expected, allowed)
    worst = max(map(deviation, replayed, expected), default=0.0)
    return Verification(fault or again, worst, len(expected), len(truth))


def verified_call(plan: Plan, example: Example) -> Verification:
    """Return whether the plan gives for a call what the function gives, and where it does not."""
    traced = trace(example.fn, example.args, example.kwargs)
    inputs = example.inputs()
    with restored(generators(traced.program, inputs)):
        returned = example.eager()
    recorded = flatten(traced.result)
    fault = _result_fault(recorded, returned)
    if fault is not None:
        return Verification(fault, np.inf, len(traced.program.outputs), 0)
    eager = [
        np.asarray(plain(x))
        for (_, x), (_, y) in zip(returned, recorded, strict=True)
        if isinstance(y, Output)
    ]
    return verified(plan, inputs, traced.program, eager)


def _result_fault(recorded: list[tuple[str, Any]], returned: list[tuple[str, Any]]) -> Fault | None:
    """Return the fault of a result of another structure, or with another static part, than was recorded."""
    paths = [[path for path, _ in leaves] for leaves in (recorded, returned)]
    if paths[0] != paths[1]:
        hint = f"recorded {paths[0]}, returned {paths[1]}"
        return Fault("recording", "the structure of the result", np.nan, np.nan, np.inf, 0.0, (hint,))
    for (path, mine), (_, other) in zip(recorded, returned, strict=True):
        if not isinstance(mine, Output) and not np.array_equal(mine, plain(other)):
            hint = f"recorded {mine!r}, returned {other!r}"
            return Fault("recording", f"result{path}", np.nan, np.nan, np.inf, 0.0, (hint,))
    return None


def _outputs(program: Program, found: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [found[i] for i in program.outputs]


def fault_at(
    stage: str, value: str, got: np.ndarray, expected: np.ndarray, allowed: float, hints: tuple[str, ...] = ()
) -> Fault:
    """Return the record of a wrong value, by its entry that is furthest off."""
    if got.shape != expected.shape:
        hints = (*hints, f"its shape is {got.shape}, not {expected.shape}")
        return Fault(stage, value, np.nan, np.nan, np.inf, allowed, hints)
    distances = [deviation(a, b) for a, b in zip(got.reshape(-1, 1), expected.reshape(-1, 1), strict=True)]
    k = int(np.argmax(distances))
    if got.size > 1:
        wrong = sum(d > allowed for d in distances)
        place = tuple(int(p) for p in np.unravel_index(k, got.shape))
        hints = (f"{wrong} of {got.size} entries are wrong; the entry is {list(place)}", *hints)
    numbers = (float(got.flat[k]), float(expected.flat[k]))
    return Fault(stage, value, *numbers, distances[k], allowed, hints)


def raised(stage: str, value: str, error: Exception, hints: tuple[str, ...]) -> Fault:
    """Return the record of a value that could not be computed."""
    what = f"{type(error).__name__}: {error}"
    return Fault(stage, value, np.nan, np.nan, np.inf, 0.0, (what, *hints))


def _difference(
    stage: str, got: Sequence[np.ndarray], expected: Sequence[np.ndarray], allowed: Sequence[float]
) -> Fault | None:
    """Return the fault of the first output that is wrong."""
    for k, (a, b, limit) in enumerate(zip(got, expected, allowed, strict=True)):
        if deviation(a, b) > limit:
            return fault_at(stage, f"output {k}", a, b, limit)
    return None


def _rewriting_fault(
    recorded: Program,
    original: Sequence[np.ndarray],
    program: Program,
    truth: Sequence[np.ndarray],
    allowed: Sequence[float],
) -> Fault | None:
    """Return the fault of the first rewritten item that leads to a wrong output and stands for no recorded value."""
    got, expected = _outputs(program, truth), _outputs(recorded, original)
    for k, (a, b, limit) in enumerate(zip(got, expected, allowed, strict=True)):
        if deviation(a, b) <= limit:
            continue
        i = first_without_twin(program, truth, program.outputs[k], original)
        what = described(program, i)
        hints = (f"no recorded value is like it; the numbers are those of output {k}, which follows from it",)
        return fault_at("rewriting", what, a, b, limit, hints if i != program.outputs[k] else ())
    return None


def _running_fault(
    plan: Plan, inputs: Sequence[Any], truth: Sequence[np.ndarray], limits: Sequence[float]
) -> Fault | None:
    """Run the plan batch by batch on memory full of nan, and return the fault of the first value that is wrong."""
    watch = Watch(plan, inputs, truth, limits)
    for k, batch in enumerate(plan.batches):
        members = f"batch {k} of {len(plan.batches)}: {len(batch.members)} together"
        for a in watch.arguments(k):
            if watch.wrong(a):
                reader = f"read by {described(plan.program, batch.members[0])} in {members}"
                hints = (reader, watch.overwritten(a, k))
                return fault_at(
                    "running", described(plan.program, a), watch.value(a), truth[a], limits[a], hints
                )
        if clash := watch.clash(k):
            value = described(plan.program, batch.members[0])
            return Fault("running", value, np.nan, np.nan, np.inf, 0.0, (clash, members))
        try:
            watch.run(k)
        except Exception as error:
            return raised("running", described(plan.program, batch.members[0]), error, (members,))
        for i in batch.members:
            if watch.wrong(i):
                hints = (members, "its arguments were right when it was computed")
                return fault_at(
                    "running", described(plan.program, i), watch.value(i), truth[i], limits[i], hints
                )
    for i in plan.program.outputs:
        if watch.wrong(i):
            hints = ("at the end", watch.overwritten(i, len(plan.batches)))
            return fault_at("running", described(plan.program, i), watch.value(i), truth[i], limits[i], hints)
    return None


def _replaying_fault(
    plan: Plan, inputs: Sequence[Any], expected: Sequence[np.ndarray], allowed: Sequence[float]
) -> tuple[list[np.ndarray], Fault | None]:
    """Return what a replay gives after one of other data, and what is wrong with it or becomes wrong by the next."""
    drawn_from = generators(plan.program, inputs)
    other = [_other(x) for x in inputs]
    before = [np.array(x) for x in inputs if isinstance(x, np.ndarray)]
    try:
        with restored(drawn_from), suppress(Exception):
            plan(other)
        with restored(drawn_from):
            found = plan(inputs)
    except Exception as error:
        return [], raised("replaying", "the whole plan", error, ())
    kept = [np.array(y) for y in found]
    with restored(drawn_from), suppress(Exception):
        plan(other)
    fault = _difference("replaying", kept, expected, allowed)
    if fault is None:
        fault = _difference("replaying (a result changed at the next call)", found, kept, [0.0] * len(kept))
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    for k, (x, old) in enumerate(zip(arrays, before, strict=True)):
        if fault is None and deviation(x, old) > 0.0:
            fault = fault_at(
                "replaying (an argument was written)", f"array {k} of the arguments", x, old, 0.0
            )
    return kept, fault


def _other(x: Any) -> Any:
    """Return other data of the same kind, for floats."""
    data = getattr(x, "_data", x)
    if isinstance(data, np.ndarray) and data.dtype.kind == "f":
        return data * data.dtype.type(0.5) + data.dtype.type(0.1)
    return 0.5 * data + 0.1 if isinstance(data, float) else data
