import json
import math

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from tinygrad_rnn.analysis.flows.stateflow import StateFlow
from tinygrad_rnn.analysis.reading.chain import Chain

mpl.use("Agg")


def fading(factor: float = 0.5, steps: int = 6, backward: bool = False) -> StateFlow:
    """A one-unit linear network with a loss of slope 1 at each step."""
    chain = Chain(np.full((steps, 1, 1), factor))
    norms = chain.cotangent_norms(np.ones((steps, 1)))
    total = norms.sum(axis=0)  # all of one sign
    if backward:
        norms, total = norms[::-1, ::-1], total[::-1]
        chain = Chain(chain.jacobians, tuple(reversed(range(steps))))
    return StateFlow("h", norms, total, lambda: chain, backward=backward)


@pytest.mark.parametrize(
    ("factor", "word"), [(0.5, "vanishes, ×0.5"), (2.0, "explodes, ×2"), (1.0, "holds, ×1")]
)
def test_the_mean_factor_is_that_of_a_step(factor: float, word: str) -> None:
    flow = fading(factor)
    assert flow.factor == pytest.approx(factor, rel=1e-12)
    assert word in repr(flow)


def test_a_lane_that_walks_backward_goes_back_to_later_steps() -> None:
    flow = fading(0.5, backward=True)
    assert flow.factor == pytest.approx(0.5, rel=1e-12)
    np.testing.assert_allclose(flow.jacobian_norms, flow.norms, rtol=1e-12)
    assert flow.norms[0, 5] == pytest.approx(0.5**5)


def test_the_mean_factor_counts_steps_not_losses() -> None:
    norms = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0.001, 0.01, 0.1, 1.0]])
    flow = StateFlow("h", norms, norms[3], lambda: Chain(np.ones((4, 1, 1))))
    assert flow.factor == pytest.approx(0.1, rel=1e-12)


def test_without_a_way_back_there_is_no_factor() -> None:
    flow = StateFlow("h", np.eye(3), np.ones(3), lambda: Chain(np.zeros((3, 1, 1))))
    assert math.isnan(flow.factor)
    assert "no loss reaches back" in repr(flow)
    assert flow.to_dict()["factor"] is None
    bad = StateFlow("h", np.full((2, 2), np.nan), np.ones(2), lambda: Chain(np.zeros((2, 1, 1))))
    assert "not finite" in repr(bad)


def test_steps_in_the_past() -> None:
    flow = fading(0.11, steps=20)
    reach = flow.steps_in_the_past()  # 0.11^j squared is above 1e-20 for j <= 10
    assert reach.lags.tolist() == [min(t, 10) for t in range(20)]
    assert reach.share == 1.0
    last = np.zeros((20, 20))
    last[19] = flow.norms[19]
    only = StateFlow("h", last, last[19], flow.make_chain)
    assert only.steps_in_the_past().share == 11 / 20
    assert only.steps_in_the_past().lags.tolist() == [-1] * 19 + [10]
    assert only.steps_in_the_past(relative=0.0099).lags[19] == 2
    assert "back 10 steps at most" in repr(only.steps_in_the_past())
    assert json.loads(json.dumps(reach.to_dict()))["share"] == 1.0
    with pytest.raises(ValueError, match="must be positive, got 0"):
        flow.steps_in_the_past(relative=0.0)


def test_a_part_has_its_block_of_the_jacobian() -> None:
    rng = np.random.default_rng(0)
    chain = Chain(rng.normal(size=(4, 2, 3, 3)))
    norms = np.ones((4, 4))
    part = StateFlow("c", norms, norms[0], lambda: chain, lambda batch: np.array([1, 2]))
    whole = chain.between(3, 1)
    entries = [1, 2, 4, 5]
    assert np.array_equal(part.jacobians(3, 1), whole[np.ix_(entries, entries)])
    assert part.jacobian_norms[3, 1] == pytest.approx(np.linalg.norm(part.jacobians(3, 1), 2), rel=1e-12)


def test_the_heat_map_shows_the_norms() -> None:
    ax = fading(0.5, steps=4).plot(Figure().subplots())
    shown = ax.images[0].get_array()
    assert shown.shape == (4, 4)
    assert shown[3, 0] == 0.125
    assert shown.mask[0, 3]
    assert "vanishes" in ax.get_title()


def test_a_heat_map_of_nothing_is_empty() -> None:
    flow = StateFlow("h", np.zeros((3, 3)), np.zeros(3), lambda: Chain(np.zeros((3, 1, 1))))
    assert not flow.plot(Figure().subplots()).images


def test_the_lag_curve_is_the_product() -> None:
    ax = fading(0.5, steps=4).plot_lags(Figure().subplots())
    x, y = ax.lines[0].get_data()
    assert list(x) == [0, 1, 2, 3]
    np.testing.assert_allclose(y, [1, 0.5, 0.25, 0.125])


def test_the_table_and_the_dict_hold_the_numbers() -> None:
    flow = fading(0.5, steps=3)
    assert "<td>2</td><td>0.25</td>" in flow._repr_html_()
    found = json.loads(json.dumps(flow.to_dict()))
    assert found["norms"] == [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]
