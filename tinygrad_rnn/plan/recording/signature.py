"""``signature``: what decides whether a plan fits a call, found in the one walk that gathers the data of its leaves."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core.arrays import ReadOnlyArray
from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.tree import Parameterized
from tinygrad_rnn.core.value import Value

_STATIC = (int, bool, str, bytes, complex, type(None), np.generic)
_BY_VALUE = frozenset([int, bool, str, bytes, type(None), np.bool_])


def signature(
    args: tuple[Any, ...], kwargs: dict[str, Any], data: list[Any], kept: list[Any]
) -> tuple[Any, ...]:
    """Return what decides whether a plan fits these arguments: two calls with equal signatures can share one.

    It is flat, so that comparing it costs little. Each part is read in the light of those before it (a class comes
    before what belongs to it, a number of items before them), so equal signatures have equal structure.

    Args:
        args: the positional arguments.
        kwargs: the keyword arguments.
        data: the data of each leaf is appended to it, in the order of ``flatten``; of a static one, itself.
        kept: what is told apart by its identity is appended to it, to be kept alive as long as the signature is.

    Raises:
        TraceError: an argument is neither data nor static.
    """
    key: list[Any] = [len(args)]
    for x in args:
        _describe(x, key, data, kept)
    if kwargs:
        _describe(kwargs, key, data, kept)
    return tuple(key)


def _describe(tree: Any, key: list[Any], data: list[Any], kept: list[Any]) -> None:
    cls = tree.__class__
    if cls is np.ndarray:
        data.append(tree)
        key += (cls, tree.shape, tree.dtype)
    elif cls is float:
        data.append(tree)
        key.append(cls)
    elif cls in _BY_VALUE:
        data.append(tree)
        key += (cls, tree)
    elif isinstance(tree, Carrier):
        data.append(tree._data)  # type: ignore[attr-defined]
        key += (cls,) if cls is Value else (cls, tree.shape, tree.dtype)  # type: ignore[attr-defined]
    elif isinstance(tree, Parameterized):
        key += tree.structure(data, kept)
    elif isinstance(tree, (list, tuple)):
        key += (cls, len(tree))
        for x in tree:
            _describe(x, key, data, kept)
    elif isinstance(tree, Mapping):
        names = tuple(tree)
        key += (dict, names, tuple(map(type, names)))
        for name in names:
            _describe(tree[name], key, data, kept)
    else:
        _describe_rare(tree, key, data, kept)


def _describe_rare(x: Any, key: list[Any], data: list[Any], kept: list[Any]) -> None:
    data.append(x)
    cls = type(x)
    if isinstance(x, float):
        key.append(cls)
    elif isinstance(x, (np.ndarray, np.number)):
        key += (np.ndarray if cls is ReadOnlyArray else cls, x.shape, x.dtype)
    elif isinstance(x, np.random.Generator):
        key += (np.random.Generator, next(k for k, y in enumerate(data) if y is x))  # one passed twice?
    elif isinstance(x, complex):
        key += (cls, repr(x))  # -0j is another number than 0j, and equal to it
    elif isinstance(x, _STATIC):
        key += (cls, x)
    elif isinstance(x, types.MethodType):  # made anew whenever it is looked up
        kept.append(x)
        key += (cls, id(x.__self__), id(x.__func__))
    elif callable(x) or isinstance(x, np.dtype):
        kept.append(x)
        key += (cls, id(x))
    else:
        raise TraceError(
            f"compile: an argument of type {cls.__name__} is neither data (arrays, floats, nodes, modules) nor static "
            "(ints, bools, texts, None, functions); pass what it holds as a dict, list or (named) tuple"
        )
