"""The comparison over a recorded graph: reverse mode against the complex step taken node by node."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback, pushforward
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.hooks import Note
from tinygrad_rnn.nn.places import place_of
from tinygrad_rnn.testing import hints, rounding
from tinygrad_rnn.testing.comparison import UNDECIDED, Comparison
from tinygrad_rnn.testing.differences import EPS
from tinygrad_rnn.testing.findings import Mismatch
from tinygrad_rnn.testing.kinks import NEAR, REACH, Kink, kinks
from tinygrad_rnn.testing.probes import Probe
from tinygrad_rnn.testing.truth import ForwardTruth

MOST_NOTES = 5
COMPLEX_STEP = "complex step node by node"


class RecordedComparison(Comparison):
    """Both Jacobians of one recorded run.

    Args:
        leaves: the nodes that the outputs are differentiated by.
        paths: what a report calls them.
        outputs: path and node of each output.
        tolerance: relative to the largest derivative of a block.
        rng: draws directions where there are too many entries.

    Attributes:
        truth: the pusher of expected tangents.
        graph: what was recorded; None where no output depends on anything.
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
        self.nodes = [y for _, y in outputs]
        self.graph = Graph.of(*self.nodes) if outputs else None
        self.truth = ForwardTruth(self.nodes)
        tolerance = max([tolerance, *(100 * float(np.finfo(y.dtype).eps) for y in self.nodes)])
        inputs = [(path, leaf.shape) for path, leaf in zip(paths, leaves, strict=True)]
        super().__init__(inputs, [(path, y.shape) for path, y in outputs], tolerance, rng)
        pairs = zip(leaves, paths, strict=True)
        self.names = [leaf.name if not path.endswith(f" {leaf.name}") else "" for leaf, path in pairs]
        for probe, y in zip(self._cotangents, self.nodes, strict=True):
            probe.rows[:, np.isnan(y._data)] = 0.0  # what is no number has no derivative

    def gradient(self, number: int, row: Any) -> list[Any]:
        """Return the gradient of <row, output> for each leaf, by reverse mode."""
        node = self.nodes[number]
        found = pullback((node,), (node._seed(row if node.shape else float(row)),))
        return [np.asarray(found.get(leaf, np.zeros(leaf.shape)), dtype=float) for leaf in self.leaves]

    def tangents(self, probe: Probe) -> list[Any]:
        """Return the tangents of each output, by the complex step."""
        found = self.truth.push({self.leaves[probe.number]: probe.rows})
        return [found.get(y, np.zeros((len(probe), *y.shape))) for y in self.nodes]

    def rounding(self, number: int, row: Any, leaf: int) -> float:
        """Return the spread of the gradient over passes in which every stored value is moved by one ulp."""
        node = self.nodes[number]
        return rounding.spread(node, row if node.shape else float(row), self.leaves[leaf], self.rng)

    @property
    def uncertainty(self) -> float:
        """The largest relative error of a difference, 0 where all was analytic."""
        return self.truth.uncertainty

    def doubts(self) -> list[str]:
        """Return what keeps the comparison from being decided."""
        if self.truth.bent:
            names = ", ".join(sorted({node.op.name for node in self.truth.bent}))
            return [f"nothing to compare with: the one-sided derivatives of {names} differ at this point"]
        if self.uncertainty <= UNDECIDED:
            return []
        names = ", ".join(sorted(self.truth.differenced))
        return [
            f"cannot be decided: the differences of {names} are only good to {self.uncertainty:.1g}; "
            "move the point away from kinks and edges"
        ]

    def kinks(self, reach: float = REACH) -> list[Kink]:
        """Return the kinks within ``reach`` that the outputs can feel, along a generic direction."""
        if self.graph is None:
            return []
        rng = np.random.default_rng(3)
        seeds = [_seed(y, rng.standard_normal(y.shape)) for y in self.nodes]
        cotangents = pullback(self.nodes, seeds)
        pushed = self.truth.push({x: rng.standard_normal((1, *x.shape)) for x in self.leaves})
        tangents = {node: rows[0] for node, rows in pushed.items()}
        with np.errstate(all="ignore"):
            return list(kinks(self.graph.nodes, cotangents, tangents, reach))

    def forward_mode(self) -> tuple[list[str], list[str]]:
        """Return problems and notes of forward mode, held against reverse mode: <u, J v> = <J' u, v>."""
        if self.graph is None:
            return [], []
        rng = np.random.default_rng(4)
        v = [rng.standard_normal(x.shape) for x in self.leaves]
        u = [rng.standard_normal(y.shape) for y in self.nodes]
        try:
            start = {x: x._admit(d) if x.shape else float(d) for x, d in zip(self.leaves, v, strict=True)}
            found = pushforward(self.graph.nodes, start)
        except Exception as error:  # a user's rule may be written for reverse mode only
            return [], [f"forward mode was not checked: {error}"]
        problems = []
        for number, (w, y) in enumerate(zip(u, self.nodes, strict=True)):
            forward = w * np.asarray(found.get(y, np.zeros(y.shape)), dtype=float)
            back = [g * d for g, d in zip(self.gradient(number, w), v, strict=True)]
            jvp, vjp = float(np.sum(forward)), float(sum(np.sum(b) for b in back))
            size = float(np.sum(np.abs(forward)) + sum(np.sum(np.abs(b)) for b in back))
            if abs(jvp - vjp) <= self.tolerance * size or not np.isfinite(size):
                continue
            slack = sum(self.rounding(number, w, i) * float(np.sum(np.abs(d))) for i, d in enumerate(v))
            slack += self._lost_in_sums(number, w, found)
            if abs(jvp - vjp) > self.tolerance * size + slack:
                problems.append(
                    f"forward mode and reverse mode disagree about {self.outputs[number][0]}: "
                    f"<u, jvp(v)> = {jvp:.9g}, <vjp(u), v> = {vjp:.9g}"
                )
        return problems, []

    def _lost_in_sums(self, number: int, row: Any, tangents: Any) -> float:
        """Return what rounding may leave of the tangents that cancel inside an operation, as v - sum(softmax v) does.

        Forward mode forms such a sum where reverse mode may need none, so each of the two is rounded by itself.
        """
        node = self.nodes[number]
        cotangents = pullback((node,), (_seed(node, row),))
        sizes = {
            n: float(np.max(np.abs(np.asarray(t, dtype=float)), initial=0.0)) for n, t in tangents.items()
        }
        lost = 0.0
        for n, g in cotangents.items():
            if n.op is not None and not n.op.elementwise:
                size = max((sizes.get(parent, 0.0) for parent in n.parents), default=0.0)
                lost += float(np.sum(np.abs(np.asarray(g, dtype=float)))) * size
        return rounding.ALLOWED * EPS * lost

    def notes(self) -> list[str]:
        """Return what a reader should know."""
        reached = self.graph if self.graph is not None else ()
        pairs = zip(self.inputs, self.leaves, strict=True)
        absent = [path for (path, _), leaf in pairs if leaf not in reached]
        notes = [f"the result does not depend on {path}" for path in absent[:MOST_NOTES]]
        if len(absent) > MOST_NOTES:
            notes.append(f"... nor on {len(absent) - MOST_NOTES} more")
        count = self.truth.cuts
        return notes + ([f"{count} detached node{'s' * (count > 1)} counted as constant"] if count else [])

    def hooked(self) -> list[str]:
        """Return a sentence for each node whose hook puts another cotangent in the place of the one it is given."""
        found = []
        paths = dict(zip(self.leaves, (path for path, _ in self.inputs), strict=True))
        for i, node in enumerate(self.graph or ()):
            if not isinstance(node._note, Note) or not node._note.hooks:
                continue
            given = self.rng.standard_normal(node.shape)
            try:
                got = np.asarray(node._run_hooks(_seed(node, given)), dtype=float)
            except Exception:  # it is code of anyone's; backward has told of it
                continue
            if not np.array_equal(given, got):
                kind = hints.hint(given, got)
                name = paths.get(node, node.name or f"node {i}")
                found.append(f"a hook on {name} changes the cotangent{f': {kind}' if kind else ''}")
        return found

    def parts(self, mismatch: Mismatch) -> list[tuple[str, Any]]:
        """Return what each time step (else each use) adds to the gradient that ``mismatch`` is about."""
        leaf = next(
            x for x, (path, _) in zip(self.leaves, self.inputs, strict=True) if path == mismatch.argument
        )
        number = next(k for k, (path, _) in enumerate(self.outputs) if path == mismatch.output)
        node = self.nodes[number]
        row = np.zeros(node.shape)
        row[mismatch.output_index] = 1.0
        found = pullback((node,), (_seed(node, row),))
        sums: dict[str, Any] = {}
        for i, user in enumerate(self.graph or ()):
            if user not in found or not any(parent is leaf for parent in user.parents):
                continue
            step = place_of(user._scope).step
            label = f"t={step}" if step >= 0 else f"node {i}"
            for parent, c in zip(user.parents, user._local_vjp(found[user]), strict=True):
                if parent is leaf and c is not None:
                    sums[label] = sums.get(label, 0.0) + np.asarray(c, dtype=float)
        return list(sums.items())

    def near_kinks(self) -> list[str]:
        """Return a note on the kinks that are near and out of reach."""
        near = self.kinks(NEAR) if self.graph is not None else []
        more = f", and {len(near) - 1} more are near one" if len(near) > 1 else ""
        return [f"{near[0]}{more}: the derivative jumps there"] if near else []

    def method(self) -> str:
        """Return how the expected derivatives were found."""
        names = ", ".join(sorted(self.truth.differenced))
        return f"{COMPLEX_STEP}; Ridders differences for {names}" if names else COMPLEX_STEP


def _seed(node: Any, row: Any) -> Any:
    return node._seed(row if node.shape else float(row))
