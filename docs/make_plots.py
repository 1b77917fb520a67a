"""Remake the README's plots from the figures that ``make bench`` saved: ``python -m docs.make_plots``.

``speed.svg`` shows the train steps of ``build/bench/threads-1``, ``growth.svg`` what ``growth.json`` holds.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.make_pictures import FOLDER

BENCH = Path(__file__).parents[1] / "build" / "bench"
PLOTS = ("speed.svg", "growth.svg")
# who is shown, how it is called, its color and its marker
NETWORKS = [
    ("compile-numba", "tr.compile, numba", "#d55e00", "D"),
    ("compile", "tr.compile, numpy", "#e69f00", "o"),
    ("jax", "jax.jit(scan)", "#0072b2", "s"),
    ("torch", "torch.nn", "#009e73", "^"),
    ("torch.compile", "torch.compile", "#4fb99f", "v"),
    ("autograd", "HIPS autograd", "#999999", "P"),
    ("eager", "tr, eager", "#333333", "x"),
]
SCALARS = [
    ("compile-numba", "tr.compile, numba", "#d55e00", "D"),
    ("compile", "tr.compile, numpy", "#e69f00", "o"),
    ("eager", "tr, eager", "#333333", "x"),
]


def ratios(timings: Sequence[dict[str, Any]], yardstick: str) -> dict[str, dict[str, float]]:
    """Return for each workload that the yardstick takes part in everyone's time over its time."""
    seconds: dict[str, dict[str, float]] = {}
    for timing in timings:
        seconds.setdefault(timing["workload"], {})[timing["who"]] = timing["seconds"]
    return {
        workload: {who: t / times[yardstick] for who, t in times.items()}
        for workload, times in seconds.items()
        if yardstick in times
    }


def readable(workload: str) -> str:
    """Return a workload's name for people.

    Example:
        >>> readable("LSTM-1x100x65x128-float64")
        'LSTM, B=1 T=100 H=128'
        >>> readable("scalar-rnn-T50")
        'scalar rnn T50'
    """
    cell, _, rest = workload.partition("-")
    if "x" not in rest:
        return workload.replace("-", " ")
    B, T, _, H = rest.split("-")[0].split("x")
    return f"{cell}, B={B} T={T} H={H}"


def draw_rows(axes: Any, found: dict[str, dict[str, float]], who: list[tuple[str, str, str, str]]) -> None:
    """Draw a row of marks for each workload."""
    for name, label, color, marker in who:
        places = [k for k, times in enumerate(found.values()) if name in times]
        times = [times[name] for times in found.values() if name in times]
        if times:
            axes.plot(times, places, marker, color=color, label=label, markersize=6)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", yticks=range(len(found)))
    axes.set_yticklabels([readable(workload) for workload in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="x", which="major", alpha=0.4)
    axes.grid(axis="y", alpha=0.15)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}×" if x >= 1 else f"1/{1 / x:g}×")


def pyplot() -> Any:
    """Return matplotlib's pyplot, set such that the same figures give the same file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tinygrad_rnn", "font.family": "sans-serif"})
    return plt


def draw_speed(record: dict[str, Any], path: Path) -> None:
    """Draw the train steps in double precision: networks beside numpy by hand, scalars beside micrograd."""
    plt = pyplot()
    timings = [t for t in record["timings"] if "float32" not in t["workload"]]
    networks, scalars = ratios(timings, "hand"), ratios(timings, "micrograd")
    rows = [len(networks), len(scalars)]
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(9, 2.2 + 0.3 * sum(rows)), height_ratios=rows, layout="constrained"
    )
    draw_rows(upper, networks, NETWORKS)
    draw_rows(lower, scalars, SCALARS)
    upper.set_title("a train step: time over that of hand-optimized NumPy (left is faster)", fontsize=10)
    lower.set_title("a train step of single numbers: time over micrograd's", fontsize=10)
    for axes in (upper, lower):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    save(plt, figure, path)


def draw_growth(record: dict[str, Any], path: Path) -> None:
    """Draw seconds by nodes, and time and memory of a time step beside NumPy by hand."""
    plt = pyplot()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    nodes = [row["nodes"] for row in record["nodes"]]
    for name, label in (("trace", "recording, once"), ("plan", "planning, once"), ("replay", "a replay")):
        left.plot(nodes, [row[name] for row in record["nodes"]], marker="o", label=label)
    left.set(xscale="log", yscale="log", xlabel="recorded nodes", ylabel="seconds")
    steps = [row["steps"] for row in record["steps"]]
    for name, label in (("replay", "tr.compile"), ("hand", "NumPy by hand")):
        times = [1e6 * row[name] / row["steps"] for row in record["steps"]]
        sizes = [row[f"{name}_bytes"] / row["steps"] / 1e3 for row in record["steps"]]
        middle.plot(steps, times, marker="o", label=label)
        right.plot(steps, sizes, marker="o", label=label)
    middle.set(xscale="log", ylim=(0, None), xlabel="time steps (RNN, B=1 H=128)", ylabel="µs a time step")
    right.set(xscale="log", yscale="log", xlabel="time steps (RNN, B=1 H=128)", ylabel="kB a time step")
    for axes in (left, middle, right):
        axes.grid(which="major", alpha=0.3)
        axes.legend(fontsize=9)
    save(plt, figure, path)


def save(plt: Any, figure: Any, path: Path) -> None:
    """Write a figure without the date."""
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def make_plots(bench: Path, folder: Path) -> list[Path]:
    """Write the plots into ``folder`` and return their paths."""
    speed = json.loads((bench / "threads-1" / "train_steps.json").read_text(encoding="utf-8"))
    growth = json.loads((bench / "growth.json").read_text(encoding="utf-8"))
    draw_speed(speed, folder / "speed.svg")
    draw_growth(growth, folder / "growth.svg")
    return [folder / name for name in PLOTS]


if __name__ == "__main__":
    for path in make_plots(Path(sys.argv[1]) if len(sys.argv) > 1 else BENCH, FOLDER):
        print(path)
