"""Functions that read their weights as globals, as min-char-rnn's ``lossFun`` does, made functions of these weights."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn.testing.foreign import described

_PREFIXES = ("", "d", "d_", "grad_")


def with_globals(
    fn: Any, backward: Any, names: Sequence[str], args: tuple[Any, ...]
) -> tuple[Callable[..., Any], Callable[..., Any] | None, tuple[dict[str, Any]]]:
    """Return ``fn`` and ``backward`` as functions of a dict of arrays, and that dict.

    While they run the arrays stand in the place of the module's, so that the functions which they call see them too;
    afterwards the module has its own again.

    Raises:
        TypeError: one of them is not a plain Python function.
        ValueError: ``fn`` has no global of such a name.
    """
    for function in (fn, backward):
        if function is not None and not isinstance(function, types.FunctionType):
            raise TypeError(
                f"gradcheck_external: parameters= needs a plain function, got {type(function).__name__}"
            )
    absent = [name for name in names if name not in fn.__globals__]
    if absent:
        raise ValueError(
            f"gradcheck_external: {fn.__name__} has no global {absent[0]!r} (parameters={list(names)})"
        )

    def forward(arrays: dict[str, Any]) -> Any:
        with _in_place(fn.__globals__, arrays):
            found = fn(*args)
        if backward is not None or not isinstance(found, (tuple, list)) or len(found) < 2:
            return found
        return found[0], by_name(names, found[1:], "fn")

    def pulled(cotangent: Any, arrays: dict[str, Any]) -> Any:
        with _in_place(fn.__globals__, arrays), _in_place(backward.__globals__, arrays):
            found = backward(cotangent, *args)
        return by_name(names, found if isinstance(found, (tuple, list)) else (found,), "backward")

    arrays = {name: np.array(fn.__globals__[name], dtype=np.float64) for name in names}
    return forward, None if backward is None else pulled, (arrays,)


@contextmanager
def _in_place(scope: dict[str, Any], arrays: Mapping[str, Any]) -> Iterator[None]:
    before = {name: scope[name] for name in arrays if name in scope}
    scope.update(arrays)
    try:
        yield
    finally:
        for name in arrays:
            if name in before:
                scope[name] = before[name]
            else:
                del scope[name]


def by_name(names: Sequence[str], gradients: Sequence[Any], who: str) -> dict[str, Any]:
    """Return the gradients as a dict, given one after the other, as one tuple or list, or as a dict.

    A dict may call that of ``Wxh`` ``"Wxh"``, ``"dWxh"``, ``"d_Wxh"`` or ``"grad_Wxh"``.

    Raises:
        ValueError: some are missing.
    """
    first = gradients[0]
    if isinstance(first, Mapping):
        keys = {name: next((p + name for p in _PREFIXES if p + name in first), None) for name in names}
        absent = [name for name, key in keys.items() if key is None]
        if absent:
            raise ValueError(f"{who} must return a gradient of {absent[0]!r}, got {described(first)}")
        return {name: first[key] for name, key in keys.items()}
    found = first if isinstance(first, (tuple, list)) else gradients
    if len(found) < len(names):
        raise ValueError(f"{who} must return {len(names)} gradients, of {', '.join(names)}, got {len(found)}")
    return dict(zip(names, found, strict=False))
