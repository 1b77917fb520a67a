"""Writes the frozen vectors beside this file, with PyTorch as the oracle. No test runs this script.

    python3 -m venv torchenv && torchenv/bin/pip install torch==2.13.0 numpy
    torchenv/bin/python tests/data/make_frozen_vectors.py [optimizers] [cells] [stacks] [losses]

Everything is float64, on the CPU, and drawn from one seed for each case. Inputs (weights, data, states and
cotangents) are whole multiples of 1/64: exact in any arithmetic, and small when compressed. A case is a
prefix of the keys of its .npz file, such as "lstm_bias/grad/weight_ih"; README.md beside this file has them
all. In short, for optimizers.npz: "problem/..." is the start, the data and the given gradients,
"CONFIG/open/..." and "CONFIG/closed/..." are the parameters after the kept steps, "clip/..." is one clip.
"""

import json
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = Path(__file__).parent
SEED = 20_261_122
Vectors = dict[str, np.ndarray]
Gradients = dict[str, torch.Tensor]


class Draw:
    """Random inputs of one case, the same in every run of the script."""

    def __init__(self, case: str) -> None:
        self.rng = np.random.default_rng([SEED, zlib.crc32(case.encode())])

    def __call__(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        """Normal numbers rounded to multiples of 1/64."""
        return torch.from_numpy(np.rint(self.rng.normal(size=shape) * scale * 64) / 64)

    def fill(self, module: torch.nn.Module) -> None:
        """Overwrite every parameter of the module."""
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(self(*parameter.shape, scale=0.5))


def put(vectors: Vectors, case: str, **named: torch.Tensor | np.ndarray) -> None:
    """Store arrays under "case/name"."""
    for name, array in named.items():
        vectors[f"{case}/{name}"] = (
            array.detach().numpy().copy() if torch.is_tensor(array) else np.asarray(array)
        )


def gradients(
    outputs: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor], inputs: Gradients
) -> Gradients:
    """The vector-Jacobian product of each named input, keyed "grad/name"; zeros where there is no effect."""
    found = torch.autograd.grad(outputs, list(inputs.values()), cotangents, allow_unused=True)
    return {
        f"grad/{name}": torch.zeros_like(inputs[name]) if grad is None else grad
        for name, grad in zip(inputs, found, strict=True)
    }


STEPS = 100
KEPT = (1, 2, 10, 100)
OPTIMIZERS: dict[str, tuple[str, dict[str, float | bool]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "sgd_weight_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.02}),
    "sgd_nesterov_weight_decay": (
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    ),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad_weight_decay": ("Adagrad", {"lr": 0.1, "weight_decay": 0.02, "eps": 1e-8}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop_momentum": ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.9}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.01, "alpha": 0.95, "centered": True}),
    "rmsprop_centered_momentum": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.95, "centered": True, "momentum": 0.5, "weight_decay": 0.02},
    ),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_betas": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6}),
    "adam_weight_decay": ("Adam", {"lr": 0.01, "weight_decay": 0.02}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw_weight_decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.1, "betas": (0.8, 0.95)}),
}
CLIPPED: dict[str, Callable[[list[torch.Tensor]], object]] = {
    "sgd_clip_norm": lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.1),
    "sgd_clip_value": lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.03),
}


def trajectory(
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer],
    start: Sequence[torch.Tensor],
    differentiate: Callable[[int, list[torch.Tensor]], float],
) -> dict[str, np.ndarray]:
    """W, b at the kept steps and the loss before each step; differentiate(k, parameters) sets .grad."""
    parameters = [p.clone().requires_grad_() for p in start]
    optimizer = make(parameters)
    losses, kept = [], []
    for step in range(1, STEPS + 1):
        losses.append(differentiate(step - 1, parameters))
        optimizer.step()
        if step in KEPT:
            kept.append([p.detach().numpy().copy() for p in parameters])
    return {
        "W": np.stack([w for w, _ in kept]),
        "b": np.stack([b for _, b in kept]),
        "loss": np.array(losses),
    }


