"""Slips of the pen at one place of a step: a factor left out, a path forgotten, a sign lost."""

from __future__ import annotations

from collections.abc import Iterator

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.testing.mistakes import Mistake
from tinygrad_rnn.testing.tape import Contribution, Edit, Tape, rule


def slips(tape: Tape) -> Iterator[Mistake]:
    """Yield every slip that can be made at one edge of the graph of a step, in all steps alike."""
    edges = [
        (nodes, i)
        for _, nodes in tape.positions()
        for i in range(len(nodes[0].parents))
        if _differentiable(nodes, i)
    ]
    for nodes, i in edges:
        if nodes[0].op is ops.multiply:
            other = _called(tape, nodes[-1], 1 - i)
            text = f"a factor is missing: what comes back to {{}} is not multiplied by {other}"
            yield _slip(tape, nodes, i, text, lambda node, k, g: g)
    for nodes, i in edges:
        text = f"a path is forgotten: nothing comes back to {{}} from {nodes[0].op.name}"
        yield _slip(tape, nodes, i, text, lambda node, k, g: None)
    for nodes, i in edges:
        text = f"the sign is wrong of what comes back to {{}} from {nodes[0].op.name}"
        yield _slip(tape, nodes, i, text, lambda node, k, g: rule(node, k, -g, {}))


def _differentiable(nodes: tuple[Node, ...], i: int) -> bool:
    return all(len(node.parents) > i and node.parents[i]._call.active for node in nodes)


def _slip(tape: Tape, nodes: tuple[Node, ...], i: int, text: str, made: Contribution) -> Mistake:
    """Return the mistake that parent ``i`` of ``nodes``, ``{}`` in the text, is handed what is ``made``."""
    members = frozenset(nodes)
    return Mistake(
        text.replace("{}", _called(tape, nodes[-1], i)),
        Edit(
            contribution=lambda node, k, g: made(node, k, g) if k == i and node in members else NotImplemented
        ),
        nodes[-1],
    )


def _called(tape: Tape, node: Node, i: int) -> str:
    """Return what a reader calls an argument of ``node``: by its name, else by the operation that made it."""
    parent = node.parents[i]
    name = tape.called(parent)
    if tape.crosses(node, parent) and name:
        return f"{name}_{{t-1}}"
    if name:
        return f"{name}_t" if tape.step(parent) >= 0 else name
    return f"the result of {parent.op.name}" if parent.op is not None else "an argument"
