"""A character-level network as people write it in plain numpy: dicts over time, one-hot columns, a loop back.

Nothing here comes from the library. ``forward`` uses numpy alone, so it runs over whatever numpy dispatches to;
``loss_and_gradient`` is the backward pass by hand.
"""

from typing import Any

import numpy as np

Sequence = list[int]


def parameters(vocabulary: int, hidden: int, seed: int) -> list[np.ndarray]:
    """Wxh, Whh, Why, bh, by."""
    rng = np.random.default_rng(seed)
    shapes = [(hidden, vocabulary), (hidden, hidden), (vocabulary, hidden), (hidden, 1), (vocabulary, 1)]
    return [rng.normal(size=shape) * 0.4 for shape in shapes]


def forward(
    inputs: Sequence, targets: Sequence, hprev: Any, Wxh: Any, Whh: Any, Why: Any, bh: Any, by: Any
) -> tuple[Any, Any]:
    """The loss in nats over the sequence, and the last state."""
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros_like(by)
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        loss += -np.log(ps[t][targets[t], 0])
    return loss, hs[len(inputs) - 1]


def loss_and_gradient(
    inputs: Sequence, targets: Sequence, hprev: np.ndarray, *weights: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """The loss, and its gradient with respect to each weight by backpropagation through time."""
    Wxh, Whh, Why, bh, by = weights
    h, states, probabilities, loss = hprev, [hprev], [], 0.0
    for x, y in zip(inputs, targets, strict=True):
        h = np.tanh(Wxh[:, [x]] + Whh @ h + bh)
        scores = Why @ h + by
        p = np.exp(scores - scores.max())
        p /= p.sum()
        states.append(h)
        probabilities.append(p)
        loss -= float(np.log(p[y, 0]))
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros(w.shape) for w in weights)
    back = np.zeros(h.shape)
    for t in reversed(range(len(inputs))):
        dscores = probabilities[t].copy()
        dscores[targets[t]] -= 1
        dWhy += dscores @ states[t + 1].T
        dby += dscores
        da = (Why.T @ dscores + back) * (1 - states[t + 1] ** 2)
        dWxh[:, [inputs[t]]] += da
        dWhh += da @ states[t].T
        dbh += da
        back = Whh.T @ da
    return loss, [dWxh, dWhh, dWhy, dbh, dby]
