"""What a check can find: an entry that is wrong, and an operation whose rule is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The worst entry of a Jacobian that is wrong.

    Attributes:
        argument: path of the argument, such as ``"argument 0['w']"``.
        index: which entry of it.
        output: path of the output, such as ``"output[1]"``.
        output_index: which entry of that.
        expected: the derivative found without the rules.
        got: the derivative under test.
        allowed: the largest difference that rounding could explain.
        scale: the largest derivative in the same block (this output by this argument).
        shape: the argument's shape.
        name: what the function calls the argument, such as ``"p['w']"``; ``""`` where that is not known.
    """

    argument: str
    index: tuple[int, ...]
    output: str
    output_index: tuple[int, ...]
    expected: float
    got: float
    allowed: float
    scale: float
    shape: tuple[int, ...] = ()
    name: str = ""

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
        name = f" ({self.name})" if self.name.isidentifier() else ""  # the path of a nested one says enough
        where = f"{self.argument}{place(self.index)}{name}"
        if self.output_index or self.output not in ("output", "result"):
            where = f"d {self.output}{place(self.output_index)} / d {where}"
        expected, got = told_apart(self.expected, self.got)
        return f"{where}: expected {expected}, got {got} (ratio {self.ratio:.9g})"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers and texts."""
        return {
            "argument": self.argument,
            "name": self.name,
            "index": list(self.index),
            "shape": list(self.shape),
            "output": self.output,
            "output_index": list(self.output_index),
            "expected": self.expected,
            "got": self.got,
            "ratio": self.ratio,
            "allowed": self.allowed,
            "scale": self.scale,
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """A node whose rule is wrong.

    Attributes:
        op: the operation's name.
        name: the node's name, or ``""``.
        step: the time step, -1 outside of all steps.
        scope: the scopes in which it was recorded.
        node: the node's index in the graph.
        argument: which argument's derivative is wrong, such as ``"argument 0"``; ``""`` where that has no meaning.
        what: the wrong entry, or another sentence.
        hint: the kind of mistake, where it is a known one.
        line: the user's own line that made the node, where it is known.
        mismatch: the wrong entry with its numbers, None where the rule failed in another way.
    """

    op: str
    name: str
    step: int
    scope: tuple[str, ...]
    node: int
    argument: str
    what: str
    hint: str = ""
    line: str = ""
    mismatch: Mismatch | None = None

    @property
    def place(self) -> str:
        """Operation, name and time step, such as ``"tanh h_3 in step t=3"``."""
        name = f" {self.name}" if self.name else f" (node {self.node})"
        outer = ", ".join(part for part in self.scope if part != f"t={self.step}")
        step = f" in step t={self.step}" if self.step >= 0 else ""
        return f"{self.op}{name}{step}{f' of {outer}' if outer else ''}"

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        line = f"; {self.line}" if self.line else ""
        return f"{self.place}: {self.what}{hint}{line}"


def told_apart(a: float, b: float) -> tuple[str, str]:
    """Return two numbers with as many digits as tell them apart, and one more; six at least."""
    digits = next((n for n in range(5, 17) if f"{a:.{n}g}" != f"{b:.{n}g}"), 16) + 1
    return f"{a:.{digits}g}", f"{b:.{digits}g}"


def place(index: tuple[int, ...]) -> str:
    """Return an index as it is written, ``""`` of a single number."""
    return f"[{', '.join(map(str, index))}]" if index else ""
