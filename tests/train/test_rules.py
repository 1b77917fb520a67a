"""A whole train step as one plan: forward, backward, clipping and update, replayed as the eager run computes them."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.train import clip, optim, rules

VECTORS = Path(__file__).parents[1] / "data" / "optimizers.npz"
with np.load(VECTORS, allow_pickle=False) as file:
    CONFIGS = json.loads(str(file["configs"]))
KINDS = {kind.__name__: kind for kind in (optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW)}
STEPS = 20
DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(STEPS, 3, 2, 4)), DRAW.integers(5, size=(STEPS, 3, 2))


class Reader(tr.nn.Module):
    def __init__(self):
        rng = np.random.default_rng(1)
        self.rnn, self.head = tr.nn.GRU(4, 3, rng=rng), tr.nn.Linear(3, 5, rng=rng)
        self.gain = tr.Tensor(0.9)

    def __call__(self, x, y):
        return tr.cross_entropy(self.head(self.rnn(x)[0] * self.gain), y)


def loss(model, x, y):
    return model(x, y)


def counted(fn):
    runs = []

    def run(*args):
        runs.append(1)
        return fn(*args)

    return run, runs


def same(found, expected):
    found, expected = flatten(found), flatten(tree_map(plain, expected))
    assert [path for path, _ in found] == [path for path, _ in expected]
    for (path, a), (_, b) in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12, err_msg=path)
        assert np.shape(a) == np.shape(b), path


def both_ways(step, rule, extra=lambda k: ()):
    """Train two models for 20 steps, one by replay and one eagerly, and compare after each."""
    fn, runs = counted(step)
    replay, models = tr.compile(fn), (Reader(), Reader())
    states = [rule.init(model.named_parameters()) for model in models]
    for k in range(STEPS):
        found = replay(models[0], states[0], X[k], Y[k], *extra(k))
        expected = tree_map(plain, step(models[1], states[1], X[k], Y[k], *extra(k)))
        same(found, expected)
        for i, (_, params, state) in enumerate((found, expected)):
            models[i].load_state_dict(params)
            states[i] = state
    assert len(runs) == 1
    pairs = zip(models[0].parameters(), Reader().parameters(), strict=True)
    assert all(np.abs(p.data - q.data).max() > 1e-5 for p, q in pairs)


@pytest.mark.parametrize("config", CONFIGS)
def test_twenty_steps_of_a_module_replay_one_plan(config):
    kind, settings = CONFIGS[config]
    rule = KINDS[kind](Reader(), **settings).rule

    def step(model, state, x, y):
        value, gradients = tr.value_and_grad(loss)(model, x, y)
        return value, *rule.update(model.named_parameters(), gradients, state)

    both_ways(step, rule)


@pytest.mark.parametrize("limit", [0.01, 0.3, 100.0])
def test_clipping_is_part_of_the_plan(limit):
    rule = rules.SGDRule(lr=0.2, momentum=0.9)

    def by_norm(model, state, x, y, limit):
        value, gradients = tr.value_and_grad(loss)(model, x, y)
        gradients, norm = clip.clipped_by_norm(gradients, limit)
        return (value, norm), *rule.update(model.named_parameters(), gradients, state)

    def by_value(model, state, x, y, limit):
        value, gradients = tr.value_and_grad(loss)(model, x, y)
        return value, *rule.update(model.named_parameters(), clip.clipped_by_value(gradients, limit), state)

    for step in (by_norm, by_value):
        both_ways(step, rule, lambda k: (limit * (1.0 + 0.1 * k),))


@pytest.mark.parametrize("make", [rules.SGDRule, rules.AdagradRule, rules.RMSpropRule, rules.AdamRule])
def test_a_learning_rate_may_change_from_step_to_step(make):
    def step(model, state, x, y, lr):
        value, gradients = tr.value_and_grad(loss)(model, x, y)
        return value, *make(lr=lr, weight_decay=0.01).update(model.named_parameters(), gradients, state)

    both_ways(step, make(), lambda k: (0.1 / (k + 1),))


def test_a_whole_number_of_a_learning_rate_is_another_plan_and_not_a_wrong_one():
    def step(params, lr):
        return rules.SGDRule(lr=lr).update(params, {"w": params["w"] * 2.0}, {"w": {}})[0]

    replay = tr.compile(step)
    for lr in (1, 2, 1.0, 0.5, 1):
        np.testing.assert_allclose(replay({"w": np.ones(2)}, lr)["w"], 1 - 2.0 * lr)


def test_values_train_in_one_plan_too():
    rule = rules.AdamRule(lr=0.1)

    def step(params, state, x):
        value, gradients = tr.value_and_grad(lambda p: tr.ops.tanh(p["w"] * x + p["b"]) ** 2)(params)
        gradients, norm = clip.clipped_by_norm(gradients, 0.1)
        return (value, norm), *rule.update(params, gradients, state)

    replay, start = tr.compile(step), {"w": 1.0, "b": 0.5}
    one = two = (start, rule.init(start))
    for k in range(STEPS):
        found, *one = replay(*one, 0.1 * k)
        expected, *two = tree_map(plain, step(*two, 0.1 * k))
        same((found, one), (expected, two))


def test_a_refusal_names_a_negative_rate_also_in_a_plan():
    with pytest.raises(ValueError, match="lr must be finite and at least 0; it is -1"):
        tr.compile(lambda x: rules.SGDRule(lr=-1.0).update({"w": x}, {"w": x}, {"w": {}})[0])(1.0)
