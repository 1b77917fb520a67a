"""``AnomalyError``: where a computation first left the finite numbers, and the norms that led there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import local_vjp
from tinygrad_rnn.core.graph import Node, written
from tinygrad_rnn.core.hooks import Note
from tinygrad_rnn.nn.places import place_of

_SHOWN = 4  # lines of a path, at either end


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the numbers of one array (or one float) are like.

    Attributes:
        what: whose numbers they are.
        shape: of the array.
        dtype: its name.
        nans: how many entries are nan.
        infs: how many are inf or -inf.
        smallest: of the finite entries; None if there is none.
        largest: likewise.
        norm: the Euclidean norm, inf or nan where an entry is.
        first: the index of the first entry that is not finite; None if there is none.
    """

    what: str
    shape: tuple[int, ...]
    dtype: str
    nans: int
    infs: int
    smallest: float | None
    largest: float | None
    norm: float
    first: tuple[int, ...] | None

    @classmethod
    def of(cls, what: str, data: Any) -> Statistics:
        """Return the statistics of a number, an array or a node."""
        array = np.asarray(getattr(data, "_data", data))
        finite = np.isfinite(array)
        numbers = array[finite]
        wrong = np.argwhere(~finite)
        return cls(
            what,
            array.shape,
            str(array.dtype),
            int(np.isnan(array).sum()),
            int(np.isinf(array).sum()),
            float(numbers.min()) if numbers.size else None,
            float(numbers.max()) if numbers.size else None,
            norm_of(array),
            tuple(int(i) for i in wrong[0]) if len(wrong) else None,
        )

    def __str__(self) -> str:
        shape = f" {self.dtype}{list(self.shape)}" if self.shape else ""
        parts = []
        if self.first is not None:
            counts = [f"{n} {word}" for n, word in ((self.nans, "nan"), (self.infs, "inf")) if n]
            at = f", first at {list(self.first)}" if self.shape else ""
            parts.append(
                f"{' and '.join(counts)} of {math.prod(self.shape)}{at}" if self.shape else counts[0][2:]
            )
        if self.smallest is not None:
            span = f"from {self.smallest:.4g} to {self.largest:.4g}" if self.shape else f"{self.smallest:.6g}"
            parts.append(span if self.first is None else f"else {span}")
        if self.first is None and self.shape:
            parts.append(f"norm {self.norm:.4g}")
        return f"{self.what}{shape}: {', '.join(parts) or 'empty'}"


@dataclass(frozen=True, slots=True)
class PathStep:
    """A station on the way to an anomaly.

    Attributes:
        what: the node.
        step: its time step; -1 outside of all steps.
        norm: of its value, or of its cotangent on the way back.
        factor: this norm over the one of the station before; None for the first and where it is not defined.
    """

    what: str
    step: int
    norm: float
    factor: float | None


