"""What stands above core and nn, with arguments that fit: flows, drawings, checks, strategies, training."""

import inspect
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.stress.hostile import Call
from tests.stress.public import rng, square
from tinygrad_rnn import train
from tinygrad_rnn.testing import strategies as some

TEXT = "hello, world. " * 8


def unrolled() -> tr.Unrolled:
    return tr.unroll(tr.nn.RNNCell(2, 2, rng=rng()), np.ones((3, 1, 2)))


def loss(net: tr.Unrolled) -> list[Any]:
    return net.each(lambda h: (h * h).sum())


def pair() -> tuple[tr.Unrolled, list[Any]]:
    net = unrolled()
    return net, loss(net)


# What may stand in the place of a plain argument.
TAKES: dict[type, tuple[type, ...]] = {
    bool: (bool,), int: (int,), float: (int, float), str: (str,),
    np.random.Generator: (np.random.Generator, type(None)),
}  # fmt: skip


def keywords(
    title: str, function: Callable[..., Any], also: tuple[type, ...] = (), **given: Any
) -> list[Call]:
    """Return one call for each keyword: its name stands beside its value, and nothing of another type may pass."""
    return [
        Call(title, lambda value, key=key: function(**{**given, key: value}), lambda key=key: (given[key],), (key,),
             takes=takes and (*takes, *also))
        for key in given for takes in [TAKES.get(type(given[key]), ())]
    ]  # fmt: skip


def step(x: Any, h: Any) -> Any:
    """A step of one's own that takes any input and any state."""
    return np.tanh(0.5 * h)


def online() -> list[Call]:
    found = []
    for kind in (tr.RTRL, tr.SnAp1, partial(tr.UORO, rng=rng())):
        name = getattr(kind, "func", kind).__name__
        made = lambda kind=kind: kind(small := tr.nn.RNNCell(2, 2, rng=rng()), small, np.zeros((1, 2)))  # noqa: E731
        found += [
            Call(name, kind, lambda: (small := tr.nn.RNNCell(2, 2, rng=rng()), small, np.zeros((1, 2))),
                 ("cell", "parameters", "state")),
            Call(name, lambda x, made=made: made().step(x), lambda: (np.ones((1, 2)),), ("x",), by=("RNNCell",)),
        ]  # fmt: skip
    return found


def instruments() -> list[Call]:
    """Flows, truncation, curvature, online gradients, drawings."""
    h0 = np.zeros(2)
    return [
        Call("gradient_flow", tr.gradient_flow, pair, ("unrolled", "losses")),
        Call("gradient_flow_external", tr.gradient_flow_external, lambda: (step, np.ones((3, 2)), h0, None, "auto"),
             ("step", "xs", "h0", "cotangents", "method")),
        Call("truncation", tr.truncation, lambda: (*pair(), ["weight_hh"]), ("unrolled", "losses", "weights"),
             by=("gradient_flow",)),
        Call("omega", tr.omega, lambda: (lambda net: (net, tr.add_n(*loss(net))))(unrolled()), ("net", "error")),
        Call("top_eigenvalues", tr.top_eigenvalues, lambda: (square, np.ones(3), 1, "LM", 1e-10),
             ("fn", "params", "k", "which", "tolerance"), by=("jvp", "grad")),
        Call("compare_gradients", tr.compare_gradients, lambda: (np.ones(2), {"a": np.ones(2)}, {"a": [np.ones(2)]}),
             ("exact", "estimates", "draws")),
        *keywords("detect_anomaly", tr.detect_anomaly, inf=True, forward=True),
        Call("draw", tr.draw, lambda: (tr.Value(0.5) * 2.0, "op", "auto", True, True),
             ("x", "level", "fold", "values", "gradients")),
        Call("draw", lambda truncate, theme: tr.draw(tr.Value(0.5) * 2.0, truncate=truncate, theme=theme),
             lambda: (None, "light"), ("truncate", "theme")),
        Call("explore", tr.explore, lambda: ((tr.Value(0.5) * 2.0),), ("loss",)),
        *online(),
    ]  # fmt: skip


def checks() -> list[Call]:
    """Gradient checks, strategies, contracts."""
    testing = tr.testing
    backward = lambda g, x: (2.0 * g * x,)  # noqa: E731
    a = np.ones(2)
    return [
        Call("gradcheck", testing.gradcheck, lambda: (square, a), ("fn", "args")),
        *(c for f in (testing.gradcheck, testing.localise, testing.assert_gradients)
          for c in keywords(f.__name__, partial(f, square, a), tolerance=1e-10, rng=rng())),
        *keywords("gradcheck", partial(testing.gradcheck, square, a), order=1),
        Call("assert_gradients", testing.assert_gradients, lambda: (square, a), ("fn", "args"),
             fixed=(1,), by=("gradcheck",)),
        Call("localise", testing.localise, lambda: (square, a), ("fn", "args"), by=("gradcheck",)),
        Call("gradcheck_external", testing.gradcheck_external, lambda: (lambda x: x * x, backward, a),
             ("fn", "backward", "args"), fixed=(2,)),
        *keywords("gradcheck_external", partial(testing.gradcheck_external, lambda x: x * x, backward, a),
                  tolerance=1e-10, rng=rng()),
        Call("diff_backward", testing.diff_backward, lambda: (lambda x: (2 * x,), square, a), ("mine", "fn", "args"),
             fixed=(2,),
             by=("gradcheck",)),
        *keywords("diff_backward", partial(testing.diff_backward, lambda x: (2 * x,), square, a), tolerance=1e-7),
        *keywords("numbers", some.numbers, domain=(0.0, 1.0), kinks=True),
        *keywords("arrays", some.arrays, shape=(2,), dtype=float, domain=(0.0, 1.0), kinks=True),
        *keywords("broadcastable_tensors", some.broadcastable_tensors, count=2, max_dims=2, min_side=0, max_side=3,
                  domain=(0.0, 1.0), kinks=True),
        *keywords("index_keys", some.index_keys, shape=(2,), advanced=True),
        *keywords("memory_layouts", some.memory_layouts, array=a, kinds=["C"]),
        *keywords("programs", some.programs, carrier="Value", operations=["add"], max_operations=3, max_leaves=1,
                  domain=(0.0, 1.0), kinks=True),
        *keywords("cells", some.cells, kinds=["rnn"], max_inputs=1, max_hidden=1, gains=[1.0], dtype=float),
        *keywords("sequences", some.sequences, input_size=1, min_steps=0, max_steps=1, max_batch=1, domain=(0.0, 1.0)),
        *keywords("ragged_batches", some.ragged_batches, input_size=1, max_steps=1, max_batch=1, domain=(0.0, 1.0)),
        *keywords("laid_out", some.laid_out, array=a, kind="C"),
        *keywords("make_cell", some.make_cell, kind="rnn", sizes=(1, 1), bias=True, gain=1.0, seed=0, dtype=float),
        *keywords("truncations", some.truncations, steps=1),
        *keywords("hyper_parameters", some.hyper_parameters, of="sgd"),
    ]  # fmt: skip


