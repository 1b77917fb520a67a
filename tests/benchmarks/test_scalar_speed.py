"""Value beside micrograd: time of build and backward, memory, and a very deep graph."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import tinygrad_rnn as tr
from tests.benchmarks.contest import Row, bytes_held, interleaved, milliseconds, peer
from tests.benchmarks.scalar_programs import dag_recipe, random_dag, scalar_rnn

Program = Callable[[], tuple[Any, list[Any]]]
MICROGRAD = peer("micrograd.engine")
RECIPE = dag_recipe()


@pytest.fixture
def deep() -> Iterator[None]:
    """Let micrograd's recursive sort go as deep as it wants; ours does not recurse."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    yield
    sys.setrecursionlimit(limit)


def gradients(program: Program) -> list[float]:
    loss, leaves = program()
    loss.backward()
    return [float(leaf.grad) for leaf in leaves]


def contest(
    benchmark: Any,
    report: Any,
    what: str,
    programs: dict[str, Program],
    peers: Program | None,
    updates: int,
) -> None:
    """Time build and backward of each of our programs beside micrograd's, after comparing the gradients."""
    ours = {who: partial(gradients, program) for who, program in programs.items()}
    expected = gradients(peers) if peers else next(iter(ours.values()))()
    for run in ours.values():
        assert run() == pytest.approx(expected, rel=1e-9, abs=1e-300)
    first, *rest = ours.values()
    theirs = [partial(gradients, peers)] if peers else []
    times = interleaved(benchmark, first, *rest, *theirs, rounds=5, updates=updates)
    for (who, program), seconds in zip(programs.items(), times, strict=False):
        nodes = len(tr.Graph.of(program()[0]))
        measured = f"{milliseconds(seconds)} = {1e9 * seconds / nodes:,.0f} ns x {nodes:,} nodes"
        if peers is None:
            report(Row(what, who, measured, "micrograd: not installed"))
            continue
        ratio = times[-1] / seconds
        report(Row(what, who, measured, f"micrograd {milliseconds(times[-1])}", ratio, ">= 4x", ratio >= 4))


@pytest.mark.usefixtures("deep")
def test_random_dag(benchmark: Any, report: Any) -> None:
    contest(
        benchmark,
        report,
        "random DAG of 100,000 Values",
        {"tr, the same program": lambda: random_dag(tr.Value, RECIPE)},
        (lambda: random_dag(MICROGRAD.Value, RECIPE)) if MICROGRAD else None,
        updates=2,
    )


@pytest.mark.usefixtures("deep")
def test_scalar_rnn(benchmark: Any, report: Any) -> None:
    contest(
        benchmark,
        report,
        "scalar RNN, H=8 I=4 T=50",
        {
            "tr, the same program": lambda: scalar_rnn(tr.Value),
            "tr, with ops.dot and add_n": lambda: scalar_rnn(tr.Value, tr.ops.dot, lambda L: tr.add_n(*L)),
        },
        (lambda: scalar_rnn(MICROGRAD.Value)) if MICROGRAD else None,
        updates=10,
    )


@pytest.mark.usefixtures("deep")
def test_memory_of_a_node(report: Any) -> None:
    def differentiated(make: Any) -> Callable[[], Any]:
        def run() -> Any:
            loss, leaves = random_dag(make, RECIPE)
            loss.backward()
            return loss, leaves

        return run

    nodes = len(tr.Graph.of(random_dag(tr.Value, RECIPE)[0]))
    ours = bytes_held(differentiated(tr.Value)) / nodes
    beside, ratio = "micrograd: not installed", None
    if MICROGRAD:
        theirs = bytes_held(differentiated(MICROGRAD.Value)) / nodes
        beside, ratio = f"micrograd {theirs:,.0f} bytes", theirs / ours
    what = "memory of a node, gradient included"
    report(Row(what, "tr", f"{ours:,.0f} bytes", beside, ratio, "<= 256 bytes", ours <= 256))


def test_chain_of_a_million(benchmark: Any, report: Any) -> None:
    """Deep graphs: built, differentiated and freed at the default recursion limit, which micrograd's sort exceeds."""
    freeing = []

    def run() -> None:
        x = tr.Value(1.0)
        y = x
        for _ in range(1_000_000):
            y = y + x
        y.backward()
        assert x.grad == 1_000_001.0
        start = time.perf_counter()
        del y
        freeing.append(time.perf_counter() - start)

    benchmark.pedantic(run, rounds=3, iterations=1)
    seconds = benchmark.stats.stats.median
    report(
        Row("chain of 1,000,000 Values", "tr", f"{milliseconds(seconds)}, freeing {milliseconds(freeing[0])}")
    )
    if MICROGRAD:
        x = y = MICROGRAD.Value(1.0)
        for _ in range(5_000):
            y = y + x
        with pytest.raises(RecursionError):
            y.backward()
