"""Who catches which fault, how often right gradients are called wrong, and how exact the truth is: one table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks import seeded_networks, seeded_operations
from tests.benchmarks.checkers import Checker
from tests.benchmarks.right_draws import disagreement, draw
from tests.benchmarks.seeded_operations import Seeded

FAULTS: list[Seeded] = [*seeded_operations.SEEDED, *seeded_networks.SEEDED]
MOST_EXAMPLES = 200


@dataclass(frozen=True)
class Score:
    """What one checker made of one fault: how many of the examples it called wrong, and the first of these."""

    caught: int
    examples: int
    first: int | None

    @property
    def always(self) -> bool:
        return self.caught == self.examples

    @property
    def mark(self) -> str:
        return "caught" if self.always else f"{self.caught}/{self.examples}" if self.caught else "MISSED"


def score(check: Checker, fault: Seeded, examples: int) -> Score:
    """Draw examples of a fault, as many as are given, and see in which the checker sees it."""
    seen = []
    for seed in range(examples):
        args = fault.draw(np.random.default_rng(seed))
        seen.append(not check(fault.forward, fault.backward, args))
    first = seen.index(True) + 1 if any(seen) else None
    return Score(sum(seen), examples, first)


def examples_needed(check: Checker, fault: Seeded) -> int | None:
    """Return after how many examples the fault is caught, None if it is not within ``MOST_EXAMPLES``."""
    for seed in range(MOST_EXAMPLES):
        if not check(fault.forward, fault.backward, fault.draw(np.random.default_rng(1000 + seed))):
            return seed + 1
    return None


def table(scores: dict[str, dict[str, Score]]) -> str:
    """Return a line for each fault and a column for each checker, totals at the end."""
    names = list(scores)
    rows = [["fault", *names]]
    for fault in FAULTS:
        rows.append([f"{fault.category}: {fault.name}", *(scores[name][fault.name].mark for name in names)])
    always = [sum(s.always for s in scores[name].values()) for name in names]
    never = [sum(not s.caught for s in scores[name].values()) for name in names]
    rows.append(["always caught", *(f"{n}/{len(FAULTS)}" for n in always)])
    rows.append(["never caught", *(str(n) for n in never)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


@dataclass(frozen=True)
class Soundness:
    """What the check said of right gradients.

    Attributes:
        verdicts: how often which.
        alarms: the draws that were called wrong.
        errors: the largest relative error of each gradient.
    """

    verdicts: Counter[str]
    alarms: list[str]
    errors: list[float]

    def __str__(self) -> str:
        errors = np.asarray(self.errors)
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        return (
            f"{sum(self.verdicts.values())} right draws (T up to 400, gains up to 2.5): {said}; "
            f"{len(self.alarms)} false alarms\n"
            f"agreement of {len(errors)} gradients above 1e-290 with the truth: at most {errors.max():.2g}, "
            f"{100 * np.mean(errors <= 1e-12):.2f} % within 1e-12, median {np.median(errors):.2g}"
        )


def soundness(draws: int, seed: int = 0) -> Soundness:
    """Check right gradients, and measure every tenth draw's agreement with the truth."""
    rng = np.random.default_rng(seed)
    found = Soundness(Counter(), [], [])
    for k in range(draws):
        case = draw(rng)
        report = tr.testing.gradcheck(case.loss, *case.args)
        found.verdicts[str(report.verdict)] += 1
        if not report.ok:
            found.alarms.append(f"{case.what}\n{report}")
        if k % 10 == 0:
            found.errors.extend(disagreement(case, rng))
    return found


def counts(faults: Sequence[Seeded] = FAULTS) -> dict[str, int]:
    """Return how many faults there are of each category."""
    return dict(Counter(fault.category for fault in faults))
