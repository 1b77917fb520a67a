"""``trace``: one run of a function on placeholders, recorded as a program of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import leaf
from tinygrad_rnn.core.graph import Graph, Node, recording, refuse_reading
from tinygrad_rnn.core.op import CONSTANT, LEAF, Carrier
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.plan.program import Program, of_graph


@dataclass(frozen=True, slots=True)
class Traced:
    """What a function computes, as a program.

    Attributes:
        program: items, whose inputs are numbered as the leaves of the arguments are.
        result: the structure that the function returned, with an :class:`Output` for each traced leaf.
        kept: what the function was given. Whatever is told apart by its identity lives as long as the plan does.
    """

    program: Program
    result: Any
    kept: Any


@dataclass(frozen=True, slots=True)
class Output:
    """Stands for output ``index`` in the structure of a result; ``number``: it is a float."""

    index: int
    number: bool


def is_input(x: Any) -> bool:
    """Return whether a leaf of the arguments is data, which may change from call to call; else it is static."""
    return isinstance(x, (Carrier, np.ndarray, float, np.number))


def trace(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Traced:
    """Return the program that ``fn`` records for these arguments; it is run once.

    Raises:
        TraceError: the function reads a value that depends on an input out of the graph.
    """
    flat = [x for _, x in flatten((args, kwargs))]
    placeholders = [_placeholder(x) if is_input(x) else x for x in flat]
    inputs = {p: k for k, p in enumerate(placeholders) if isinstance(p, Carrier)}
    new_args, new_kwargs = unflatten((args, kwargs), iter(placeholders), modules=True)
    draws: list[Node] = []
    with recording(on=True, transforms=("compile",), scope=(), inputs=frozenset(inputs), draws=draws):
        result = fn(*new_args, **new_kwargs)
        leaves = [x for _, x in flatten(result)]
        nodes = [x for x in leaves if isinstance(x, Carrier)]
        outputs = iter(range(len(nodes)))
        marked = [
            Output(next(outputs), isinstance(x, Value)) if isinstance(x, Carrier) else x for x in leaves
        ]
        graph = Graph.of(*nodes, *draws) if nodes or draws else ()
        for node in graph:
            _refuse_sizes(node)
    generators = {id(x): k for k, x in reversed(list(enumerate(flat))) if isinstance(x, np.random.Generator)}
    program = of_graph(graph, nodes, inputs, generators)
    return Traced(program, unflatten(result, iter(marked)), (new_args, new_kwargs))


def _refuse_sizes(node: Node) -> None:
    """Refuse a mask as an index: how many entries it takes is decided by its data."""
    if node.op is ops.getitem or node.op is ops.scatter_add:
        for index in node.parents[1:]:
            if index.dtype.kind == "b":
                refuse_reading(index, "a boolean index (its size depends on data)")


def _placeholder(x: Any) -> Node:
    """Return a node that stands for an input, with its data as the example to record with."""
    if isinstance(x, Carrier):
        active = x.dtype.kind == "f"  # type: ignore[attr-defined]
        return x._new(x._data, LEAF if active else CONSTANT, name=x.name)  # type: ignore[attr-defined]
    if isinstance(x, np.ndarray) and x.dtype.kind in "iub":
        return Tensor._new(np.array(x), CONSTANT)
    if isinstance(x, np.integer):
        return Tensor._new(np.array(x), CONSTANT)
    return leaf("compile", x)
