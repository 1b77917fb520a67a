"""A namespace that emits: running an operation's ``forward`` in it appends instructions.

So softmax and its kin, which are written as a few elementwise steps and sums, need no kernel of their own: they run on
preallocated memory by any executor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import NO_PARAMS, Op
from tinygrad_rnn.core.primitives.reductions import reduced_axes
from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.codegen.windows import reshaped

SPELLED_OUT = (ops.softmax, ops.log_softmax, ops.logsumexp, ops.norm)
BELOW = Op(
    name="below",
    symbol="-",
    forward=lambda xp, x, peak: xp.where(xp.equal(x, peak), 0.0, x - peak),
    doc="x - peak, 0 where they are equal, infinite ones included",
)
Emit = Callable[[str, Place, tuple[Place, ...], Op, Mapping[str, Any]], None]
NewPlace = Callable[[tuple[int, ...], np.dtype[Any]], Place]


@dataclass(frozen=True, slots=True)
class Emitted:
    """A value whose instructions have been emitted; arithmetic on it emits more."""

    place: Place
    emitter: Emitter

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.place.shape

    def __add__(self, other: Emitted) -> Emitted:
        return self.emitter.map(ops.add, self, other)

    def __sub__(self, other: Emitted) -> Emitted:
        return self.emitter.map(ops.subtract, self, other)

    def __truediv__(self, other: Emitted) -> Emitted:
        return self.emitter.map(ops.divide, self, other)


class Emitter:
    """The namespace: what the forward rules of ``SPELLED_OUT`` call."""

    def __init__(self, emit: Emit, room: NewPlace) -> None:
        self._emit, self._room = emit, room

    def map(self, op: Op, *args: Emitted) -> Emitted:
        """Return ``op`` of the arguments, entry by entry."""
        shape = np.broadcast_shapes(*[a.place.shape for a in args])
        out = self._room(shape, args[0].place.dtype)
        self._emit("map", out, tuple(a.place for a in args), op, NO_PARAMS)
        return Emitted(out, self)

    def exp(self, x: Emitted) -> Emitted:
        """Return e^x."""
        return self.map(ops.exp, x)

    def log(self, x: Emitted) -> Emitted:
        """Return ln x."""
        return self.map(ops.log, x)

    def sqrt(self, x: Emitted) -> Emitted:
        """Return the square root."""
        return self.map(ops.sqrt, x)

    def square(self, x: Emitted) -> Emitted:
        """Return x^2."""
        return self.map(ops.square, x)

    def add_reduce(self, x: Emitted, axis: Any, keepdims: bool = False) -> Emitted:
        """Return the sum over ``axis``."""
        return self._reduced(x, ops.add, axis, keepdims)

    def below_peak(self, x: Emitted, axis: Any) -> tuple[Emitted, Emitted]:
        """Return the largest entry over ``axis``, and x minus it."""
        peak = self._reduced(x, ops.maximum, axis, True)
        return peak, self.map(BELOW, x, peak)

    def reshape(self, x: Emitted, shape: tuple[int, ...]) -> Emitted:
        """Return the same entries in another shape."""
        place = reshaped(x.place, shape)
        assert place is not None  # what is emitted is contiguous
        return Emitted(place, self)

    def _reduced(self, x: Emitted, op: Op, axis: Any, keepdims: bool) -> Emitted:
        rank = len(x.place.shape)
        axes = tuple(sorted(reduced_axes(axis, rank)))
        narrow = tuple(n for a, n in enumerate(x.place.shape) if a not in axes)
        out = self._room(narrow, x.place.dtype)
        self._emit("reduce", out, (x.place,), op, {"axes": axes})
        if not keepdims:
            return Emitted(out, self)
        return self.reshape(
            Emitted(out, self), tuple(1 if a in axes else n for a, n in enumerate(x.place.shape))
        )
