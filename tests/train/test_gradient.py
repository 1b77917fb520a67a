"""A loss and its gradient, replayed and eager."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.chunks import Chunks
from tinygrad_rnn.train.gradient import Gradient
from tinygrad_rnn.train.loop import Trainer, next_character_loss
from tinygrad_rnn.train.optim import SGD, Adam
from tinygrad_rnn.train.text import Vocabulary


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_run_by_replay_is_the_eager_run(cell):
    vocabulary = Vocabulary("abc")
    chunks = Chunks(vocabulary.encode("abcacb" * 21), length=4, streams=2, partial=True)
    runs = {}
    for eager in (False, True):
        model = CharModel(vocabulary, cell, 5, rng=np.random.default_rng(0))
        trainer = Trainer(model, next_character_loss, Adam(model), clip_norm=1.0, carry=True, eager=eager)
        history = trainer.fit(chunks, 40, progress=False)
        runs[eager] = (history.loss, history.grad_norm, model.state_dict())
    np.testing.assert_allclose(runs[False][0], runs[True][0], rtol=1e-9)
    np.testing.assert_allclose(runs[False][1], runs[True][1], rtol=1e-8)
    for name, array in runs[True][2].items():
        np.testing.assert_allclose(runs[False][2][name], array, rtol=1e-7, atol=1e-9)


def test_the_loss_is_recorded_once_for_each_shape_of_batch():
    param, calls = tr.Tensor([1.0, 2.0]), []

    def loss(batch, state):
        calls.append(np.shape(batch))
        return (param * batch).sum(), None

    gradient = Gradient(loss, [param], eager=False)
    for batch in (np.ones((1, 2)), np.full((1, 2), 3.0), np.ones((3, 2)), np.ones((1, 2))):
        value, _ = gradient(batch, None)
        assert value == (param.data * batch).sum()
        assert param.grad.tolist() == batch.sum(axis=0).tolist()
        param.data = param.data * 2.0
    assert calls == [(1, 2), (3, 2)]


def test_a_parameter_that_the_loss_does_not_use_has_gradient_zero():
    used, unused = tr.Tensor([1.0]), tr.Tensor([[5.0, 6.0]])
    Gradient(lambda batch, state: ((used * batch).sum(), state), [used, unused], eager=False)(
        np.ones(1), None
    )
    assert (used.grad.tolist(), unused.grad.tolist()) == ([1.0], [[0.0, 0.0]])


def test_a_loss_that_cannot_be_replayed_runs_eagerly_and_says_so():
    param = tr.Tensor([1.0])
    trainer = Trainer(param, lambda p, batch: p.sum() * abs(float(p.sum())), SGD([param], lr=0.25))
    with pytest.warns(UserWarning, match=r"cannot be replayed: .*test_gradient.py"):
        history = trainer.fit([np.ones(1)], 3, progress=False)
    assert history.loss == [1.0, 0.75**2, pytest.approx(0.5625**2)]
