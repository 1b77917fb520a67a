from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.analysis.reruns import KINDS, network
from tinygrad_rnn.analysis.flows.contributions import AllContributions
from tinygrad_rnn.analysis.reading.chain import TooLargeError
from tinygrad_rnn.analysis.reading.steps import of_loss, of_losses


def of(net: tr.Unrolled, losses: Any) -> AllContributions:
    return AllContributions(of_losses(net, losses))


def gradients(loss: Any, weights: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the engine's own gradient of one loss for each weight; ``backward`` is another code than the sweep."""
    for w in weights.values():
        w.grad = None
    loss.backward()
    return {name: np.array(w.grad) for name, w in weights.items()}


def close(a: Any, b: Any) -> None:
    """To 1e-12 of the largest entry."""
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1.0, np.abs(b).max(initial=0.0)))


@given(
    kind=st.sampled_from(KINDS),
    batch=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 10),
    where=st.sets(st.integers(0, 4), min_size=1),
)
def test_rows_and_columns_sum_to_the_gradient(
    kind: str, batch: int | None, seed: int, where: set[int]
) -> None:
    slow = network(kind, steps=5, batch=batch, seed=seed)
    net, losses = slow.unrolled(where)
    found = of(net, losses)
    total = gradients(tr.add_n([loss for loss in losses if loss is not None]), slow.weights)
    each = [None if loss is None else gradients(loss, slow.weights) for loss in losses]
    for name in slow.weights:
        c = found[name]
        everything = np.array([[c[t, k] for k in range(5)] for t in range(5)])
        close(everything.sum(axis=(0, 1)), total[name])
        close(c.total, total[name])
        close(c.outside, np.zeros_like(total[name]))
        close(c.by_step, everything.sum(axis=0))
        close(c.by_loss, everything.sum(axis=1))
        close(c[:], everything)
        close(c.norms, np.linalg.norm(everything.reshape(5, 5, -1), axis=2))
        for t, gradient in enumerate(each):
            close(c.by_loss[t], np.zeros_like(total[name]) if gradient is None else gradient[name])


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell", "dict"])
def test_a_contribution_is_the_gradient_of_a_weight_of_that_step_alone(kind: str) -> None:
    """An oracle that knows of no graph: every step gets a copy of the weights of its own."""
    slow = network(kind, steps=4)
    net, losses = slow.unrolled()
    found = of(net, losses)
    shared = {name: w for name, w in slow.weights.items() if name != "readout"}

    def error(copies: list[dict[str, Any]], t: int) -> Any:
        state = net.initial_state
        for j in range(t + 1):
            if isinstance(slow.cell, tr.nn.Module):
                state = tr.functional_call(slow.cell, copies[j], slow.xs[j], state)
            else:
                state = _dict_cell(copies[j], slow.xs[j], state)
        return slow.error(state, t)

    copies = [{name: w.data for name, w in shared.items()} for _ in range(4)]
    for t in range(4):
        expected = tr.grad(lambda c, t=t: error(c, t))(copies)
        for name in shared:
            assert any(np.abs(expected[k][name]).max() > 1e-6 for k in range(t + 1))
            for k in range(4):
                np.testing.assert_allclose(found[name][t, k], expected[k][name], rtol=1e-11, atol=1e-15)


def _dict_cell(w: dict[str, Any], x: Any, state: Any) -> Any:
    fast = tr.ops.tanh(state["fast"] @ w["W"] + x @ w["U"] + 0.3 * state["slow"] * state["kept"])
    return {"fast": fast, "slow": 0.9 * state["slow"] + 0.1 * fast @ w["W"], "kept": state["kept"]}


def test_keys_are_those_of_an_array() -> None:
    net, losses = network("RNNCell", steps=4).unrolled()
    c = of(net, losses)["weight_hh"]
    whole = np.asarray(c)
    assert whole.shape == c.shape == (4, 4, 3, 3)
    for key in (
        2,
        (2, 1),
        (-1, -1),
        (slice(None), 1),
        (slice(1, 3), slice(0, 2)),
        (3, 1, 2, 0),
        (slice(2), 0, 1),
    ):
        np.testing.assert_allclose(c[key], whole[key], rtol=1e-12)
    with pytest.raises(IndexError, match="step 4 is out of range for 4 steps"):
        c[4, 0]
    with pytest.raises(TypeError, match=r"must be an integer or a slice, got 1\.5"):
        c[1.5, 0]


