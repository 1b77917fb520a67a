"""XOR is learned by every seed within the stated number of updates."""

import numpy as np
import pytest

from tinygrad_rnn.train import tasks


@pytest.mark.parametrize("seed", range(10))
def test_xor_converges(seed):
    model, history = tasks.learn_xor(seed)
    assert history.converged
    assert history.updates <= tasks.XOR_UPDATES
    assert history.loss[-1] < 1e-3
    inputs, targets = tasks.xor_pairs()
    np.testing.assert_array_equal(np.rint(model(inputs).data), targets)


def test_xor_is_not_learned_by_chance():
    """Neither a few updates nor a network without hidden units is enough."""
    assert not tasks.learn_xor(0, updates=5)[1].converged
    inputs, targets = tasks.xor_pairs()
    linear = np.hstack([inputs, np.ones((4, 1))])
    best = linear @ np.linalg.lstsq(linear, targets, rcond=None)[0]
    assert np.mean((best - targets) ** 2) == pytest.approx(0.25)
