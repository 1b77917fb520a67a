"""How far the gradient of each step's loss reaches back: ||dL_t/dS_k|| for the page's heat map."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.norms import StateNorms, state_norms
from tinygrad_rnn.analysis.reading.steps import of_loss
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.nn.places import place_of
from tinygrad_rnn.viz.escape import shown
from tinygrad_rnn.viz.explorer.numbers import number

MOST_ROWS = 200  # and columns; of more steps every second or third is shown, counted from the last
_DIGITS = 4
_LONGEST = 200


def flows(loss: Any) -> list[dict[str, Any]]:
    """Return the map of each lane and each part of its state, h first; none where the graph has no time steps."""
    steps = of_loss(loss)
    kept = _thinned(list(steps.losses))
    thin = replace(steps, losses={t: steps.losses[t] for t in kept})
    found = state_norms(thin) if kept else []
    order = sorted(found, key=lambda each: (each.lane, each.part != "h"))
    return [_entry(each) | {"note": _note(each, order, steps.graph)} for each in order]


def _thinned(items: list[int]) -> list[int]:
    stride = math.ceil(len(items) / MOST_ROWS) or 1
    return items[::-1][::stride][::-1]


def _entry(found: StateNorms) -> dict[str, Any]:
    columns = _thinned(list(range(len(found.steps))))
    steps = [found.steps[c] for c in columns]
    norms = found.norms[:, columns]
    empty = _beyond(norms, np.asarray(found.losses), np.asarray(steps))
    return {
        "state": shown(f"{found.lane}: {found.part}" if found.lane else found.part),
        "losses": list(found.losses),
        "steps": steps,
        "norms": [
            [None if out else _brief(x) for x, out in zip(row, outs, strict=True)]
            for row, outs in zip(norms.tolist(), empty.tolist(), strict=True)
        ],
        "nodes": [_first(found.nodes[c]) for c in columns],
        "lossNodes": [_first(nodes) for nodes in found.loss_nodes],
    }


def _note(found: StateNorms, every: list[StateNorms], graph: Graph) -> str:
    """Return what is not counted: the map of a part of the state holds the other parts as they are.

    So dL_t/dc_k of an LSTM lacks the way from c_k to h_k inside step k, which the gradient of the node c_k has.
    """
    others = [each for each in every if each.lane == found.lane and each.part != found.part]
    fed = [each.part for each in others if _feeds(graph, found.nodes[-1], each.nodes[-1])]
    if not fed:
        return ""
    return shown(
        f"what {found.part} gives to {' and '.join(fed)} within a step is not counted here", _LONGEST
    )


def _feeds(graph: Graph, sources: tuple[int, ...], targets: tuple[int, ...]) -> bool:
    """Return whether one of the target nodes is made from a source within the step of both."""
    stack, seen = [i for i in targets if i >= 0], set[int]()
    while stack:
        i = stack.pop()
        if i in sources:
            return True
        if i not in seen:
            seen.add(i)
            frame = place_of(graph[i].scope).frame
            stack += [p for p in graph.parent_indices[i] if place_of(graph[p].scope).frame == frame]
    return False


def _first(nodes: tuple[int, ...]) -> int | None:
    return nodes[0] if nodes and nodes[0] >= 0 else None


def _beyond(norms: Any, losses: Any, steps: Any) -> Any:
    """Return where no gradient can be: at states later than the loss; in a lane that runs backward, earlier ones.

    A zero elsewhere is a gradient that vanished or was cut, and is shown.
    """
    later = steps[None, :] > losses[:, None]
    earlier = steps[None, :] < losses[:, None]
    for beyond in (later, earlier):
        if beyond.any() and not norms[beyond].any():
            return beyond
    return np.zeros(norms.shape, dtype=bool)


def _brief(x: float) -> float | str:
    return number(float(f"{x:.{_DIGITS}g}"))
