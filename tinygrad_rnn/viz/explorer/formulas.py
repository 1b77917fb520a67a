"""A few recorded nodes as a line of mathematics: ``g · (1 − y²)``.

Nothing here knows an operation by name beyond the way in which mathematics writes its signs: the text of a derivative
is what the operation's own rule records when it is run on nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.viz.label import number

LONGEST = 72  # characters; a longer formula says less than its numbers
_SIGNS = {"×": " · ", "-": " − ", "+": " + ", "÷": " / ", "@": " @ ", "^": " ^ "}
_STRENGTH = {"+": 1, "-": 1, "×": 2, "÷": 2, "@": 2, "^": 4}
_WEAKEST, _PREFIX, _ATOM = 0, 3, 9
_SILENT = (ops.reshape, ops.alias, ops.astype, ops.item)  # the same numbers in another form

Text = tuple[str, int]  # and how strongly it is held together


def formula(node: Any, names: Mapping[Any, str]) -> str:
    """Return what ``node`` computes, written in the names of some nodes; "" when that is too long to help.

    Example:
        >>> import tinygrad_rnn as tr
        >>> y = tr.Value(0.5)
        >>> formula(3 * (1.0 - y * y), {y: "y"})
        '3 · (1 − y²)'
    """
    texts: dict[Any, Text] = {}
    for each in Graph.of(node):
        if each in names:
            texts[each] = (names[each], _ATOM)
        elif each.op is None:
            texts[each] = _literal(each)
        else:
            texts[each] = _written(each, [texts[p] for p in each.parents])
        if len(texts[each][0]) > LONGEST:
            texts[each] = ("", _ATOM)
    return texts[node][0]


def _literal(node: Any) -> Text:
    if node.shape != ():
        return ("", _ATOM)
    text = number(float(node.data)).replace("-", "−", 1)
    return (text, _PREFIX if text.startswith("−") else _ATOM)


def _written(node: Any, args: list[Text]) -> Text:
    if not all(text for text, _ in args):
        return ("", _ATOM)
    if node.op in _SILENT or (node.op is ops.stack and len(args) == 1):
        return args[0]
    return apply(node.op, args, node.params)


def apply(op: Any, args: list[Text], params: Mapping[str, Any]) -> Text:
    """Return the text of an operation upon texts."""
    sign = op.symbol
    if len(args) == 2 and sign in _STRENGTH:
        return _infix(sign, args[0], args[1])
    if len(args) == 2 and not sign.isalpha():
        return (f"{_held(args[0], _PREFIX)} {sign} {_held(args[1], _PREFIX)}", _WEAKEST)
    if len(args) == 1:
        return _unary(sign, args[0], params)
    return (f"{sign}({', '.join(text for text, _ in args)})", _ATOM)


def _infix(sign: str, left: Text, right: Text) -> Text:
    if sign == "×" and left == right:
        return (f"{_held(left, _ATOM)}²", _STRENGTH["^"])
    strength = _STRENGTH[sign]
    return (f"{_held(left, strength)}{_SIGNS[sign]}{_held(right, strength + (sign != '+'))}", strength)


def _unary(sign: str, arg: Text, params: Mapping[str, Any]) -> Text:
    if sign == "-":
        return (f"−{_held(arg, _STRENGTH['×'])}", _PREFIX)
    if sign == "ᵀ":
        return (f"{_held(arg, _ATOM)}ᵀ", _ATOM)
    if "x" in sign and not sign.isalpha():  # x², |x|
        inner = arg[0] if sign.startswith(("|", "‖")) else _held(arg, _ATOM)
        return (sign.replace("x", inner), _STRENGTH["^"])
    axis = params.get("axis")
    where = "" if axis is None else f"[{axis}]"
    return (f"{sign}{where}({arg[0]})", _ATOM)


def _held(text: Text, strength: int) -> str:
    """Return the text, in parentheses where it is held together less strongly than what it stands in."""
    return text[0] if text[1] >= strength else f"({text[0]})"
