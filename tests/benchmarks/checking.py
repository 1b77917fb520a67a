"""Who catches which seeded fault: one table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks import seeded_networks, seeded_operations
from tests.benchmarks.checkers import Checker
from tests.benchmarks.seeded_operations import Seeded

FAULTS: list[Seeded] = [*seeded_operations.SEEDED, *seeded_networks.SEEDED]
MOST_EXAMPLES = 200
FIRST_SEED = 1000  # of these: others than in the table


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
        if not check(fault.forward, fault.backward, fault.draw(np.random.default_rng(FIRST_SEED + seed))):
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


def counts(faults: Sequence[Seeded] = FAULTS) -> dict[str, int]:
    """Return how many faults there are of each category."""
    return dict(Counter(fault.category for fault in faults))
