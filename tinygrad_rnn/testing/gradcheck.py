"""``gradcheck``: reverse mode held against derivatives that were found without its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.testing.faults import faults_of
from tinygrad_rnn.testing.findings import Fault, Mismatch
from tinygrad_rnn.testing.kinks import Kink
from tinygrad_rnn.testing.leaks import leaks
from tinygrad_rnn.testing.lines import age, lines_of
from tinygrad_rnn.testing.recorded import RecordedComparison
from tinygrad_rnn.testing.report import GradientReport
from tinygrad_rnn.testing.secondorder import GradientTrial
from tinygrad_rnn.testing.trial import RANDOM, Trial, data_of, same_outputs
from tinygrad_rnn.testing.verdicts import Verdict

TOLERANCE = 1e-10
BETWEEN = (
    "no rule is wrong by itself: the fault lies between them (a hook, an accumulation, a number that left the graph, a "
    "function that changes from run to run)"
)


def gradcheck(
    fn: Callable[..., Any],
    *args: Any,
    order: int = 1,
    tolerance: float = TOLERANCE,
    rng: np.random.Generator | None = None,
) -> GradientReport:
    """Return whether reverse mode differentiates ``fn`` rightly at ``args``; a wrong gradient is reported, not raised.

    The expected derivatives come from the complex step, taken node by node over the recorded graph; operations that
    refuse complex numbers are differenced. An entry may be off by ``tolerance`` times the largest derivative of its
    block (one output by one argument), or by what moving every number by one unit in the last place does to it. There
    is no absolute floor: the gradient of a small output is held as strictly as that of a large one. What ``fn``
    detaches on purpose counts as a constant. Forward mode is held against reverse mode. Where a gradient is wrong,
    every node's rule is checked alone, and the report names those that are wrong, with the kind of mistake if it is a
    known one.

    Args:
        fn: any function over Values and Tensors; it may return nested outputs of any shape.
        args: floats, arrays, nodes and Modules, nested in any way; they are copied in float64. Anything else
            (integers and arrays of them, texts, Generators) is passed on. Generators are set back before each run.
        order: 2 checks the second derivatives, too: the gradient of a random mix of the outputs is checked itself.
        tolerance: relative to the largest derivative of a block.
        rng: draws the directions where the Jacobian has more than 4096 entries; a fixed seed when None.

    Returns:
        A report that is true when the gradient is right. Its ``verdict`` is PASS; FAIL; INCONCLUSIVE where the expected
        derivatives could not be found; NONDIFFERENTIABLE where a kink lies within reach of the point: it is true all
        the same if the gradient is the documented convention.

    Raises:
        TypeError: ``fn`` cannot be called, or no argument can be differentiated.
        ValueError: ``order`` is neither 1 nor 2.
        TraceError: ``fn`` reads a node out of the graph with ``np.asarray``.

    Example:
        >>> import tinygrad_rnn as tr
        >>> wrong = tr.Op(name="cube", symbol="x³", forward=lambda xp, x: x * x * x,
        ...               partials=(lambda xp, y, x: 3.0 * x,))
        >>> print(tr.testing.gradcheck(wrong, 2.0))
        gradcheck FAILED: argument 0: expected 12, got 6 (ratio 0.5)
          hint: a factor is wrong: got is 1/2 times expected
          wrong rule: cube (node 1): argument 0: expected 12, got 6 (ratio 0.5); ...
    """
    if not isinstance(order, int) or order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, got {order!r}")
    rng = check.seeded("gradcheck: rng", rng)
    check.number("gradcheck: tolerance", tolerance, 0.0)
    report = _check(Trial(fn, args), tolerance, rng)
    if order == 1 or not report.ok:
        return report
    beside = _beside(Trial(fn, args), tolerance, rng)
    if beside is not None:
        return beside
    second = _check(GradientTrial(fn, args), tolerance, rng)
    if second.verdict is Verdict.PASS:
        both = f"{report.compared}; second order: {second.compared}"
        return replace(report, compared=both, notes=tuple(dict.fromkeys(report.notes + second.notes)))
    return replace(second, title="gradcheck of second order")


def assert_gradients(fn: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Do nothing if :func:`gradcheck` passes.

    Raises:
        AssertionError: it does not; the message is its report.
    """
    report = gradcheck(fn, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))


def located(
    fn: Callable[..., Any], args: tuple[Any, ...], tolerance: float, rng: np.random.Generator
) -> tuple[GradientReport, list[Fault]]:
    """Return the report on the whole, and the nodes whose own rules are wrong, looked for come what may."""
    trial = Trial(fn, args)
    report = _check(trial, tolerance, rng)
    if report.verdict is Verdict.FAIL or report.graph is None:
        return report, list(report.faults)
    leaves, outputs = trial.run()
    graph = Graph.of(*(y for _, y in _nodes(outputs)))
    return report, with_lines(faults_of(graph, rng), trial, graph, leaves[0])


def _beside(trial: Trial, tolerance: float, rng: np.random.Generator) -> GradientReport | None:
    """Return the report of a gradient that is wrong beside the point, where a rule that reads a fixed number shows."""
    leaves = trial.run()[0]
    shift = [1e-3 * (0.1 + np.abs(data_of(x))) * rng.choice([-1.0, 1.0], x.shape) for x in leaves]
    try:
        with np.errstate(all="ignore"):
            leaves, outputs = trial.run(shift)
            check = RecordedComparison(leaves, trial.paths, _nodes(outputs), tolerance, rng)
            check.pull()
            mismatch = check.worst()
    except Exception:  # not defined there
        return None
    if mismatch is None or check.doubts() or not np.isfinite(mismatch.expected + mismatch.got):
        return None
    problem = "the gradient is right at the point and wrong 0.1 % beside it: a rule reads a number that stands still"
    report = _concluded(trial, check, (mismatch, [problem], [], []))
    return replace(report, title="gradcheck of second order")


