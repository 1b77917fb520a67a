"""What the check says of right gradients, and how well they agree with the truth."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.right_draws import Draw, Gradient, draw, gradients

SMALLEST = 1e-290


@dataclass
class Soundness:
    """What the check said of right gradients so far.

    Attributes:
        verdicts: how often which.
        drawn: how often which kind of network, length, gain and loss.
        alarms: the draws that were called wrong, each with what makes it again.
        sizes: the largest entry of each gradient that was compared with the truth.
        errors: its largest error, relative to that.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def count(self, case: Draw) -> None:
        """Count what kind of draw it is."""
        T = len(case.x)
        of = {"T > 20": case.long, "T >= 200": T >= 200, "gain >= 2": case.gain >= 2}
        of["both"] = T >= 200 and case.gain >= 2
        self.drawn.update([case.kind, case.losses, *(name for name, holds in of.items() if holds)])

    def measure(self, found: Sequence[Gradient]) -> None:
        """Take in how far the gradients above ``SMALLEST`` are from the truth."""
        kept = [g for g in found if g.size > SMALLEST and np.isfinite(g.size)]
        self.sizes += [g.size for g in kept]
        self.errors += [g.error for g in kept]

    def __str__(self) -> str:
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        drawn = ", ".join(f"{count} {what}" for what, count in self.drawn.most_common())
        text = (
            f"{sum(self.verdicts.values())} right draws: {said}; {len(self.alarms)} false alarms\n  ({drawn})"
        )
        sizes, errors = np.asarray(self.sizes), np.asarray(self.errors)
        for least, most in ((SMALLEST, np.inf), (SMALLEST, 1e-200), (1e-200, 1e-100), (1e-100, 1e-10)):
            e = errors[(sizes >= least) & (sizes < most)]
            if len(e):
                text += (
                    f"\n  truth: {len(e)} gradients of {least:g} to {most:g} off by at most {e.max():.2g}, "
                    f"{100 * np.mean(e <= 1e-12):.2f} % within 1e-12, median {np.median(e):.2g}"
                )
        return text


def soundness(draws: int, seed: int = 0) -> Iterator[Soundness]:
    """Check right gradients; yield what was found so far, after each draw.

    Every twentieth draw, of the long ones every second, is held against the truth.
    """
    found = Soundness()
    for k in range(draws):
        case = draw(np.random.default_rng([seed, k]))
        report = tr.testing.gradcheck(case.loss, *case.args)
        found.verdicts[str(report.verdict)] += 1
        found.count(case)
        if not report.ok:
            found.alarms.append(f"case = draw(np.random.default_rng([{seed}, {k}]))  # {case.what}\n{report}")
        if k % (2 if case.long else 20) == 0:
            found.measure(gradients(case))
        yield found
