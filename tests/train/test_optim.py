"""Optimizers against PyTorch's numbers, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.train import clip, optim, rules

VECTORS = Path(__file__).parents[1] / "data" / "optimizers.npz"
with np.load(VECTORS, allow_pickle=False) as file:
    FROZEN = {key: file[key] for key in file.files}
CONFIGS = json.loads(str(FROZEN["configs"]))
KEPT = FROZEN["kept"].tolist()
KINDS = {kind.__name__: kind for kind in (optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW)}


def problem():
    return {name: tr.Tensor(FROZEN[f"problem/{name}"], name=name) for name in ("W", "b")}


def made(config, params):
    kind, settings = CONFIGS[config]
    return KINDS[kind](params, **settings)


def regression(params):
    prediction = tr.ops.tanh(FROZEN["problem/x"] @ params["W"].T + params["b"])
    return ((prediction - FROZEN["problem/y"]) ** 2).mean()


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def run(params, optimizer, case, differentiate):
    """100 steps, compared with the frozen parameters after each kept one."""
    for step in range(1, 101):
        differentiate(step - 1, params)
        optimizer.step()
        if step in KEPT:
            for name, param in params.items():
                close(param.data, FROZEN[f"{case}/{name}"][KEPT.index(step)])


@pytest.mark.parametrize("config", CONFIGS)
def test_given_gradients_as_pytorch(config):
    params = problem()
    optimizer = made(config, params)
    for step in range(1, 101):
        optimizer.step({name: FROZEN[f"problem/grad_{name}"][step - 1] for name in params})
        if step in KEPT:
            for name, param in params.items():
                close(param.data, FROZEN[f"{config}/open/{name}"][KEPT.index(step)])


@pytest.mark.parametrize("config", [*CONFIGS, "sgd_clip_norm", "sgd_clip_value"])
def test_regression_as_pytorch(config):
    params, losses = problem(), []
    optimizer = made(config, params) if config in CONFIGS else optim.SGD(params, lr=0.1)

    def differentiate(step, params):
        optimizer.zero_grad()
        loss = regression(params)
        loss.backward()
        losses.append(float(loss))
        if config == "sgd_clip_norm":
            clip.clip_grad_norm(params, 0.1)
        if config == "sgd_clip_value":
            clip.clip_grad_value(params, 0.03)

    run(params, optimizer, f"{config}/closed", differentiate)
    close(losses, FROZEN[f"{config}/closed/loss"])


@pytest.mark.parametrize("config", CONFIGS)
def test_values_follow_the_same_rule(config):
    """One scalar parameter as a Value moves exactly as it does inside a Tensor."""
    value, tensor = tr.Value(0.75), tr.Tensor([0.75])
    optimizers = made(config, [value]), made(config, [tensor])
    for step in range(10):
        gradient = 0.1 * step - 0.4
        optimizers[0].step([gradient])
        optimizers[1].step([np.array([gradient])])
        assert type(value.data) is float
        assert value.data == pytest.approx(tensor.data[0], rel=1e-15)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_update_is_a_graph_of_operations(config):
    """`update` over nodes gives the numbers of `update` over arrays, and can be differentiated."""
    rule = made(config, problem()).rule
    arrays = {name: FROZEN[f"problem/{name}"] for name in ("W", "b")}
    grads = {name: FROZEN[f"problem/grad_{name}"][0] for name in ("W", "b")}
    nodes = {name: tr.Tensor(array) for name, array in arrays.items()}
    expected, expected_state = rule.update(arrays, grads, rule.init(arrays))
    actual, state = rule.update(nodes, grads, rule.init(nodes))
    for name in arrays:
        assert isinstance(actual[name], tr.Tensor)
        np.testing.assert_array_equal(actual[name].data, expected[name])
        assert state[name].keys() == expected_state[name].keys()
    tr.ops.sum(actual["W"]).backward()
    assert nodes["W"].has_grad


@pytest.mark.parametrize("config", CONFIGS)
def test_float32_stays_float32(config):
    param = tr.Tensor(np.ones(3, np.float32))
    optimizer = made(config, [param])
    for _ in range(3):
        optimizer.step([np.array([0.5, -0.25, 0.0], np.float32)])
    assert param.data.dtype == np.float32
    for slot in optimizer.state_dict()["state"]["0"].values():
        assert isinstance(slot, float) or slot.dtype == np.float32


def test_float32_bias_correction_keeps_its_digits():
    """1 - 0.999**1 rounded to float32 is wrong in the fifth digit; the first step must be lr in size."""
    param = tr.Tensor(np.zeros(1, np.float32))
    optim.Adam([param], lr=1.0, eps=0.0).step([np.array([3.0], np.float32)])
    assert param.data[0] == pytest.approx(-1.0, rel=3e-7)


def test_float32_bias_correction_keeps_its_digits_in_a_recorded_step():
    """The step count of a plan is a node of the parameter's dtype."""
    params = {"w": tr.Tensor(np.zeros(1, np.float32))}
    rule = rules.AdamRule(lr=1.0, eps=0.0)
    state = {"w": {slot: tr.Tensor(value) for slot, value in rule.init(params)["w"].items()}}
    moved, state = rule.update(params, {"w": tr.Tensor(np.array([3.0], np.float32))}, state)
    assert moved["w"].dtype == state["w"]["step"].dtype == np.float32
    assert moved["w"].data[0] == pytest.approx(-1.0, rel=3e-7)


