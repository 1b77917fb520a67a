"""A random draw is a node that nobody folds, merges or makes twice."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.core.draws import random


def test_a_random_draw_has_its_shape_dtype_and_generator() -> None:
    for dtype in (np.float64, np.float32):
        node = random(np.random.default_rng(3), (2, 3), dtype)
        assert (node.shape, node.dtype, node.parents) == ((2, 3), dtype, ())
        np.testing.assert_array_equal(node.data, np.random.default_rng(3).random((2, 3), dtype))
    with pytest.raises(TypeError, match=r"random: needs a numpy\.random\.Generator, got int"):
        random(3, (2,))  # type: ignore[arg-type]


def test_a_replay_draws_anew_and_from_where_the_generator_is() -> None:
    eager, replayed = np.random.default_rng(5), np.random.default_rng(5)
    step = tr.compile(lambda x: x * random(replayed, (2,)))
    for _ in range(3):
        np.testing.assert_array_equal(step(np.ones(2)), eager.random(2))