def optimizers() -> Vectors:
    """100 steps of each optimizer, with given gradients (open) and on a regression (closed)."""
    draw = Draw("optimizers")
    vectors: Vectors = {}
    start = (draw(3, 4), draw(3))
    x, y, grads = draw(8, 4), draw(8, 3, scale=0.5), (draw(STEPS, 3, 4), draw(STEPS, 3))
    grads[0][40:60, 1] = 0.0  # a row that gets no gradient for a while
    put(vectors, "problem", W=start[0], b=start[1], x=x, y=y, grad_W=grads[0], grad_b=grads[1])

    def given(step: int, parameters: list[torch.Tensor]) -> float:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad[step].clone()
        return 0.0

    def regression(step: int, parameters: list[torch.Tensor]) -> float:
        loss = ((torch.tanh(x @ parameters[0].T + parameters[1]) - y) ** 2).mean()
        for parameter, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = grad
        return loss.item()

    for case, (kind, settings) in OPTIMIZERS.items():
        make = lambda ps, kind=kind, settings=settings: getattr(torch.optim, kind)(ps, **settings)  # noqa: E731
        opened = trajectory(make, start, given)
        put(vectors, f"{case}/open", W=opened["W"], b=opened["b"])
        put(vectors, f"{case}/closed", **trajectory(make, start, regression))
    for case, clip in CLIPPED.items():

        def clipped(step: int, parameters: list[torch.Tensor], clip: Callable = clip) -> float:
            loss = regression(step, parameters)
            clip(parameters)
            return loss

        put(vectors, f"{case}/closed", **trajectory(lambda ps: torch.optim.SGD(ps, lr=0.1), start, clipped))
    clipping(vectors, draw)
    vectors["configs"] = np.array(json.dumps(OPTIMIZERS))
    vectors["kept"] = np.array(KEPT)
    return vectors


def clipping(vectors: Vectors, draw: Draw) -> None:
    """Gradients before and after one clip, with the total norm it returns."""
    before = [draw(3, 4), draw(3)]
    put(vectors, "clip", before_W=before[0], before_b=before[1])
    for limit in (0.5, 2.0, 100.0):
        leaves = [torch.zeros_like(g).requires_grad_() for g in before]
        for leaf, grad in zip(leaves, before, strict=True):
            leaf.grad = grad.clone()
        total = torch.nn.utils.clip_grad_norm_(leaves, limit)
        put(vectors, f"clip/norm_{limit}", W=leaves[0].grad, b=leaves[1].grad, total=total)
    for limit in (0.5, 1.0):
        put(
            vectors, f"clip/value_{limit}", W=before[0].clamp(-limit, limit), b=before[1].clamp(-limit, limit)
        )


KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "rnn_tanh": ("RNN", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
}
CELLS = {"RNN": torch.nn.RNNCell, "LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}
STACKS = {"RNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}
INPUT, H, B, T = 3, 4, 3, 6


def gru_reset_before(x: torch.Tensor, h: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    """The GRU of Cho et al. (2014, eqs. 5-8): the reset gate acts on h before the matrix. PyTorch has none.

    PyTorch's gate order r, z, n and its two biases: n = tanh(W_in x + b_in + W_hn (r * h) + b_hn),
    h' = (1 - z) * n + z * h.
    """
    W, U = p["weight_ih"].chunk(3), p["weight_hh"].chunk(3)
    zeros = torch.zeros(3 * H, dtype=torch.float64)
    b, c = p.get("bias_ih", zeros).chunk(3), p.get("bias_hh", zeros).chunk(3)
    r = torch.sigmoid(x @ W[0].T + b[0] + h @ U[0].T + c[0])
    z = torch.sigmoid(x @ W[1].T + b[1] + h @ U[1].T + c[1])
    n = torch.tanh(x @ W[2].T + b[2] + (r * h) @ U[2].T + c[2])
    return (1 - z) * n + z * h


def cells() -> Vectors:
    """One step of each cell and all its gradients for a random cotangent."""
    vectors: Vectors = {}
    for kind, (base, extra) in [*KINDS.items(), ("gru_reset_before", ("GRU", {}))]:
        for bias in (True, False):
            case = f"{kind}_{'bias' if bias else 'nobias'}"
            draw = Draw(f"cells {case}")
            cell = CELLS[base](INPUT, H, bias=bias, dtype=torch.float64, **extra)
            draw.fill(cell)
            parameters = dict(cell.named_parameters())
            inputs = {
                name: draw(B, size).requires_grad_() for name, size in (("x", INPUT), ("h", H), ("c", H))
            }
            state: tuple[torch.Tensor, ...] = (inputs["h"], inputs["c"]) if base == "LSTM" else (inputs["h"],)
            if base != "LSTM":
                del inputs["c"]
            if kind == "gru_reset_before":
                outputs: tuple[torch.Tensor, ...] = (gru_reset_before(inputs["x"], inputs["h"], parameters),)
            else:
                result = cell(inputs["x"], state if base == "LSTM" else state[0])
                outputs = result if base == "LSTM" else (result,)
            cotangents = [draw(B, H) for _ in outputs]
            everything = inputs | parameters
            put(vectors, case, **everything, **gradients(outputs, cotangents, everything))
            for name, out, cotangent in zip(("h", "c"), outputs, cotangents, strict=False):
                put(vectors, case, **{f"out/{name}": out, f"cotangent/{name}": cotangent})
    return vectors


LENGTHS = torch.tensor([5, 2, 4])  # unsorted, and shorter than T


def run(
    module: torch.nn.Module,
    x: torch.Tensor,
    state: tuple[torch.Tensor, ...] | None,
    lengths: torch.Tensor | None,
) -> list[torch.Tensor]:
    """[outputs, final h] and, for an LSTM, the final c; padded outputs are zeros up to T."""
    pair = state if state is None or len(state) == 2 else state[0]
    if lengths is None:
        outputs, final = module(x, pair)
    else:
        packed, final = module(pack_padded_sequence(x, lengths, enforce_sorted=False), pair)
        outputs, _ = pad_packed_sequence(packed, total_length=len(x))
    return [outputs, *(final if isinstance(final, tuple) else (final,))]


def stacks() -> Vectors:
    """Whole sequences through 1 to 3 layers, one or two directions; see README.md for the variants."""
    vectors: Vectors = {"lengths": LENGTHS.numpy()}
    for kind, (base, extra) in KINDS.items():
        for layers in (1, 2, 3):
            for directions in (1, 2):
                case = f"{kind}_layers{layers}_directions{directions}"
                module = STACKS[base](
                    INPUT, H, layers, bidirectional=directions == 2, dtype=torch.float64, **extra
                )
                stack_case(vectors, case, module)
    return vectors


def stack_case(vectors: Vectors, case: str, module: torch.nn.Module) -> None:
    """All variants of one stack: batched with a state, unbatched without, ragged with and without."""
    draw = Draw(f"stacks {case}")
    draw.fill(module)
    parameters = dict(module.named_parameters())
    put(vectors, case, parameters=torch.cat([p.ravel() for p in parameters.values()]))
    directions = 1 + module.bidirectional
    full = {name: draw(module.num_layers * directions, B, H) for name in ("h", "c")}
    if not isinstance(module, torch.nn.LSTM):
        del full["c"]
    x = draw(T, B, INPUT)
    put(vectors, case, x=x, **full)
    out = draw(T, B, directions * H)
    finals = {name: draw(*s.shape) for name, s in full.items()}
    put(vectors, case, **{"cotangent/outputs": out}, **{f"cotangent/{name}": c for name, c in finals.items()})
    for variant in ("state", "unbatched", "ragged_state", "ragged"):
        example = (slice(None), 0) if variant == "unbatched" else (slice(None),)
        inputs = {"x": x[example].clone().requires_grad_()}
        if "state" in variant:
            inputs |= {name: s.clone().requires_grad_() for name, s in full.items()}
        state = tuple(inputs[name] for name in full) if "state" in variant else None
        results = run(module, inputs["x"], state, LENGTHS if "ragged" in variant else None)
        cotangents = [c[example] for c in (out, *finals.values())]
        found = gradients(results, cotangents, inputs | parameters)
        named = dict(zip(("out/outputs", "out/h", "out/c"), results, strict=False))
        # One array for all the weights: an entry of a zip file costs more than the numbers in it.
        flat = torch.cat([found.pop(f"grad/{name}").ravel() for name in parameters])
        put(vectors, f"{case}/{variant}", **named, **found, **{"grad/parameters": flat})


def losses() -> Vectors:
    """Each loss and reduction, with and without a mask, over (5, 2) examples; classes on the last axis."""
    draw = Draw("losses")
    vectors: Vectors = {}
    logits, other = draw(5, 2, 4, scale=2.0), draw(5, 2, 4)
    indices = torch.from_numpy(draw.rng.integers(0, 4, size=(5, 2)))
    weights = torch.from_numpy(draw.rng.integers(1, 9, size=(5, 2, 4)).astype(np.float64))
    probabilities = weights / weights.sum(-1, keepdim=True)
    binary = torch.from_numpy(draw.rng.integers(0, 2, size=(5, 2, 4)).astype(np.float64))
    soft = torch.from_numpy(draw.rng.integers(0, 65, size=(5, 2, 4)) / 64)
    mask = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 0], [0, 0]], dtype=torch.bool)
    put(vectors, "inputs", logits=logits, other=other, indices=indices, probabilities=probabilities)
    put(
        vectors, "inputs", binary=binary, soft=soft, mask=mask, cotangent=draw(5, 2), cotangents=draw(5, 2, 4)
    )

    def entropy(targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        flat = targets.reshape(10) if targets.dtype == torch.int64 else targets.reshape(10, 4)
        return lambda a: torch.nn.functional.cross_entropy(a.reshape(10, 4), flat, reduction="none").reshape(
            5, 2
        )

    functional = torch.nn.functional
    table: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "cross_entropy_indices": entropy(indices),
        "cross_entropy_probabilities": entropy(probabilities),
        "mean_squared_error": lambda a: functional.mse_loss(a, other, reduction="none"),
        "binary_cross_entropy": lambda a: functional.binary_cross_entropy_with_logits(
            a, binary, reduction="none"
        ),
        "binary_cross_entropy_soft": lambda a: functional.binary_cross_entropy_with_logits(
            a, soft, reduction="none"
        ),
    }
    for name, loss in table.items():
        for masked in (False, True):
            for reduction in ("none", "sum", "mean"):
                case = f"{name}/{'masked' if masked else 'plain'}/{reduction}"
                loss_case(vectors, case, loss, logits, mask if masked else None, reduction)
    return vectors


