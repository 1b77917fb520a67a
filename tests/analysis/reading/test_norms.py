from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.reruns import KINDS, Network, network
from tests.viz.networks import stack_loss
from tinygrad_rnn.analysis.reading.chain import TooLargeError
from tinygrad_rnn.analysis.reading.norms import StateNorms, leaf_norms, row_norms, state_norms
from tinygrad_rnn.analysis.reading.steps import of_loss, of_losses
from tinygrad_rnn.core.tree import flatten


def expected(net: tr.Unrolled, slow: Network, part: StateNorms, leaves: list[int]) -> np.ndarray:
    """Return the norms of a part by running the steps after k again from S_k."""
    norms = np.zeros((len(part.losses), len(part.steps)))
    for row, t in enumerate(part.losses):
        for column, k in enumerate(part.steps):
            gradient = [g for _, g in flatten(slow.gradient(t, k, net.states[k]))]
            norms[row, column] = np.sqrt(sum(np.sum(np.square(gradient[j])) for j in leaves))
    return norms


def members(net: tr.Unrolled, part: StateNorms) -> list[int]:
    """Return which leaves of the state belong to a part, by the nodes of its last column."""
    names = [x.name for _, x in flatten(net.states[part.steps[-1]])]
    return [j for j, name in enumerate(names) if name.split("_")[0].split("[")[0] == part.part]


@pytest.mark.parametrize("kind", KINDS)
def test_norms_are_those_of_the_later_steps_run_again(kind: str) -> None:
    slow = network(kind)
    net, losses = slow.unrolled({0, 1, 3})
    found = state_norms(of_losses(net, losses))
    assert sum(len(members(net, part)) for part in found if part.part != "kept") >= 1
    for part in found:
        leaves = [2] if part.part == "kept" else members(net, part)
        assert part.losses == (0, 1, 3)
        assert part.steps == (0, 1, 2, 3)
        np.testing.assert_allclose(part.norms, expected(net, slow, part, leaves), rtol=1e-12, atol=1e-15)
        assert np.count_nonzero(part.norms) >= 4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dict"])
def test_the_scopes_of_a_loss_tell_the_same_as_the_network_itself(kind: str) -> None:
    net, losses = network(kind).unrolled()
    total = tr.add_n(losses)
    by_net = {part.part: part for part in state_norms(of_losses(net, total))}
    by_scope = {part.part: part for part in state_norms(of_loss(total))}
    assert by_net.keys() == by_scope.keys()
    graph = tr.Graph.of(total)
    for name, part in by_scope.items():
        assert np.array_equal(part.norms, by_net[name].norms)
        assert [graph[n[0]].name for n in part.loss_nodes] == ["L_0", "L_1", "L_2", "L_3"]
        assert [graph[n[-1]].name.split("_")[-1] for n in part.nodes] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_every_layer_and_direction_is_a_lane(kind: str, bidirectional: bool) -> None:
    found = state_norms(of_loss(stack_loss(kind, 4, bidirectional=bidirectional)))
    lanes = (
        ["layer 0", "layer 0 reverse", "layer 1", "layer 1 reverse"]
        if bidirectional
        else ["layer 0", "layer 1"]
    )
    assert list(dict.fromkeys(part.lane for part in found)) == lanes
    for part in found:
        if part.lane == "layer 1":  # what comes before reaches what comes after
            assert np.all(np.triu(part.norms, 1) == 0)
        if part.lane == "layer 1 reverse":
            assert np.all(np.tril(part.norms, -1) == 0)
        if part.lane.startswith("layer 0") and bidirectional and part.part == "h":
            assert np.all(part.norms > 0)


def test_a_state_of_a_lower_layer_has_the_cotangent_of_its_node() -> None:
    net = tr.nn.RNN(2, 3, num_layers=2, rng=np.random.default_rng(0)).unroll(np.ones((3, 2)))
    loss = (net.outputs[-1] ** 2).sum()
    lower = state_norms(of_losses(net, loss))[0]
    loss.backward()
    assert lower.lane == "layer 0"
    np.testing.assert_allclose(lower.norms[0], [np.linalg.norm(s[0].grad) for s in net.states], rtol=1e-13)


