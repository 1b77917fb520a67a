"""What ``pytest --gradcheck`` does: every backward pass that a test runs is held against the complex step.

A test suite that was written for other reasons becomes a gradient check. For each leaf the gradient is compared along
one random direction, which finds a wrong rule and is quick; ``tr.testing.gradcheck`` finds the entry.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.core import autodiff, transforms, variable
from tinygrad_rnn.core.autodiff import local_vjp
from tinygrad_rnn.core.graph import RECORDING, Graph, Node
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.plan import compiled
from tinygrad_rnn.plan.recording.example import Example
from tinygrad_rnn.plan.recording.trace import trace
from tinygrad_rnn.testing.contracts.comparing import array
from tinygrad_rnn.testing.faults import faults_of
from tinygrad_rnn.testing.truth import ForwardTruth

MOST_NODES = 20_000
MOST_LEAVES = 64
MOST_FAULTS = 3
TOLERANCE = 1e-7  # of the sum of |gradient x direction|; rounding in a saturated network stays below


class WrongGradient(AssertionError):
    """A backward pass that a test ran gave another gradient than the derivative."""


class GradcheckEverything:
    """A pytest plugin, registered by the option ``--gradcheck``.

    A compiled function makes its backward pass while it is recorded, without numbers: it is then run once as it is
    written. A test marked ``no_gradcheck`` is left alone.

    Attributes:
        checked: how many backward passes were compared.
        left_out: and how many were not, because of their size, of hooks, which change gradients on purpose, or of an
            output that is not finite.
        traced: how many were made without numbers while the latest compiled function was recorded.
    """

    def __init__(self) -> None:
        self.checked = 0
        self.left_out = 0
        self.traced = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch every backward pass while a test and its fixtures run."""
        with pytest.MonkeyPatch.context() as patch:
            if item.get_closest_marker("no_gradcheck") is None:
                for module in (variable, transforms):
                    patch.setattr(module, "pullback", self.pullback)
                patch.setattr(compiled, "trace", self.trace)
            return (yield)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how much was compared: a check that compared nothing proves nothing."""
        rest = (
            f", {self.left_out} left out (more than {MOST_NODES} nodes, hooks, inf or nan)"
            if self.left_out
            else ""
        )
        terminalreporter.write_sep("-", f"gradcheck: {self.checked} backward passes compared{rest}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what a process of pytest-xdist has counted."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["gradcheck"] = self.checked, self.left_out

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add up what the processes of pytest-xdist have counted."""
        checked, left_out = getattr(node, "workeroutput", {}).get("gradcheck", (0, 0))
        self.checked += checked
        self.left_out += left_out

    def trace(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what ``trace`` of a compiled function does; run the function itself if it takes gradients.

        Raises:
            WrongGradient: a gradient that the function takes is wrong.
        """
        self.traced = 0
        traced = trace(fn, args, kwargs)
        if self.traced:
            own = [
                copy.deepcopy(x) if isinstance(x, np.random.Generator) else x
                for _, x in flatten((args, kwargs))
            ]
            Example(fn, *unflatten((args, kwargs), iter(own), modules=True)).result()
        return traced

    def pullback(self, outputs: Sequence[Node], cotangents: Sequence[Any], **options: Any) -> dict[Node, Any]:
        """Return what ``autodiff.pullback`` does.

        Raises:
            WrongGradient: a gradient is wrong along the direction in which it was tried.
        """
        found = autodiff.pullback(outputs, cotangents, **options)
        pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._call.active]
        if "compile" in RECORDING.get().transforms:
            self.traced += 1
        elif pairs:
            nodes = Graph.of(*(y for y, _ in pairs)).nodes
            hooked = any(n._note is not None and n._note.__class__ is not str for n in nodes)
            if len(nodes) > MOST_NODES or hooked or not all(np.all(np.isfinite(y._data)) for y, _ in pairs):
                self.left_out += 1
            else:
                self.checked += 1
                stop = options.get("stop") or frozenset(n for n in nodes if n.kind == "leaf")
                compare(
                    [(y, array(g)) for y, g in pairs], found, [n for n in nodes if n in stop][:MOST_LEAVES]
                )
        return found


def compare(
    pairs: Sequence[tuple[Node, Any]],
    found: dict[Node, Any],
    leaves: Sequence[Node],
    tolerance: float = TOLERANCE,
) -> None:
    """Hold the gradient of each leaf, along one direction, against the tangents of the outputs.

    Raises:
        WrongGradient: they differ; the message names the leaf, and the operation that is to blame.
    """
    truth = ForwardTruth([y for y, _ in pairs])
    rng = np.random.default_rng(0)
    for place, leaf in enumerate(leaves):
        direction = np.asarray(rng.choice([-1.0, 1.0], leaf.shape) * rng.uniform(0.5, 1.5, leaf.shape))
        tangents = truth.push({leaf: direction[None]})
        slopes = [g * tangents[y][0] for y, g in pairs if y in tangents]
        terms = array(found.get(leaf, 0.0)) * direction
        got, expected = float(np.sum(terms)), float(sum(np.sum(s) for s in slopes))
        scale = float(np.sum(np.abs(terms))) + float(sum(np.sum(np.abs(s)) for s in slopes))
        allowed = scale * max(tolerance, *(1e3 * float(np.finfo(y.dtype).eps) for y, _ in pairs))
        if np.isfinite(expected) and not abs(got - expected) <= allowed and (blame := _blame(pairs, found)):
            name = f"leaf {leaf.name!r}" if leaf.name else f"leaf number {place}"
            raise WrongGradient(
                f"gradcheck: {name} of shape {leaf.shape}: along a direction its gradient gives {got:.12g}, the "
                f"complex step {expected:.12g}\n{blame}"
            )


def _blame(pairs: Sequence[tuple[Node, Any]], found: dict[Node, Any]) -> str:
    """Return what is wrong: some rules, or a sum. Where neither is, the tangents cancelled down to their rounding."""
    graph = Graph.of(*(y for y, _ in pairs))
    faults = faults_of(graph, np.random.default_rng(0), MOST_FAULTS)
    if faults:
        return "\n".join(f"wrong rule: {fault}" for fault in faults)
    sums: dict[Node, Any] = {}
    for y, g in pairs:
        sums[y] = sums.get(y, 0.0) + g
    with np.errstate(all="ignore"):
        for node in reversed(graph.nodes):
            if node not in found or not node._call.active or node.op is None:
                continue
            for parent, c in zip(node.parents, local_vjp(node, array(found[node])), strict=True):
                sums[parent] = sums.get(parent, 0.0) + (0.0 if c is None else np.asarray(c))
    for node in graph.nodes:
        if node in found and not _close(array(found[node]), np.asarray(sums.get(node, 0.0))):
            return f"the gradient of {node.name or node.op or 'a leaf'} is not the sum of what its uses send back"
    return ""


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    size = float(np.max(np.abs(b), initial=0.0))
    return bool(np.allclose(a, b, rtol=0.0, atol=1e3 * float(np.finfo(a.dtype).eps) * size, equal_nan=True))
