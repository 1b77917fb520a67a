"""Two Jacobians of one recorded graph: by reverse mode, and by tangents found without its rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.testing import probes, rounding
from tinygrad_rnn.testing.probes import Probe
from tinygrad_rnn.testing.report import Mismatch
from tinygrad_rnn.testing.truth import ForwardTruth

AT_ONCE = 64  # directions pushed through the graph together
UNDECIDED = 1e-5  # a larger relative error of the differences proves nothing
MOST_NOTES = 5
COMPLEX_STEP = "complex step node by node"


class Comparison:
    """Both Jacobians of one recorded run, block by block.

    Args:
        leaves: the nodes that the outputs are differentiated by.
        paths: what a report calls them.
        outputs: path and node of each output.
        tolerance: relative to the largest derivative of a block.
        rng: draws directions where there are too many entries.

    Attributes:
        problems: what makes a verdict impossible or is wrong besides entries.
        truth: the pusher of expected tangents.
        compared: what is compared.
    """

    def __init__(
        self,
        leaves: list[Any],
        paths: tuple[str, ...],
        outputs: list[tuple[str, Any]],
        tolerance: float,
        rng: np.random.Generator,
    ) -> None:
        self.leaves = leaves
        self.outputs = outputs
        self.paths = paths
        self.problems: list[str] = []
        self.truth = ForwardTruth([y for _, y in outputs])
        self.tolerance = max([tolerance, *(100 * float(np.finfo(y.dtype).eps) for _, y in outputs)])
        self._rng = rng
        self._pulled: list[list[list[Any]]] = []
        shapes_in, shapes_out = [x.shape for x in leaves], [y.shape for _, y in outputs]
        inputs, results = _entries(shapes_in), _entries(shapes_out)
        self.full = inputs * results <= probes.FULL
        if self.full:
            self._tangents, self._cotangents = probes.complete(shapes_in), probes.complete(shapes_out)
            self.compared = f"full Jacobian {results} x {inputs}"
        else:
            self._tangents = probes.drawn(shapes_in, rng, coordinates=True)
            self._cotangents = probes.drawn(shapes_out, rng, coordinates=False)
            counts = sum(map(len, self._cotangents)), sum(map(len, self._tangents))
            self.compared = f"{counts[0]} x {counts[1]} signed projections of a Jacobian {results} x {inputs}"

    def pull(self) -> None:
        """Run the rules under test, from every cotangent."""
        self._pulled = [[self._pull(c.number, row) for row in c.rows] for c in self._cotangents]
        self._second_pass(self._pulled)

    def worst(self) -> Mismatch | None:
        """Return the entry that breaks its tolerance most, None where all hold; after :meth:`pull`."""
        found: list[tuple[float, Mismatch]] = []
        for tangent in self._tangents:
            pushed = self._push(tangent)
            for cotangent, gradients in zip(self._cotangents, self._pulled, strict=True):
                with np.errstate(all="ignore"):
                    entry = self._block(cotangent, tangent, gradients, pushed[cotangent.number])
                found += [] if entry is None else [entry]
        uncertainty = self.truth.uncertainty
        if uncertainty > UNDECIDED:
            self.problems.append(
                f"cannot be decided: the differences of {', '.join(sorted(self.truth.differenced))} are only good to "
                f"{uncertainty:.1g}; move the point away from kinks and edges"
            )
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def notes(self) -> list[str]:
        """Return what a reader should know."""
        reached = Graph.of(*(y for _, y in self.outputs)) if self.outputs else ()
        absent = [path for path, leaf in zip(self.paths, self.leaves, strict=True) if leaf not in reached]
        notes = [f"the result does not depend on {path}" for path in absent[:MOST_NOTES]]
        if len(absent) > MOST_NOTES:
            notes.append(f"... nor on {len(absent) - MOST_NOTES} more")
        count = self.truth.cuts
        return notes + ([f"{count} detached node{'s' * (count > 1)} counted as constant"] if count else [])

    def method(self) -> str:
        """Return how the expected derivatives were found."""
        names = ", ".join(sorted(self.truth.differenced))
        return f"{COMPLEX_STEP}; Ridders differences for {names}" if names else COMPLEX_STEP

    def _pull(self, number: int, row: Any) -> list[Any]:
        """Return the gradient of <row, output> for each leaf, by the rules under test."""
        node = self.outputs[number][1]
        found = pullback((node,), (node._seed(row if node.shape else float(row)),))
        return [np.asarray(found.get(leaf, np.zeros(leaf.shape)), dtype=float) for leaf in self.leaves]

    def _push(self, tangent: Probe) -> list[Any]:
        """Return the tangents (K, *shape) of each output, by the complex step."""
        leaf, parts = self.leaves[tangent.number], []
        for start in range(0, len(tangent), AT_ONCE):
            rows = tangent.rows[start : start + AT_ONCE]
            found = self.truth.push({leaf: rows})
            parts.append([found.get(y, np.zeros((len(rows), *y.shape))) for _, y in self.outputs])
        if not parts:
            return [np.zeros((0, *y.shape)) for _, y in self.outputs]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _second_pass(self, pulled: list[list[list[Any]]]) -> None:
        for cotangent, gradients in zip(self._cotangents, pulled, strict=True):
            if gradients:
                again = self._pull(cotangent.number, cotangent.rows[0])
                if any(a.tobytes() != b.tobytes() for a, b in zip(again, gradients[0], strict=True)):
                    self.problems.append(
                        f"a second backward pass from {self.outputs[cotangent.number][0]} gives another gradient"
                    )

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
        allowed = (self.tolerance + 100 * min(self.truth.uncertainty, UNDECIDED)) * scale
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
        node = self.outputs[cotangent.number][1]
        row = cotangent.rows[i] if node.shape else float(cotangent.rows[i])
        leaf, factor = self.leaves[tangent.number], float(np.max(np.abs(tangent.rows)))
        return factor * rounding.spread(
            node, row, leaf, self._pull(cotangent.number, row)[tangent.number], self._rng
        )

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
            argument=self.paths[tangent.number],
            index=probes.unit_of(v) or (),
            output=self.outputs[cotangent.number][0],
            output_index=probes.unit_of(u) or (),
            expected=float(expected),
            got=float(got),
            allowed=float(limits[0]),
            scale=limits[1],
        )

    def _projected(self, cotangent: Probe, tangent: Probe, u: Any, v: Any) -> tuple[float, float]:
        """Return u' J v by the rules and by the complex step."""
        got = np.sum(self._pull(cotangent.number, u)[tangent.number] * v)
        pushed = self._push(Probe(tangent.number, v[None]))[cotangent.number][0]
        return float(got), float(np.sum(pushed * u))


def _entries(shapes: list[tuple[int, ...]]) -> int:
    return int(sum(np.prod(shape) for shape in shapes))


def _flat(rows: Any) -> Any:
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