def loss_case(
    vectors: Vectors,
    case: str,
    loss: Callable[[torch.Tensor], torch.Tensor],
    logits: torch.Tensor,
    mask: torch.Tensor | None,
    reduction: str,
) -> None:
    """The reduced loss and its gradient; a mask keeps its true items, and the mean is over those."""
    a = logits.clone().requires_grad_()
    items = loss(a)
    keep = (
        torch.ones_like(items)
        if mask is None
        else mask.reshape(5, 2, *[1] * (items.ndim - 2)) * torch.ones_like(items)
    )
    kept = torch.where(keep != 0, items, torch.zeros_like(items))
    if reduction == "none":
        cotangent = vectors["inputs/cotangent" if items.ndim == 2 else "inputs/cotangents"]
        result, seed = kept, torch.from_numpy(cotangent)
    else:
        result = kept.sum() if reduction == "sum" else kept.sum() / keep.sum()
        seed = torch.ones(())
    put(vectors, case, value=result, **gradients([result], [seed.to(result.dtype)], {"logits": a}))


if __name__ == "__main__":
    for file in sys.argv[1:] or ("optimizers", "cells", "stacks", "losses"):
        made = {"optimizers": optimizers, "cells": cells, "stacks": stacks, "losses": losses}[file]()
        path = HERE / f"{file}.npz"
        np.savez_compressed(path, **made)
        print(f"{path.name}: {len(made)} arrays, {path.stat().st_size} bytes")
