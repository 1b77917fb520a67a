"""Initial weights have the distribution, and where there is one the exact property, of their source."""

import numpy as np
import pytest

from tinygrad_rnn.nn import initializers

SHAPE = (200, 100)


def rng():
    return np.random.default_rng(0)


def test_uniform_fills_its_interval():
    weights = initializers.uniform(rng(), SHAPE, 0.5)
    assert -0.5 <= weights.min() < -0.499
    assert 0.499 < weights.max() < 0.5
    assert abs(weights.mean()) < 0.01


@pytest.mark.parametrize("draw", [initializers.xavier_uniform, initializers.xavier_normal])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier_has_variance_two_over_the_fans(draw, gain):
    weights = draw(rng(), SHAPE, gain)
    assert weights.shape == SHAPE
    assert np.var(weights) == pytest.approx(gain**2 * 2 / 300, rel=0.03)
    assert abs(weights.mean()) < 0.01 * gain


def test_the_two_xaviers_differ_in_their_tails():
    bound = np.sqrt(6 / 300)
    assert 0.99 * bound < np.abs(initializers.xavier_uniform(rng(), SHAPE)).max() <= bound
    assert np.abs(initializers.xavier_normal(rng(), SHAPE)).max() > 1.5 * bound


@pytest.mark.parametrize("shape", [(6, 6), (6, 3), (3, 6), (1, 1), (0, 3)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_has_every_singular_value_equal_to_the_gain(shape, gain):
    weights = initializers.orthogonal(rng(), shape, gain)
    assert weights.shape == shape
    assert np.allclose(np.linalg.svd(weights, compute_uv=False), gain, rtol=0, atol=1e-14)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    """Without the sign correction QR's diagonal entries are biased: their mean is far from 0."""
    generator = rng()
    first = np.array([initializers.orthogonal(generator, (3, 3))[0, 0] for _ in range(2000)])
    assert abs(first.mean()) < 4 * np.sqrt(1 / 3 / 2000)


def test_identity_is_the_identity():
    assert np.array_equal(initializers.identity((3, 2), 0.5), [[0.5, 0], [0, 0.5], [0, 0]])


def test_sparse_has_so_many_nonzeros_in_each_row():
    weights = initializers.sparse(rng(), SHAPE, nonzeros=15, scale=2.0)
    assert np.array_equal(np.count_nonzero(weights, axis=1), np.full(200, 15))
    assert np.std(weights[weights != 0]) == pytest.approx(2.0, rel=0.05)
    assert len(np.unique(np.nonzero(weights)[1])) == 100
    assert np.count_nonzero(initializers.sparse(rng(), (2, 3))) == 6


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: initializers.uniform(g, (3, 3), 1.0),
        lambda g: initializers.xavier_uniform(g, (3, 3)),
        lambda g: initializers.xavier_normal(g, (3, 3)),
        lambda g: initializers.orthogonal(g, (3, 3)),
        lambda g: initializers.sparse(g, (3, 3), 2),
    ],
)
def test_one_seed_draws_the_same_and_the_generator_moves_on(draw):
    generator = rng()
    first, second = draw(generator), draw(generator)
    assert np.array_equal(first, draw(rng()))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.orthogonal(rng(), (3,)), r"orthogonal: shape must be \(out, in\), got \(3,\)"),
        (
            lambda: initializers.xavier_normal(rng(), (3, 3, 3)),
            r"xavier_normal: shape must be \(out, in\), got \(3, 3, 3\)",
        ),
        (
            lambda: initializers.uniform(rng(), (3,), -1.0),
            "uniform: bound must be finite and at least 0; it is -1.0",
        ),
        (lambda: initializers.sparse(rng(), (3,)), r"sparse: shape must be \(out, in\), got \(3,\)"),
        (lambda: initializers.sparse(rng(), (3, 3), -1), "sparse: nonzeros must be at least 0, got -1"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
