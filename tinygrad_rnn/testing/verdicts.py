"""What a check may conclude."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The conclusion of a gradient check; a text, so ``report.verdict == "PASS"`` holds too.

    Attributes:
        PASS: every comparison held.
        FAIL: a gradient is wrong, or a run is not what it should be (it differs when repeated, an input changed).
        INCONCLUSIVE: the expected derivative could not be found well enough to tell.
        NONDIFFERENTIABLE: a kink lies within reach of the point, where the derivative is a matter of convention.
    """

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NONDIFFERENTIABLE = "NONDIFFERENTIABLE"
