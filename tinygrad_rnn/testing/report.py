"""What a gradient check found, as a record that prints itself: one line first, the evidence after it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.analysis.table import Table
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.testing.findings import Fault, Mismatch, place, told_apart
from tinygrad_rnn.testing.verdicts import Verdict

if TYPE_CHECKING:
    from tinygrad_rnn.testing.kinks import Kink

_MOST_FAULTS = 3
_GREEN, _RED, _AMBER = "#218a3f", "#d93b33", "#a06a00"  # to be read on white and on black


@dataclass(frozen=True, slots=True)
class GradientReport:
    """The result of a gradient check: true when the gradient is right.

    Attributes:
        verdict: PASS, FAIL, INCONCLUSIVE or NONDIFFERENTIABLE.
        mismatch: the worst entry, None where no entry is wrong.
        problems: what is wrong besides; one sentence each.
        doubts: what keeps the check from a decision.
        kinks: the kinks within reach of the point.
        hint: the kind of mistake, where it is a known one.
        faults: the nodes whose own rules are wrong.
        notes: what a reader should know and does not fail the check.
        method: how the expected derivatives were found.
        compared: what was compared, such as ``"full Jacobian 3 x 12"``.
        tolerance: the part of a block's largest derivative by which an entry may be off.
        title: what the report calls the check.
        graph: the recorded graph, None of a function that records none.
    """

    verdict: Verdict
    mismatch: Mismatch | None = None
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    kinks: tuple[Kink, ...] = ()
    hint: str = ""
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    method: str = ""
    compared: str = ""
    tolerance: float = 0.0
    title: str = "gradcheck"
    graph: Graph | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every comparison held: PASS, or at a kink the documented convention."""
        clean = self.mismatch is None and not self.problems and not self.doubts
        return clean and self.verdict in (Verdict.PASS, Verdict.NONDIFFERENTIABLE)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {line}" for line in self._evidence())])

    def _repr_html_(self) -> str:
        color = _GREEN if self.ok else _RED if self.verdict is Verdict.FAIL else _AMBER
        head = f'<p style="color:{color}"><b>{html.escape(self._headline())}</b></p>'
        m = self.mismatch
        table = "" if m is None else Table("the worst entry", ("", ""), _rows(m)).html()
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in self._evidence())
        return f"{head}{table}<ul>{lines}</ul>"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers, texts and lists."""
        return {
            "verdict": str(self.verdict),
            "ok": self.ok,
            "mismatch": None if self.mismatch is None else self.mismatch.to_dict(),
            "problems": list(self.problems),
            "doubts": list(self.doubts),
            "kinks": [str(kink) for kink in self.kinks],
            "hint": self.hint,
            "faults": [str(fault) for fault in self.faults],
            "notes": list(self.notes),
            "method": self.method,
            "compared": self.compared,
            "tolerance": self.tolerance,
        }

    def draw(self) -> Any:
        """Return the drawing of the recorded graph with the operations whose rules are wrong in red.

        Raises:
            ValueError: no graph was recorded: the function was not one of this engine.
        """
        from tinygrad_rnn.testing.culprits import draw_culprits

        if self.graph is None:
            raise ValueError(
                "draw: no graph was recorded; only a check of Values and Tensors has one to draw"
            )
        return draw_culprits(self.graph, self.faults)

    # --- its text

    def _headline(self) -> str:
        if self.verdict is Verdict.PASS:
            return f"{self.title} passed: {self.compared}"
        if self.verdict is Verdict.NONDIFFERENTIABLE:
            kink = str(self.kinks[0]) if self.kinks else "no derivative here"
            held = "; the documented convention holds" if self.ok else ""
            return f"{self.title} NONDIFFERENTIABLE: {kink}{held}"
        if self.verdict is Verdict.INCONCLUSIVE:
            return f"{self.title} INCONCLUSIVE: {self.doubts[0]}"
        first = self.problems[0] if self.mismatch is None else str(self.mismatch)
        return f"{self.title} FAILED: {first}"

    def _evidence(self) -> list[str]:
        lines = [f"hint: {self.hint}"] if self.hint else []
        lines += _named(self.faults)
        if self.mismatch is not None:
            m = self.mismatch
            lines.append(
                f"absolute error {m.absolute_error:.3g}, relative error {m.relative_error:.3g}; "
                f"allowed {m.allowed:.3g}, the largest derivative of the block is {m.scale:.3g}"
            )
        headed = self._headline()
        lines += [text for text in (*self.problems, *self.doubts) if not headed.endswith(text)]
        lines += [str(kink) for kink in self.kinks[1:_MOST_FAULTS]]
        if len(self.kinks) > _MOST_FAULTS:
            lines.append(f"... and {len(self.kinks) - _MOST_FAULTS} more kinks")
        if self.method:
            lines.append(f"compared: {self.compared}; method: {self.method}; tolerance {self.tolerance:.3g}")
        return lines + [f"note: {note}" for note in self.notes]


def _named(faults: Sequence[Fault]) -> list[str]:
    lines = [f"wrong rule: {fault}" for fault in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        names = ", ".join(sorted({fault.op for fault in faults[_MOST_FAULTS:]}))
        lines.append(f"... and {len(faults) - _MOST_FAULTS} more nodes ({names})")
    return lines


def _rows(m: Mismatch) -> list[tuple[str, Any]]:
    output = f"{m.output}{place(m.output_index)}"
    expected, got = told_apart(m.expected, m.got)
    return [
        ("argument", f"{m.argument}{place(m.index)}{f' ({m.name})' if m.name else ''}"),
        ("shape", str(m.shape)),
        ("output", output),
        ("expected", expected),
        ("got", got),
        ("ratio", m.ratio),
    ]
