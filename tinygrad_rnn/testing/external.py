"""``gradcheck_external``: any forward and backward over plain arrays, held against the forward's own values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.testing import hints
from tinygrad_rnn.testing.comparison import UNDECIDED
from tinygrad_rnn.testing.differences import EPS
from tinygrad_rnn.testing.findings import Mismatch
from tinygrad_rnn.testing.foreign import ForeignCall, Outputs, matched
from tinygrad_rnn.testing.foreigncomparison import ForeignComparison
from tinygrad_rnn.testing.globals import with_globals
from tinygrad_rnn.testing.report import GradientReport
from tinygrad_rnn.testing.trial import RANDOM, same_data
from tinygrad_rnn.testing.verdicts import Verdict

TOLERANCE = 1e-10
DECIDED = 1e-7  # Ridders' own error up to which it decides
RIGHT_SLOPE, WRONG_SLOPE, NO_SLOPE = (
    1.9,
    1.5,
    0.5,
)  # of the Taylor remainder; below the last it is no slope at all
_TITLE = "gradcheck_external"


def gradcheck_external(
    fn: Callable[..., Any],
    backward: Callable[..., Any] | None,
    *args: Any,
    parameters: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    rng: np.random.Generator | None = None,
) -> GradientReport:
    """Return whether ``backward`` differentiates ``fn`` rightly at ``args``: functions over arrays, of any origin.

    The expected derivatives come from the complex step through the whole of ``fn``, which is believed only if its real
    part equals the forward to 1e-12, a second step size agrees, and differences do not contradict it. Otherwise (abs,
    conj, a function that refuses complex numbers) from Ridders' extrapolated differences with their own error
    estimate; and where these are too coarse, the slope of the Taylor remainder decides: 2 of a right gradient, 1 of a
    wrong one.

    Args:
        fn: the forward function; it may return nested outputs of any shape.
        backward: ``backward(cotangent, *args)`` returns the gradients in the arguments' structure: one for each
            argument, or for each that holds floats; None is zero. The cotangent has the structure of the output of
            ``fn``. None where ``fn`` itself returns ``(loss, gradients, ...)``: one structure, or one after the other.
        args: floats and float arrays, nested in any way; they are copied in float64. Anything else is passed on.
        parameters: names of global arrays that ``fn`` reads, where these are differentiated instead of ``args``. While
            it runs, copies of them stand in their place. Gradients come in this order, or in a dict ("Wxh" or "dWxh").
        tolerance: relative to the largest derivative of a block (one output by one argument).
        rng: draws the directions where the Jacobian has more than 4096 entries; a fixed seed when None.

    A forward that returns a cache for its backward, ``step(x, h, W) -> (h, cache)`` and ``step_backward(dh, cache)``,
    is checked as ``gradcheck_external(lambda *a: step(*a)[0], lambda g, *a: step_backward(g, step(*a)[-1]), x, h, W)``.
    An object may keep what its forward has seen: each backward run follows a forward run with the same numbers.

    Raises:
        TypeError: ``fn`` or ``backward`` cannot be called (so), or no argument can be differentiated.
        ValueError: what is returned has not the structure of the arguments, or is complex.

    Example:
        >>> import tinygrad_rnn as tr
        >>> W = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> def forward(W, x):
        ...     return np.tanh(W @ x)
        >>> def backward(g, W, x):
        ...     da = g * (1 - np.tanh(W @ x) ** 2)
        ...     return np.outer(da, x), W @ da
        >>> print(tr.testing.gradcheck_external(forward, backward, W, np.array([0.1, -0.2])))
        gradcheck_external FAILED: d output[0] / d argument 1[1] (x): expected 1.83..., got 2.74... (ratio 1.5)
          ...
    """
    rng = check.seeded(f"{_TITLE}: rng", rng)
    check.number(f"{_TITLE}: tolerance", tolerance, 0.0)
    if backward is not None and not callable(backward):
        raise TypeError(f"{_TITLE}: backward must be callable or None, got {type(backward).__name__}")
    if backward is not None:
        _refuse_other_arguments(backward, len(args))
    if parameters:
        fn, backward, args = with_globals(fn, backward, parameters, args)
    call = ForeignCall(fn, args, loss_first=backward is None, names=parameters)
    outputs = call.run(call.values)
    for path, y in outputs:
        if y.dtype.kind == "c":
            raise TypeError(f"{_TITLE}: fn must return real numbers, {path} is {y.dtype}")
    problems = _preflight(call, outputs)
    pull = _Pull(call, backward, [y.shape for _, y in outputs])
    stop = _refused(call, pull, outputs, problems)
    if stop is not None:
        return stop
    tolerance = max(
        [tolerance, *(100 * float(np.finfo(y.dtype).eps) for _, y in outputs if y.dtype.kind == "f")]
    )
    return _compared(ForeignComparison(call, outputs, pull, tolerance, rng), call, problems)


def _refuse_other_arguments(backward: Callable[..., Any], count: int) -> None:
    try:
        inspect.signature(backward).bind(None, *[None] * count)
    except ValueError:  # some built-in functions have no signature
        return
    except TypeError as error:
        raise TypeError(
            f"{_TITLE}: backward is called with the cotangent and the {count} arguments of fn: {error}. One that is "
            "given what the forward kept is wrapped: lambda g, *args: backward(g, forward(*args)[-1])"
        ) from None


class _Pull:
    """The backward function under test, as gradients of <row, output number> for each leaf.

    A forward run with the same values goes before: an object may keep for its backward what its forward has seen.
    """

    def __init__(self, call: ForeignCall, backward: Callable[..., Any] | None, shapes: list[Any]) -> None:
        self._call, self._run, self._shapes = call, backward, shapes

    def __call__(self, number: int, row: Any, values: list[Any]) -> list[Any]:
        call = self._call
        if self._run is None:
            found = call.full(values)
            rest = found[1:]
            container = isinstance(rest[0], (tuple, list, dict))
            one = len(call.args) == 1 and not isinstance(call.args[0], (tuple, list))
            gradients = rest[0] if container or one else list(rest[: self._many()])
            return [row * g for g in self._real(matched(call.args, gradients, "fn"), "fn")]
        if call.latest is not values:
            call.full(values)
        cotangents = [np.zeros(shape) for shape in self._shapes]
        cotangents[number] = np.asarray(row, dtype=float)
        arguments = call.arguments(values)
        run, like = self._run, call.like
        found = call.watched(arguments, lambda: run(like(cotangents), *arguments))
        return self._real(matched(call.args, found, "backward"), "backward")

    def _many(self) -> int:
        """Return how many gradients follow the loss: one for each argument that holds floats."""
        only = self._call.args[0]
        return len(only) if len(self._call.args) == 1 else self._call.wanted

    def _real(self, gradients: list[Any], who: str) -> list[Any]:
        for path, g in zip(self._call.paths, gradients, strict=True):
            if np.iscomplexobj(g):
                raise ValueError(
                    f"{who} must return real numbers, the gradient of {path} is {np.asarray(g).dtype}"
                )
        return [np.asarray(g, dtype=float) for g in gradients]


def _preflight(call: ForeignCall, outputs: Outputs) -> list[str]:
    again = call.run(call.values)
    same = len(again) == len(outputs) and all(
        a == b and same_data(x, y) for (a, x), (b, y) in zip(outputs, again, strict=True)
    )
    return [] if same else [RANDOM]


def _refused(call: ForeignCall, pull: _Pull, outputs: Outputs, problems: list[str]) -> GradientReport | None:
    """Return the report where there is nothing to compare: no numbers, a backward that raises, wrong shapes."""
    if problems:
        return _report(Verdict.FAIL, problems)
    if any(np.isnan(y).any() for _, y in outputs):
        path = next(path for path, y in outputs if np.isnan(y).any())
        return _report(Verdict.INCONCLUSIVE, problems, doubts=[f"{path} is nan"])
    if not outputs:
        return _report(Verdict.INCONCLUSIVE, problems, doubts=["fn returns no float array"])
    try:
        first = pull(0, np.ones(outputs[0][1].shape), call.values)
    except (ValueError, TypeError) as error:
        if str(error).startswith(("fn must return", "backward must return", f"{_TITLE}:")):
            raise
        return _report(Verdict.FAIL, [*problems, f"backward raised {type(error).__name__}: {error}"])
    except Exception as error:
        return _report(Verdict.FAIL, [*problems, f"backward raised {type(error).__name__}: {error}"])
    hint = ""
    for path, x, g in zip(call.paths, call.values, first, strict=True):
        if np.shape(g) != np.shape(x):
            problems.append(f"the gradient of {path}, of shape {np.shape(x)}, has shape {np.shape(g)}")
            hint = hint or _of_shape(call, outputs, path, g)
    return _report(Verdict.FAIL, problems, hint=hint) if hint else None


def _of_shape(call: ForeignCall, outputs: Outputs, path: str, got: Any) -> str:
    """Return what the wrong shape of a gradient tells; the right gradient is found by a right-shaped stand-in."""
    leaf = call.paths.index(path)
    shapes = [np.shape(x) for x in call.values]
    stand_in = ForeignComparison(
        call, outputs, lambda *_: [np.zeros(s) for s in shapes], TOLERANCE, np.random.default_rng(0)
    )
    pair = stand_in.of_output(0, np.ones(outputs[0][1].shape), leaf)
    return (hints.hint(pair[0], got) if pair is not None else "") or "another shape than its argument"


def _compared(check: ForeignComparison, call: ForeignCall, problems: list[str]) -> GradientReport:
    mismatch = None
    doubts: list[str] = []
    notes: list[str] = []
    stage = "backward raised"
    try:
        check.pull()
        stage = "cannot be decided: a value beside the point raised"
        mismatch = _believed(check, check.worst())
    except Exception as error:
        sentence = f"{stage} {type(error).__name__}: {error}"
        (problems if stage == "backward raised" else doubts).append(sentence)
    problems += check.problems + [f"{path} was changed by the function" for path in call.changed]
    kinks = check.kinks() if not problems else []
    verdict = Verdict.FAIL if problems else Verdict.INCONCLUSIVE
    if kinks:
        verdict = Verdict.NONDIFFERENTIABLE
        doubts = ["nothing to compare with: the one-sided derivatives differ at this point"]
    elif not problems and not doubts and mismatch is not None and not np.isfinite(mismatch.expected):
        doubts = [f"there is no finite derivative to compare with: {mismatch}"]
        mismatch = None
    elif not problems and not doubts:
        verdict, doubts, notes = _decided(check, mismatch)
        mismatch = None if verdict is Verdict.PASS else mismatch
    return _report(
        verdict,
        problems,
        doubts=doubts,
        mismatch=mismatch,
        kinks=tuple(kinks),
        hint=check.hint(mismatch) if mismatch is not None and verdict is Verdict.FAIL else "",
        notes=tuple(notes),
        method=check.method(),
        compared=check.compared,
        tolerance=check.tolerance,
    )


def _believed(check: ForeignComparison, mismatch: Mismatch | None) -> Mismatch | None:
    """Return the mismatch if differences do not side with the backward; else what differences alone find."""
    if mismatch is None or check.unsound or not np.isfinite(mismatch.expected):
        return mismatch
    expected = check.differenced(mismatch)
    if expected is None:
        return mismatch
    slope, error = expected
    apart = mismatch.absolute_error
    if error < 0.01 * apart and abs(slope - mismatch.got) < 0.1 * apart:
        check.disbelieve("differences contradict the complex step")
        return check.worst()
    exact = error <= max(
        0.01 * abs(slope), 1e-9 * apart
    )  # differences of a wild function look small, not exact
    if exact and error < 0.01 * apart and abs(slope - mismatch.expected) < 0.1 * apart:
        check.confirmed = True
    return mismatch


def _decided(check: ForeignComparison, mismatch: Mismatch | None) -> tuple[Verdict, list[str], list[str]]:
    """Return the verdict, doubts and notes, by the slope of the Taylor remainder where differences are too coarse."""
    if check.drowned:
        said = "derivatives cannot be told from 0 by differences: they are too small beside the numbers around them"
        return Verdict.INCONCLUSIVE, [f"cannot be decided: {said}"], []
    doubtful = not check.unsound and not check.confirmed and mismatch is not None
    single = (
        1e3 * check.eps if check.eps > EPS else 0.0
    )  # the rounding of float32 is known, and no kink to fear
    enough = max(single, DECIDED if mismatch is not None else UNDECIDED)
    if not doubtful and check.uncertainty <= enough:
        return (Verdict.PASS if mismatch is None else Verdict.FAIL), [], []
    try:
        low, high = check.slopes_of_remainder(np.random.default_rng(8))
    except Exception as error:
        return Verdict.INCONCLUSIVE, [f"cannot be decided: {type(error).__name__}: {error}"], []
    coarse = "tell nothing" if doubtful else f"are only good to {check.uncertainty:.1g}"
    slopes = f"has slopes {low:.2f} to {high:.2f}" if np.isfinite(low) else "tells nothing either"
    said = f"the differences {coarse}; the Taylor remainder {slopes}"
    if low >= NO_SLOPE and high <= WRONG_SLOPE and mismatch is not None:
        return Verdict.FAIL, [], [said]
    silent = mismatch is None or doubtful or check.uncertainty > UNDECIDED
    if np.isfinite(low) and low >= RIGHT_SLOPE and silent:
        return Verdict.PASS, [], [said]
    return Verdict.INCONCLUSIVE, [f"cannot be decided: {said}"], []


def _report(
    verdict: Verdict, problems: list[str], *, doubts: Sequence[str] = (), **more: Any
) -> GradientReport:
    return GradientReport(verdict, problems=tuple(problems), doubts=tuple(doubts), title=_TITLE, **more)
