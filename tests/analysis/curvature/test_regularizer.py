"""Omega against numpy: its value, its exact gradient by differences, its immediate one by the paper's formula."""

import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr
from tinygrad_rnn.analysis.agreement import cosine, relative_error

mpl.use("Agg")


class Pascanu(tr.nn.Module):
    """The paper's own recurrence (eq. 2): x' = W tanh(x) + U u + b, whose state is taken before the nonlinearity."""

    def __init__(self, inputs: int, hidden: int, rng: np.random.Generator, size: float = 1.2) -> None:
        self.w = tr.Tensor(size * rng.normal(size=(hidden, hidden)) / np.sqrt(hidden), name="w")
        self.u = tr.Tensor(rng.normal(size=(hidden, inputs)), name="u")

    def __call__(self, u: Any, x: Any) -> Any:
        return self.w @ tr.ops.tanh(x) + self.u @ u


def by_hand(w: Any, u: Any, inputs: Any, losses: str) -> tuple[float, Any, Any]:
    """Omega, the ratios and eq. 10, in plain numpy. The error is |x_T|^2, or the sum of |x_t|^2 over all steps."""
    states = [np.zeros(len(w))]
    for item in inputs:
        states.append(w @ np.tanh(states[-1]) + u @ item)
    total, ratios, immediate = 0.0, [], np.zeros_like(w)
    c = 2 * states[-1]
    for t in range(len(inputs) - 1, 0, -1):
        slope = 1 - np.tanh(states[t]) ** 2  # of the state before this step
        pulled = (c @ w) * slope
        size, before = np.linalg.norm(c), np.linalg.norm(pulled)
        ratio = before / size
        total += (ratio - 1) ** 2
        ratios.append(ratio)
        immediate += 2 * (ratio - 1) / (size * before) * np.outer(c, pulled * slope)
        c = pulled + (2 * states[t] if losses == "all" else 0)
    return total, ratios[::-1], immediate


def error_of(net: tr.Unrolled, losses: str) -> Any:
    squares = net.each(lambda x: (x * x).sum())
    return tr.add_n(squares) if losses == "all" else squares[-1]


@pytest.mark.parametrize("losses", ["last", "all"])
@pytest.mark.parametrize("size", [0.5, 1.0, 1.6])
def test_in_the_papers_own_recurrence_it_is_the_papers_formula(losses: str, size: float) -> None:
    rng = np.random.default_rng(3)
    cell, inputs = Pascanu(2, 5, rng, size), rng.normal(size=(7, 2))
    net = tr.unroll(cell, inputs, np.zeros(5))
    found = tr.omega(net, error_of(net, losses))
    w, u = np.array(cell.w.data), np.array(cell.u.data)
    value, ratios, immediate = by_hand(w, u, inputs, losses)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.steps == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(found.ratios, ratios, rtol=1e-12)
    np.testing.assert_allclose(found.immediate(cell)["w"], immediate, rtol=1e-10, atol=1e-13)
    assert not np.any(found.immediate(cell)["u"])
    exact, step = found.exact(cell), 1e-6
    for name, array in (("w", w), ("u", u)):
        for i in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = {"w": w.copy(), "u": u.copy()}
                moved[name][i] += sign * step
                values.append(by_hand(moved["w"], moved["u"], inputs, losses)[0])
            assert exact[name][i] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_the_immediate_gradient_of_a_tanh_cell_by_hand() -> None:
    """With the state after tanh, W stands in the slope as well: J = diag(1 - tanh(W h + a)^2) W at constant h."""
    rng = np.random.default_rng(4)
    cell, inputs = tr.nn.RNNCell(2, 4, rng=rng), rng.normal(size=(6, 2))
    net = tr.unroll(cell, inputs)
    found = tr.omega(net, error_of(net, "last")).immediate(cell)
    w, states = np.array(cell.weight_hh.data), [np.array(h.data) for h in net.states]
    c, expected = 2 * states[-1], np.zeros((4, 4))
    for t in range(5, 0, -1):
        new, old = states[t], states[t - 1]
        slope, bend = 1 - new**2, -2 * new * (1 - new**2)
        v = (c * slope) @ w
        size, before = np.linalg.norm(c), np.linalg.norm(v)
        front = 2 * (before / size - 1) / (size * before)
        expected += front * (np.outer(c * slope, v) + np.outer(c * bend * (w @ v), old))
        c = v
    np.testing.assert_allclose(found["weight_hh"], expected, rtol=1e-10, atol=1e-14)


