"""A few recorded nodes as a line of mathematics: ``g · (1 − y²)``.

Nothing here knows an operation by name beyond the way in which mathematics writes its signs: the text of a derivative
is what the operation's own rule records when it is run on nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.viz.label import number, symbol

LONGEST = 72  # characters; a longer formula says less than its numbers
FEW = 4  # so many arguments of an operation have a letter each
_LETTERS = ("", "x", "ab", "abc", "abcd")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SIGNS = {"×": " · ", "-": " − ", "+": " + ", "÷": " / ", "@": " @ ", "^": " ^ "}
_STRENGTH = {"+": 1, "-": 1, "@": 2, "÷": 3, "×": 4, "^": 6}
_WEAKEST, _PREFIX, _ATOM = 0, 5, 9
# How strongly what stands left and right of a sign must be held together to need no parentheses.
_SIDES = {"+": (1, 1), "-": (1, 2), "@": (5, 5), "÷": (3, 5), "×": (3, 4), "^": (9, 9)}
_PLACE = re.compile(r"(?<![^\W\d_])x(?![^\W\d_])")  # where the argument stands in x², |x|
_SILENT = (ops.reshape, ops.alias, ops.astype, ops.item)  # the same numbers in another form

Text = tuple[str, int]  # and how strongly it is held together


def letter(k: int, count: int) -> str:
    """Return what argument ``k`` of ``count`` is called.

    Example:
        >>> letter(0, 1), letter(1, 2), letter(11, 20)
        ('x', 'b', 'x₁₂')
    """
    return _LETTERS[count][k] if count <= FEW else f"x{str(k + 1).translate(_SUBSCRIPTS)}"


def formula(node: Any, names: Mapping[Any, str]) -> str:
    """Return what ``node`` computes, written in the names of some nodes; "" when that is too long to help.

    Example:
        >>> import tinygrad_rnn as tr
        >>> y = tr.Value(0.5)
        >>> formula(3 * (1.0 - y * y), {y: "y"})
        '3 · (1 − y²)'
    """
    texts: dict[Any, Text] = {}
    literal: set[Any] = set()  # what is computed from constants alone: its number is written
    for each in Graph.of(node):
        if each in names:
            texts[each] = (names[each], _ATOM)
            continue
        if all(p in literal for p in each.parents):
            literal.add(each)
            texts[each] = _literal(each)
        else:
            texts[each] = _written(each, texts, literal)
        if len(texts[each][0]) > LONGEST:
            texts[each] = ("", _ATOM)
    return texts[node][0]


def _literal(node: Any) -> Text:
    if node.shape != ():
        return ("", _ATOM)
    text = number(float(node.data)).replace("-", "−", 1)
    return (text, _PREFIX if text.startswith("−") else _ATOM)


def _written(node: Any, texts: Mapping[Any, Text], literal: set[Any]) -> Text:
    parents = node.parents
    if node.op is ops.where and parents[0] in literal:
        return texts[parents[1 if parents[0].data else 2]]
    args = [texts[p] for p in parents]
    if not all(text for text, _ in args):
        return ("", _ATOM)
    if node.op in _SILENT or (node.op is ops.stack and len(args) == 1):
        return args[0]
    if node.op in (ops.power, ops.multiply, ops.weigh) and args[1][0] == "1":
        return args[0]
    return applied(node, args)


def applied(node: Any, args: list[Text]) -> Text:
    """Return the text of a node's operation upon the texts of its arguments."""
    sign = node.op.symbol
    if node.op is ops.getitem:
        keys = symbol(node) if len(args) == 1 else f"[{', '.join(text for text, _ in args[1:])}]"
        return (_held(args[0], _ATOM) + keys, _ATOM)
    if len(args) == 2 and sign in _STRENGTH:
        return _infix(sign, args[0], args[1])
    if len(args) == 2 and not sign.isalpha():
        return (f"{_held(args[0], _PREFIX)} {sign} {_held(args[1], _PREFIX)}", _WEAKEST)
    if len(args) == 1:
        return _unary(sign, args[0], node.params.get("axis"))
    return (f"{sign}({', '.join(text for text, _ in args)})", _ATOM)


def _infix(sign: str, left: Text, right: Text) -> Text:
    if sign == "×" and left == right:
        return (f"{_held(left, _ATOM)}²", _STRENGTH["^"])
    before, after = _SIDES[sign]
    second = f"({right[0]})" if right[1] == _PREFIX else _held(right, after)
    return (f"{_held(left, before)}{_SIGNS[sign]}{second}", _STRENGTH[sign])


def _unary(sign: str, arg: Text, axis: Any) -> Text:
    if sign == "-":
        return (f"−{_held(arg, _STRENGTH['÷'])}", _PREFIX)
    if sign == "ᵀ":
        return (f"{_held(arg, _ATOM)}ᵀ", _ATOM)
    if _PLACE.search(sign):
        inner = arg[0] if sign.startswith(("|", "‖")) else _held(arg, _ATOM)
        return (_PLACE.sub(lambda _: inner, sign), _STRENGTH["^"])
    axes = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    where = f", axis {' and '.join(map(str, axes))}" if axes else ""
    return (f"{sign}({arg[0]}{where})", _ATOM)


def _held(text: Text, strength: int) -> str:
    """Return the text, in parentheses where it is held together less strongly than what it stands in."""
    return text[0] if text[1] >= strength else f"({text[0]})"
