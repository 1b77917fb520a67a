"""How planning and replay grow: ``python -m tests.benchmarks.growth``.

Three questions, each with its table, all saved as JSON and in one plot:

- nodes: what recording, planning and replaying cost a node, from 1,000 nodes to 1,000,000;
- steps: time and memory of a time step beside hand-written numpy, from T=10 to 10,000;
- memory: what a plan that recomputes saves and costs, at T=10,000.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from docs.make_plots import draw_growth
from tests.benchmarks.contestants import Classifier, UnrolledClassifier
from tests.benchmarks.figures import conditions
from tests.benchmarks.hand_bptt import HandStep, hand_step
from tests.benchmarks.train_steps import limit_threads
from tests.benchmarks.workloads import Workload
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.recording.garbage import uncollected
from tinygrad_rnn.plan.recording.trace import trace

NODES = (1_000, 10_000, 100_000, 1_000_000)
STEPS = (10, 100, 1_000, 10_000)
TURN = 0.2  # seconds of repeated replays, at least


@dataclass(frozen=True, slots=True)
class Growth:
    """The cost of a program of ``nodes`` recorded values, in seconds: to record it, to plan it, to replay it."""

    nodes: int
    trace: float
    plan: float
    replay: float


@dataclass(frozen=True, slots=True)
class Length:
    """A train step over ``steps`` time steps: seconds and bytes of the replay and of hand-written numpy.

    ``planning`` is what recording and planning take, once.
    """

    steps: int
    planning: float
    replay: float
    hand: float
    replay_bytes: int
    hand_bytes: int


@dataclass(frozen=True, slots=True)
class Saving:
    """A train step of ``steps`` time steps whose plan may use ``memory``: its seconds and bytes; "all" is no limit.

    ``inputs`` are the bytes of its memory that copies of the arguments take, which no limit can lower.
    """

    steps: int
    memory: str
    replay: float
    bytes: int
    inputs: int
    deviation: float

    @property
    def own(self) -> int:
        """The bytes besides the inputs."""
        return self.bytes - self.inputs


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Return the processor's seconds that one call takes."""
    start = time.process_time()
    call()
    return time.process_time() - start


def repeated(*calls: Callable[[], Any]) -> list[float]:
    """Return for each of several calls the least seconds that one takes, in at least three interleaved rounds."""
    for call in calls:
        call()
    rounds: list[list[float]] = []
    while len(rounds) < 3 or sum(map(sum, rounds)) < TURN:
        rounds.append([cpu_seconds(call) for call in calls])
    return [min(times) for times in zip(*rounds, strict=True)]


def step_of(
    model: type[Classifier] | type[UnrolledClassifier], workload: Workload
) -> tuple[Any, tuple[Any, ...]]:
    """Return the differentiated loss of a model, and its arguments."""
    return tr.value_and_grad(lambda net, x, y: net.loss(x, y)), (model(workload), *workload.data())


def grown(nodes: int) -> Growth:
    """Return the cost of a small RNN with a loss in each step, unrolled to about so many nodes."""
    few, _ = recorded(20)
    more, _ = recorded(40)
    a_step = (len(more.items) - len(few.items)) / 20
    (program, call), seconds = timed(lambda: recorded(max(1, round(nodes / a_step))))
    plan, planning = timed(lambda: planned(program))
    data = call()
    replay = repeated(lambda: plan(data))[0]
    return Growth(len(program.items), seconds, planning, replay)


def recorded(steps: int) -> tuple[Any, Callable[[], list[Any]]]:
    """Return the program of the RNN over so many steps, and what gives the data of its inputs."""
    fn, args = step_of(UnrolledClassifier, Workload("RNN", 1, steps, 4, 8, "float64"))
    net, x, y = args
    return trace(fn, args, {}).program, lambda: [p.data for p in net.parameters()] + [x, y]


def planned(program: Program) -> Plan:
    """Return the plan of a program, made as ``tr.compile`` makes it."""
    with uncollected():
        return Plan(program)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and the processor's seconds that it took."""
    found: list[Any] = []
    gc.collect()
    seconds = cpu_seconds(lambda: found.append(call()))
    return found[0], seconds


def lengthened(steps: int) -> Length:
    """Return time and memory of the RNN with H=128, one example, beside hand-written numpy."""
    workload = Workload("RNN", 1, steps, 65, 128, "float64")
    fn, args = step_of(Classifier, workload)
    step = tr.compile(fn)
    _, planning = timed(lambda: step.plan(*args))
    hand = hand_step(workload.cell, workload.sizes, workload.I, np.float64)
    parameters = workload.parameters()
    replay, by_hand = repeated(lambda: step(*args), lambda: hand(args[1], args[2], *parameters))
    return Length(steps, planning, replay, by_hand, step.plan(*args).bytes, bytes_of(hand))


