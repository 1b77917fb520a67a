"""Who takes part in the contest of train steps: each makes a train step of a workload in its own way.

A contestant is a function from the workload to its train step, which returns the loss and the gradients of the
parameters in the workload's order, as whatever arrays the contestant has. One that is not installed raises ImportError.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.hand_bptt import hand_step
from tests.benchmarks.race import Step
from tests.benchmarks.workloads import Workload
from tests.oracles.bptt import CELLS, Weights


def hand(workload: Workload) -> Step:
    """Hand-optimized numpy, the yardstick."""
    step = hand_step(workload.cell, workload.sizes, workload.I, np.dtype(workload.dtype).type)
    (x, y), parameters = workload.data(), workload.parameters()
    return lambda: step(x, y, *parameters)


def naive(workload: Workload) -> Step:
    """BPTT in numpy as textbooks have it: step by step, the gradients of the weights added up."""
    kind = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}[workload.cell]
    _, names, forward, backward = CELLS[kind]
    (x, y), (*own, V, c) = workload.data(), workload.parameters()
    rows, N = np.arange(workload.B), workload.B * workload.T

    def step() -> tuple[float, list[np.ndarray]]:
        weights, dV, dc, loss = Weights(*own), np.zeros_like(V), np.zeros_like(c), 0.0
        state = {name: np.zeros((workload.B, workload.H), workload.dtype) for name in names}
        history = []
        for t in range(workload.T):
            before, (state, kept) = state, forward(weights, x[t], state)
            logits = state["h"] @ V.T + c
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            loss -= np.log(p[rows, y[t]]).sum() / N
            history.append((before, state, kept, p))
        d = {name: np.zeros_like(array) for name, array in state.items()}
        for t in reversed(range(workload.T)):
            before, new, kept, p = history[t]
            p[rows, y[t]] -= 1
            p /= N
            dV += p.T @ new["h"]
            dc += p.sum(0)
            d = backward(weights, x[t], before, new, kept, d | {"h": d["h"] + p @ V})
        return loss, [*(weights.grad[name] for name in ("W", "U", "bx", "bh")), dV, dc]

    return step


class Classifier(tr.nn.Module):
    """The model as a user writes it: a layer and a head."""

    def __init__(self, workload: Workload) -> None:
        layer = getattr(tr.nn, workload.cell)
        self.rnn = layer(workload.I, workload.H, dtype=workload.dtype)
        self.head = tr.nn.Linear(workload.H, workload.I, dtype=workload.dtype)
        self.load_state_dict(dict(zip(self.named_parameters(), workload.parameters(), strict=True)))

    def loss(self, x: Any, y: Any) -> Any:
        outputs, _ = self.rnn(x)
        return tr.cross_entropy(self.head(outputs), y)


class UnrolledClassifier(tr.nn.Module):
    """The model as a student of BPTT writes it: a cell, unrolled, with a readout and a loss in each step."""

    def __init__(self, workload: Workload) -> None:
        cell = getattr(tr.nn, f"{workload.cell}Cell")
        self.cell = cell(workload.I, workload.H, dtype=workload.dtype)
        self.head = tr.nn.Linear(workload.H, workload.I, dtype=workload.dtype)
        self.load_state_dict(dict(zip(self.named_parameters(), workload.parameters(), strict=True)))

    def loss(self, x: Any, y: Any) -> Any:
        net = tr.unroll(self.cell, x)
        losses = net.each(lambda h, y_t: tr.cross_entropy(self.head(h), y_t), y)
        return tr.add_n(losses) / len(losses)


Model = Classifier | UnrolledClassifier


def differentiated(model: type[Model], workload: Workload, transform: Callable[[Any], Any]) -> Step:
    """The train step of a model with ``transform`` around ``tr.value_and_grad``."""
    net, (x, y) = model(workload), workload.data()
    step = transform(tr.value_and_grad(lambda net, x, y: net.loss(x, y)))

    def run() -> tuple[Any, list[Any]]:
        loss, gradients = step(net, x, y)
        return loss, list(gradients.values())

    return run


def eager(workload: Workload, model: type[Model] = Classifier) -> Step:
    """tinygrad_rnn, each node made anew."""
    return differentiated(model, workload, lambda fn: fn)


def eager_each(workload: Workload) -> Step:
    """The same, with a loss in each step."""
    return eager(workload, UnrolledClassifier)


def by_numba() -> Callable[[Any], Any]:
    """Return ``tr.compile`` with numba as the executor; ImportError where numba is not installed."""
    import numba  # noqa: F401 - asked for here, so that its absence is known before anything is timed

    return partial(tr.compile, executor="numba")


def compiled(workload: Workload, model: type[Model] = Classifier) -> Step:
    """tinygrad_rnn, planned once and replayed."""
    return differentiated(model, workload, tr.compile)


def compiled_by_numba(workload: Workload) -> Step:
    """The same, replayed by numba."""
    return differentiated(Classifier, workload, by_numba())


def compiled_each(workload: Workload) -> Step:
    """The same, with a loss in each step."""
    return compiled(workload, UnrolledClassifier)


def cell_step(numpy: Any, sigmoid: Any, cell: str, z: Any, state: Any, U: Any, b_hh: Any) -> Any:
    """Return the next state, (h,) or (h, c), from ``z = x W^T + b_ih``, in the functions of any numpy."""
    H, h = U.shape[1], state[0]
    s = numpy.dot(h, U.T) + b_hh
    if cell == "RNN":
        return (numpy.tanh(z + s),)
    if cell == "LSTM":
        a = z + s
        i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
        c = f * state[1] + i * numpy.tanh(a[:, 2 * H : 3 * H])
        return o * numpy.tanh(c), c
    r, u = sigmoid(z[:, :H] + s[:, :H]), sigmoid(z[:, H : 2 * H] + s[:, H : 2 * H])
    n = numpy.tanh(z[:, 2 * H :] + r * s[:, 2 * H :])
    return (n + u * (h - n),)


def zeros(workload: Workload, numpy: Any) -> tuple[Any, ...]:
    """Return the state before the first step."""
    parts = 2 if workload.cell == "LSTM" else 1
    return tuple(numpy.zeros((workload.B, workload.H), workload.dtype) for _ in range(parts))


def autograd(workload: Workload) -> Step:
    """HIPS autograd, with the inputs' product and the head over all steps at once."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    (x, y), parameters = workload.data(), workload.parameters()
    rows, targets = np.arange(workload.T * workload.B), y.reshape(-1)

    def sigmoid(a: Any) -> Any:
        return 0.5 * anp.tanh(0.5 * a) + 0.5

    def loss(parameters: list[Any]) -> Any:
        W, U, b_ih, b_hh, V, c = parameters
        z, state, outputs = anp.dot(x, W.T) + b_ih, zeros(workload, np), []
        for t in range(workload.T):
            state = cell_step(anp, sigmoid, workload.cell, z[t], state, U, b_hh)
            outputs.append(state[0])
        logits = anp.dot(anp.concatenate(outputs), V.T) + c
        logits = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[rows, targets])

    differentiated = value_and_grad(loss)
    return lambda: differentiated(parameters)


