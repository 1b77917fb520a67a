"""The train steps that are timed: one recurrent layer, a linear head, cross-entropy at each step."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.hand_bptt import HAND

# (B, T, I, H): a character model at its smallest, at its usual size, in batches, at its largest; a long narrow one.
SIZES = {
    "RNN": [(1, 25, 65, 100), (1, 100, 65, 128), (32, 50, 65, 128), (64, 100, 65, 256), (16, 200, 32, 32)],
    "LSTM": [(1, 100, 65, 128), (32, 50, 65, 128), (64, 100, 65, 256)],
    "GRU": [(1, 100, 65, 128), (32, 50, 65, 128), (64, 100, 65, 256)],
}


@dataclass(frozen=True, slots=True)
class Workload:
    """A train step: B examples of T steps, I inputs and as many classes, H hidden units, float64 or float32."""

    cell: str
    B: int
    T: int
    I: int  # noqa: E741
    H: int
    dtype: str

    @property
    def name(self) -> str:
        """``RNN-1x25x65x100-float64``."""
        return f"{self.cell}-{self.B}x{self.T}x{self.I}x{self.H}-{self.dtype}"

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(B, T, I, H)."""
        return self.B, self.T, self.I, self.H

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs (T, B, I) and the targets (T, B), the same in each call."""
        draw = np.random.default_rng(0)
        x = draw.normal(size=(self.T, self.B, self.I)).astype(self.dtype)
        return x, draw.integers(self.I, size=(self.T, self.B))

    def parameters(self) -> list[np.ndarray]:
        """Return weight_ih, weight_hh, bias_ih, bias_hh, and the head's weight and bias, the same in each call."""
        draw, rows = np.random.default_rng(1), HAND[self.cell].gates * self.H
        shapes = [(rows, self.I), (rows, self.H), (rows,), (rows,), (self.I, self.H), (self.I,)]
        bound = self.H**-0.5
        return [draw.uniform(-bound, bound, shape).astype(self.dtype) for shape in shapes]


WORKLOADS = [
    Workload(cell, *size, dtype)
    for dtype in ("float64", "float32")
    for cell, sizes in SIZES.items()
    for size in sizes
]