def bytes_of(hand: HandStep) -> int:
    """Return the bytes of all buffers of hand-written numpy; of two that share memory, once."""
    found = {}
    for item in vars(hand).values():
        for array in item if isinstance(item, list) else [item]:
            if isinstance(array, np.ndarray):
                while isinstance(array.base, np.ndarray):
                    array = array.base
                found[id(array)] = array.nbytes
    return sum(found.values())


def saved(steps: int, memory: Sequence[Any]) -> list[Saving]:
    """Return what a train step of the RNN with H=128, a loss in each step, takes with all memory and each limit."""
    fn, args = step_of(UnrolledClassifier, Workload("RNN", 1, steps, 65, 128, "float64"))
    steps_of = {"all": tr.compile(fn)} | {str(m): tr.compile(fn, memory=m) for m in memory}
    times = repeated(*(lambda step=step: step(*args) for step in steps_of.values()))
    expected = [np.asarray(g) for g in steps_of["all"](*args)[1].values()]
    found = []
    for (name, step), seconds in zip(steps_of.items(), times, strict=True):
        gradients = [np.asarray(g) for g in step(*args)[1].values()]
        off = max(
            float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(gradients, expected, strict=True)
        )
        plan = step.plan(*args)
        assert plan.example is not None
        inputs = sum(np.asarray(x).nbytes for x in plan.example.inputs())
        found.append(Saving(steps, name, seconds, plan.bytes, inputs, off))
    return found


def text(growths: Sequence[Growth], lengths: Sequence[Length], savings: Sequence[Saving]) -> str:
    """Return the three tables."""
    nodes = [("nodes", "recording", "planning", "a replay", "a node: recording", "planning", "replay")]
    for g in growths:
        each = [f"{1e6 * s / g.nodes:.3f} us" for s in (g.trace, g.plan, g.replay)]
        nodes.append(
            (f"{g.nodes:,}", f"{g.trace:.3f} s", f"{g.plan:.3f} s", f"{1e3 * g.replay:.2f} ms", *each)
        )
    steps = [
        ("steps", "planning", "a step: replay", "by hand", "ratio", "memory: replay", "by hand", "ratio")
    ]
    for n in lengths:
        times = [f"{1e6 * s / n.steps:.2f} us" for s in (n.replay, n.hand)]
        sizes = [f"{s / n.steps:,.0f} B" for s in (n.replay_bytes, n.hand_bytes)]
        ratios = [f"{x:.2f}x" for x in (n.replay / n.hand, n.replay_bytes / n.hand_bytes)]
        steps.append((f"{n.steps:,}", f"{n.planning:.3f} s", *times, ratios[0], *sizes, ratios[1]))
    memory = [
        (
            "steps",
            "memory=",
            "a replay",
            "ratio",
            "memory",
            "of it inputs",
            "ratio of the rest",
            "gradients off by",
        )
    ]
    for s in savings:
        ratios = [f"{x:.3f}x" for x in (s.replay / savings[0].replay, s.own / savings[0].own)]
        time, sizes = f"{1e3 * s.replay:.1f} ms", [f"{b / 1e6:.1f} MB" for b in (s.bytes, s.inputs)]
        memory.append((f"{s.steps:,}", s.memory, time, ratios[0], *sizes, ratios[1], f"{s.deviation:.1e}"))
    return "\n\n".join(map(aligned, (nodes, steps, memory)))


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as text, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def save(
    growths: Sequence[Growth], lengths: Sequence[Length], savings: Sequence[Saving], folder: Path
) -> None:
    """Write ``growth.json`` and, of whole figures and where matplotlib is installed, ``growth.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {"nodes": growths, "steps": lengths, "memory": savings}
    record = conditions("cpu") | {name: [asdict(row) for row in rows] for name, rows in named.items()}
    (folder / "growth.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if growths and lengths:
        try:
            draw_growth(record, folder / "growth.svg")
        except ImportError:
            print("no plot: matplotlib is not installed")


def load(folder: Path) -> tuple[list[Growth], list[Length], list[Saving]]:
    """Return what was saved."""
    record = json.loads((folder / "growth.json").read_text(encoding="utf-8"))
    return (
        [Growth(**row) for row in record["nodes"]],
        [Length(**row) for row in record["steps"]],
        [Saving(**row) for row in record["memory"]],
    )


def limit(word: str) -> int | str:
    """Return a limit of memory: bytes, or "sqrt"."""
    return int(word) if word.isdecimal() else word


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=list(NODES))
    parser.add_argument("--steps", type=int, nargs="*", default=list(STEPS))
    parser.add_argument(
        "--memory", nargs="*", default=["sqrt"], help="limits to try at the largest number of steps"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="folder for the JSON and the plot"
    )
    options = parser.parse_args(sys.argv[1:])
    limit_threads("1")
    growths = [grown(n) for n in options.nodes]
    lengths = [lengthened(n) for n in options.steps]
    savings = saved(max(options.steps), options.memory) if options.steps else []
    print(text(growths, lengths, savings))
    save(growths, lengths, savings, options.out)


if __name__ == "__main__":
    main()