def jax(workload: Workload) -> Step:
    """jax.jit around lax.scan, with the inputs' product and the head over all steps at once."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y, *parameters = (jnp.asarray(array) for array in (*workload.data(), *workload.parameters()))
    start = zeros(workload, jnp)

    def loss(parameters: list[Any], x: Any, y: Any) -> Any:
        W, U, b_ih, b_hh, V, c = parameters

        def step(state: Any, z: Any) -> tuple[Any, Any]:
            state = cell_step(jnp, jax.nn.sigmoid, workload.cell, z, state, U, b_hh)
            return state, state[0]

        _, outputs = jax.lax.scan(step, start, x @ W.T + b_ih)
        log_p = jax.nn.log_softmax(outputs @ V.T + c)
        return -jnp.take_along_axis(log_p, y[..., None], axis=-1).mean()

    differentiated = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(differentiated(parameters, x, y))


def torch(workload: Workload, compiled: bool = False) -> Step:
    """torch.nn.RNN, LSTM or GRU, and a Linear."""
    import torch
    from torch.nn.functional import cross_entropy

    dtype = getattr(torch, workload.dtype)
    layer = getattr(torch.nn, workload.cell)(workload.I, workload.H, dtype=dtype)
    net = torch.nn.ModuleList([layer, torch.nn.Linear(workload.H, workload.I, dtype=dtype)])
    with torch.no_grad():
        for own, given in zip(net.parameters(), workload.parameters(), strict=True):
            own.copy_(torch.from_numpy(given))
    x, y = map(torch.from_numpy, workload.data())
    targets = y.reshape(-1)

    def loss() -> Any:
        outputs, _ = net[0](x)
        return cross_entropy(net[1](outputs).reshape(len(targets), -1), targets)

    forward = torch.compile(loss) if compiled else loss

    def step() -> tuple[Any, list[Any]]:
        net.zero_grad()
        value = forward()
        value.backward()
        return value.detach(), [p.grad for p in net.parameters()]

    return step


def torch_compiled(workload: Workload) -> Step:
    """The same through torch.compile with its tracing of recurrent layers: half a minute, and a C++ compiler."""
    from torch import _dynamo

    _dynamo.config.allow_rnn = True
    return torch(workload, compiled=True)


CONTESTANTS: dict[str, Callable[[Workload], Step]] = {
    "hand": hand,
    "naive": naive,
    "eager": eager,
    "eager-each": eager_each,
    "compile": compiled,
    "compile-each": compiled_each,
    "compile-numba": compiled_by_numba,
    "autograd": autograd,
    "torch": torch,
    "torch.compile": torch_compiled,
    "jax": jax,
}
ON_REQUEST = ("torch.compile",)
