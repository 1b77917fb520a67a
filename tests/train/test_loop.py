"""The training loop: what it computes, carries, shows, stops at and refuses."""

import gc
import io
import math
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.train import loop
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.chunks import Chunks
from tinygrad_rnn.train.clip import NonFiniteGradientError
from tinygrad_rnn.train.loop import NonFiniteLossError, OneShotBatchesError, Trainer, next_character_loss
from tinygrad_rnn.train.optim import SGD, Adam
from tinygrad_rnn.train.text import Vocabulary


def slope(param, batch):
    """A loss whose gradient is the batch itself."""
    return (param * batch).sum()


def trainer(loss=slope, lr=1.0, **settings):
    param = tr.Tensor([1.0])
    return param, Trainer(param, loss, SGD([param], lr=lr), **settings)


def tiny(streams=2):
    """A small character model with chunks of a repeating text."""
    vocabulary = Vocabulary("abc")
    model = CharModel(vocabulary, "gru", 5, rng=np.random.default_rng(0))
    return model, Chunks(vocabulary.encode("abcacb" * 20), length=4, streams=streams)


def test_each_update_uses_the_next_batch_and_begins_again():
    param, made = trainer()
    history = made.fit([np.array([1.0]), np.array([10.0])], 3, progress=False)
    assert param.data.tolist() == [1.0 - 1.0 - 10.0 - 1.0]
    assert history.loss == [1.0, 0.0, -10.0]
    assert history.grad_norm == [1.0, 10.0, 1.0]
    assert history is made.history
    assert (len(history), history.updates, history.converged) == (3, 3, False)


def test_gradients_do_not_pile_up_from_before():
    param, made = trainer()
    (param * 100.0).sum().backward()
    made.fit([np.array([1.0])], 1, progress=False)
    assert param.data.tolist() == [0.0]


def test_the_norm_is_noted_before_clipping():
    param, made = trainer(clip_norm=0.5)
    assert made.fit([np.array([3.0])], 1, progress=False).grad_norm == [3.0]
    assert param.data[0] == pytest.approx(0.5, abs=1e-6)


def test_zero_updates_touch_nothing():
    param, made = trainer()
    assert len(made.fit([], 0, progress=False)) == 0
    assert param.data.tolist() == [1.0]


def test_stop_below_keeps_the_parameters_that_reached_it():
    param, made = trainer(lambda param, batch: (param * param).sum(), lr=0.25)
    history = made.fit([None], 100, stop_below=0.1, progress=False)
    assert history.loss == [1.0, 0.25, 0.0625]
    assert (history.converged, history.updates) == (True, 2)
    assert param.data.tolist() == [0.25]


def test_the_callback_sees_each_update():
    _, made = trainer()
    seen = []
    made.fit([np.array([1.0])], 3, progress=False, callback=lambda history: seen.append(len(history)))
    assert seen == [1, 2, 3]


def test_no_update_begins_after_the_time():
    _, made = trainer()
    history = made.fit([np.array([1.0])], 10**9, seconds=0.05, progress=False)
    assert 0 < len(history) < 10**6
    assert history.seconds[-2] <= 0.05


def test_the_state_is_carried_within_a_pass_and_cut():
    """With one stream and a rate of 0 the chunks' losses are those of reading the text in one go."""
    model, chunks = tiny(streams=1)
    made = Trainer(model, next_character_loss, SGD(model, lr=0.0), carry=True)
    history = made.fit(chunks, 2 * len(chunks), progress=False)
    whole = Chunks(chunks.indices, length=4 * len(chunks), streams=1)
    loss, _ = next_character_loss(model, next(iter(whole)), None)
    first, second = history.loss[: len(chunks)], history.loss[len(chunks) :]
    assert np.mean(first) == pytest.approx(float(loss), rel=1e-12)
    assert first == second  # a new pass begins with the state zero
    assert history.tokens == [4] * (2 * len(chunks))


def test_the_gradient_ends_at_the_beginning_of_a_chunk():
    model, chunks = tiny()
    first, second = list(chunks)[:2]
    _, state = next_character_loss(model, first, None)
    loss, _ = next_character_loss(model, second, tr.detach(state))
    loss.backward()
    expected = {name: param.grad.copy() for name, param in model.named_parameters().items()}
    seen = []

    def noting(model, chunk, state):
        result = next_character_loss(model, chunk, state)
        seen.append(state)
        return result

    Trainer(model, noting, SGD(model, lr=0.0), carry=True, eager=True).fit(chunks, 2, progress=False)
    for name, param in model.named_parameters().items():
        np.testing.assert_allclose(param.grad, expected[name], rtol=1e-12, atol=1e-15)
    assert seen[0] is None
    assert isinstance(seen[1], np.ndarray)