def test_a_cut_stops_the_gradient() -> None:
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * 4, state=0.0, truncate=2)
    (part,) = state_norms(of_losses(net, net.each(lambda h: h * h)))
    assert (part.norms > 0).tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, True, True],
    ]


def test_a_loss_of_all_outputs_at_once_is_taken_apart_by_the_steps_it_reads() -> None:
    slow = network("RNNCell")
    net, _ = slow.unrolled()
    readout = slow.weights["readout"]
    stacked = tr.ops.stack(net.outputs)  # outside of all steps
    errors = (stacked @ readout) ** 2
    separate = net.each(lambda h: ((h @ readout) ** 2).sum() / 8.0)
    (vectorized,) = state_norms(of_losses(net, errors.mean()))
    (stepwise,) = state_norms(of_losses(net, separate))
    np.testing.assert_allclose(vectorized.norms, stepwise.norms, rtol=1e-12)


def test_only_what_crosses_to_make_a_state_is_one() -> None:
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * 4, state=0.0)
    ys = net.each(lambda h: 2 * h, name="y")
    losses = net.each(lambda h, y, before: (y - before) ** 2, ys, [0.0, *ys[:-1]])
    assert [part.part for part in state_norms(of_loss(tr.add_n(losses)))] == ["h"]


def test_one_step_is_found_by_its_initial_state() -> None:
    found = state_norms(of_loss(network("LSTMCell", steps=1).unrolled()[1][0]))
    assert [(part.part, part.norms.shape) for part in found] == [("c", (1, 1)), ("h", (1, 1))]


def test_a_graph_without_time_has_no_norms() -> None:
    x = tr.Value(2.0)
    assert state_norms(of_loss(x * x)) == []


def test_norms_of_tiny_and_huge_rows_neither_vanish_nor_overflow() -> None:
    rows = np.array([[3e-300, 4e-300], [3e300, 4e300], [0.0, 0.0], [np.inf, 1.0]])
    np.testing.assert_allclose(row_norms(rows), [5e-300, 5e300, 0.0, np.inf], rtol=1e-15)


def test_more_steps_than_fit_are_refused() -> None:
    steps = of_losses(*network("Values", steps=2).unrolled())
    (recurrence,) = steps.recurrences
    many = replace(recurrence, steps=range(30000), states=recurrence.states * 15000)
    with pytest.raises(
        TooLargeError, match=r"the norms of 30000 losses at 30000 states would take 26\.8 GiB"
    ):
        leaf_norms(replace(steps, recurrences=(many,)), many)


def _two() -> tuple[tr.Unrolled, list[Any]]:
    return network("RNNCell", steps=2).unrolled()


def test_losses_must_be_one_for_each_step() -> None:
    net, losses = _two()
    with pytest.raises(ValueError, match="1 losses for 2 steps"):
        of_losses(net, losses[:1])


def test_losses_must_be_numbers_and_nodes() -> None:
    net, _ = _two()
    with pytest.raises(ValueError, match=r"step 1 must be one number, got shape \(2, 3\)"):
        of_losses(net, [None, net.outputs[1]])
    with pytest.raises(TypeError, match="step 0 must be a Value or Tensor, got float"):
        of_losses(net, [1.0, None])
    with pytest.raises(TypeError, match="got float"):
        of_losses(net, 1.0)
    with pytest.raises(TypeError, match="needs an Unrolled"):
        of_losses(3, None)  # type: ignore[arg-type]


def test_losses_must_be_of_this_network() -> None:
    net, losses = _two()
    _, others = _two()
    with pytest.raises(ValueError, match=r"'L_1' \(step 1\) is not of this network"):
        of_losses(net, [losses[0], others[1]])


def test_a_network_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no steps"):
        of_losses(tr.unroll(lambda x, h: h, [], state=1.0), [])


def test_a_constant_counts_as_no_loss() -> None:
    net, losses = _two()
    assert of_losses(net, [tr.constant(0.0), losses[1]]).losses.keys() == {1}
