"""``Program``: a graph as a list of instructions, which runs, prints itself as code, and can be written down again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.value import Value

LISTS = ("add_n", "concatenate", "stack")  # operations of as many arguments as one likes


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: apply ``operation`` to earlier values.

    Attributes:
        operation: an Op, or the name of a function of ``tr.ops``.
        arguments: the places of its arguments; leaves are counted first, then results.
        parameters: what else is passed, in order; those without a name come first and are called "".
    """

    operation: Op | str
    arguments: tuple[int, ...]
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What the operation is called."""
        return self.operation if isinstance(self.operation, str) else self.operation.name

    @property
    def function(self) -> Any:
        """What is called."""
        return getattr(ops, self.operation) if isinstance(self.operation, str) else self.operation

    @property
    def _ours(self) -> bool:
        return getattr(ops, self.name, None) is self.function

    def __call__(self, values: Sequence[Any]) -> Any:
        """Return the result of the instruction, given all values before it."""
        given = [values[place] for place in self.arguments]
        extra = [value for name, value in self.parameters if not name]
        named = {name: value for name, value in self.parameters if name}
        if self.name == "concatenate" or self.name == "stack":
            return self.function(given, *extra, **named)
        return self.function(*given, *extra, **named)

    def code(self) -> str:
        """Return the call as code, over variables x0, x1, ..."""
        given = [f"x{place}" for place in self.arguments]
        extra = [f"{name}={_literal(value)}" if name else _literal(value) for name, value in self.parameters]
        call = f"tr.ops.{self.name}" if self._ours else self.name
        if self.name in ("concatenate", "stack"):
            given = [f"[{', '.join(given)}]"]
        return f"{call}({', '.join(given + extra)})"

    def __repr__(self) -> str:
        name = (
            repr(self.name) if self._ours else self.name
        )  # an Op of the user's, under the name of its variable
        parts = [name, repr(self.arguments)] + ([_literal(self.parameters)] if self.parameters else [])
        return f"Step({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis prints an example by this; the fields of an Op would fill the screen."""
        printer.text(repr(self))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A function of some leaves, as the list of its operations; its value is that of the last one.

    Call it with Values, Tensors, floats or arrays in place of the leaves.

    Attributes:
        leaves: where to begin: floats for a program over Values, arrays for one over Tensors.
        steps: the instructions; each may use the leaves and every result before it, any number of times.

    Example:
        >>> program = Program((3.0,), (Step("multiply", (0, 0)),))
        >>> print(program)
        import tinygrad_rnn as tr
        <BLANKLINE>
        x0 = tr.Value(3.0)
        x1 = tr.ops.multiply(x0, x0)
        x1.backward()
        >>> program(*program.leaves)
        9.0
    """

    leaves: tuple[Any, ...]
    steps: tuple[Step, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def __call__(self, *leaves: Any) -> Any:
        """Return the value of the last step, computed from ``leaves``."""
        return self.values(*leaves)[-1]

    def values(self, *leaves: Any) -> list[Any]:
        """Return the leaves and the result of every step.

        Raises:
            TypeError: another number of leaves than the program has.
        """
        if len(leaves) != len(self.leaves):
            raise TypeError(f"Program: takes {len(self.leaves)} leaves, got {len(leaves)}")
        values = list(leaves)
        for step in self.steps:
            values.append(step(values))
        return values

    def nodes(self) -> list[Any]:
        """Return new leaves for the program: Values for floats, Tensors for arrays."""
        return [
            Value(x, name=f"x{i}") if isinstance(x, float) else Tensor(x, name=f"x{i}")
            for i, x in enumerate(self.leaves)
        ]

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of the operations, in order."""
        return tuple(step.name for step in self.steps)

    def __str__(self) -> str:
        lines = ["import tinygrad_rnn as tr", ""]
        if any(isinstance(x, np.ndarray) for x in self.leaves) or "np." in repr(self):
            lines.insert(0, "import numpy as np")
        lines += [
            f"x{i} = tr.Value({x!r})" if isinstance(x, float) else f"x{i} = tr.Tensor({_literal(x)})"
            for i, x in enumerate(self.leaves)
        ]
        count = len(self.leaves)
        lines += [f"x{count + i} = {step.code()}" for i, step in enumerate(self.steps)]
        last = f"x{count + len(self.steps) - 1}"
        # With every entry weighing the same, a rule that puts them in the wrong places would look right.
        weights = f"np.arange(1.0, 1 + {last}.size).reshape({last}.shape)"
        scalar = all(isinstance(x, float) for x in self.leaves)
        lines.append(f"{last}.backward()" if scalar else f"{last}.backward({weights})")
        return "\n".join(lines)

    def __repr__(self) -> str:
        leaves = "".join(f"{_literal(x)}, " for x in self.leaves)
        steps = "".join(f"{step!r}, " for step in self.steps)
        return f"Program(({leaves.rstrip() if len(self.leaves) == 1 else leaves[:-2]}), ({steps.rstrip()}))"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis prints an example by this; the fields of an Op would fill the screen."""
        printer.text(repr(self))


def _literal(x: Any) -> str:
    """Return code for a value: an array by its entries, where those say its shape."""
    if isinstance(x, np.ndarray):
        if not x.size:
            return f"np.zeros({x.shape})"
        kind = "" if x.dtype == np.float64 else f", np.{x.dtype}"
        return f"np.array({x.tolist()!r}{kind})"
    if isinstance(x, tuple):
        inner = ", ".join(map(_literal, x))
        return f"({inner},)" if len(x) == 1 else f"({inner})"
    return repr(x)