def _check(trial: Trial, tolerance: float, rng: np.random.Generator) -> GradientReport:
    leaves, outputs = trial.run()
    problems, doubts = _preflight(trial, outputs)
    check = RecordedComparison(leaves, trial.paths, _nodes(outputs), tolerance, rng)
    mismatch = None
    notes: list[str] = []
    stage = "backward raised"
    try:  # rules and operations of anyone's: the report is where their failure belongs
        check.pull()
        stage = "cannot be decided: a value beside the point raised"
        mismatch = None if doubts or RANDOM in problems else check.worst()
    except Exception as error:
        opaque = isinstance(trial, GradientTrial) and isinstance(error, TypeError)
        sentence = f"{stage} {type(error).__name__}: {error}"
        (problems if stage == "backward raised" and not opaque else doubts).append(sentence)
    problems += check.problems
    if mismatch is None and not problems and not doubts:
        problems, notes = check.forward_mode()
    doubts += check.doubts()
    cut = trial.detached if isinstance(trial, GradientTrial) else check.truth.cuts > 0
    if mismatch is None and not problems and not doubts and not cut:
        problems += leaks(trial, leaves)
    if not check.nodes and not problems:
        doubts.append("fn returns no Value or Tensor of floats (is a return missing?)")
    problems += [p for p in _written(trial) if p not in problems]
    return _concluded(trial, check, (mismatch, problems, doubts, notes))


def _concluded(
    trial: Trial,
    check: RecordedComparison,
    findings: tuple[Mismatch | None, list[str], list[str], list[str]],
) -> GradientReport:
    mismatch, problems, doubts, notes = findings
    bent = [Kink(node.op.name, node.name, node._scope, (), 0.0) for node in check.truth.bent]
    kinks = bent + _kinks(check)
    verdict = _verdict(mismatch, problems, doubts, kinks, bool(bent), check.uncertainty)
    faults: list[Fault] = []
    if verdict is Verdict.FAIL and check.graph is not None:
        faults = faults_of(check.graph, check.rng)
        faults = with_lines(faults, trial, check.graph, check.leaves[0])
        notes = notes + ([] if faults or mismatch is None else [BETWEEN, *check.hooked()])
    return GradientReport(
        verdict=verdict,
        mismatch=mismatch,
        problems=tuple(problems),
        doubts=tuple(doubts),
        kinks=tuple(kinks),
        hint=_hint(check, mismatch, faults),
        faults=tuple(faults),
        notes=tuple(check.notes() + notes + (check.near_kinks() if verdict is Verdict.PASS else [])),
        method=check.method(),
        compared=check.compared,
        tolerance=check.tolerance,
        graph=check.graph,
    )


def _verdict(
    mismatch: Mismatch | None,
    problems: list[str],
    doubts: list[str],
    kinks: list[Kink],
    bent: bool,
    uncertainty: float,
) -> Verdict:
    if problems:
        return Verdict.FAIL
    if mismatch is not None:
        finite = np.isfinite(mismatch.expected) and np.isfinite(mismatch.got)
        if bent or (kinks and not finite):
            return Verdict.NONDIFFERENTIABLE
        beyond = mismatch.absolute_error > 100 * uncertainty * mismatch.scale
        return Verdict.FAIL if beyond or not finite or not doubts else Verdict.INCONCLUSIVE
    if doubts:
        return Verdict.NONDIFFERENTIABLE if bent else Verdict.INCONCLUSIVE
    return Verdict.NONDIFFERENTIABLE if kinks else Verdict.PASS


def _kinks(check: RecordedComparison) -> list[Kink]:
    try:
        return check.kinks()
    except Exception:  # a rule that raises is reported by the comparison
        return []


def _hint(check: RecordedComparison, mismatch: Mismatch | None, faults: list[Fault]) -> str:
    known = [fault.hint for fault in faults if fault.hint]
    if faults or mismatch is None:
        return known[0] if known else ""
    return check.hint(mismatch, check.parts(mismatch))


def with_lines(faults: list[Fault], trial: Trial, graph: Graph, first: Node) -> list[Fault]:
    """Return the faults with the user's own lines, for which the function is run once more."""
    if not faults:
        return faults
    lines = lines_of(trial.run)
    return [replace(fault, line=lines.get(age(graph[fault.node], first), "")) for fault in faults]


def _nodes(outputs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(path, y) for path, y in outputs if isinstance(y, Variable) and data_of(y).dtype.kind == "f"]


def _preflight(trial: Trial, outputs: list[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    """Return what is wrong with the function as a function, and what makes its derivative undefined."""
    problems = []
    if not same_outputs(outputs, trial.run()[1]):
        problems.append(RANDOM)
    problems += _written(trial)
    arrays = [(path, data_of(y)) for path, y in outputs]
    return problems, [f"{path} is nan" for path, y in arrays if y.dtype.kind == "f" and np.isnan(y).any()]


def _written(trial: Trial) -> list[str]:
    return [f"{path} was changed by the function" for path in trial.altered()]