def model() -> train.CharModel:
    return train.CharModel(train.Vocabulary("abc"), hidden_size=2, rng=rng())


def optimizers() -> list[Call]:
    found = []
    for kind in (train.SGD, train.Adagrad, train.RMSprop, train.Adam, train.AdamW):
        defaults = inspect.signature(kind).parameters
        given = {name: p.default for name, p in defaults.items() if p.default is not p.empty}
        found += [
            Call(kind.__name__, kind, lambda: (tr.nn.Linear(2, 2, rng=rng()),), ("params",)),
            *keywords(kind.__name__, lambda kind=kind, **p: kind(tr.nn.Linear(2, 2, rng=rng()), **p),
                      also=(tr.Value,), **given),
        ]  # fmt: skip
    return found


def training() -> list[Call]:
    """Optimizers, clipping, text, models, the loop."""
    saved = Path(tempfile.mkdtemp(), "model")
    train.save(saved, model())
    linear = lambda: tr.nn.Linear(2, 2, rng=rng())  # noqa: E731
    grads = lambda: {"w": np.ones(2)}  # noqa: E731
    indices = np.array([0, 1, 2, 0])
    chunk = next(iter(train.Chunks(indices, 1, 1)))
    return [
        *optimizers(),
        Call("clip_grad_norm", train.clip_grad_norm, lambda: (linear(), 1.0), ("params", "max_norm")),
        Call("clip_grad_value", train.clip_grad_value, lambda: (linear(), 1.0), ("params", "limit")),
        Call("clipped_by_norm", train.clipped_by_norm, lambda: (grads(), 1.0), ("grads", "max_norm"),
             by=("multiply",)),
        Call("clipped_by_value", train.clipped_by_value, lambda: (grads(), 1.0), ("grads", "limit"), by=("clip",)),
        Call("Vocabulary", train.Vocabulary, lambda: ("abc",), ("characters",)),
        Call("Text", train.Text, lambda: ("abc", "text"), ("characters", "name")),
        Call("Text.read", train.Text.read, lambda: (Path(__file__),), ("path",), by=("abc",)),
        Call("Chunks", train.Chunks, lambda: (indices, 1, 1, False), ("indices", "length", "streams", "partial")),
        *keywords("CharModel", train.CharModel, vocabulary=train.Vocabulary("abc"), cell="lstm", hidden_size=2,
                  num_layers=1, dtype=float, rng=rng()),
        *keywords("sample", lambda **p: model().sample(**p), prompt="a", length=2, temperature=1.0, rng=rng()),
        Call("FeedForward", train.FeedForward, lambda: (2, 2, 1, rng()), ("inputs", "hidden_size", "outputs", "rng"),
             by=("Linear",)),
        Call("bits_per_character", train.bits_per_character, lambda: (model(), indices), ("model", "indices")),
        Call("next_character_loss", train.next_character_loss, lambda: (model(), chunk, None),
             ("model", "chunk", "state"), by=("LSTM",)),
        *keywords("Trainer", train.Trainer, model=linear(), loss=square, optimizer=train.SGD(linear()), clip_norm=1.0,
                  carry=False, eager=False),
        Call("learn_xor", train.learn_xor, lambda: (0, 1, 1e-3), ("seed", "updates", "stop_below")),
        Call("word_share", train.word_share, lambda: (TEXT, TEXT, 4), ("sample", "corpus", "minimum")),
        Call("load", train.load, lambda: (saved,), ("path",), by=("abc",)),
        Call("save", train.save, lambda: (saved, model()), ("path", "model")),
    ]  # fmt: skip


def initializers() -> list[Call]:
    init = tr.nn.initializers
    return [
        *keywords("identity", init.identity, shape=(2, 2), scale=1.0),
        *keywords("orthogonal", init.orthogonal, rng=rng(), shape=(2, 2), gain=1.0),
        *keywords("sparse", init.sparse, rng=rng(), shape=(2, 2), nonzeros=1, scale=1.0),
        *keywords("uniform", init.uniform, rng=rng(), shape=(2, 2), bound=1.0),
        *keywords("xavier_normal", init.xavier_normal, rng=rng(), shape=(2, 2), gain=1.0),
        *keywords("xavier_uniform", init.xavier_uniform, rng=rng(), shape=(2, 2), gain=1.0),
    ]
