"""What is written into a node: its name and symbol, its value or shape, a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

NOT_COMPUTED = "grad not computed"
_FEW = 3  # a vector of at most so many entries is written out


def magnitude(x: Any) -> float:
    """Return the size of a number or an array: |x|, or the Euclidean norm sqrt(sum of x_i^2).

    Example:
        >>> magnitude(np.array([3.0, -4.0]))
        5.0
    """
    if x.__class__ is float:
        return abs(x)
    flat = np.ravel(np.asarray(x, dtype=float))
    with np.errstate(all="ignore"):
        return math.sqrt(float(np.dot(flat, flat)))


def number(x: Any) -> str:
    """Return ``x`` in at most four significant digits.

    Example:
        >>> number(0.123456), number(2.0), number(True)
        ('0.1235', '2', 'True')
    """
    if isinstance(x, (bool, np.bool_)):
        return str(bool(x))
    return f"{x + 0.0:.4g}"  # -0.0 reads 0


def symbol(node: Any, constants: Sequence[str | None] = ()) -> str:
    """Return the operation's symbol, with the constants among its arguments written into it.

    Args:
        node: an operation's node.
        constants: for each argument its text where it is folded into this label, else None.
    """
    sign = str(node.op.symbol)
    if sign == "✂":
        return "cut"
    if any(constants):
        if len(constants) > _FEW:
            return f"{sign} ({sum(map(bool, constants))} constants)"
        if len(constants) == 2 and not sign.isalpha():
            left, right = (f"({c})" if c and c.startswith("-") else c for c in constants)
            return " ".join(part for part in (left, sign, right) if part)
        return f"{sign}({', '.join(c or '…' for c in constants)})"
    if node.op.name == "getitem" and "key" in node.params:
        return f"[{', '.join(_key(part) for part in _items(node.params['key']))}]"
    axis = node.params.get("axis") if node.params else None
    return sign if axis is None else f"{sign} axis {axis}"


def _items(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _key(part: Any) -> str:
    if part is Ellipsis:
        return "…"
    start = getattr(part, "start", part)
    if start is part:
        return str(part)
    ends = [("" if end is None else str(end)) for end in (start, part.stop)]
    return ":".join(ends if part.step is None else [*ends, str(part.step)])


def inlined(node: Any) -> str | None:
    """Return the text of an unnamed scalar constant, which is written into its users' labels; else None."""
    if node.kind != "constant" or node.shape != () or node.name:
        return None
    return number(node.data.item() if isinstance(node.data, np.ndarray) else node.data)


def heading(node: Any, constants: Sequence[str | None] = ()) -> str:
    """Return the first line: ``h_2 = tanh``, a name alone, or a symbol alone."""
    name = node.name
    if node.op is None:
        return name or (number(node.data) if node.shape == () else node.kind)
    sign = symbol(node, constants)
    return f"{name} = {sign}" if name else sign


def value_lines(node: Any) -> list[str]:
    """Return the line below the heading: the value, or the shape of what is too large; none where the heading is it."""
    return [value(node.data, node.shape)] if node.name or node.op is not None or node.shape != () else []


def value(data: Any, shape: tuple[int, ...]) -> str:
    """Return a number, a short vector, or a shape such as ``(20, 50)``."""
    if shape == ():
        return number(data.item() if isinstance(data, np.ndarray) else data)
    if len(shape) == 1 and shape[0] <= _FEW:
        return f"[{'  '.join(f'{x:.2g}' if data.dtype.kind == 'f' else str(x) for x in data)}]"
    return str(shape)


def gradient_text(grad: Any, shape: tuple[int, ...]) -> str:
    """Return the derivative by a scalar as it is, that by an array as its norm."""
    if shape == ():
        return f"∂ {number(grad.item() if isinstance(grad, np.ndarray) else grad)}"
    return f"‖∂‖ {number(magnitude(grad))}"
