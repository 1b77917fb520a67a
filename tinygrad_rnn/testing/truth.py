"""Tangents of a recorded graph, found from the operations' values and never from their derivative rules.

For an analytic f the complex step gives f'(x) = imag f(x + ih) / h without a subtraction, so h may be as small as
1e-20 and nothing is lost to rounding (Squire and Trapp 1998). It is taken node by node: each operation is evaluated
at the real values that were recorded plus a small imaginary part, which is scaled afresh at each node, and only the
imaginary part is handed on. So neither chaos nor overflow moves the point at which the derivative is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.namespaces import COMPLEX, NUMPY
from tinygrad_rnn.testing.differences import ridders, turns_at
from tinygrad_rnn.testing.linearity import all_directions

STEP = 1e-20
SMALLEST = 1e-290  # a step that still leaves its products normal numbers
TINIEST = 1e-300  # a size whose inverse is still a number
SHRINKS = 2.0  # a slope at 0 that shrinks by more than this with the step is a power of it
TINY = 1e-130  # the product of such a number with a step that is small beside it underflows
MOST_SLOPES = 4  # arguments; an operation of more is run for all of them at once
AGREES = 1e-6  # a user's forward is believed under complex numbers where it is this close to its differences
UNCERTAIN = 1e-7  # a relative error of a difference that a kink may be to blame for
OURS = frozenset(ops.ALL)
Tangents = dict[Node, Any]


class ForwardTruth:
    """The graph of some outputs, ready to push tangents through it.

    Attributes:
        cuts: how many ``detach`` nodes stopped a tangent; what was detached counts as a constant.
        differenced: the names of the operations that had to be differenced.
        uncertainty: the largest error estimate of a difference, relative to the largest entry of its tangent.
        bent: the operations whose one-sided differences disagree: the point lies on a kink of theirs.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        nodes = Graph.of(*outputs).nodes if outputs else ()
        self._nodes = [n for n in nodes if n.op is not None and n.parents and _real(n)]
        self._complex_is_sound: dict[Node, bool] = {}
        self._slopes: dict[tuple[Node, int], Any] = {}
        self.cuts = 0
        self.differenced: set[str] = set()
        self.uncertainty = 0.0
        self.bent: dict[Node, None] = {}

    def push(self, start: Mapping[Node, Any]) -> Tangents:
        """Return the tangents (K, *node.shape) of all nodes that depend on those in ``start``, K directions at once."""
        found = dict(start)
        self.cuts = 0
        with np.errstate(all="ignore"):
            for node in self._nodes:
                incoming = [found.get(parent) for parent in node.parents]
                if all(t is None for t in incoming):
                    continue
                if node.op is ops.detach:
                    self.cuts += 1
                else:  # the complex logarithm of -2 is a number, the real one is none
                    found[node] = np.where(np.isnan(node._data), 0.0, self._tangent(node, incoming))
        return found

    def _tangent(self, node: Node, incoming: list[Any]) -> Any:
        args = [np.asarray(parent._data) for parent in node.parents]
        if self._sound(node, args, incoming):
            if node.op in OURS and node.op.elementwise:
                few = len(args) <= MOST_SLOPES and node.op.linear != "jointly"
                return self._by_slopes(node, args, incoming) if few else _elementwise(node, args, incoming)
            linear = node.op in OURS and node.op.linear and node.op is not ops.astype
            together = all_directions(node, args, incoming) if linear else None
            if together is not None:
                return together
            tangent = self._each(node, args, incoming, _linear if linear else _complex_step)
            return (
                np.where(node._data == 0, 0.0, tangent) if node.op is ops.norm else tangent
            )  # by convention
        self.differenced.add(node.op.name)
        return self._each(node, args, incoming, self._differences)

    def _by_slopes(self, node: Node, args: list[Any], incoming: list[Any]) -> Any:
        """Return the tangents of an elementwise operation: its slopes, found once by the complex step, times theirs."""
        total: Any = 0.0
        for i, t in enumerate(incoming):
            if t is None:
                continue
            if (node, i) not in self._slopes:
                size = np.where(
                    np.isfinite(args[i]), np.maximum(1.0, np.abs(args[i])), 1.0
                )  # 1 is none of a huge one
                moves = [size[None] if k == i else None for k in range(len(args))]
                self._slopes[node, i] = _elementwise(node, args, moves)[0] / size
            slope = self._slopes[node, i]
            aligned = np.reshape(t, (len(t), *(1,) * (len(node.shape) - args[i].ndim), *args[i].shape))
            product = slope * aligned
            if not np.isfinite(product).all():  # what does not move has no part in it, however steep
                product = np.where(aligned == 0, 0.0, product)
            total = total + product
        return np.broadcast_to(total, (len(total), *node.shape))

    def _sound(self, node: Node, args: list[Any], incoming: list[Any]) -> bool:
        """Return whether the complex step may be taken at ``node``: always in our operations, proven in a user's."""
        if node.op in OURS:
            return True
        if node not in self._complex_is_sound:
            signs = np.random.default_rng(len(self._complex_is_sound))
            direction = [None if t is None else signs.choice([-1.0, 1.0], np.shape(t)[1:]) for t in incoming]
            self._complex_is_sound[node] = _agrees(node, args, direction)
        return self._complex_is_sound[node]

    @staticmethod
    def _each(node: Node, args: list[Any], incoming: list[Any], method: Any) -> Any:
        """Return the tangents of an operation that must be run once for each direction."""
        count = next(len(t) for t in incoming if t is not None)
        result = np.zeros((count, *node.shape))
        for k in range(count):
            direction = [None if t is None else t[k] for t in incoming]
            if any(t is not None and np.any(t) for t in direction):
                result[k] = method(node, args, direction)
        return result

    def _differences(self, node: Node, args: list[Any], direction: list[Any]) -> Any:
        along, first = _line(node, args, direction)
        tangent, error = ridders(along, first)
        size = np.max(np.abs(tangent), initial=0.0)
        uncertainty = float(np.max(error, initial=0.0) / size) if size else 0.0
        self.uncertainty = max(self.uncertainty, uncertainty)
        if (uncertainty > UNCERTAIN or not size) and turns_at(along, first * 1e-3):
            self.bent[node] = None
        return tangent


