"""How many of 300 small faults in core and nn do the tests of the faulty module itself notice?

    python tests/stress/mutation.py [--count 300] [--seed 0] [--workers 2] [--elsewhere]

Why a driver of our own: the rules of our operations are lambdas at module level, and mutmut 3 changes function bodies
only; cosmic-ray changes the working tree in place and knows one test command, not one for each module. This one works
in copies, gives way to others, and counts CPU time, so that a busy machine makes no difference.

A mutant is killed if its tests fail, or take 150 seconds of CPU. What the module's own tests let through can then be
tried against all tests of core and nn, to tell what is untested from what is tested elsewhere.
Those that live are argued in `survivors.md`.
"""

import argparse
import itertools
import os
import queue
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.stress.mutants import Mutant, compiles, mutants  # noqa: E402

# A module's own tests, the quickest first. What is not listed: the file of the same name in tests/nn or tests/core.
OWN = {
    "core/arrays": "mixing dtypes mutation layouts backward numpy copying",
    "core/autodiff": "backward transforms hooks graph mutation conventions ops_of_users higher_order machine ops "
    "programs",
    "core/carriers": "mixing graph dtypes isolation transforms",
    "core/effects": "examples isolation transforms graph ../nn/recurrent",
    "core/examples": "examples transforms",
    "core/graph": "graph isolation mutation hooks copying examples higher_order deep",
    "core/hooks": "hooks transforms",
    "core/namespaces": "namespaces conventions stability mixing carriers_agree numpy higher_order scalarize ops "
    "../testing/truth",
    "core/numpy_functions": "numpy mixing mutation",
    "core/op": "ops_of_users conventions errors examples numpy copying backward ops",
    "core/printing": "backward conventions mixing carriers_agree machine stability",
    "core/promotion": "dtypes numpy mixing",
    "core/scalarize": "scalarize",
    "core/tensor": "numpy dtypes mixing mutation layouts copying graph backward transforms isolation machine",
    "core/transforms": "transforms higher_order isolation mixing dtypes hooks numpy",
    "core/tree": "transforms ../nn/module ../nn/unroll",
    "core/value": "micrograd mixing numpy dtypes copying mutation backward graph carriers_agree conventions stability "
    "isolation",
    "core/variable": "micrograd backward hooks mutation dtypes numpy mixing graph copying isolation machine",
    "core/primitives": "conventions numpy stability mixing dtypes scalarize carriers_agree transforms ops programs "
    "machine",
    "nn/__init__": "../nn/module",
    "nn/cells": "../nn/cells ../nn/recurrent ../nn/unroll",
    "nn/linear": "../nn/linear ../nn/inputs",
    "nn/inputs": "../nn/inputs ../nn/cells ../nn/linear ../nn/recurrent ../nn/losses ../nn/module",
    "nn/recurrent": "../nn/recurrent",
    "nn/unroll": "../nn/unroll ../nn/recurrent",
}
SECONDS = 150  # of CPU for the tests of one module: ten times what they take
LEFT_OUT = ("core/__init__.py", "core/errors.py")
ELSEWHERE = ["tests/core", "tests/nn", "tests/testing"]


def own_tests(path: str) -> list[str]:
    """Return the test files of a module of the package, given as ``core/graph.py``."""
    stem = path.removesuffix(".py")
    listed = next((OWN[key] for key in (stem, stem.rpartition("/")[0]) if key in OWN), None)
    names = listed.split() if listed else [f"../{stem}"]
    files = []
    for name in names:
        folder, _, last = name.removeprefix("../").rpartition("/")
        file = Path("tests", folder or "core", f"test_{last}.py")
        files += [str(file)] if (ROOT / file).exists() else []
    return files or [f"tests/{path.partition('/')[0]}"]


def sample(count: int, seed: int) -> list[Mutant]:
    """Return ``count`` mutants of core and nn, drawn without replacement."""
    package = ROOT / "tinygrad_rnn"
    found = []
    for file in sorted(file for layer in ("core", "nn") for file in (package / layer).rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if name not in LEFT_OUT:
            found += mutants(name, file.read_text(encoding="utf-8"))
    print(f"{len(found)} mutants in core and nn, {count} drawn with seed {seed}", flush=True)
    random.Random(seed).shuffle(found)
    good = (m for m in found if compiles(m.applied((package / m.path).read_text(encoding="utf-8"))))
    return list(itertools.islice(good, count))


class Copy:
    """A copy of the project in which one module at a time is faulty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        for name in ("tinygrad_rnn", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=skip)
        for name in ("pyproject.toml", "README.md", "tinygrad_rnn_pytest.py"):
            shutil.copy(ROOT / name, folder)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        own = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "seek"}
        self.environment = os.environ | threads | own

    def passes(self, files: Iterable[str], seconds: int = SECONDS) -> tuple[bool, str]:
        """Return whether the tests pass, and the first that does not."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no"]
        run = subprocess.run(
            [*command, "-m", "not slow", *files], cwd=self.folder, env=self.environment, check=False,
            preexec_fn=partial(_limit, seconds), capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return run.returncode == 0, failed[0].split(" ")[1] if failed else f"exit code {run.returncode}"

    def killer(self, mutant: Mutant, files: Iterable[str], seconds: int = SECONDS) -> str | None:
        """Return the test that notices the fault, None if none does."""
        file = self.folder / "tinygrad_rnn" / mutant.path
        source = file.read_text(encoding="utf-8")
        file.write_text(mutant.applied(source), encoding="utf-8")
        try:
            passed, failed = self.passes(files, seconds)
        finally:
            file.write_text(source, encoding="utf-8")
        return None if passed else failed


def _limit(seconds: int) -> None:
    """In the child: give way to others, and end what has run into an endless loop."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def killers(drawn: list[Mutant], workers: int, *, elsewhere: bool = False) -> dict[Mutant, str | None]:
    """Return for each mutant the test that notices it, of its module's own or of all."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder, str(worker))) for worker in range(workers)]
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies:
            free.put(copy)

        def tried(mutant: Mutant) -> tuple[Mutant, str | None]:
            copy = free.get()
            try:
                killer = copy.killer(
                    mutant, *((ELSEWHERE, 10 * SECONDS) if elsewhere else (own_tests(mutant.path),))
                )
            finally:
                free.put(copy)
            print(f"{'SURVIVED' if killer is None else 'killed'} {mutant}  [{killer}]", flush=True)
            return mutant, killer

        passed, failed = copies[0].passes(["tests/core", "tests/nn"], 10 * SECONDS)
        if not passed:
            raise SystemExit(f"the tests fail without a fault: {failed}")
        with ThreadPoolExecutor(workers) as pool:
            return dict(pool.map(tried, drawn))


def main() -> None:
    """Run the sample and print what survived."""
    parser = argparse.ArgumentParser(description="how many seeded faults of core and nn the tests notice")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--elsewhere", action="store_true", help="try survivors against all tests of core and nn"
    )
    options = parser.parse_args()
    drawn = sample(options.count, options.seed)
    found = killers(drawn, options.workers)
    alive = [mutant for mutant in drawn if found[mutant] is None]
    print(f"\n{len(drawn) - len(alive)} of {len(drawn)} killed by their module's own tests; alive are")
    print("\n".join(map(str, alive)))
    if options.elsewhere and alive:
        print("\nthose against all tests of core and nn:")
        killers(alive, options.workers, elsewhere=True)


if __name__ == "__main__":
    main()
