"""The recorded graph: its nodes in an order in which parents come first, and the context in which it is recorded.

Every reader (autodiff, drawing, checking) goes through :class:`Graph`; nothing else walks ``parents``. A node's
creation stamp is its sort key: an operation is always younger than its arguments, so sorting by age sorts
topologically, without recursion and without looking at the edges twice.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

from tinygrad_rnn.core.errors import GraphCycleError, GraphMutationError, TraceError
from tinygrad_rnn.core.op import Carrier

Node = Any  # a Value or a Tensor; their class stands above this module


class Observer(Protocol):
    """What a context may have look at all that is computed; each method may raise."""

    def made(self, node: Node, op: Any, args: tuple[Node, ...]) -> None:
        """See a new node, the operation that made it (None for a leaf or constant) and its arguments."""

    def started(self, outputs: Sequence[Node]) -> None:
        """See what a backward sweep starts from."""

    def completed(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None:
        """See the sum of what all uses of a node handed to it, and the cotangents found so far."""

    def hooked(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None:
        """See a cotangent after the hooks of its node."""

    def pulled(self, node: Node, i: int, cotangent: Any, found: Mapping[Node, Any]) -> None:
        """See what a node hands to its argument ``i``."""

    def pushed(self, node: Node, tangent: Any, found: Mapping[Node, Any]) -> None:
        """See a tangent, in forward mode."""

    def within(self, node: Node) -> Observer:
        """Return the observer of what a rule of ``node`` records."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What holds while nodes are made, in one thread or task.

    Attributes:
        on: whether operations are recorded (False inside ``no_grad``).
        scope: the names of the enclosing scopes, such as ``("layer 0", "t=3")``.
        transforms: the enclosing transformations, outermost first, such as ``("jacobian", "grad")``.
        inputs: while a function is traced, the nodes that stand for its arguments; else None.
        draws: while a function is traced, the random draws that it has made so far.
        examples: and what stands for its results, without their numbers.
        observer: what looks at each node that is made and at each cotangent, see :class:`Observer`; else None.
    """

    on: bool = True
    scope: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    inputs: frozenset[Node] | None = None
    draws: list[Node] | None = None
    examples: Any = None
    observer: Observer | None = None


RECORDING: ContextVar[Recording] = ContextVar("tinygrad_rnn.recording", default=Recording())  # noqa: B039 - frozen
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
PRINTED = "<printed from Op "  # so begin the file names of generated functions
next_stamp = itertools.count(1).__next__
_stamp = attrgetter("_stamp")


class recording:
    """Record with changes to the current context; restored on leaving, whatever happens.

    While a function is traced nobody observes: its nodes hold no numbers.

    Args:
        on: as in :class:`Recording`, None to leave it; so are ``scope`` and ``transforms``.
    """

    __slots__ = ("_changes", "_token")

    def __init__(
        self,
        on: bool | None = None,
        scope: tuple[str, ...] | None = None,
        transforms: tuple[str, ...] | None = None,
        inputs: frozenset[Node] | None = None,
        draws: list[Node] | None = None,
        examples: Any = None,
    ) -> None:
        self._changes = (on, scope, transforms, inputs, draws, examples)

    def __enter__(self) -> None:
        now = RECORDING.get()
        on, scope, transforms, inputs, draws, examples = self._changes
        self._token = RECORDING.set(
            Recording(
                now.on if on is None else on,
                now.scope if scope is None else scope,
                now.transforms if transforms is None else transforms,
                now.inputs if inputs is None else inputs,
                now.draws if draws is None else draws,
                now.examples if examples is None else examples,
                now.observer if inputs is None else None,
            )
        )

    def __exit__(self, *exception: object) -> None:
        RECORDING.reset(self._token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Put the nodes made inside into the scope ``name``, within the scopes around it.

    A drawing puts a scope's nodes into one cluster; a checker names it. Threads and tasks do not see each other's.

    Raises:
        TypeError: ``name`` is not a text.
    """
    if not isinstance(name, str):
        raise TypeError(f"scope: name must be a str such as 't=3', got {type(name).__name__}")
    with recording(scope=(*RECORDING.get().scope, name)):
        yield


def ancestors(
    outputs: Sequence[Node], *, stop: frozenset[Node] = frozenset(), active: bool = False
) -> list[Node]:
    """Return the nodes that ``outputs`` are computed from, outputs included, sorted by age: parents come first.

    A node that is older than one of its parents breaks that order; :func:`refuse` says why.

    Args:
        outputs: where to start.
        stop: nodes whose own parents are not visited.
        active: leave out what no differentiable leaf feeds.
    """
    seen = set(outputs)
    stack = [node for node in seen if node not in stop]
    while stack:
        node = stack.pop()
        first = node._first  # the two slots behind node.parents, read here without a call
        for parent in first if first.__class__ is tuple else (first, node._second):
            if parent is not None and parent not in seen and (not active or parent._call.active):
                seen.add(parent)
                if parent not in stop:
                    stack.append(parent)
    return sorted(seen, key=_stamp)


