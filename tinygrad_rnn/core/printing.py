"""Specialized functions for nodes of Values, printed from the operations' records.

A rule written as ``1.0 - y * y`` is run once in the namespace that prints source; the text becomes two plain Python
functions for an operation and a number of arguments: one that computes a value and records its node, one that pulls the
node's cotangent back. So a graph of Values costs a few attribute stores a node, and each rule is still written once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_rnn.core.graph import PRINTED
from tinygrad_rnn.core.namespaces import SCALAR, Expr, Source
from tinygrad_rnn.core.op import Op

_RECORD = """\
def record({signature}):
    state = recording()
{lift}{reads}{lines}
    node = new(Value)
    node._data = {result}
    node._scope = state.scope
    node._grad = node._note = None
    if state.on:
        node._first = {first}
        node._second = {second}
        node._call = {call}
    else:
        node._first = ()
        node._second = None
        node._call = CONSTANT
    node._stamp = next_stamp()
    if state.observer is not None:
        state.observer.made(node, CALL.op, ({parents}))
    return node
"""
_LIFT = """\
    if p1.__class__ is not Value:
        if p1.__class__ is float or p1.__class__ is int:
            number = p1
            p1 = new(Value)
            p1._data = float(number)
            p1._call = CONSTANT
            p1._first = ()
            p1._scope = state.scope
            p1._second = p1._grad = p1._note = None
            p1._stamp = next_stamp()
        elif takes(p1):
            p1 = lift(p1)
        else:
            return NotImplemented
"""
_PULL = """\
def pull(node, g, found, ledger):
{parents}    y = node._data
{reads}{blocks}
"""
_BLOCK = """\
    if {arg}._call.active:
{lines}
        found[{arg}] = {c} if (old := found.get({arg})) is None else old + {c}
"""


def _indented(lines: list[str], by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in lines)


def _names(arity: int) -> tuple[list[str], str]:
    """Return the names of the arguments, and the lines that read their data."""
    names = [f"p{i}" for i in range(arity)]
    return names, _indented([f"x{i} = p{i}._data" for i in range(arity)], 4)


def param_names(op: Op) -> tuple[str, ...]:
    """Return the names of the static parameters: the keyword arguments that the operation's ``bind`` makes."""
    if op.bind is None or not isinstance(op.partials, tuple):
        return ()
    return tuple(op.bind(*[0.0] * len(op.partials))[1])


def print_pull(op: Op, arity: int) -> str:
    """Return the source of the function that adds a Value node's contributions to its parents."""
    names, reads = _names(arity)
    blocks = []
    for i, name in enumerate(names):
        if not op.differentiates(i):
            continue
        source = Source(prefix=f"t{i}_")
        args = tuple(source.name(f"x{k}") for k in range(arity))
        params = {k: source.name(f"node._call.params[{k!r}]") for k in param_names(op)}
        c = op.cotangent(i, source, source.name("g"), source.name("y"), args, params)
        text = c.text if isinstance(c, Expr) else repr(c)
        blocks.append(_BLOCK.format(arg=name, lines=_indented(source.lines, 8).rstrip("\n"), c=text))
    body = "".join(blocks) or "    return\n"
    slots = [f"{name} = node.{slot}" for name, slot in zip(names, ("_first", "_second"), strict=False)]
    parents = _indented(slots if arity < 3 else [f"{', '.join(names)} = node._first"], 4)
    return _PULL.format(parents=parents, reads=reads, blocks=body)


def print_record(op: Op, arity: int, *, operator: bool = False, swap: bool = False) -> str:
    """Return the source of the function that computes a value and records its node.

    Args:
        op: an elementwise operation.
        arity: how many arguments it is given.
        operator: whether it is a method, whose second argument may be a number and which has no parameters.
        swap: whether the method's arguments are in reverse order, as those of ``__rsub__`` are.
    """
    names, reads = _names(arity)
    order = range(arity)[::-1] if swap else range(arity)
    source = Source()
    known = {k: source.name(f"params[{k!r}]") for k in param_names(op)}
    y = op.forward(source, *[source.name(f"x{i}") for i in order], **known)
    active = " or ".join(f"p{i}._call.active" for i in order)
    parents = [f"p{i}" for i in order]
    call = f"make_call(params, {active})" if known else f"CALL if {active} else IDLE"
    return _RECORD.format(
        signature=", ".join(names if operator else ["params", *names]),
        lift=_LIFT if operator and arity == 2 else "",
        reads=reads,
        lines=_indented(source.lines, 4).rstrip("\n"),
        result=y.text if isinstance(y, Expr) else repr(y),
        first=parents[0] if arity < 3 else f"({', '.join(parents)})",
        second=parents[1] if arity == 2 else "None",
        call=call if op.differentiable else "IDLE",
        parents=", ".join(parents) + ",",
    )


def compiled(text: str, op: Op, scope: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that ``text`` defines, able to see ``scope`` and the scalar functions."""
    world = {**vars(SCALAR), "inf": float("inf"), "nan": float("nan"), **scope}
    exec(compile(text, f"{PRINTED}{op.name}, for Values>", "exec"), world)
    function: Callable[..., Any] = world["record" if text.startswith("def record") else "pull"]
    return function