class AnomalyError(FloatingPointError):
    """The first inf or nan, where it arose.

    Attributes:
        direction: ``"forward"``, ``"backward"``, or ``"tangent"`` in forward mode.
        op: the name of the operation; ``""`` for a leaf or a constant that holds it from the start.
        name: of its node; ``""`` when unnamed.
        scope: of its node, such as ``("layer 0", "t=3")``.
        step: its time step; -1 outside of all steps.
        line: the user's line that made the node, ``"file:number: 'text'"``; ``""`` where it is not known.
        argument: the argument whose cotangent it is; None in any other case.
        inputs: statistics of what went in.
        result: and of what came out.
        path: how the norm grew on the way, earliest first, one station for each time step.
        node: the node itself.
    """

    def __init__(
        self,
        direction: str,
        what: str,
        node: Node,
        inputs: Sequence[Statistics],
        result: Statistics,
        path: Sequence[PathStep] = (),
        *,
        op: str | None = None,
        argument: int | None = None,
        note: str = "",
    ) -> None:
        place = place_of(node.scope)
        self.direction, self.node, self.argument = direction, node, argument
        self.op = op if op is not None else node.op.name if node.op is not None else ""
        self.name, self.scope, self.step = node.name, node.scope, place.step
        self.line = written(line_of(node)) if line_of(node) else ""
        self.inputs, self.result, self.path = tuple(inputs), result, tuple(path)
        super().__init__("\n".join([what, *self._lines(note)]))

    def _lines(self, note: str) -> list[str]:
        made = self.line or "not known: the node was made outside of detect_anomaly"
        lines = [f"  made by   {made}", *(f"  {s}" for s in self.inputs), f"  {self.result}"]
        if len(self.path) > 1:
            lines += ["  norms on the way, latest last (and the factor from one to the next):"]
            lines += [f"    {line}" for line in _shown(self.path)]
        return lines + ([f"  {note}"] if note else [])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain numbers, texts, lists and dicts; what is not finite is a text (``"inf"``)."""
        keys = ("direction", "op", "name", "scope", "step", "line", "argument")
        found = {key: getattr(self, key) for key in keys} | {"message": str(self)}
        found["inputs"] = [asdict(s) for s in self.inputs]
        found |= {"result": asdict(self.result), "path": [asdict(s) for s in self.path]}
        plain: dict[str, Any] = _plain(found)
        return plain

    def __reduce__(self) -> Any:
        raise TypeError("an AnomalyError holds a node of a graph and cannot be pickled: use its to_dict()")


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _plain(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(item) for item in x]
    return str(x) if isinstance(x, float) and not math.isfinite(x) else x


def _shown(path: Sequence[PathStep]) -> list[str]:
    """Return the lines of a path; of a long one the middle is one line."""
    width = max(len(s.what) for s in path)
    lines = [
        f"{s.what.ljust(width)}  {s.norm:<11.4g}" + ("" if s.factor is None else f"× {s.factor:.4g}")
        for s in path
    ]
    lines = [line.rstrip() for line in lines]
    if len(path) <= 2 * _SHOWN + 1:
        return lines
    first, last = path[_SHOWN - 1].norm, path[-_SHOWN - 1].norm
    skipped = len(path) - 2 * _SHOWN
    mean = (
        f", × {(last / first) ** (1 / skipped):.4g} each in the mean" if 0 < first < last < math.inf else ""
    )
    return [*lines[:_SHOWN], f"… {skipped} more{mean}", *lines[-_SHOWN:]]


def norm_of(data: Any) -> float:
    """Return the Euclidean norm of a number or an array (inf or nan where an entry is); it does not overflow early."""
    array = np.abs(np.asarray(getattr(data, "_data", data), dtype=np.float64))
    largest = float(array.max()) if array.size else 0.0
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * float(np.sqrt(np.sum((array / largest) ** 2)))


def title(node: Node, op: Any = None) -> str:
    """Return what a message calls a node: its operation, its name and its scope."""
    op = op if op is not None else node._call.op
    name = f" {node.name!r}" if node.name else ""
    scope = f" [{', '.join(node.scope)}]" if node.scope else ""
    return f"{op.name if op is not None else node.kind}{name}{scope}"


def line_of(node: Node) -> tuple[str, int] | None:
    """Return the file and line that made a node, None where no observer saw it."""
    return node._note.line if isinstance(node._note, Note) else None


def forward_path(node: Node, args: Sequence[Node]) -> list[PathStep]:
    """Return how the values grew up to ``node``: from it back along the arguments with the largest norms.

    Once in a time step it stays in time: what a step takes from elsewhere (a weight, say) is in every step.
    """
    chain, args = [node], list(args)
    while True:
        made = [p for p in args if p._call.op is not None]
        timed = [p for p in made if place_of(p.scope).step >= 0]
        if place_of(chain[-1].scope).step >= 0:
            made = timed
        if not made:
            break
        chain.append(max(timed or made, key=lambda p: _sortable(norm_of(p))))
        args = list(chain[-1]._parents)
    return _stations([(n, norm_of(n)) for n in reversed(chain)])


def backward_path(node: Node, found: Mapping[Node, Any]) -> list[PathStep]:
    """Return how the cotangents grew down to ``node``: from it up along the uses that handed over the largest."""
    users: dict[Node, list[Node]] = {}
    for user in found:
        for parent in set(user._parents):
            users.setdefault(parent, []).append(user)
    chain = [node]
    while chain[-1] in users:
        last = chain[-1]
        chain.append(max(users[last], key=lambda u: _sortable(_handed(u, last, found[u]))))
    return _stations([(n, norm_of(found[n])) for n in reversed(chain) if n in found])


def _handed(user: Node, parent: Node, g: Any) -> float:
    """Return the norm of what ``user`` handed to ``parent``."""
    given = getattr(g, "_data", g)
    handed = zip(user._parents, local_vjp(user, given), strict=True)
    return max((norm_of(c) for p, c in handed if p is parent and c is not None), default=0.0)


def _sortable(norm: float) -> float:
    return math.inf if math.isnan(norm) else norm


def _stations(chain: Sequence[tuple[Node, float]]) -> list[PathStep]:
    """Return one station for each time step of a chain: the youngest of its nodes; others each on their own."""
    kept: dict[Any, tuple[Node, float]] = {}
    for node, norm in chain:
        place = place_of(node.scope)
        key: Any = place.frame or node
        if key not in kept or node._stamp > kept[key][0]._stamp:
            kept[key] = (node, norm)
    stations: list[PathStep] = []
    for node, norm in kept.values():
        before = stations[-1].norm if stations else math.nan
        factor = norm / before if before > 0 and math.isfinite(before) and math.isfinite(norm) else None
        stations.append(PathStep(title(node), place_of(node.scope).step, norm, factor))
    return stations
