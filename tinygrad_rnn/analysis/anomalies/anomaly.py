"""``detect_anomaly``: stops at the first inf or nan, forward or backward, and says where it arose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.anomalies.blame import (
    AnomalyError,
    Statistics,
    backward_path,
    forward_path,
    line_of,
    title,
)
from tinygrad_rnn.core.contexts import Context
from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import Node, Recording, users_line, written
from tinygrad_rnn.core.hooks import Note
from tinygrad_rnn.core.op import Carrier


class detect_anomaly(Context):
    """Stop at the first inf or nan inside: in a result, a cotangent or a tangent. A context manager and a decorator.

    The error (:class:`~tinygrad_rnn.analysis.anomalies.blame.AnomalyError`) says which operation it was, its node, time
    step and line, what its inputs are like, and how the norms grew on the way there. It is raised in ``.backward()``
    (before any ``.grad`` is changed) and in every transformation, of any order. Inside, each node remembers the line
    that made it; of nodes that were made before it only the line is not known.

    An inf or nan that is there from the start (in a leaf, a constant or a number) is no fault by itself: the first
    operation that passes it on is stopped, and the leaf is blamed. What lies in a branch that ``where`` does not select
    stops all the same, since nobody can know yet that it is not needed; ``forward=False`` waits until it matters.
    A function made by ``tr.compile`` runs as it is written, since a plan has no nodes to look at (``.verify`` compares
    the two). numpy's own warnings of overflows are silent inside, and everything is several times slower.

    Args:
        inf: whether inf counts. With False only nan does: for graphs that mean their inf (a mask of -inf).
        forward: whether every result is looked at when it is computed. With False only the cotangents are, and the
            values that a backward pass starts from, whose cause is then searched back through the graph.

    Raises:
        TypeError: ``inf`` or ``forward`` is not a bool.
        TraceError: it is entered while a function is compiled.

    Example:
        >>> import tinygrad_rnn as tr
        >>> x = tr.Value(-1.0, name="x")
        >>> with tr.detect_anomaly():
        ...     tr.ops.log(x)
        Traceback (most recent call last):
        tinygrad_rnn.analysis.anomalies.blame.AnomalyError: nan in the result of log
          made by   <doctest tinygrad_rnn.analysis.anomalies.anomaly.detect_anomaly[2]>:2: 'tr.ops.log(x)'
          argument 0, leaf 'x': -1
          result: nan
    """

    __slots__ = ("_watch",)
    _silences_numpy = True

    def __init__(self, *, inf: bool = True, forward: bool = True) -> None:
        for name, given in (("inf", inf), ("forward", forward)):
            if not isinstance(given, bool):
                raise TypeError(f"detect_anomaly: {name} must be True or False, got {given!r}")
        self._watch = _Watch(inf, forward)

    def _changed(self, now: Recording) -> Recording:
        if now.inputs is not None:
            raise TraceError(
                "detect_anomaly inside compile: a function is recorded without its numbers. Call the compiled function "
                "inside detect_anomaly, which then runs it as it is written"
            )
        return replace(now, observer=self._watch)


@dataclass(frozen=True, slots=True)
class _Watch:
    """The observer: looks at everything and keeps nothing."""

    inf: bool
    forward: bool

    def made(self, node: Node, op: Any, args: tuple[Node, ...]) -> None:
        node._note = Note(node.name, users_line())
        if self.forward and op is not None and self._wrong(node):
            self._blame_value(node, op, args)

    def started(self, outputs: Sequence[Node]) -> None:
        for node in outputs:
            if self._wrong(node):
                self._blame_value(node, node._call.op, node._parents)

    def completed(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None:
        if not self._wrong(cotangent):
            return
        uses = sum(p is node for user in found for p in user._parents)
        why = (
            f"the sum of what its {uses} uses handed to it overflows" if uses else "it was given from outside"
        )
        raise AnomalyError(
            "backward",
            f"{_kind(cotangent)} in the cotangent of {title(node)}: {why}",
            node,
            [Statistics.of("value", node)],
            Statistics.of("cotangent", cotangent),
            backward_path(node, found),
        )

    def hooked(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None:
        if self._wrong(cotangent):
            raise AnomalyError(
                "backward",
                f"{_kind(cotangent)} in the cotangent of {title(node)}: a hook put it there",
                node,
                [Statistics.of("value", node)],
                Statistics.of("cotangent", cotangent),
            )

    def pulled(self, node: Node, i: int, cotangent: Any, found: Mapping[Node, Any]) -> None:
        if not self._wrong(cotangent):
            return
        arguments = _arguments(node._parents)
        raise AnomalyError(
            "backward",
            f"{_kind(cotangent)} in the cotangent of argument {i} of {title(node)}, going backward",
            node,
            [Statistics.of("cotangent that arrived", found[node]), Statistics.of("value", node), *arguments],
            Statistics.of(f"cotangent of argument {i}, {title(node._parents[i])}", cotangent),
            backward_path(node, found),
            argument=i,
            note=self._earlier(node._parents),
        )

    def pushed(self, node: Node, tangent: Any, found: Mapping[Node, Any]) -> None:
        if not self._wrong(tangent):
            return
        moving = [(i, p) for i, p in enumerate(node._parents) if p in found]
        given = [Statistics.of(f"tangent of argument {i}, {title(p)}", found[p]) for i, p in moving]
        raise AnomalyError(
            "tangent",
            f"{_kind(tangent)} in the tangent of {title(node)}, in forward mode",
            node,
            [*_arguments(node._parents), *given],
            Statistics.of("tangent", tangent),
            note=self._earlier(node._parents),
        )

    def within(self, node: Node) -> _Within:
        return _Within(line_of(node))

    def _wrong(self, x: Any) -> bool:
        x = x._data if isinstance(x, Carrier) else x  # type: ignore[attr-defined]
        if x.__class__ is float:
            return x != x or (self.inf and math.isinf(x))
        array = np.asarray(x)
        if array.dtype.kind != "f":
            return False
        return not np.isfinite(array).all() if self.inf else bool(np.isnan(array).any())

    def _blame_value(self, node: Node, op: Any, args: Sequence[Node]) -> None:
        """Blame the operation, or what its arguments are made from if they were wrong already."""
        cause = self._cause(args)
        if cause is not None and cause._call.op is None:
            raise AnomalyError(
                "forward",
                f"{_kind(cause)} in the {title(cause)}, from the start",
                cause,
                [],
                Statistics.of("value", cause),
                note=f"passed on by {title(node, op)}, {written(line_of(node))}" + self._hint(cause),
            )
        if cause is not None:
            node, op, args = cause, cause._call.op, cause._parents
        raise AnomalyError(
            "forward",
            f"{_kind(node)} in the result of {title(node, op)}",
            node,
            _arguments(args),
            Statistics.of("result", node),
            forward_path(node, args),
            op="" if op is None else op.name,
        )

    def _hint(self, cause: Node) -> str:
        meant = self.inf and not np.isnan(cause._data).any()
        return "\n  if the inf is meant (a mask): tr.detect_anomaly(inf=False)" if meant else ""

    def _cause(self, args: Sequence[Node]) -> Node | None:
        """Return the node, among those that ``args`` are computed from, where the wrong numbers begin."""
        found, nodes = None, args
        while wrong := [p for p in nodes if self._wrong(p)]:
            found = wrong[0]
            nodes = found._parents
        return found

    def _earlier(self, args: Sequence[Node]) -> str:
        cause = self._cause(args)
        return "" if cause is None else f"a value was wrong before: {title(cause)}, {written(line_of(cause))}"


@dataclass(frozen=True, slots=True)
class _Within:
    """The observer of what a rule records: it looks at nothing, and hands on the line of the node that it is for.

    What stands inside a rule may be infinite where the whole is not (a guarded slope); the whole is looked at.
    """

    line: tuple[str, int] | None

    def made(self, node: Node, op: Any, args: tuple[Node, ...]) -> None:
        node._note = Note(node.name, self.line)

    def started(self, outputs: Sequence[Node]) -> None: ...

    def completed(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None: ...

    def hooked(self, node: Node, cotangent: Any, found: Mapping[Node, Any]) -> None: ...

    def pulled(self, node: Node, i: int, cotangent: Any, found: Mapping[Node, Any]) -> None: ...

    def pushed(self, node: Node, tangent: Any, found: Mapping[Node, Any]) -> None: ...

    def within(self, node: Node) -> _Within:
        return self


def _kind(x: Any) -> str:
    return "nan" if np.isnan(np.asarray(getattr(x, "_data", x))).any() else "inf"


def _arguments(args: Sequence[Node]) -> list[Statistics]:
    return [Statistics.of(f"argument {i}, {title(p)}", p) for i, p in enumerate(args)]