def test_a_weight_that_is_prepared_before_all_steps_is_used_where_that_is_used() -> None:
    rng = np.random.default_rng(0)
    W, U = tr.Tensor(rng.normal(size=(3, 3)), name="W"), tr.Tensor(rng.normal(size=(2, 3)), name="U")
    xs = rng.normal(size=(4, 2))

    def losses(prepared: bool) -> tuple[tr.Unrolled, list[Any]]:
        turned, fed = W.T, tr.Tensor(xs, name="x") @ U
        if prepared:
            net = tr.unroll(lambda x, h: tr.ops.tanh(h @ turned + x), fed, state=np.ones(3))
        else:
            net = tr.unroll(lambda x, h: tr.ops.tanh(h @ W.T + x @ U), xs, state=np.ones(3))
        return net, net.each(lambda h: (h**2).sum())

    early, late = of(*losses(True)), of(*losses(False))
    for name in ("W", "U"):
        np.testing.assert_allclose(early[name][:], late[name][:], rtol=1e-12, atol=1e-15)
        assert np.count_nonzero(early[name].norms) == 10


def test_readouts_and_losses_outside_of_all_steps() -> None:
    slow = network("RNNCell", steps=3)
    V = tr.Tensor(np.arange(6.0).reshape(3, 2), name="V")
    net, _ = slow.unrolled(set())
    losses = [((h @ V) ** 2).sum() for h in net.outputs]
    inside = of(net, net.each(lambda h: ((h @ V) ** 2).sum()))
    for found in (of(net, losses), of(net, tr.add_n(losses)), AllContributions(of_loss(tr.add_n(losses)))):
        for name in ("V", "weight_hh"):
            np.testing.assert_allclose(found[name][:], inside[name][:], rtol=1e-12, atol=1e-15)


def test_what_stands_at_no_step_is_outside() -> None:
    slow = network("RNNCell", steps=3)
    V = tr.Tensor(np.arange(6.0).reshape(3, 2), name="V")
    net, losses = slow.unrolled()
    weight = slow.weights["weight_hh"]
    penalty = 0.5 * (weight**2).sum()
    vectorized = ((tr.ops.stack(net.outputs) @ V) ** 2).sum()
    loss = tr.add_n(losses) + vectorized + penalty
    found = of(net, loss)
    gradient = gradients(loss, {"weight_hh": weight, "V": V})
    close(found["weight_hh"].outside, weight.data)
    close(found["weight_hh"].total, gradient["weight_hh"])
    close(found["V"].outside, gradient["V"])
    assert not found["V"].norms.any()
    last = of(net, losses[-1] + penalty)["weight_hh"]
    close(last.outside, weight.data)


def test_shares_are_signed_and_sum_to_one() -> None:
    net, losses = network("LSTMCell", steps=5).unrolled()
    c = of(net, losses)["weight_hh"]
    assert c.shares.sum() == pytest.approx(1.0, rel=1e-12)
    total = c.total.ravel()
    assert c.shares[2] == pytest.approx(c.by_step[2].ravel() @ total / (total @ total), rel=1e-12)


def test_a_step_that_pulls_against_the_sum_has_a_share_below_zero() -> None:
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: w * h + x, [1.0, -3.0, 1.0], state=4.0)
    shares = of(net, net.final_state)["w"].shares  # w^(2-k) h_{k-1}: 1, 1.5, -1.5
    np.testing.assert_allclose(shares, [1.0, 1.5, -1.5], rtol=1e-13)


def test_no_more_is_made_than_fits() -> None:
    net = tr.unroll(tr.nn.RNNCell(2, 600), np.zeros((30, 2)))
    c = of(net, net.each(lambda h: (h**2).sum()))["weight_hh"]
    with pytest.raises(
        TooLargeError, match=r"30 x 30 contributions to weight_hh would take 2.4 GiB.*by_step"
    ):
        c[:]
    assert c[29, 28].shape == (600, 600)


def test_a_name_that_is_none() -> None:
    net, losses = network("RNNCell", steps=2).unrolled()
    with pytest.raises(KeyError, match=r"no weight 'W'; there are .*'weight_hh'"):
        of(net, losses)["W"]


def test_leaves_of_one_name_are_told_apart() -> None:
    a, b = tr.Value(0.5, name="w"), tr.Value(0.25, name="w")
    net = tr.unroll(lambda x, h: (a * h + b * x).tanh(), [1.0, 2.0], state=0.0)
    found = of(net, net.final_state)
    assert len(found) == 2
    assert sum(float(c.total) for c in found.values()) == pytest.approx(
        sum(float(g) for g in gradients(net.final_state, {"a": a, "b": b}).values())
    )


def test_a_weight_assigned_since_is_refused() -> None:
    slow = network("RNNCell", steps=3)
    net, losses = slow.unrolled()
    found = of(net, losses)
    slow.weights["weight_hh"].data = np.zeros((3, 3))
    with pytest.raises(tr.GraphMutationError, match="weight_hh"):
        found["weight_hh"][2, 0]