def test_adagrad_decays_its_rate_and_starts_where_it_is_told():
    """The frozen vectors have neither; by hand: lr / (1 + (step - 1) lr_decay) / sqrt(4 + 1 + ...)."""
    param = tr.Tensor([0.0])
    optimizer = optim.Adagrad([param], lr=1.0, lr_decay=0.5, initial_accumulator_value=4.0, eps=0.0)
    expected = 0.0
    for step in range(1, 5):
        optimizer.step([np.array([1.0])])
        expected -= 1.0 / (1.0 + (step - 1) * 0.5) / (4.0 + step) ** 0.5
        assert param.data[0] == pytest.approx(expected, rel=1e-14)


def test_update_changes_nothing_in_place():
    params = {"w": np.ones(2)}
    rule = rules.AdamRule()
    state = rule.init(params)
    rule.update(params, {"w": np.ones(2)}, state)
    assert params["w"].tolist() == [1.0, 1.0]
    assert state["w"]["exp_avg"].tolist() == [0.0, 0.0]


def test_parameters_without_gradient_stay():
    used, unused = tr.Tensor([1.0]), tr.Tensor([1.0])
    optimizer = optim.AdamW({"used": used, "unused": unused}, weight_decay=0.5)
    (used * 2.0).sum().backward()
    optimizer.step()
    assert unused.data.tolist() == [1.0]
    state = optimizer.state_dict()["state"]
    assert (float(state["used"]["step"]), float(state["unused"]["step"])) == (1.0, 0.0)


def test_module_list_and_dict_are_the_same_parameters():
    results = []
    for choose in (lambda m: m, lambda m: m.parameters(), lambda m: m.named_parameters()):
        module = tr.nn.Linear(2, 1, rng=np.random.default_rng(3))
        module(np.ones((1, 2))).sum().backward()
        optim.SGD(choose(module), lr=0.5).step()
        results.append(module.weight.data.tolist())
    assert results[0] == results[1] == results[2]