def _real(node: Node) -> bool:
    return bool(np.asarray(node._data).dtype.kind == "f")


def _linear(node: Node, args: list[Any], direction: list[Any]) -> Any:
    """Return the tangent of a linear operation: its own value at the tangents, with no need for complex numbers."""
    forward, params = node.op.forward, node.params
    if node.op.linear == "jointly":
        moved = [np.zeros_like(a) if t is None else t for a, t in zip(args, direction, strict=True)]
        return forward(NUMPY, *moved, **params)
    moving = [i for i, t in enumerate(direction) if t is not None]
    return sum(forward(NUMPY, *args[:i], direction[i], *args[i + 1 :], **params) for i in moving)


def _exact_product(node: Node, moving: int) -> bool:
    """Return whether the imaginary part is exact for a step of any size: for sums, and products of two."""
    return node.op.linear == "jointly" or (node.op.linear == "each" and moving <= 2)


def _elementwise(node: Node, args: list[Any], incoming: list[Any]) -> Any:
    """Return the tangents of all directions in one evaluation, each entry with an imaginary part of its own size."""
    ndim = len(node.shape)
    aligned = [
        None if t is None else np.reshape(t, (len(t), *(1,) * (ndim - a.ndim), *a.shape))
        for a, t in zip(args, incoming, strict=True)
    ]
    moving = [(a, t) for a, t in zip(args, aligned, strict=True) if t is not None]
    room, size = np.asarray(1.0), np.asarray(0.0)
    for a, t in moving:
        room = np.fmin(room, np.where(a == 0, 1.0, np.abs(a)))  # a nan has no size
        size = np.maximum(size, np.abs(t))
    step = 1.0 if _exact_product(node, len(moving)) else STEP * np.maximum(room, 1e-250)
    per_size = 1.0 / np.where(size == 0, 1.0, np.maximum(size, TINIEST))

    def stepped(step: Any) -> Any:
        h = np.maximum(step * per_size, SMALLEST)
        moved = [a if t is None else a + 1j * (h * t) for a, t in zip(args, aligned, strict=True)]
        return np.imag(node.op.forward(COMPLEX, *moved, **node.params)) / h

    y = stepped(step)
    start = np.any([np.broadcast_to(a == 0, y.shape) for a, _ in moving], axis=0)
    if np.any(start & (y != 0)):  # of x³ and x^1.1 at 0 a power of the step is seen, whose limit is 0
        y = np.where(start & (SHRINKS * np.abs(stepped(step**2)) < np.abs(y)), 0.0, y)
    if np.any((y == 0) & (room < TINY)):  # a step small beside a tiny number is lost in a product with it
        wide, wider = stepped(STEP**2), stepped(STEP)
        y = np.where((y == 0) & (room < TINY) & (np.abs(wide - wider) <= 1e-10 * np.abs(wider)), wider, y)
    return np.broadcast_to(y, (len(moving[0][1]), *node.shape))


