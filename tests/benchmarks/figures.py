"""Timings as text, as JSON and as a picture."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.race import Timing, ratios


def by_workload(timings: Sequence[Timing]) -> dict[str, list[Timing]]:
    """Return the timings of each workload."""
    groups: dict[str, list[Timing]] = {}
    for timing in timings:
        groups.setdefault(timing.workload, []).append(timing)
    return groups


def multiple(ratio: float) -> str:
    """Return a ratio as text: "1.08x", below a tenth as "1/25.0x"."""
    return f"{ratio:.3g}x" if ratio >= 0.1 else f"1/{1 / ratio:.3g}x"


def lines(timings: Sequence[Timing]) -> str:
    """Return one workload's times, ratios to the yardstick and first calls, a line for each contestant."""
    relative = ratios(timings)
    first, *_ = timings
    return "\n".join(
        [f"{first.workload}   load {os.getloadavg()[0]:.1f}, {first.rounds} rounds"]
        + [
            f"  {timing.who:<14}{1e3 * timing.seconds:>10.3f} ms {multiple(relative[timing.who]):>9}"
            f"   first call {1e3 * timing.first:>9.1f} ms"
            for timing in timings
        ]
    )


def matrix(timings: Sequence[Timing]) -> str:
    """Return all ratios to the yardsticks as one table, whose first figure is the yardstick's time in ms."""
    columns = list(dict.fromkeys(timing.who for timing in timings))
    rows = [["ratio to the first", "ms", *columns]]
    for workload, group in by_workload(timings).items():
        relative = ratios(group)
        base = group[0].seconds / relative[group[0].who]
        rows.append([workload, f"{1e3 * base:.3g}"])
        rows[-1] += [multiple(relative[who]) if who in relative else "-" for who in columns]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)])
        for row in rows
    )


def conditions(clock: str) -> dict[str, str]:
    """Return what the figures depend on: Python, the machine and its load, threads, and the packages' versions."""
    found = {"python": platform.python_version(), "cpus": str(os.cpu_count())}
    found["load"] = f"{os.getloadavg()[0]:.1f}"
    found["threads"] = os.environ.get("OPENBLAS_NUM_THREADS", "default")
    found["clock"] = clock
    for package in ("numpy", "numba", "autograd", "torch", "jax", "micrograd"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def save(timings: Sequence[Timing], folder: Path, clock: str) -> list[Path]:
    """Write ``train_steps.json`` and, where matplotlib is installed, ``train_steps.png``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    text, picture = folder / "train_steps.json", folder / "train_steps.png"
    record = conditions(clock) | {"timings": [asdict(timing) for timing in timings]}
    text.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    try:
        plot(timings, picture)
    except ImportError:
        return [text]
    return [text, picture]


def load(folder: Path) -> list[Timing]:
    """Return the timings that were saved."""
    text = (folder / "train_steps.json").read_text(encoding="utf-8")
    return [Timing(**timing) for timing in json.loads(text)["timings"]]


def plot(timings: Sequence[Timing], path: Path) -> None:
    """Draw the ratios to the yardsticks: a line of dots for each workload, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = by_workload(timings)
    relative = [ratios(group) for group in groups.values()]
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.3 * len(groups)), layout="constrained")
    markers = "osD^v<>PX*hd"
    for marker, who in zip(markers, dict.fromkeys(timing.who for timing in timings), strict=False):
        places = [i for i, found in enumerate(relative) if who in found]
        axes.plot([relative[i][who] for i in places], places, marker, label=who, alpha=0.8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(
        xscale="log",
        xlabel="time of a train step, as a multiple of hand-written numpy's (scalars: micrograd's)",
    )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(axis="x", which="both", alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)
