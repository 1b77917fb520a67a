"""``gradcheck``: reverse mode held against derivatives that were found without its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.testing.comparison import Comparison
from tinygrad_rnn.testing.leaks import leaks
from tinygrad_rnn.testing.report import GradientReport
from tinygrad_rnn.testing.trial import Trial, data_of, same_outputs

TOLERANCE = 1e-10


def gradcheck(
    fn: Callable[..., Any], *args: Any, tolerance: float = TOLERANCE, rng: np.random.Generator | None = None
) -> GradientReport:
    """Return whether reverse mode differentiates ``fn`` rightly at ``args``; a wrong gradient is reported, not raised.

    The expected derivatives come from the complex step, taken node by node over the recorded graph; operations that
    refuse complex numbers are differenced. An entry may be off by ``tolerance`` times the largest derivative of its
    block (one output by one argument), or by what moving every number by one unit in the last place does to it. There
    is no absolute floor: the gradient of a small output is held as strictly as that of a large one. What ``fn``
    detaches on purpose counts as a constant.

    Args:
        fn: any function over Values and Tensors; it may return nested outputs of any shape.
        args: floats, arrays, nodes and Modules, nested in any way; they are copied in float64. Anything else
            (integers and arrays of them, texts, Generators) is passed on. Generators are set back before each run.
        tolerance: relative to the largest derivative of a block.
        rng: draws the directions where the Jacobian has more than 4096 entries; a fixed seed when None.

    Raises:
        TypeError: ``fn`` cannot be called, or no argument can be differentiated.
        TraceError: ``fn`` reads a node out of the graph with ``np.asarray``.

    Example:
        >>> import tinygrad_rnn as tr
        >>> wrong = tr.Op(name="cube", symbol="x³", forward=lambda xp, x: x * x * x,
        ...               partials=(lambda xp, y, x: 3.0 * x,))
        >>> print(str(tr.testing.gradcheck(wrong, 2.0)).splitlines()[0])
        gradcheck FAILED: argument 0: expected 12, got 6 (ratio 0.5)
    """
    trial = Trial(fn, args)
    leaves, outputs = trial.run()
    problems = _preflight(trial, outputs)
    rng = np.random.default_rng(0) if rng is None else rng
    check = Comparison(leaves, trial.paths, _nodes(outputs), tolerance, rng)
    mismatch = None
    stage = "backward raised"
    try:  # rules and operations of anyone's: the report is where their failure belongs
        check.pull()
        stage = "cannot be decided: a value beside the point raised"
        mismatch = check.worst()
    except Exception as error:
        problems.append(f"{stage} {type(error).__name__}: {error}")
    problems += check.problems
    if mismatch is None and not problems and not check.truth.cuts:
        problems += leaks(trial, leaves)
    return GradientReport(
        ok=mismatch is None and not problems,
        mismatch=mismatch,
        problems=tuple(problems),
        notes=tuple(check.notes()),
        method=check.method(),
        compared=check.compared,
        tolerance=check.tolerance,
    )


def assert_gradients(fn: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Do nothing if :func:`gradcheck` passes.

    Raises:
        AssertionError: it does not; the message is its report.
    """
    report = gradcheck(fn, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))


def _nodes(outputs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(path, y) for path, y in outputs if isinstance(y, Variable) and data_of(y).dtype.kind == "f"]


def _preflight(trial: Trial, outputs: list[tuple[str, Any]]) -> list[str]:
    problems = []
    if not same_outputs(outputs, trial.run()[1]):
        problems.append(
            "the function gives another result when it is run again: pass its randomness as a Generator"
        )
    problems += [f"{path} was changed by the function" for path in trial.altered()]
    for path, y in outputs:
        data = data_of(y)
        if data.dtype.kind == "f" and np.isnan(data).any():
            problems.append(f"{path} is nan")
    return problems