CELLS = {
    "rnn": lambda rng: tr.nn.RNNCell(2, 3, rng=rng),
    "lstm": lambda rng: tr.nn.LSTMCell(2, 3, rng=rng),
    "gru": lambda rng: tr.nn.GRUCell(2, 3, rng=rng),
}


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("kind", CELLS)
def test_the_exact_gradient_passes_gradcheck(kind: str, batch: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    cell, inputs = CELLS[kind](rng), rng.normal(size=(4, *batch, 2))

    def regularizer(cell: Any) -> Any:
        net = tr.unroll(cell, inputs)
        return tr.omega(net, error_of(net, "all")).node

    tr.testing.assert_gradients(regularizer, cell)
    net = tr.unroll(cell, inputs)
    exact, through = tr.omega(net, error_of(net, "all")).exact(cell), tr.grad(regularizer)(cell)
    for name in through:
        np.testing.assert_allclose(exact[name], through[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reverse", [False, True])
def test_h_and_c_are_one_vector(reverse: bool) -> None:
    """Each ratio by whole Jacobians of the step, (6, 6), and dE/dS_t by running the rest of the network again."""
    rng = np.random.default_rng(6)
    cell, inputs = tr.nn.LSTMCell(2, 3, rng=rng), rng.normal(size=(5, 2))
    net = tr.unroll(cell, inputs, reverse=reverse)
    found = tr.omega(net, error_of(net, "all"))
    order = list(range(5))[::-1] if reverse else list(range(5))

    def after(t: int, s: Any) -> Any:
        h, c = cell(inputs[t], (s[:3], s[3:]))
        return tr.ops.concatenate([h, c])

    def rest(k: int, s: Any) -> Any:
        total = (s[:3] ** 2).sum()
        for t in order[k + 1 :]:
            s = after(t, s)
            total = total + (s[:3] ** 2).sum()
        return total

    for k in range(1, 5):
        t = order[k]
        old, new = (np.concatenate([part.data for part in net.states[order[j]]]) for j in (k - 1, k))
        c = tr.grad(lambda s, k=k: rest(k, s))(new)
        pulled = c @ tr.jacobian(lambda s, t=t: after(t, s))(old)
        ratio = np.linalg.norm(pulled) / np.linalg.norm(c)
        assert found.ratios[found.steps.index(t)] == pytest.approx(ratio, rel=1e-11)
    assert found.steps == sorted(order[1:])


def test_rows_of_a_batch_have_their_own_ratios() -> None:
    rng = np.random.default_rng(7)
    cell, inputs = tr.nn.GRUCell(2, 3, rng=rng), rng.normal(size=(5, 4, 2))

    def of(x: Any) -> Any:
        net = tr.unroll(cell, x)
        return tr.omega(net, error_of(net, "last"))

    rows = [of(inputs[:, b]).value for b in range(4)]
    assert of(inputs).value == pytest.approx(np.mean(rows), rel=1e-12)


def test_a_scalar_network_by_hand() -> None:
    """h' = w h: each ratio is |w| and Omega is (T - 1) (|w| - 1)^2; here the immediate derivative is exact."""
    w = tr.Value(-0.5)
    net = tr.unroll(lambda x, h: w * h + x, [1.0, 0.0, 0.0, 0.0], 0.0)
    found = tr.omega(net, net.final_state**2)
    assert found.value == pytest.approx(3 * 0.25)
    assert found.exact([w])[0] == pytest.approx(3 * 2 * (0.5 - 1) * -1) == found.immediate([w])[0]
    assert isinstance(found.node, tr.Value)


def test_steps_that_no_error_reaches_have_no_term() -> None:
    rng = np.random.default_rng(8)
    cell, inputs = tr.nn.RNNCell(2, 3, rng=rng), rng.normal(size=(6, 2))
    net = tr.unroll(cell, inputs)
    assert tr.omega(net, (net.outputs[3] ** 2).sum()).steps == [1, 2, 3]
    cut = tr.unroll(cell, inputs, truncate=3)
    assert tr.omega(cut, error_of(cut, "all")).steps == [1, 2, 4, 5]


def test_an_error_that_dies_leaves_numbers() -> None:
    """Dead units: the pulled cotangent is 0, its ratio 0, its slope 0 and not nan; no cotangent at all adds nothing."""
    w = tr.Tensor(np.eye(2), name="w")
    inputs = np.array([[1.0, 1.0], [1.0, 1.0], [-9.0, -9.0], [1.0, 1.0]])
    net = tr.unroll(lambda x, h: tr.ops.relu(w @ h + x), inputs, np.zeros(2))
    found = tr.omega(net, (net.final_state**2).sum())
    assert found.ratios.tolist() == [0.0, 0.0, 1.0]
    assert [float(term.node.data) for term in found.terms] == [0.0, 1.0, 0.0]
    for gradient in (found.exact([w]), found.immediate([w])):
        assert np.all(np.isfinite(gradient[0]))


def test_how_far_the_immediate_one_is_from_the_exact() -> None:
    rng = np.random.default_rng(9)
    cell, inputs = Pascanu(2, 20, rng), rng.normal(size=(15, 2))
    net = tr.unroll(cell, inputs, np.zeros(20))
    found = tr.omega(net, error_of(net, "last"))
    told = found.compare([cell.w])["immediate"]
    assert told.cosines[0] == cosine(found.immediate([cell.w]), found.exact([cell.w])) < 0.99
    assert told.errors[0] == relative_error(found.immediate([cell.w]), found.exact([cell.w])) > 0.1


def test_it_shows_itself() -> None:
    rng = np.random.default_rng(10)
    cell, inputs = tr.nn.RNNCell(2, 3, rng=rng), rng.normal(size=(4, 2))
    net = tr.unroll(cell, inputs)
    found = tr.omega(net, error_of(net, "last"))
    assert repr(found) == f"<Omega {found.value:.4g} of 3 steps>"
    assert str(found).splitlines()[2].split()[:2] == ["1", f"{found.ratios[0]:.4g}"]
    assert f"<caption>Omega = {found.value:.4g}</caption>" in found._repr_html_()
    told = json.loads(json.dumps(found.to_dict()))
    assert sum(told["terms"]) == pytest.approx(told["value"])
    line = found.plot(Figure().subplots()).lines[1]
    assert line.get_ydata().tolist() == found.ratios.tolist()


def test_what_has_no_omega_is_refused() -> None:
    cell = tr.nn.RNNCell(1, 2)
    net = tr.unroll(cell, np.zeros((1, 1)))
    with pytest.raises(ValueError, match="no step connects two states"):
        tr.omega(net, net.outputs[0].sum())
    with pytest.raises(ValueError, match=r"must be one number, got shape \(2,\)"):
        tr.omega(net, net.outputs[0])
    with pytest.raises(TypeError, match="the error must be a Value or Tensor, got float"):
        tr.omega(net, 1.0)
    with pytest.raises(TypeError, match="needs an Unrolled"):
        tr.omega(cell, net.outputs[0].sum())  # type: ignore[arg-type]
    both = tr.nn.RNN(1, 2, bidirectional=True).unroll(np.zeros((3, 1)))
    with pytest.raises(ValueError, match="bidirectional network have no common order"):
        tr.omega(both, both.outputs[0].sum())
    three = tr.unroll(cell, np.zeros((3, 1)))
    with pytest.raises(
        TypeError, match=r"omega: parameters\[0\] must be a leaf Value or Tensor, got ndarray"
    ):
        tr.omega(three, three.outputs[-1].sum()).exact([np.zeros(1)])
