"""What the check says of right gradients."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.agreement import Agreement
from tests.benchmarks.right_draws import Draw, draw


@dataclass
class Soundness:
    """What the check said of right gradients so far.

    Attributes:
        verdicts: how often which.
        drawn: how often which kind of network, length, gain and loss.
        alarms: the draws that were called wrong, each with what makes it again.
        agreement: of some of them, with the truth.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)
    agreement: Agreement = field(default_factory=Agreement)

    def count(self, case: Draw) -> None:
        """Count what kind of draw it is."""
        T = len(case.x)
        of = {"T > 20": case.long, "T >= 200": T >= 200, "gain >= 2": case.gain >= 2}
        of["both"] = T >= 200 and case.gain >= 2
        self.drawn.update([case.kind, case.losses, *(name for name, holds in of.items() if holds)])

    def __str__(self) -> str:
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        drawn = ", ".join(f"{count} {what}" for what, count in self.drawn.most_common())
        return (
            f"{sum(self.verdicts.values())} right draws: {said}; {len(self.alarms)} false alarms\n  ({drawn})\n"
            f"beside the truth: {self.agreement}"
        )


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
            found.agreement.measure(case)
        yield found
