"""What a gradient check found, as a record that prints itself: one line first, the evidence after it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The worst entry of a Jacobian that is wrong.

    Attributes:
        argument: path of the argument, such as ``"argument 0['w']"``.
        index: which entry of it.
        output: path of the output, such as ``"output[1]"``.
        output_index: which entry of that.
        expected: the derivative found without the rules.
        got: the derivative that reverse mode gives.
        allowed: the largest difference that rounding could explain.
        scale: the largest derivative in the same block (this output by this argument).
    """

    argument: str
    index: tuple[int, ...]
    output: str
    output_index: tuple[int, ...]
    expected: float
    got: float
    allowed: float
    scale: float

    @property
    def absolute_error(self) -> float:
        """|got - expected|."""
        return abs(self.got - self.expected)

    @property
    def relative_error(self) -> float:
        """|got - expected| / |expected|, inf where the expected derivative is 0."""
        return self.absolute_error / abs(self.expected) if self.expected else math.inf

    @property
    def ratio(self) -> float:
        """got / expected: -1 is a lost sign, 2 or 1/2 a lost factor; nan where the expected derivative is 0."""
        return self.got / self.expected if self.expected else math.nan

    def __str__(self) -> str:
        where = f"{self.argument}{_at(self.index)}"
        if self.output_index or self.output != "output":
            where = f"d {self.output}{_at(self.output_index)} / d {where}"
        return f"{where}: expected {self.expected:.17g}, got {self.got:.17g} (ratio {self.ratio:.9g})"


@dataclass(frozen=True, slots=True)
class GradientReport:
    """The result of ``gradcheck``: true when the gradient is right.

    Attributes:
        ok: whether every comparison held.
        mismatch: the worst entry, None where no entry is wrong.
        problems: what is wrong besides, or makes a verdict impossible; one sentence each.
        notes: what a reader should know and does not fail the check.
        method: how the expected derivatives were found.
        compared: what was compared, such as ``"full Jacobian 3 x 12"``.
        tolerance: the part of a block's largest derivative by which an entry may be off.
    """

    ok: bool
    mismatch: Mismatch | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    method: str
    compared: str
    tolerance: float

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self._evidence()])

    def _headline(self) -> str:
        if self.ok:
            return f"gradcheck passed: {self.compared}"
        first = self.problems[0] if self.mismatch is None else str(self.mismatch)
        return f"gradcheck FAILED: {first}"

    def _evidence(self) -> list[str]:
        lines = []
        if self.mismatch is not None:
            m = self.mismatch
            lines.append(
                f"  absolute error {m.absolute_error:.3g}, relative error {m.relative_error:.3g}; "
                f"allowed {m.allowed:.3g}, the largest derivative of the block is {m.scale:.3g}"
            )
            lines += [f"  {problem}" for problem in self.problems]
        else:
            lines += [f"  {problem}" for problem in self.problems[1:]]
        if self.method:
            lines.append(
                f"  compared: {self.compared}; method: {self.method}; tolerance {self.tolerance:.3g}"
            )
        return lines + [f"  note: {note}" for note in self.notes]


def _at(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
