"""Two Jacobians of one function, block by block: by the rules under test, and by tangents found without them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.testing import hints, probes
from tinygrad_rnn.testing.findings import Mismatch
from tinygrad_rnn.testing.probes import Probe

AT_ONCE = 128  # directions pushed together
UNDECIDED = 1e-5  # a larger relative error of the expected derivatives proves nothing
UNDERFLOW = 1e-290  # a step times a derivative below this is no normal number any more
LINEAR = 1e-12  # a rule is linear in its cotangent, but for rounding
SCALE = -1024.0  # a power of two, which rounds nothing; so large that what is clipped at 5 or 100 shows

Places = Sequence[tuple[str, tuple[int, ...]]]


class Comparison(ABC):
    """Both Jacobians at one point.

    Args:
        inputs: path and shape of each leaf of the arguments.
        outputs: path and shape of each output.
        tolerance: relative to the largest derivative of a block (one output by one argument).
        rng: draws directions where there are too many entries.

    Attributes:
        names: what the function calls each leaf, ``""`` where that is not known.
        problems: what is wrong besides entries.
        compared: what is compared.
        full: whether every entry is.
        drowned: whether some derivative is too small to be seen beside the rounding of what was differenced.
    """

    def __init__(self, inputs: Places, outputs: Places, tolerance: float, rng: np.random.Generator) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.names = [""] * len(self.inputs)
        self.problems: list[str] = []
        self.drowned = False
        self.tolerance = tolerance
        self.rng = rng
        self._pulled: list[list[list[Any]]] = []
        shapes_in, shapes_out = [shape for _, shape in inputs], [shape for _, shape in outputs]
        entries, results = _entries(shapes_in), _entries(shapes_out)
        self.full = entries * results <= probes.FULL
        if self.full:
            self._tangents, self._cotangents = probes.complete(shapes_in), probes.complete(shapes_out)
            self.compared = f"full Jacobian {results} x {entries}"
        else:
            self._tangents = probes.drawn(shapes_in, rng, coordinates=True)
            self._cotangents = probes.drawn(shapes_out, rng, coordinates=False)
            counts = sum(map(len, self._cotangents)), sum(map(len, self._tangents))
            self.compared = (
                f"{counts[0]} x {counts[1]} signed projections of a Jacobian {results} x {entries}"
            )

    # --- the two sides

    @abstractmethod
    def gradient(self, number: int, row: Any) -> list[Any]:
        """Return the gradient of <row, output ``number``> for each leaf, by the rules under test."""

    @abstractmethod
    def tangents(self, probe: Probe) -> list[Any]:
        """Return the tangents (K, *shape) of each output along the K rows of ``probe``, found without the rules."""

    @abstractmethod
    def rounding(self, number: int, row: Any, leaf: int) -> float:
        """Return how far rounding could move an entry of the gradient of <row, output> for one leaf."""

    @property
    @abstractmethod
    def uncertainty(self) -> float:
        """The largest error estimate of a tangent so far, relative to its largest entry."""

    def hidden(self, leaf: int, number: int) -> float:
        """Return below what a derivative of a block cannot be seen, though the tangents say it is 0."""
        return 0.0

    # --- the comparison

    def pull(self) -> None:
        """Run the rules under test, from every cotangent."""
        self._pulled = [[self.gradient(c.number, row) for row in c.rows] for c in self._cotangents]
        for cotangent, gradients in zip(self._cotangents, self._pulled, strict=True):
            if gradients:
                self._again(cotangent.number, cotangent.rows[0], gradients[0])

    def _again(self, number: int, row: Any, first: list[Any]) -> None:
        """Note a problem if another pass from the same output is not the same, or not linear in its cotangent."""
        path = self.outputs[number][0]
        if any(a.tobytes() != b.tobytes() for a, b in zip(self.gradient(number, row), first, strict=True)):
            self.problems.append(f"a second backward pass from {path} gives another gradient")
            return
        scaled, nothing = self.gradient(number, SCALE * row), self.gradient(number, 0.0 * row)
        for (leaf, _), once, many, zero in zip(self.inputs, first, scaled, nothing, strict=True):
            expected = SCALE * once
            finite = np.isfinite(expected)  # elsewhere inf - inf has no say
            apart = np.max(np.abs(many[finite] - expected[finite]), initial=0.0)
            if not apart <= LINEAR * np.max(np.abs(expected[finite]), initial=0.0) + 1e-300:
                self.problems.append(
                    f"the gradient of {leaf} is not linear in the cotangent of {path}: {SCALE:g} times the cotangent "
                    f"does not give {SCALE:g} times the gradient (is a rule not multiplied by it, or is something "
                    "clipped?)"
                )
            elif np.any(zero[finite] != 0.0):
                self.problems.append(f"a zero cotangent of {path} gives {leaf} a gradient that is not zero")

    def worst(self) -> Mismatch | None:
        """Return the entry that breaks its tolerance most, None where all hold; after :meth:`pull`."""
        found: list[tuple[float, Mismatch]] = []
        for tangent in self._tangents:
            pushed = self._push(tangent)
            for cotangent, gradients in zip(self._cotangents, self._pulled, strict=True):
                with np.errstate(all="ignore"):
                    entry = self._block(cotangent, tangent, gradients, pushed[cotangent.number])
                found += [] if entry is None else [entry]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def both(self, mismatch: Mismatch) -> tuple[Any, Any] | None:
        """Return (expected, got): the whole gradients of the output's entry for the argument of ``mismatch``.

        None where the argument has so many entries that the expected ones would take too long.
        """
        leaf, number = self._numbers(mismatch)
        row = np.zeros(self.outputs[number][1])
        row[mismatch.output_index] = 1.0
        return self.of_output(number, row, leaf)

    def hint(self, mismatch: Mismatch, parts: hints.Parts = ()) -> str:
        """Return the kind of mistake that ``mismatch`` is an entry of, ``""`` where it is no known one.

        One row of a Jacobian may have a single entry, which fits many patterns; a random mix of all rows tells more.
        """
        if self.problems:  # of what is not linear, a mix tells nothing
            return ""
        leaf, number = self._numbers(mismatch)
        alone = bool(parts) or int(np.prod(self.outputs[number][1])) == 1
        pair = self.both(mismatch) if alone else self.of_output(number, self.mixed(number), leaf)
        found = "" if pair is None else hints.hint(*pair, parts=parts, of=mismatch.name or mismatch.argument)
        return self._transposed(mismatch) or found

    def mixed(self, number: int) -> Any:
        """Return a random cotangent of all entries of an output, each as it is or with the other sign."""
        return self.rng.choice([-1.0, 1.0], self.outputs[number][1])

    def _transposed(self, mismatch: Mismatch) -> str:
        leaf, number = self._numbers(mismatch)
        sizes = int(np.prod(self.inputs[leaf][1])), int(np.prod(self.outputs[number][1]))
        if not self.full or sizes[0] != sizes[1]:
            return ""
        got = np.asarray([np.ravel(gradients[leaf]) for gradients in self._pulled[number]])
        (units,) = probes.complete([self.inputs[leaf][1]])
        return hints.of_jacobians(_flat(self._push(Probe(leaf, units.rows))[number]).T, got)

    def _numbers(self, mismatch: Mismatch) -> tuple[int, int]:
        """Return which leaf and which output ``mismatch`` is about."""
        leaf = next(i for i, (path, _) in enumerate(self.inputs) if path == mismatch.argument)
        return leaf, next(k for k, (path, _) in enumerate(self.outputs) if path == mismatch.output)

    def of_output(self, number: int, row: Any, leaf: int) -> tuple[Any, Any] | None:
        """Return (expected, got) of the gradient of <row, output> for one leaf, None where that takes too long."""
        expected = self.expected(number, row, leaf)
        return None if expected is None else (expected, self.gradient(number, row)[leaf])

    def expected(self, number: int, row: Any, leaf: int) -> Any:
        """Return the gradient of <row, output> for one leaf as the tangents give it, None where that takes too long."""
        shape = self.inputs[leaf][1]
        if int(np.prod(shape)) > probes.FULL:
            return None
        (units,) = probes.complete([shape])
        columns = self._push(Probe(leaf, units.rows))[number]
        return np.asarray([np.sum(column * row) for column in columns]).reshape(shape)

    def _push(self, tangent: Probe) -> list[Any]:
        parts = [
            self.tangents(Probe(tangent.number, tangent.rows[start : start + AT_ONCE]))
            for start in range(0, len(tangent), AT_ONCE)
        ]
        if not parts:
            return [np.zeros((0, *shape)) for _, shape in self.outputs]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _block(
        self, cotangent: Probe, tangent: Probe, gradients: list[list[Any]], pushed: Any
    ) -> tuple[float, Mismatch] | None:
        """Return how badly the worst entry of one block fails, with that entry; None where all hold."""
        if not len(cotangent) or not len(tangent):
            return None
        got = np.asarray([np.ravel(g[tangent.number]) for g in gradients])
        expected = _flat(pushed).T
        if not self.full:
            got, expected = got @ _flat(tangent.rows).T, _flat(cotangent.rows) @ expected
        error = np.where(got == expected, 0.0, np.abs(got - expected))  # inf - inf is not a difference
        error = np.where(np.isnan(error), np.inf, error)
        scale = float(np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0))
        allowed = max((self.tolerance + 100 * min(self.uncertainty, UNDECIDED)) * scale, UNDERFLOW)
        if not scale and allowed < np.max(error) <= self.hidden(tangent.number, cotangent.number):
            self.drowned = True
            return None
        for i in np.argsort(-error.max(axis=1)).tolist():
            j = int(np.argmax(error[i]))
            if error[i, j] <= allowed:
                break
            limit = max(allowed, self._rounding(cotangent, tangent, i))
            if error[i, j] > limit:
                entry = self._entry(cotangent, tangent, (i, j), (got[i, j], expected[i, j]), (limit, scale))
                return float(error[i, j] / limit) if limit else np.inf, entry
        return None

    def _rounding(self, cotangent: Probe, tangent: Probe, i: int) -> float:
        factor = float(np.max(np.abs(tangent.rows)))
        return factor * self.rounding(cotangent.number, cotangent.rows[i], tangent.number)

    def _entry(
        self,
        cotangent: Probe,
        tangent: Probe,
        at: tuple[int, int],
        pair: tuple[float, float],
        limits: tuple[float, float],
    ) -> Mismatch:
        """Return the mismatch at a projection, narrowed down to single entries."""
        u, v = cotangent.rows[at[0]], tangent.rows[at[1]]
        if probes.unit_of(v) is None:
            v = probes.narrowed(v, lambda v: abs(np.subtract(*self._projected(cotangent, tangent, u, v))))
        if probes.unit_of(u) is None:
            u = probes.narrowed(u, lambda u: abs(np.subtract(*self._projected(cotangent, tangent, u, v))))
        got, expected = pair if self.full else self._projected(cotangent, tangent, u, v)
        return Mismatch(
            argument=self.inputs[tangent.number][0],
            index=probes.unit_of(v) or (),
            output=self.outputs[cotangent.number][0],
            output_index=probes.unit_of(u) or (),
            expected=float(expected),
            got=float(got),
            allowed=float(limits[0]),
            scale=limits[1],
            shape=self.inputs[tangent.number][1],
            name=self.names[tangent.number],
        )

    def _projected(self, cotangent: Probe, tangent: Probe, u: Any, v: Any) -> tuple[float, float]:
        """Return u' J v by the rules and by the tangents."""
        got = np.sum(self.gradient(cotangent.number, u)[tangent.number] * v)
        pushed = self.tangents(Probe(tangent.number, v[None]))[cotangent.number][0]
        return float(got), float(np.sum(pushed * u))


def _entries(shapes: list[tuple[int, ...]]) -> int:
    return int(sum(np.prod(shape) for shape in shapes))


def _flat(rows: Any) -> Any:
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
