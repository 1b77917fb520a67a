"""Tens of thousands of random graphs: floats beside the naive oracle, arrays beside the complex step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.oracles import naive
from tests.stress.conftest import Size
from tinygrad_rnn import ops
from tinygrad_rnn.testing import gradcheck
from tinygrad_rnn.testing.plugin import compare
from tinygrad_rnn.testing.strategies import Program, programs
from tinygrad_rnn.testing.strategies.programs import DIGIT, _accepted, _pruned
from tinygrad_rnn.testing.strategies.steps import RECIPES

NAMES = [*naive.UNARY, *naive.BINARY]
KINKS = np.array([0.0, 1.0, -1.0, 0.5, 2.0])
TOLERANCE = 1e-10


def scalar_graph(rng: np.random.Generator) -> tuple[list[Any], list[naive.Number], list[str]]:
    """Return nodes, the oracle's numbers, and the operations; the leaves come first."""
    leaves = [float(v) for v in np.where(rng.random(3) < 0.4, rng.choice(KINKS, 3), rng.uniform(-2, 2, 3))]
    nodes, numbers = [tr.Value(v) for v in leaves], [naive.leaf(v) for v in leaves]
    made = []
    for name, i, j in zip(
        rng.choice(NAMES, 10), rng.integers(0, 13, 10), rng.integers(0, 13, 10), strict=True
    ):
        a, b = len(nodes) - 1 - i % len(nodes), len(nodes) - 1 - j % len(nodes)
        if name == "divide" and abs(numbers[b].value) < 0.1:
            name = "add"
        if abs(numbers[a].value) + abs(numbers[b].value) > 30:
            name = "tanh"
        made.append(f"{name}({a}, {b})")
        if name in naive.UNARY:
            nodes.append(getattr(ops, name)(nodes[a]))
            numbers.append(naive.UNARY[name](numbers[a]))
        else:
            nodes.append(getattr(ops, name)(nodes[a], nodes[b]))
            numbers.append(naive.BINARY[name](numbers[a], numbers[b]))
    return nodes, numbers, made


def test_scalar_graphs_beside_the_naive_oracle(
    size: Size, report: Callable[[str], None], progress: Callable[[int, int], None]
) -> None:
    rng, edges = default_rng(size.seed), 0
    for number in range(size.scalar_graphs):
        progress(number, size.scalar_graphs)
        nodes, numbers, made = scalar_graph(rng)
        nodes[-1].backward()
        scale = max(1.0, *(abs(p) for n in numbers for _, p in n.edges))
        for node, leaf in zip(nodes[:3], numbers[:3], strict=True):
            expected = naive.derivative(numbers[-1], leaf, {})
            got = float(node.grad) if node.has_grad else 0.0
            assert abs(got - expected) <= TOLERANCE * max(scale, abs(expected)), (
                size.seed,
                number,
                made,
                got,
                expected,
            )
        assert abs(float(nodes[-1]) - numbers[-1].value) <= TOLERANCE * max(1.0, abs(numbers[-1].value))
        edges += sum(len(n.edges) for n in numbers)
    report(
        f"{size.scalar_graphs:,} random scalar graphs with {edges:,} edges beside the naive oracle (seed {size.seed})"
    )


def tensor_program(rng: np.random.Generator, recipes: list[Any]) -> Program | None:
    """Return a random program over arrays that broadcast; None where nothing fits."""
    sides = rng.integers(1, 4, 2)
    shapes = [
        tuple(int(s) if rng.random() < 0.7 else 1 for s in sides)[rng.integers(0, 3) :] for _ in range(3)
    ]
    leaves = [np.asarray(rng.normal(size=shape)) for shape in shapes]
    kinds, backs, rests = (
        rng.integers(0, len(recipes), 8),
        rng.choice([0, 0, 0, 1, 2, 5], 8),
        rng.integers(0, DIGIT**3, 8),
    )
    drawn = [(recipes[k], int(b), int(r)) for k, b, r in zip(kinds, backs, rests, strict=True)]
    steps = _accepted(leaves, drawn, smooth=False)
    return _pruned(leaves, steps) if steps else None


def test_tensor_graphs_beside_the_complex_step(
    size: Size, report: Callable[[str], None], progress: Callable[[int, int], None]
) -> None:
    rng, nodes, names = default_rng(size.seed), 0, set()
    recipes = list(RECIPES["Tensor"].values())
    count = 0
    while count < size.tensor_graphs:
        progress(count, size.tensor_graphs)
        program = tensor_program(rng, recipes)
        if program is None:
            continue
        leaves = program.nodes()
        y = program(*leaves)
        cotangent = rng.normal(size=y.shape)
        y.backward(cotangent if y.shape else float(cotangent))
        try:
            compare([(y, cotangent)], {leaf: leaf.grad for leaf in leaves}, leaves, TOLERANCE)
        except AssertionError:
            if gradcheck(
                program, *program.leaves
            ).ok:  # which allows for the rounding of badly conditioned programs
                error = None  # type: ignore[assignment]
            if error is not None:
                pytest.fail(f"{error}\n{program}")
        count += 1
        nodes += len(program.steps)
        names |= set(program.operations)
    assert names == set(RECIPES["Tensor"])
    report(
        f"{count:,} random Tensor graphs with {nodes:,} operations ({len(names)} kinds) beside the complex step "
        f"(seed {size.seed})"
    )


@pytest.mark.parametrize("carrier", ["Value", "Tensor"])
def test_hypothesis_examples(
    carrier: str, report: Callable[[str], None], progress: Callable[[int, int], None]
) -> None:
    tried = 0

    @given(programs(carrier=carrier, kinks=False))  # at kinks the oracle above knows our conventions
    def holds(program: Program) -> None:
        nonlocal tried
        tried += 1
        progress(tried, settings().max_examples)
        found = gradcheck(program, *program.leaves)
        assert found.ok, str(found)

    holds()
    report(f"{tried:,} Hypothesis programs over {carrier}s, all checked by the whole Jacobian")