def test_gradients_of_tr_grad_are_taken_as_they_come():
    module = tr.nn.Linear(2, 1, rng=np.random.default_rng(3))
    other = tr.nn.Linear(2, 1, rng=np.random.default_rng(3))
    optim.SGD(module, lr=0.5).step(tr.grad(lambda m: m(np.ones((1, 2))).sum())(module))
    other(np.ones((1, 2))).sum().backward()
    optim.SGD(other, lr=0.5).step()
    np.testing.assert_array_equal(module.weight.data, other.weight.data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_gradients_are_refused_and_nothing_moves(bad):
    params = {"good": tr.Tensor([1.0, 2.0]), "bad": tr.Tensor([3.0, 4.0])}
    optimizer = optim.Adam(params)
    optimizer.step({"good": np.ones(2), "bad": np.ones(2)})
    before = {name: param.data.copy() for name, param in params.items()}
    state = optimizer.state_dict()
    with pytest.raises(clip.NonFiniteGradientError, match=r"'bad' is not finite in 1 of 2"):
        optimizer.step({"good": np.ones(2), "bad": np.array([0.0, bad])})
    for name, param in params.items():
        np.testing.assert_array_equal(param.data, before[name])
    for name, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            np.testing.assert_array_equal(value, state["state"][name][slot])


def test_an_interrupted_assignment_is_undone():
    """Ctrl-C between two parameters: both are those before the step, and so is the state."""

    class Interrupting(Carrier):
        """A parameter whose second assignment is interrupted."""

        def __init__(self):
            self.values = [np.zeros(1)]

        @property
        def data(self):
            return self.values[-1]

        @data.setter
        def data(self, value):
            if len(self.values) == 1:
                self.values.append(value)
                raise KeyboardInterrupt
            self.values.append(value)

    first, second = tr.Tensor([0.0]), Interrupting()
    optimizer = optim.SGD({"first": first, "second": second}, lr=1.0, momentum=0.9)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step({"first": np.ones(1), "second": np.ones(1)})
    assert first.data.tolist() == second.data.tolist() == [0.0]
    assert optimizer.state_dict()["state"]["first"]["momentum_buffer"].tolist() == [0.0]


def test_state_dict_resumes_bitwise():
    whole, parts = problem(), problem()
    grads = [{name: FROZEN[f"problem/grad_{name}"][k] for name in whole} for k in range(6)]
    uninterrupted = optim.Adam(whole, lr=0.01)
    first = optim.Adam(parts, lr=0.01)
    for grad in grads[:3]:
        uninterrupted.step(grad)
        first.step(grad)
    second = optim.Adam(parts, lr=0.7)
    second.load_state_dict(first.state_dict())
    for grad in grads[3:]:
        uninterrupted.step(grad)
        second.step(grad)
    for name in whole:
        np.testing.assert_array_equal(whole[name].data, parts[name].data)
    assert second.lr == 0.01


def test_state_dict_is_a_copy():
    optimizer = optim.SGD([tr.Tensor([1.0])], momentum=0.9)
    optimizer.state_dict()["state"]["0"]["momentum_buffer"][0] = 7.0
    assert optimizer.state_dict()["state"]["0"]["momentum_buffer"][0] == 0.0


def test_load_state_dict_names_what_is_wrong():
    optimizer = optim.SGD({"w": tr.Tensor([1.0])}, momentum=0.9)
    good = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"missing \['w'\], unknown \['v'\]"):
        optimizer.load_state_dict({"rule": good["rule"], "state": {"v": good["state"]["w"]}})
    with pytest.raises(ValueError, match=r"shape \(2,\), expected \(1,\)"):
        optimizer.load_state_dict({"rule": good["rule"], "state": {"w": {"momentum_buffer": np.zeros(2)}}})


def test_the_learning_rate_can_be_scheduled():
    param = tr.Tensor([0.0])
    optimizer = optim.SGD([param], lr=1.0)
    optimizer.step([np.ones(1)])
    optimizer.lr = 0.25
    optimizer.step([np.ones(1)])
    assert param.data.tolist() == [-1.25]
    with pytest.raises(ValueError, match="lr must be finite"):
        optimizer.lr = -1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "there are no parameters"),
        (lambda p: optim.SGD([p, p]), ValueError, "occurs twice"),
        (lambda p: optim.SGD(3.0), TypeError, "must be a Module, a list or a dict"),
        (lambda p: optim.SGD([p], lr=-1.0), ValueError, "lr must be finite and at least 0; it is -1.0"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr must be finite"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas must be two numbers"),
        (lambda p: optim.RMSprop([p], alpha=1.5), ValueError, "alpha must be at most 1"),
        (lambda p: optim.SGD([p]).step(), ValueError, "no parameter has a gradient"),
        (lambda p: optim.SGD([p]).step([]), ValueError, "there are no gradients"),
        (lambda p: optim.SGD({"w": p}).step({"v": np.ones(2)}), ValueError, "'v' belongs to no parameter"),
        (lambda p: optim.SGD([p]).step([np.ones(3)]), ValueError, r"has shape \(3,\), the parameter \(2,\)"),
    ],
)
def test_wrong_calls_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(tr.Tensor([1.0, 2.0]))


def test_pure_update_refuses_an_unknown_name():
    rule = rules.SGDRule()
    with pytest.raises(KeyError, match="belongs to no parameter"):
        rule.update({"w": 1.0}, {"v": 1.0}, rule.init({"w": 1.0}))