def refuse(parent: Node, child: Node) -> None:
    """Say what is wrong with a parent that is younger than its child.

    Raises:
        GraphCycleError: the parent is itself the result of an operation: the edge closes a cycle.
        GraphMutationError: it is a leaf, which was assigned after the child had used it.
    """
    if parent._parents:
        raise GraphCycleError(
            f"{parent!r} is an argument of {child!r} and is made from it: a cycle has no topological order. A "
            "recurrent network feeds its state back into itself; unroll it over time (tr.unroll) instead"
        )
    name = f"leaf {parent.name!r}" if parent.name else f"an unnamed leaf of shape {parent.shape}"
    raise GraphMutationError(
        f"{name} was assigned new data after operation {child._call.op.name!r} had used it: the recorded "
        "graph no longer describes it. Run the forward pass again, then backward"
    )


def refuse_reading(node: Node, what: str) -> None:
    """Refuse to let a number out of the graph while a function is traced, if a replay could need another one.

    Raises:
        TraceError: the node depends on an input, on a leaf or on a random draw.
    """
    inputs = RECORDING.get().inputs
    if inputs is None:
        return
    for source in ancestors([node]):
        call = source._call
        if source in inputs or call.kind == "leaf" or (call.op is not None and not source._parents):
            raise TraceError(
                f"{what} inside compile, {written(users_line())}: the value depends on an input or a parameter, and a "
                "replay would use today's number for ever. Compute with tr.ops (where, maximum, ...), or return it"
            )


def users_line() -> tuple[str, int] | None:
    """Return the file and the line of the innermost call that stands in no code of this package."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_HOME, PRINTED)):
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def written(line: tuple[str, int] | None) -> str:
    """Return a line of code as an error shows it: file, number and text."""
    if line is None:
        return "outside any file"
    name, number = line
    file = "notebook cell" if "ipykernel_" in name else os.path.basename(name)
    return f"{file}:{number}: {linecache.getline(name, number).strip()!r}"


def refuse_stale(nodes: Iterable[Node]) -> None:
    """Say what is wrong with the first of ``nodes`` that is older than a node it was made from, if there is one."""
    for node in nodes:
        for parent in node._parents:
            if parent._stamp >= node._stamp:
                refuse(parent, node)


class Graph:
    """The nodes that some outputs are computed from, in topological order. Immutable.

    Example:
        >>> import tinygrad_rnn as tr
        >>> x = tr.Value(2.0, name="x")
        >>> print(tr.Graph.of(x * x + 1))
        0: x = leaf 2
        1: multiply(0, 0) = 4
        2: constant 1
        3: add(1, 2) = 5
    """

    __slots__ = ("__weakref__", "_index", "nodes", "outputs", "parent_indices")

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    parent_indices: tuple[tuple[int, ...], ...]

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[Node]) -> None:
        index = {node: i for i, node in enumerate(nodes)}
        set_field = functools.partial(object.__setattr__, self)
        set_field("nodes", tuple(nodes))
        set_field("outputs", tuple(outputs))
        set_field("_index", index)
        set_field("parent_indices", tuple(tuple(index[p] for p in node._parents) for node in nodes))

    @classmethod
    def of(cls, *outputs: Node) -> Graph:
        """Return the graph of ``outputs``: every node that they are computed from, each once, parents first.

        A node's index is its identity for every reader, so two runs of a program number alike.

        Raises:
            TypeError: an output is not a Value or Tensor, or there is none.
            GraphCycleError: a node is its own ancestor.
        """
        if not outputs:
            raise TypeError("Graph.of: needs at least one Value or Tensor, got none")
        for output in outputs:
            if not isinstance(output, Carrier):
                raise TypeError(
                    f"Graph.of: every output must be a Value or Tensor, got {type(output).__name__}"
                )
        nodes = ancestors(outputs)
        young = [(p, n) for n in nodes for p in n._parents if p._stamp >= n._stamp]
        for parent, child in young:
            if parent._parents:
                refuse(parent, child)
        if young:  # leaves that were assigned since: a picture of such a graph is still of use
            nodes.sort(key=lambda node: (bool(node._parents), node._stamp))
        return cls(nodes, outputs)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: cannot set {name!r}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a Graph cannot be copied or pickled: it is immutable, and Graph.of(...) makes it again"
        )

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    def __contains__(self, node: object) -> bool:
        return node in self._index  # type: ignore[attr-defined]

    def index(self, node: Node) -> int:
        """Return the index of ``node``.

        Raises:
            ValueError: the node does not belong to this graph.
        """
        try:
            return int(self._index[node])  # type: ignore[attr-defined]
        except KeyError:
            raise ValueError(f"{node!r} does not belong to this graph of {len(self)} nodes") from None

    def local_vjp(self, node: Node, cotangent: Any) -> tuple[Any, ...]:
        """Return, for each parent of ``node``, local derivative times ``cotangent``: one step of backpropagation.

        The entry of a parent that has no derivative (a constant, an index) is None.

        Raises:
            ValueError: the node is not of this graph, or the cotangent has another shape.
            GraphMutationError: an argument was assigned new data after the node had used it.
        """
        self.index(node)
        refuse_stale((node,))
        return tuple(node._local_vjp(cotangent))

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes, {len(self.outputs)} outputs>"

    def __str__(self) -> str:
        return "\n".join(self._line(i) for i in range(len(self)))

    def _line(self, i: int) -> str:
        node = self.nodes[i]
        what = (
            node.kind if node.op is None else f"{node.op.name}({', '.join(map(str, self.parent_indices[i]))})"
        )
        name = f"{node.name} = " if node.name else ""
        at = f"  [{', '.join(node.scope)}]" if node.scope else ""
        join = " " if node.op is None else " = "
        return f"{i}: {name}{what}{join}{node._summary()}{at}"
