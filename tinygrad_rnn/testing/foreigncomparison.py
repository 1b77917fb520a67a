"""The comparison for functions over plain arrays: their own backward against derivatives from their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.testing import probes
from tinygrad_rnn.testing.comparison import Comparison
from tinygrad_rnn.testing.differences import EPS, ridders, taylor_slopes, turns_at
from tinygrad_rnn.testing.findings import Mismatch
from tinygrad_rnn.testing.foreign import ForeignCall, Outputs
from tinygrad_rnn.testing.kinks import Kink
from tinygrad_rnn.testing.probes import Probe

STEP = 1e-20
SAME = 1e-12  # of the largest entry: how far two runs that should agree may be apart
CONTRADICTS = 1e-6
RESOLVED = 1e-4  # a difference with a larger relative error contradicts nothing
_NUDGE = 1e-8
_CLOSE = 1e-3
_LEAST_ROOM = 1e-120
_ALLOWED = 10.0  # times the unevenness of a gradient between three close points

Backward = Callable[[int, Any, list[Any]], list[Any]]


class ForeignComparison(Comparison):
    """Both Jacobians of a forward function over arrays.

    Args:
        call: the forward function at its point.
        outputs: what it gives there.
        backward: from an output's number and a cotangent to the gradient of each leaf; takes the values to use.
        tolerance: relative to the largest derivative of a block.
        rng: draws directions.

    Attributes:
        eps: to what part of themselves the outputs are rounded.
        unsound: why the complex step is not believed, ``""`` where it is.
        confirmed: whether differences, too coarse to decide, at least show the same derivative.
    """

    def __init__(
        self,
        call: ForeignCall,
        outputs: Outputs,
        backward: Backward,
        tolerance: float,
        rng: np.random.Generator,
    ) -> None:
        inputs = [(path, np.shape(x)) for path, x in zip(call.paths, call.values, strict=True)]
        super().__init__(inputs, [(path, y.shape) for path, y in outputs], tolerance, rng)
        self._call = call
        self.names = call.names
        self._at = [y.astype(float) for _, y in outputs]
        self.eps = max([EPS, *(float(np.finfo(y.dtype).eps) for _, y in outputs if y.dtype.kind == "f")])
        self._backward = backward
        self._entries = sum(y.size for y in self._at)
        self._uncertainty = 0.0
        self._errors: dict[tuple[int, int], float] = {}
        sizes = [np.abs(x[x != 0]) for x in call.values]
        room = min((float(np.min(size)) for size in sizes if size.size), default=1.0)
        self._step = STEP * min(max(room, _LEAST_ROOM), 1.0)  # small beside the smallest number, too
        self.confirmed = False
        self.unsound = self._why_unsound()

    def gradient(self, number: int, row: Any) -> list[Any]:
        """Return the gradient of <row, output> for each leaf, by the backward function under test."""
        return self._backward(number, row, self._call.values)

    def tangents(self, probe: Probe) -> list[Any]:
        """Return the tangents of each output, by the complex step where it is believed, else by differences."""
        pairs = [self._tangent(self._direction(probe.number, row)) for row in probe.rows]
        columns = [np.asarray([tangents[k] for tangents, _ in pairs]) for k in range(len(self.outputs))]
        errors = [max(error[k] for _, error in pairs) for k in range(len(self.outputs))]
        for column, error in zip(columns, errors, strict=True):
            size = float(np.max(np.abs(column), initial=0.0))
            if size and error:
                self._uncertainty = max(self._uncertainty, error / size)
        for number, error in enumerate(errors):
            self._errors[probe.number, number] = max(error, self._errors.get((probe.number, number), 0.0))
        return columns

    def hidden(self, leaf: int, number: int) -> float:
        """Return ten times the error estimate of the differences."""
        return _ALLOWED * self._errors.get((leaf, number), 0.0)

    def rounding(self, number: int, row: Any, leaf: int) -> float:
        """Return ten times what rounding does to the gradient, as far as that can be seen from outside.

        One sign of it is how unevenly the gradient moves between three close points, where a smooth one moves evenly;
        another how far it is from the same in extended precision, where the backward can be run in it.
        """
        middle = self.gradient(number, row)[leaf]
        shifts = [
            [_NUDGE * x * self.rng.choice([-1.0, 1.0], np.shape(x)) for x in self._call.values]
            for _ in range(3)
        ]
        lines = [(self._call.moved(shift), self._call.moved([-d for d in shift])) for shift in shifts]
        spread = [self._spread(number, row, leaf, line, middle) for line in lines]
        extended = [np.asarray(x, dtype=np.longdouble) for x in self._call.values]
        return _ALLOWED * max(*spread, self._spread(number, row, leaf, (extended, extended), middle) / 2)

    def _spread(
        self, number: int, row: Any, leaf: int, points: tuple[list[Any], list[Any]], middle: Any
    ) -> float:
        """Return how far the sum of the gradients at two points is from twice the one between them."""
        try:
            before, after = (self._backward(number, row, values)[leaf] for values in points)
            uneven = float(np.max(np.abs(before - 2 * middle + after), initial=0.0))
            apart = float(np.max(np.abs(after - before), initial=0.0))
        except Exception:  # not defined there, or not in this precision
            return 0.0
        close = apart <= _CLOSE * float(
            np.max(np.abs(middle), initial=0.0)
        )  # else it is the gradient itself that moves
        return uneven if close and np.isfinite(uneven) else 0.0

    @property
    def uncertainty(self) -> float:
        """The largest relative error estimate of the differences, 0 where the complex step was used."""
        return self._uncertainty

    def method(self) -> str:
        """Return how the expected derivatives were found."""
        if not self.unsound:
            return "complex step through the whole function"
        return f"Ridders differences, good to {self._uncertainty:.1g} ({self.unsound})"

    def disbelieve(self, why: str) -> None:
        """Use differences from now on."""
        self.unsound = why

    # --- values along a line

    def along(self, direction: list[Any]) -> Callable[[float], Any]:
        """Return all outputs, flattened into one vector, as a function of the step along ``direction``."""

        def values(h: float) -> Any:
            found = self._call.run(self._call.moved([h * d for d in direction]))
            if [np.shape(y) for _, y in found] != [shape for _, shape in self.outputs]:
                raise ValueError("the outputs change their shapes")
            return np.concatenate([np.ravel(y).astype(float) for _, y in found])

        return values

    def differenced(self, mismatch: Mismatch) -> tuple[float, float] | None:
        """Return the entry that ``mismatch`` is about by differences, and their error; None where they fail."""
        leaf, number = self._numbers(mismatch)
        unit = np.zeros(self.inputs[leaf][1])
        unit[mismatch.index] = 1.0
        along, place = self.along(self._direction(leaf, unit)), self._place(number, mismatch.output_index)
        try:
            slope, error = ridders(lambda h: along(h)[place], 1e-2 * self._reach(leaf), rows=14, eps=self.eps)
        except Exception:  # not defined beside the point
            return None
        return float(slope), float(error)

    def _place(self, number: int, index: tuple[int, ...]) -> int:
        sizes = [int(np.prod(shape)) for _, shape in self.outputs]
        shape = self.outputs[number][1]
        return sum(sizes[:number]) + (int(np.ravel_multi_index(index, shape)) if shape else 0)

    def kinks(self) -> list[Kink]:
        """Return the arguments along which the function has a kink at the point."""
        rng = np.random.default_rng(6)
        found = []
        for number, (path, shape) in enumerate(self.inputs):
            row = rng.standard_normal(shape)
            try:
                if not turns_at(self.along(self._direction(number, row)), 1e-5 * self._reach(number)):
                    continue
                unit = probes.narrowed(row, lambda v, number=number: self._bend(number, v))
            except Exception:  # not defined beside the point
                continue
            found.append(Kink("the function", f"along {path}", (), probes.unit_of(unit) or (), 0.0))
        return found

    def slopes_of_remainder(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return the least and largest slope of log |f(x + h v) - f(x) - h <gradient, v>| along a random direction.

        2 of a right gradient, 1 of a wrong one, inf where there is no remainder above rounding.
        """
        v = [rng.standard_normal(np.shape(x)) * 0.1 * np.maximum(np.abs(x), 0.1) for x in self._call.values]
        w = [rng.standard_normal(shape) for _, shape in self.outputs]
        weights = np.concatenate([np.ravel(part) for part in w]) if w else np.zeros(0)
        slope = 0.0
        for number, part in enumerate(w):
            slope += sum(float(np.sum(g * d)) for g, d in zip(self.gradient(number, part), v, strict=True))
        along = self.along(v)
        return taylor_slopes(lambda h: float(weights @ along(h)), slope, 1e-1, eps=self.eps)

    def _tangent(self, direction: list[Any]) -> tuple[list[Any], list[float]]:
        """Return the tangent of each output, and the largest error estimate in it."""
        if not self.unsound:
            stepped = self._call.stepped(direction, self._step)
            if stepped is not None:
                return stepped[1], [0.0] * len(self.outputs)
        size = max(float(np.max(np.abs(d), initial=0.0)) for d in direction) or 1.0
        moving = [x for x, d in zip(self._call.values, direction, strict=True) if np.any(d)]
        reach = max((float(np.max(np.abs(x), initial=0.0)) for x in moving), default=1.0)
        slope, error = ridders(
            self.along(direction), 1e-2 * min(max(reach, 1e-2), 1e3) / size, rows=12, eps=self.eps
        )
        slope, error = (np.broadcast_to(a, self._entries) for a in (slope, error))
        tangents, errors, start = [], [], 0
        for _, shape in self.outputs:
            stop = start + int(np.prod(shape))
            tangents.append(slope[start:stop].reshape(shape))
            errors.append(float(np.max(error[start:stop], initial=0.0)))
            start = stop
        return tangents, errors

    def _direction(self, number: int, row: Any) -> list[Any]:
        return [row if k == number else np.zeros(np.shape(x)) for k, x in enumerate(self._call.values)]

    def _reach(self, number: int) -> float:
        return max(float(np.max(np.abs(self._call.values[number]), initial=0.0)), 1e-2)

    def _bend(self, number: int, row: Any) -> float:
        h = 1e-6 * self._reach(number)
        along = self.along(self._direction(number, row))
        return float(np.max(np.abs(along(h) - 2 * along(0.0) + along(-h)), initial=0.0))

    def _why_unsound(self) -> str:
        """Return why the whole-function complex step cannot be believed at this point, ``""`` where it can."""
        rng = np.random.default_rng(7)
        direction = [
            rng.standard_normal(np.shape(x)) * np.maximum(np.abs(x), 1e-2) for x in self._call.values
        ]
        first, second = (self._call.stepped(direction, h) for h in (self._step, self._step * STEP))
        if first is None or second is None:
            return "the function refuses complex numbers"
        shapes = [shape for _, shape in self.outputs]
        if [np.shape(y) for y in first[0]] != shapes or [np.shape(y) for y in second[0]] != shapes:
            return "complex numbers change the outputs' shapes"
        if not all(_close(a, b) for a, b in zip(first[0], self._at, strict=True)):
            return "complex numbers change its values"
        if not all(_close(a, b) for a, b in zip(first[1], second[1], strict=True)):
            return "two complex steps disagree"
        return (
            "" if self._differences_agree(direction, first[1]) else "differences contradict the complex step"
        )

    def _differences_agree(self, direction: list[Any], stepped: list[Any]) -> bool:
        """Return whether differences do not contradict the complex step, as they do where abs or conj made it blind."""
        flat = np.concatenate([np.ravel(t) for t in stepped]) if stepped else np.zeros(0)
        try:
            slope, error = ridders(self.along(direction), 1e-3, rows=12, eps=self.eps)
        except Exception:  # not defined beside the point
            return True
        size = float(np.max(np.abs(flat), initial=0.0) + np.max(np.abs(slope), initial=0.0))
        resolved = error <= RESOLVED * size
        self.confirmed = bool(np.all(resolved))
        return not bool(np.any(resolved & (np.abs(slope - flat) > 10 * error + CONTRADICTS * size)))


def _close(a: Any, b: Any) -> bool:
    scale = float(np.max(np.abs(b), initial=0.0))
    with np.errstate(all="ignore"):
        return bool(np.all((a == b) | (np.abs(a - b) <= SAME * scale)))