def _complex_step(node: Node, args: list[Any], direction: list[Any]) -> Any:
    """Return the tangent along one direction."""
    room, size = 1.0, 0.0
    for a, t in zip(args, direction, strict=True):
        if t is not None and a.size:
            room = min(room, float(np.min(np.abs(a), where=(a != 0), initial=1.0)))
            size = max(size, float(np.max(np.abs(t))))
    h = max(STEP * max(room, 1e-150) / size, SMALLEST)
    moved = [a if t is None else a + 1j * (h * t) for a, t in zip(args, direction, strict=True)]
    return np.imag(node.op.forward(COMPLEX, *moved, **node.params)) / h


def _line(node: Node, args: list[Any], direction: list[Any]) -> tuple[Callable[[float], Any], float]:
    """Return the operation's value as a function of the step along one direction, and a first step to try."""
    pairs = [(a, t) for a, t in zip(args, direction, strict=True) if t is not None]
    size = max(float(np.max(np.abs(t), initial=0.0)) for _, t in pairs)
    reach = max(float(np.max(np.abs(a), initial=0.0)) for a, _ in pairs)
    first = 1e-2 * min(max(reach, 1e-3), 1e3) / (size or 1.0)

    def along(h: float) -> Any:
        moved = [a if t is None else a + h * t for a, t in zip(args, direction, strict=True)]
        return node.op.forward(NUMPY, *moved, **node.params)

    return along, first


def _agrees(node: Node, args: list[Any], direction: list[Any]) -> bool:
    """Return whether a foreign forward under complex numbers keeps its value and has the slope of its differences."""
    if not any(t is not None and np.any(t) for t in direction):
        return True
    try:
        exact = np.asarray(_complex_step(node, args, direction))
        value = np.real(
            node.op.forward(COMPLEX, *[a + 0j if a.dtype.kind == "f" else a for a in args], **node.params)
        )
    except Exception:  # it is code of anyone's, and complex numbers were not asked of it
        return False
    if exact.shape != node.shape or not np.allclose(value, node._data, rtol=1e-12, atol=0.0, equal_nan=True):
        return False
    slope, error = ridders(*_line(node, args, direction))
    largest = np.max(np.abs(slope), initial=0.0)
    resolved = error <= 1e-4 * largest + 1e-8 * np.max(np.abs(node._data), initial=0.0)
    return bool(np.all(resolved & (np.abs(exact - slope) <= 10 * error + AGREES * largest)))
