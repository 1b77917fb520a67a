"""The contest of train steps: ``python -m tests.benchmarks.train_steps --only RNN-1x25 float64 --who hand,eager``.

Prints for each workload everyone's time and its ratio to the yardstick: hand-optimized numpy, for scalars micrograd.
Saves the figures as JSON and as a plot. One thread of linear algebra, unless ``--threads default``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.contestants import CONTESTANTS, ON_REQUEST
from tests.benchmarks.figures import conditions, lines, matrix, save
from tests.benchmarks.race import CLOCKS, YARDSTICKS, Step, Timing, timed
from tests.benchmarks.scalar_steps import SCALAR_CONTESTANTS, SCALAR_STEPS, ScalarStep
from tests.benchmarks.workloads import WORKLOADS, Workload

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1") | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"
}
EVERYBODY = list(dict.fromkeys((*YARDSTICKS, *CONTESTANTS, *SCALAR_CONTESTANTS)))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    usual = [who for who in EVERYBODY if who not in ON_REQUEST]
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    option = parser.add_argument
    option("--only", nargs="*", default=[], help="parts of workloads' names: RNN-1x25 scalar float32")
    option("--who", default=",".join(usual), help=f"among {','.join(EVERYBODY)}; +torch.compile adds it")
    option("--seconds", type=float, default=3.0, help="time for the rounds of a workload")
    option("--clock", choices=tuple(CLOCKS), default="wall", help="cpu where the machine is busy")
    option("--threads", choices=("1", "default"), default="1", help="of linear algebra")
    option("--out", type=Path, default=Path("build/bench"), help="folder for the JSON and the plot")
    options = parser.parse_args(arguments)
    names = options.who.split(",")
    options.who = [*usual, options.who[1:]] if options.who.startswith("+") else names
    unknown = [who for who in options.who if who not in EVERYBODY]
    if unknown:
        parser.error(f"no contestant {', '.join(unknown)}; there are {', '.join(EVERYBODY)}")
    return options


def selected(only: Sequence[str]) -> list[Workload | ScalarStep]:
    """Return the workloads that have one of the dtypes in ``only`` and in their names one of its other parts."""
    dtypes = [part for part in only if part in ("float64", "float32")] or ["float64", "float32"]
    parts = [part for part in only if part not in dtypes] or [""]
    everything: list[Workload | ScalarStep] = [*WORKLOADS, *SCALAR_STEPS]
    return [w for w in everything if w.dtype in dtypes and any(part in w.name for part in parts)]


def entered(workload: Any, who: Sequence[str]) -> dict[str, Step]:
    """Return the train steps of those among ``who`` that take part; print why another one does not."""
    entries: Any = SCALAR_CONTESTANTS if isinstance(workload, ScalarStep) else CONTESTANTS
    steps: dict[str, Step] = {}
    absent: list[str] = []
    for name in who:
        if name in entries:
            try:
                steps[name] = entries[name](workload)
            except ImportError as error:
                absent.append(str(error))
    print(*dict.fromkeys(absent), sep="\n", end="\n" if absent else "")
    return steps


def limit_threads(threads: str) -> None:
    """Start this process anew unless its environment is right: libraries read it when they are loaded."""
    wanted = ONE_THREAD if threads == "1" else {}
    if {name: os.environ[name] for name in ONE_THREAD if name in os.environ} != wanted:
        rest = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
        os.execve(sys.executable, sys.orig_argv, rest | wanted)


def main() -> None:
    """Run the command line."""
    options = parsed(sys.argv[1:])
    limit_threads(options.threads)
    print(", ".join(f"{name} {version}" for name, version in conditions(options.clock).items()))
    timings: list[Timing] = []
    for workload in selected(options.only):
        steps = entered(workload, options.who)
        if steps:
            timings += (new := timed(workload, steps, options.seconds, options.clock))
            print(lines(new), flush=True)
    if timings:
        print(matrix(timings))
        print("saved", *save(timings, options.out, options.clock))


if __name__ == "__main__":
    main()
