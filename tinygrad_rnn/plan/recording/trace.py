"""``trace``: one run of a function on placeholders, recorded as a program of its inputs."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.carriers import leaf
from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.examples import Examples, NumbersNeeded
from tinygrad_rnn.core.graph import Node, next_stamp, recording
from tinygrad_rnn.core.op import CONSTANT, LEAF, Carrier
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.recording.garbage import uncollected
from tinygrad_rnn.plan.recording.recorded import program_of
from tinygrad_rnn.plan.recording.result import Output
from tinygrad_rnn.plan.recording.signature import signature

State = tuple[Any, list[int], list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Traced:
    """What a function computes, as a program.

    Attributes:
        program: items, whose inputs are numbered as the leaves of the arguments are.
        result: the structure that the function returned, with an :class:`Output` for each traced leaf.
        held: the positions of inputs whose data is never changed in place: nodes and numbers, not the user's arrays.
    """

    program: Program
    result: Any
    held: frozenset[int]


def trace(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Traced:
    """Return the program that ``fn`` records for these arguments; it is run once.

    Raises:
        TraceError: the function reads a value that depends on an input out of the graph, or has a side effect that a
            replay would not repeat: it changes an argument, draws by itself from a Generator that it was given, or
            keeps a node beyond its own end.
    """
    with uncollected():
        try:
            program, result, watched = _recorded(fn, args, kwargs, Examples())
        except NumbersNeeded:
            program, result, watched = _recorded(fn, args, kwargs, None)
    if any(ref() is not None for ref in watched):
        gc.collect()  # a function that refers to itself is a cycle, and may hold nodes
    left = next((node for ref in watched if (node := ref()) is not None), None)
    if left is not None:
        raise TraceError(
            f"compile: a node that depends on {_what(left)} outlives the function: it was put into an outer list or "
            "an attribute, or lies in an object that the function returns. A replay would leave it as it is today: "
            "return it on its own, in dicts, lists and tuples"
        )
    flat = [x for _, x in flatten((args, kwargs))]
    held = frozenset(k for k, x in enumerate(flat) if not isinstance(x, np.ndarray))
    return Traced(program, result, held)


def _recorded(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], examples: Examples | None
) -> tuple[Program, Any, list[weakref.ref[Node]]]:
    """Return the program, the marked result, and references to nodes that should be gone when this has returned."""
    flat = [x for _, x in flatten((args, kwargs))]
    clones: dict[int, np.random.Generator] = {}
    placeholders = [_placeholder(x, clones) for x in flat]
    inputs = {p: k for k, p in enumerate(placeholders) if isinstance(p, Carrier)}
    generators = {
        id(x): k for k, x in reversed(list(enumerate(placeholders))) if isinstance(x, np.random.Generator)
    }
    given = unflatten((args, kwargs), iter(placeholders), modules=True)
    before = _state(given, clones)
    draws: list[Node] = []
    since = next_stamp()
    with (
        recording(True, (), ("compile",), frozenset(inputs), draws, examples),
        _quiet(flat),
    ):
        result = fn(*given[0], **given[1])
        leaves = [x for _, x in flatten(result)]
        nodes = [x for x in leaves if isinstance(x, Carrier)]
        program, users = program_of(nodes, draws, inputs, generators, since)
    _refuse_changes(before, _state(given, clones))
    outputs = iter(range(len(nodes)))
    marked = [Output(next(outputs), isinstance(x, Value)) if isinstance(x, Carrier) else x for x in leaves]
    watched = [weakref.ref(node) for node in (*inputs, *draws)] + users
    return program, unflatten(result, iter(marked)), watched


def _quiet(flat: list[Any]) -> Any:
    """Return a context without numpy's warnings where floats of numpy are traced: replays do not warn either."""
    return np.errstate(all="ignore") if any(isinstance(x, np.float64) for x in flat) else nullcontext()


def _state(given: Any, clones: Mapping[int, np.random.Generator]) -> State:
    """Return what tells whether the arguments were changed: their structure, their nodes, their generators' states."""
    sources = [generator.bit_generator for generator in clones.values()]
    states = [(str(b.state), getattr(b.seed_seq, "n_children_spawned", 0)) for b in sources]
    return signature(given[0], given[1], [], []), [id(x) for _, x in flatten(given)], states


def _refuse_changes(before: State, after: State) -> None:
    """Refuse a function that changed what it was given: a replay would not repeat it."""
    if before[2] != after[2]:
        raise TraceError(
            "compile: the function draws from a Generator by its own methods, and a replay would use today's numbers "
            "for ever: draw outside and pass the array"
        )
    if before != after:
        raise TraceError(
            "compile: the function changes an argument (a module's attribute, or an item of a dict or list), which a "
            "replay would not repeat: return the new value instead"
        )


def _what(node: Node) -> str:
    """Return what a node that should be gone is, in words."""
    if node._call is LEAF or node._call.op is None:
        return "an argument" + (f" ({node.name})" if node.name else "")
    return f"a parameter or a draw (the result of operation {node._call.op.name!r}{_at(node.scope)})"


def _at(scope: tuple[str, ...]) -> str:
    return f" at {', '.join(scope)}" if scope else ""


def _placeholder(x: Any, clones: dict[int, np.random.Generator]) -> Any:
    """Return a node that stands for an input, with its data as the example to record with; what is static, as it is.

    A generator is cloned: it is told apart from the same one closed over, and nothing is drawn from it.
    """
    if isinstance(x, Carrier):
        active = x.dtype.kind == "f"  # type: ignore[attr-defined]
        return x._new(x._data, LEAF if active else CONSTANT, name=x.name)  # type: ignore[attr-defined]
    if isinstance(x, np.random.Generator):
        return clones.setdefault(id(x), copy.deepcopy(x))
    if isinstance(x, np.integer) or (isinstance(x, np.ndarray) and x.dtype.kind in "iub"):
        return Tensor._new(np.array(x), CONSTANT)
    if isinstance(x, np.float64):
        return Value._new(x, LEAF)  # stays a float64 beside float32, as it does in numpy; a float gives way
    return leaf("compile", x) if isinstance(x, (np.ndarray, float, np.number)) else x
