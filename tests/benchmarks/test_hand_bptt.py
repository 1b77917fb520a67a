"""The yardstick is right: the hand-written train steps give the gradients of the engine."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.benchmarks.hand_bptt import HAND, hand_step

CLASSES = 5


class Classifier(tr.nn.Module):
    def __init__(self, cell: str, inputs: int, hidden: int, **common: Any) -> None:
        self.rnn = getattr(tr.nn, cell)(inputs, hidden, **common)
        self.head = tr.nn.Linear(hidden, CLASSES, **common)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sizes", [(1, 7, 3, 4), (6, 5, 2, 3), (1, 1, 1, 1), (8, 70, 3, 64)], ids=str)
@pytest.mark.parametrize("cell", HAND)
def test_same_as_the_engine(cell: str, sizes: tuple[int, int, int, int], dtype: type) -> None:
    B, T, I, H = sizes  # noqa: E741
    draw = np.random.default_rng(0)
    model = Classifier(cell, I, H, rng=draw, dtype=dtype)
    step = hand_step(cell, sizes, CLASSES, dtype)

    def loss(model: Classifier, x: np.ndarray, y: np.ndarray) -> Any:
        return tr.cross_entropy(model.head(model.rnn(x)[0]), y)

    for _ in range(2):  # a second run on other data does not see the first
        x, y = draw.normal(size=(T, B, I)).astype(dtype), draw.integers(CLASSES, size=(T, B))
        expected, gradients = tr.value_and_grad(loss)(model, x, y)
        value, mine = step(x, y, *(p.data for p in model.named_parameters().values()))
        tolerance = 1e-12 if dtype is np.float64 else 2e-5
        assert value == pytest.approx(float(expected), rel=tolerance)
        for (name, theirs), ours in zip(gradients.items(), mine, strict=True):
            assert ours.dtype == dtype
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=name)