def test_graphs_are_freed_without_the_garbage_collector():
    model, chunks = tiny()
    alive = []

    def noting(model, chunk, state):
        loss, state = next_character_loss(model, chunk, state)
        alive.extend([weakref.ref(loss), weakref.ref(state)])
        return loss, state

    gc.disable()
    try:
        Trainer(model, noting, Adam(model), carry=True, eager=True).fit(chunks, 5, progress=False)
        assert [ref() for ref in alive] == [None] * 10
    finally:
        gc.enable()


def test_training_is_reproducible_and_learns():
    def run():
        model, chunks = tiny()
        made = Trainer(model, next_character_loss, Adam(model, lr=0.05), clip_norm=1.0, carry=True)
        return made.fit(chunks, 60, progress=False).loss

    losses = run()
    assert losses == run()
    assert losses[0] > 0.9
    assert losses[-1] < 0.45  # after "a", "b" and "c" are equally likely: 1/2 ln 2 = 0.35 remains


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_non_finite_loss_ends_the_run_before_its_update(bad):
    param, made = trainer()
    with pytest.raises(NonFiniteLossError, match="in update 1; the parameters are those before it"):
        made.fit([np.array([0.5]), np.array([bad])], 5, progress=False)
    assert param.data.tolist() == [0.5]
    assert len(made.history) == 1


def test_a_non_finite_gradient_names_the_parameter():
    param = tr.Tensor([0.0], name="w")
    made = Trainer(None, lambda model, batch: tr.ops.sqrt(param).sum(), SGD({"w": param}))
    with pytest.raises(NonFiniteGradientError, match="'w' is not finite"):
        made.fit([None], 1, progress=False)
    assert param.data.tolist() == [0.0]
    assert len(made.history) == 0


@pytest.mark.parametrize("updates", [-1, 2.5, True, None])
def test_the_number_of_updates_is_checked(updates):
    with pytest.raises(ValueError, match="updates must be an integer of at least 0"):
        trainer()[1].fit([np.array([1.0])], updates, progress=False)


def test_the_other_limits_are_checked():
    with pytest.raises(ValueError, match="stop_below must be a number or None; it is nan"):
        trainer()[1].fit([np.array([1.0])], 1, stop_below=math.nan)
    for seconds in (-1.0, math.nan):
        with pytest.raises(ValueError, match="seconds must be at least 0"):
            trainer()[1].fit([np.array([1.0])], 1, seconds=seconds)


def test_empty_and_exhausted_batches_are_told_apart():
    with pytest.raises(OneShotBatchesError, match="there are no batches"):
        trainer()[1].fit([], 1, progress=False)
    with pytest.raises(OneShotBatchesError, match="ended after 2 of 3 updates and cannot begin again"):
        trainer()[1].fit(iter([np.array([1.0])] * 2), 3, progress=False)
    assert len(trainer()[1].fit(iter([np.array([1.0])] * 2), 2, progress=False)) == 2


def test_wrong_trainers_are_refused():
    param = tr.Tensor([1.0])
    with pytest.raises(TypeError, match="must be an Optimizer, not float"):
        Trainer(param, slope, 0.1)
    with pytest.raises(ValueError, match="clip_norm must be above 0; it is 0"):
        Trainer(param, slope, SGD([param]), clip_norm=0)
    made = Trainer(param, lambda *_: param.sum(), SGD([param]), carry=True)
    with pytest.raises(TypeError, match=r"must return \(loss, state\); it returned a Tensor"):
        made.fit([None], 1, progress=False)


def test_the_bar_shows_the_numbers(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    model, chunks = tiny()
    Trainer(model, next_character_loss, SGD(model), carry=True).fit(chunks, 3, progress=True)
    shown = screen.getvalue()
    assert "3/3" in shown
    for label in ("loss=", "bits/char=", "|g|=", "chars/s="):
        assert label in shown


def test_the_bar_of_other_batches_has_no_characters(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    trainer()[1].fit([np.array([1.0])], 2, progress=True)
    assert "loss=" in screen.getvalue()
    assert "char" not in screen.getvalue()


@pytest.mark.parametrize("progress", [None, False])
def test_there_is_no_bar_where_none_is_wanted_or_nobody_looks(monkeypatch, progress):
    screen = io.StringIO()  # not a terminal
    monkeypatch.setattr("sys.stderr", screen)
    trainer()[1].fit([np.array([1.0])], 2, progress=progress)
    assert screen.getvalue() == ""


def test_without_tqdm_only_a_wanted_bar_is_an_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    assert len(trainer()[1].fit([np.array([1.0])], 2)) == 2
    with pytest.raises(ImportError, match=r'pip install "tinygrad_rnn\[train\]"'):
        trainer()[1].fit([np.array([1.0])], 2, progress=True)


def test_the_bar_is_closed_after_an_error():
    closed = []

    class Bar:
        def close(self):
            closed.append(True)

    progress = loop._Progress(1, False)
    progress._bar = Bar()
    with pytest.raises(RuntimeError), progress:
        raise RuntimeError
    assert closed == [True]
