"""How well right gradients agree with the truth that the checker holds them against."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.benchmarks.right_draws import GATED, LAST, Draw, draw
from tinygrad_rnn.testing.recorded import RecordedComparison
from tinygrad_rnn.testing.trial import Trial

SMALLEST, PROMISED, USUAL = 1e-290, 1e-10, 1e-12


@dataclass(frozen=True)
class Gradient:
    """One gradient of a draw.

    Attributes:
        leaf: of what: a weight, a part of the first state, or x_t, the input of one step.
        expected: as the checker expects it.
        got: by reverse mode.
        rounding: how far the last places of what was stored could move an entry; 0 where that does not matter.
    """

    leaf: str
    expected: Any
    got: Any
    rounding: float

    @property
    def size(self) -> float:
        """The largest expected entry."""
        return float(np.max(np.abs(self.expected), initial=0.0))

    @property
    def error(self) -> float:
        """The largest error of an entry, relative to the largest entry."""
        return float(np.max(np.abs(self.got - self.expected))) / self.size


def gradients(case: Draw) -> list[Gradient]:
    """Return all gradients of a draw, of the input of each step by itself: they may differ by hundreds of orders."""
    cell, x, state = case.args
    trial = Trial(case.loss, (cell, list(x), state))
    leaves, outputs = trial.run()
    check = RecordedComparison(leaves, trial.paths, outputs, PROMISED, np.random.default_rng(0))
    names = {f"argument 1[{k}]": f"x_{t}" for k, t in enumerate(case.moving)}
    found = []
    for number, path in enumerate(trial.paths):
        pair = check.of_output(0, np.ones(()), number)
        assert pair is not None  # only an argument of thousands of entries has none
        gradient = Gradient(names.get(path, path), *map(np.asarray, pair), rounding=0.0)
        if gradient.size > SMALLEST and gradient.error > PROMISED:
            rounding = check.rounding(0, np.ones(()), number)
            gradient = Gradient(gradient.leaf, gradient.expected, gradient.got, rounding)
        found.append(gradient)
    return found


def known(found: Sequence[Gradient]) -> list[Gradient]:
    """Return the gradients that are large enough, and finite."""
    return [g for g in found if SMALLEST < g.size < np.inf]


@dataclass
class Agreement:
    """What the gradients of many draws are like.

    Attributes:
        sizes: the largest entry of each gradient above ``SMALLEST``.
        errors: its largest error, relative to that.
        excused: the errors beyond ``PROMISED`` that the last places of the stored values account for.
        wrong: the other gradients that are not what was expected.
    """

    sizes: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    excused: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def measure(self, case: Draw) -> None:
        """Take in the gradients of one draw."""
        found = gradients(case)
        for g in found:
            if g.size > SMALLEST:
                right = np.isinf(g.size) or g.error <= max(PROMISED, g.rounding / g.size)
            else:
                right = bool(np.all(np.abs(g.got) <= 10 * SMALLEST))
            if not right:  # so is whatever is nan
                self.wrong.append(f"{g.leaf} of {case.what}: expected {g.expected}, got {g.got}")
        self.sizes += [g.size for g in known(found)]
        self.errors += [g.error for g in known(found)]
        self.excused += [g.error for g in known(found) if PROMISED < g.error <= g.rounding / g.size]

    @property
    def usual(self) -> float:
        """The share of gradients that are within ``USUAL``."""
        return float(np.mean(np.asarray(self.errors) <= USUAL))

    def __str__(self) -> str:
        text = (
            f"{len(self.wrong)} wrong, {len(self.excused)} beyond {PROMISED:g} by what rounding does to them"
        )
        sizes, errors = np.asarray(self.sizes), np.asarray(self.errors)
        for least, most in ((SMALLEST, np.inf), (SMALLEST, 1e-200), (1e-200, 1e-100), (1e-100, 1e-10)):
            e = errors[(sizes >= least) & (sizes < most)]
            if len(e):
                text += (
                    f"\n  {len(e)} gradients of {least:g} to {most:g} off by at most {e.max():.2g}, "
                    f"{100 * np.mean(e <= USUAL):.2f} % within {USUAL:g}, median {np.median(e):.2g}"
                )
        return text


def vanishing(networks: int, seed: int = 3) -> Agreement:
    """Measure long networks with a loss at the end only: the gradients of early steps all but vanish."""
    found = Agreement()
    cases = (draw(np.random.default_rng([seed, k]), long=1.0) for k in itertools.count())
    fading = (case for case in cases if case.losses == LAST and case.gain <= 1 and case.kind not in GATED)
    for case in itertools.islice(fading, networks):
        found.measure(case)
    return found
