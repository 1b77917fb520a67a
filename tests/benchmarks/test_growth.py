"""Planning grows with the nodes, replay with the steps, memory with what is asked for; beside what was promised."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.contest import Row, milliseconds
from tests.benchmarks.growth import Growth, Length, Saving, load

ROOT = Path(__file__).parents[2]
PLANNED = {1_000: 1.0, 10_000: 10.0}  # seconds at most, by the number of steps
FLAT = 1.5  # times the least time a step or a node, at most
LARGER = 1.5  # times the memory of hand-written numpy, at most
TENTH, SLOWER = 0.1, 1.5  # of the memory, and times the time, of a plan that recomputes


def row(
    what: str, who: str, measured: str, beside: str, ratio: float | None, promise: str, kept: bool
) -> Row:
    return Row(what, who, measured, beside, ratio, promise, kept, held=False)


def of_nodes(growths: list[Growth]) -> Iterator[Row]:
    for who in ("trace", "plan", "replay"):
        each = {g.nodes: getattr(g, who) / g.nodes for g in growths if g.nodes > 5_000}
        least = min(each.values())
        for nodes, seconds in each.items():
            kept = seconds <= FLAT * least
            what = f"{nodes:,} nodes"
            measured = f"{1e6 * seconds:.3f} us a node"
            yield row(what, who, measured, "the least of all", seconds / least, f"<= {FLAT}x", kept)


def of_steps(lengths: list[Length]) -> Iterator[Row]:
    for n in lengths:
        what = f"RNN-1x{n.steps}x65x128"
        hand = f"hand {milliseconds(n.hand)}"
        yield row(what, "a replay", milliseconds(n.replay), hand, n.hand / n.replay, "", True)
        larger = n.replay_bytes / n.hand_bytes
        each = f"{n.replay_bytes / n.steps:,.0f} B a step"
        promise = f"<= {LARGER}x"
        yield row(
            what, "memory", each, f"hand {n.hand_bytes / n.steps:,.0f} B", larger, promise, larger <= LARGER
        )
        if n.steps in PLANNED:
            most = PLANNED[n.steps]
            yield row(what, "planning", f"{n.planning:.2f} s", "", None, f"<= {most:g} s", n.planning <= most)


def of_memory(savings: list[Saving]) -> Iterator[Row]:
    everything, *limited = savings or [None]
    for s in limited:
        assert everything is not None
        what = f"T={s.steps:,}, memory={s.memory}"
        smaller, slower = s.own / everything.own, s.replay / everything.replay
        whole = f"all of it: {everything.own / 1e6:.1f} MB"
        measured = f"{s.own / 1e6:.1f} MB and {s.inputs / 1e6:.1f} MB of inputs"
        promise = f"<= {TENTH}x"
        yield row(what, "memory", measured, whole, smaller, promise, smaller <= TENTH)
        beside = f"all of it: {milliseconds(everything.replay)}"
        yield row(what, "time", milliseconds(s.replay), beside, slower, f"<= {SLOWER}x", slower <= SLOWER)
        kept = s.deviation <= 1e-12
        yield row(what, "gradients", f"off by {s.deviation:.1e}", "", None, "<= 1e-12", kept)


def test_growth(report: Callable[[Row], None]) -> None:
    folder = ROOT / "build" / "bench"
    command = [sys.executable, "-m", "tests.benchmarks.growth", "--out", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    growths, lengths, savings = load(folder)
    for line in (*of_nodes(growths), *of_steps(lengths), *of_memory(savings)):
        report(line)
