"""``builder``: how a function's result, nested as it was returned, is made of the outputs of a replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Builder = Callable[[list[np.ndarray]], Any]


@dataclass(frozen=True, slots=True)
class Output:
    """Stands for output ``index`` in the structure of a result; ``number``: it is a float."""

    index: int
    number: bool


def builder(result: Any) -> Builder:
    """Return a function that makes, of the fresh outputs of a replay, what the recorded function returned.

    Args:
        result: dicts, lists and tuples with an :class:`Output` for each traced leaf; arrays among the other leaves are
            copied at every call, so that nobody writes into the next result.
    """
    if isinstance(result, Output):
        index = result.index
        return (lambda outputs: float(outputs[index])) if result.number else lambda outputs: outputs[index]
    if isinstance(result, np.ndarray):
        return lambda outputs: result.copy()
    if isinstance(result, Mapping):
        values = _several(list(result.values()))
        keys = list(result)
        return lambda outputs: dict(zip(keys, values(outputs), strict=True))
    if isinstance(result, (list, tuple)):
        items = _several(result)
        if isinstance(result, tuple) and hasattr(result, "_fields"):
            return lambda outputs: type(result)(*items(outputs))
        made = type(result)
        return items if made is list else lambda outputs: made(items(outputs))
    return lambda outputs: result


def _several(items: Any) -> Callable[[list[np.ndarray]], list[Any]]:
    """Return what makes a list of several parts; arrays in the order of the outputs, as gradients are, by a slice."""
    arrays = [x.index for x in items if isinstance(x, Output) and not x.number]
    if arrays and arrays == list(range(arrays[0], arrays[0] + len(items))):
        start, stop = arrays[0], arrays[0] + len(items)
        return lambda outputs: outputs[start:stop]
    builders = [builder(x) for x in items]
    return lambda outputs: [build(outputs) for build in builders]
