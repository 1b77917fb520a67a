import numpy as np
import pytest

from tinygrad_rnn.analysis.reading.chain import Chain, TooLargeError


def random_chain(batch: int = 1, steps: int = 5, n: int = 3, seed: int = 0) -> Chain:
    return Chain(np.random.default_rng(seed).normal(size=(steps, batch, n, n)))


def product(chain: Chain, t: int, k: int, row: int = 0) -> np.ndarray:
    result = np.eye(chain.jacobians.shape[-1])
    for j in range(k + 1, t + 1):
        result = chain.jacobians[j, row] @ result
    return result


def test_between_is_the_product_of_the_steps() -> None:
    chain = random_chain()
    for t in range(5):
        for k in range(5):
            expected = product(chain, t, k) if k <= t else np.zeros((3, 3))
            np.testing.assert_allclose(chain.between(t, k), expected, rtol=1e-13)


def test_norms_are_the_spectral_norms_of_all_pairs() -> None:
    chain = random_chain(batch=2)
    expected = [
        [np.linalg.norm(chain.between(t, k), 2) if k <= t else 0.0 for k in range(5)] for t in range(5)
    ]
    np.testing.assert_allclose(chain.norms(), expected, rtol=1e-12)


def test_norms_of_a_block() -> None:
    chain, members = random_chain(n=4), np.array([1, 3])
    block = chain.between(4, 1)[np.ix_(members, members)]
    assert chain.norms(members)[4, 1] == pytest.approx(np.linalg.norm(block, 2), rel=1e-12)


def test_rows_of_a_batch_stand_on_the_diagonal() -> None:
    chain = random_chain(batch=2)
    whole = chain.between(3, 1)
    np.testing.assert_allclose(whole[:3, :3], product(chain, 3, 1, 0), rtol=1e-13)
    np.testing.assert_allclose(whole[3:, 3:], product(chain, 3, 1, 1), rtol=1e-13)
    assert not whole[:3, 3:].any()


def test_a_lane_that_walks_backward() -> None:
    forward = random_chain()
    backward = Chain(forward.jacobians, steps=(4, 3, 2, 1, 0))
    np.testing.assert_array_equal(backward.between(1, 3), forward.between(3, 1))
    np.testing.assert_array_equal(backward.norms(), forward.norms()[::-1, ::-1])
    assert not backward.between(3, 1).any()


def test_cotangents_are_pulled_through_the_products() -> None:
    chain = random_chain(batch=2)
    direct = np.random.default_rng(1).normal(size=(5, 2, 3))
    found = chain.cotangent_norms(direct)
    for t in range(5):
        for k in range(5):
            expected = direct[t].ravel() @ chain.between(t, k)
            assert found[t, k] == pytest.approx(np.linalg.norm(expected), rel=1e-12, abs=1e-15)


def test_what_is_not_finite_has_no_norm_and_stops_nothing() -> None:
    jacobians = np.ones((3, 2, 2))
    jacobians[1, 0, 0] = np.inf
    norms = Chain(jacobians).norms()
    assert np.isnan(norms[1, 0])
    assert norms[2, 1] == pytest.approx(2.0)


def test_an_empty_state_has_norm_zero() -> None:
    assert not Chain(np.zeros((3, 0, 0))).norms().any()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"must be \(T, n, n\) or \(T, B, n, n\), got \(2, 3\)"):
        Chain(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="3 steps for 2 Jacobians"):
        Chain(np.zeros((2, 1, 1)), steps=(0, 1, 2))
    with pytest.raises(IndexError, match="step 7 is none of this network's: 0 to 4"):
        random_chain().between(7, 0)


def test_a_matrix_of_a_large_batch_is_refused() -> None:
    chain = Chain(np.broadcast_to(np.zeros(()), (2, 700, 50, 50)))
    with pytest.raises(TooLargeError, match=r"9\.1 GiB.*blocks"):
        chain.between(1, 0)
    assert issubclass(TooLargeError, MemoryError)
