"""``localise``: which operation is wrong, under which name, in which time step, on which line."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.table import Table
from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.testing.culprits import draw_culprits
from tinygrad_rnn.testing.findings import Fault
from tinygrad_rnn.testing.gradcheck import BETWEEN, TOLERANCE, located
from tinygrad_rnn.testing.report import GradientReport

_MOST_NODES = 3  # of one operation, one line each


@dataclass(frozen=True, slots=True)
class Localisation:
    """Where a gradient is wrong; true when nothing is.

    Attributes:
        faults: the nodes whose own rules are wrong, in topological order.
        report: what ``gradcheck`` says of the whole.
    """

    faults: tuple[Fault, ...]
    report: GradientReport

    @property
    def ok(self) -> bool:
        """Whether every rule is right, and the whole gradient too."""
        return not self.faults and self.report.ok

    def __bool__(self) -> bool:
        return self.ok

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of the operations that are wrong, each once."""
        return tuple(dict.fromkeys(fault.op for fault in self.faults))

    def __str__(self) -> str:
        if self.ok:
            return f"every rule is right, and so is the gradient ({self.report.compared})"
        if not self.faults:
            kept = tuple(note for note in self.report.notes if note != BETWEEN)  # said above
            return "\n".join([self._elsewhere(), str(replace(self.report, notes=kept))])
        lines = []
        for op in self.operations:
            nodes = [fault for fault in self.faults if fault.op == op]
            count = f"{len(nodes)} nodes" if len(nodes) > 1 else "1 node"
            lines.append(f"the rule of {op} is wrong, in {count}:")
            lines += [f"  {fault}" for fault in nodes[:_MOST_NODES]]
            lines += [f"  ... and {len(nodes) - _MOST_NODES} more"] if len(nodes) > _MOST_NODES else []
        return "\n".join(lines)

    def _elsewhere(self) -> str:
        return BETWEEN if self.report.verdict == "FAIL" else "no rule is wrong, as far as can be told"

    def _repr_html_(self) -> str:
        if not self.faults:
            return f"<pre>{html.escape(str(self))}</pre>"
        headings = ("operation", "node", "step", "argument", "what", "hint", "line")
        rows = [(f.op, f.name, _step(f), f.argument, f.what, f.hint, f.line) for f in self.faults]
        told = [k for k in range(len(headings)) if any(row[k] for row in rows)]
        return Table(
            "wrong rules", [headings[k] for k in told], [[row[k] for k in told] for row in rows]
        ).html()

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain texts and numbers."""
        return {
            "ok": self.ok,
            "operations": list(self.operations),
            "faults": [
                {"op": f.op, "name": f.name, "step": f.step, "scope": list(f.scope), "node": f.node,
                 "argument": f.argument, "what": f.what, "hint": f.hint, "line": f.line}
                for f in self.faults
            ],
            "report": self.report.to_dict(),
        }  # fmt: skip

    def draw(self) -> Any:
        """Return the drawing of the graph with the wrong operations in red.

        Raises:
            ValueError: the function recorded nothing.
        """
        if self.report.graph is None:
            raise ValueError("draw: the function recorded no graph")
        return draw_culprits(self.report.graph, self.faults)


def _step(fault: Fault) -> str:
    return str(fault.step) if fault.step >= 0 else ""


def localise(
    fn: Callable[..., Any], *args: Any, tolerance: float = TOLERANCE, rng: np.random.Generator | None = None
) -> Localisation:
    """Return which operations of ``fn`` at ``args`` have wrong derivative rules, node by node.

    Each node's rule is run alone, on the values that were recorded, and held against the complex step of that
    node's own forward. A rule that only passes on what is wrong elsewhere is not blamed. Every rule is looked at, also
    where the whole gradient happens to be right.

    Args:
        fn: any function over Values and Tensors.
        args: as of :func:`gradcheck`.
        tolerance: relative to the largest derivative of a block.
        rng: draws directions; a fixed seed when None.

    Raises:
        TypeError: ``fn`` cannot be called, or no argument can be differentiated.

    Example:
        >>> import tinygrad_rnn as tr
        >>> square = tr.Op(name="my_square", symbol="x²", forward=lambda xp, x: x * x,
        ...                partials=(lambda xp, y, x: x,))
        >>> net = lambda x, h: tr.unroll(lambda x, h: square(h) + x, x, state=h).final_state
        >>> print(tr.testing.localise(net, [0.1, 0.2], 0.5))
        the rule of my_square is wrong, in 2 nodes:
          my_square (node 3) in step t=0: argument 0: expected 1, got 0.5 (ratio 0.5); a factor is wrong: ...
          my_square (node 5) in step t=1: ...
    """
    check.number("localise: tolerance", tolerance, 0.0)
    report, faults = located(fn, args, tolerance, check.seeded("localise: rng", rng))
    return Localisation(tuple(faults), report)
