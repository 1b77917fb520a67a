"""What ``pytest --gradcheck`` does: every backward pass that a test runs is held against the complex step.

A test suite that was written for other reasons becomes a gradient check. For each leaf the gradient is compared along
one random direction, which finds a wrong rule and is quick; ``tr.testing.gradcheck`` finds the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.core import autodiff, transforms, variable
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.testing.truth import ForwardTruth

MOST_NODES = 20_000
MOST_LEAVES = 64
TOLERANCE = 1e-7  # of the sum of |gradient x direction|; rounding in a saturated network stays below


class GradcheckEverything:
    """A pytest plugin, registered by the option ``--gradcheck``.

    Attributes:
        checked: how many backward passes were compared.
        left_out: and how many were not, because of their size or of hooks, which change gradients on purpose.
    """

    def __init__(self) -> None:
        self.checked = 0
        self.left_out = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch every backward pass while a test runs."""
        with pytest.MonkeyPatch.context() as patch:
            for module in (variable, transforms):
                patch.setattr(module, "pullback", self.pullback)
            return (yield)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how much was compared: a check that compared nothing proves nothing."""
        rest = f", {self.left_out} left out (more than {MOST_NODES} nodes, or hooks)" if self.left_out else ""
        terminalreporter.write_sep("-", f"gradcheck: {self.checked} backward passes compared{rest}")

    def pullback(self, outputs: Sequence[Node], cotangents: Sequence[Any], **options: Any) -> dict[Node, Any]:
        """Return what ``autodiff.pullback`` does.

        Raises:
            AssertionError: a gradient is wrong along the direction in which it was tried.
        """
        found = autodiff.pullback(outputs, cotangents, **options)
        pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._call.active]
        if pairs and not options.get("record"):
            nodes = Graph.of(*(y for y, _ in pairs)).nodes
            if len(nodes) > MOST_NODES or any(
                n._note is not None and n._note.__class__ is not str for n in nodes
            ):
                self.left_out += 1
            else:
                self.checked += 1
                stop = options.get("stop") or frozenset(n for n in nodes if n.kind == "leaf")
                compare(pairs, found, [n for n in nodes if n in stop][:MOST_LEAVES])
        return found


def compare(
    pairs: Sequence[tuple[Node, Any]],
    found: dict[Node, Any],
    leaves: Sequence[Node],
    tolerance: float = TOLERANCE,
) -> None:
    """Hold the gradient of each leaf, along one direction, against the tangents of the outputs.

    Raises:
        AssertionError: they differ; the message names the leaf.
    """
    truth = ForwardTruth([y for y, _ in pairs])
    rng = np.random.default_rng(0)
    for place, leaf in enumerate(leaves):
        direction = np.asarray(rng.choice([-1.0, 1.0], leaf.shape) * rng.uniform(0.5, 1.5, leaf.shape))
        tangents = truth.push({leaf: direction[None]})
        slopes = [np.asarray(g) * tangents[y][0] for y, g in pairs if y in tangents]
        terms = np.asarray(found.get(leaf, 0.0)) * direction
        got, expected = float(np.sum(terms)), float(sum(np.sum(s) for s in slopes))
        scale = float(np.sum(np.abs(terms))) + float(sum(np.sum(np.abs(s)) for s in slopes))
        allowed = scale * max(tolerance, *(1e3 * float(np.finfo(y.dtype).eps) for y, _ in pairs))
        if np.isfinite(expected) and not abs(got - expected) <= allowed:
            name = f"leaf {leaf.name!r}" if leaf.name else f"leaf number {place}"
            raise AssertionError(
                f"gradcheck: {name} of shape {leaf.shape}: along a direction its gradient gives {got:.12g}, the "
                f"complex step {expected:.12g}. tr.testing.gradcheck on the same function says which entry is wrong"
            )
