"""``Module``: a tree of parameters with names; ``functional_call``: the same with other parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.op import LEAF
from tinygrad_rnn.core.tree import Parameterized
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.nn.inputs import real

_BY_VALUE = frozenset([int, bool, str, bytes, type(None)])


class Module(Parameterized):
    """Base of every network: a subclass sets attributes and defines ``__call__``; no ``super()`` is needed.

    A parameter is a leaf Value or Tensor that is an attribute, or lies in a list, tuple, dict or module
    that is one. Its name is the path to it, joined by dots: ``"rnn.weight_hh_l0"``, ``"layers.0.bias"``. A
    leaf with two paths (a tied weight) is one parameter, under the first of its names.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> class Reader(tr.nn.Module):
        ...     def __init__(self, rng):
        ...         self.cell = tr.nn.RNNCell(3, 2, rng=rng)
        ...         self.readout = tr.nn.Linear(2, 1, rng=rng)
        ...     def __call__(self, x, h):
        ...         return self.readout(self.cell(x, h))
        >>> reader = Reader(np.random.default_rng(0))
        >>> list(reader.named_parameters())[:3]
        ['cell.weight_ih', 'cell.weight_hh', 'cell.bias_ih']
    """

    __call__: Callable[..., Any]

    def named_parameters(self) -> dict[str, Node]:
        """Return each parameter under its dotted name, in the order in which the attributes were set."""
        return dict(_leaves(self, "", set()))

    def parameters(self) -> list[Node]:
        """Return the parameters alone."""
        return list(self.named_parameters().values())

    def zero_grad(self) -> None:
        """Reset the gradient of every parameter to "not computed"."""
        for leaf in self.parameters():
            leaf.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of each parameter's array under its name; ``()`` arrays for Values."""
        return {name: np.array(leaf.data) for name, leaf in self.named_parameters().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy the arrays of ``state`` into the parameters, in the module's own dtypes; all of them or none.

        Raises:
            ValueError: a key is missing or unknown, or an array has another shape.
            TypeError: an array does not hold real numbers.
        """
        own = self.named_parameters()
        items = _matched("load_state_dict", own, state)
        for name, leaf in own.items():
            leaf.data = items[name].data

    def structure(self, data: list[Any], kept: list[Any]) -> list[Any]:
        """Return what decides what the module computes, besides the data of its parameters, as a flat list.

        Classes, names, numbers, texts, shapes and dtypes count by value, whatever else an attribute holds by identity;
        an object that occurs twice is told from two equal ones.

        Args:
            data: the data of each parameter is appended to it, in the order of ``named_parameters``.
            kept: what counts by its identity is appended to it, to be kept alive as long as the list is in use.
        """
        key: list[Any] = []
        _describe(self, key, data, kept, {})
        return key

    def with_parameters(self, named: Mapping[str, Any]) -> Self:
        """Return a shallow copy of the module tree that holds ``named`` in place of its own.

        Args:
            named: under each name of ``named_parameters`` a Value or Tensor, used as it is, or an array,
                which becomes a constant of the replaced parameter's dtype.

        Raises:
            ValueError: a name is missing or unknown, or an item has another shape.
        """
        own = self.named_parameters()
        matched = _matched(type(self).__name__, own, named)
        copied: Self = _replaced(self, {id(leaf): matched[name] for name, leaf in own.items()}, {})
        return copied


def functional_call(module: Module, named_parameters: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Return ``module(*args, **kwargs)`` computed with ``named_parameters`` in place of the module's own.

    The module itself is never changed: the call runs on a shallow copy of its tree.

    Example:
        >>> import tinygrad_rnn as tr
        >>> double = tr.nn.Linear(1, 1, bias=False)
        >>> tr.functional_call(double, {"weight": [[2.0]]}, [21.0]).tolist()
        [42.0]
    """
    return module.with_parameters(named_parameters)(*args, **kwargs)


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    """The named things inside a module or a container; nothing inside anything else."""
    if isinstance(item, Module):
        yield from vars(item).items()
    elif isinstance(item, dict):
        yield from ((str(key), child) for key, child in item.items())
    elif isinstance(item, (list, tuple)):
        yield from ((str(index), child) for index, child in enumerate(item))


def _leaves(item: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Node]]:
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, Variable):
        if item.kind == "leaf":
            yield path, item
        return
    for key, child in _children(item):
        yield from _leaves(child, f"{path}.{key}" if path else key, seen)


def _describe(item: Any, key: list[Any], data: list[Any], kept: list[Any], seen: dict[int, int]) -> None:
    """Append the parts of a module or container. Each is read in the light of those before it: a class comes first."""
    seen[id(item)] = len(seen)
    if isinstance(item, (list, tuple)):
        key += (item.__class__, len(item))
        children: Iterable[Any] = item
    else:
        named = item if isinstance(item, dict) else vars(item)
        names = tuple(named)
        key += (
            (item.__class__, names) if named is not item else (item.__class__, names, tuple(map(type, names)))
        )
        children = named.values()
    for child in children:
        cls = child.__class__
        if cls in _BY_VALUE:
            key += (cls, child)
        elif isinstance(child, float):
            key += (cls, child or str(child))  # -0.0 is another number than 0.0, and equal to it
        elif (at := seen.get(id(child))) is not None:
            key.append(at)
        elif isinstance(child, Variable) and child._call is LEAF:
            seen[id(child)] = len(seen)
            own = child._data
            data.append(own)
            key += (cls,) if cls is Value else (cls, own.shape, own.dtype)
        elif isinstance(child, (Module, dict, list, tuple)):
            _describe(child, key, data, kept, seen)
        elif isinstance(child, (int, str, bytes)):
            key += (cls, child)
        elif isinstance(child, (set, frozenset)):
            key += (cls, frozenset(child))
        else:
            kept.append(child)
            key += (cls, id(child))


def _replaced(item: Any, replacements: dict[int, Any], memo: dict[int, Any]) -> Any:
    """A copy of the containers and modules around the replaced leaves; everything else is shared."""
    if id(item) in replacements:
        return replacements[id(item)]
    if id(item) in memo:
        return memo[id(item)]
    if isinstance(item, Module):
        memo[id(item)] = new = copy.copy(item)
        vars(new).update({key: _replaced(child, replacements, memo) for key, child in vars(item).items()})
        return new
    if isinstance(item, dict):
        memo[id(item)] = mapping = copy.copy(item)
        mapping.update({key: _replaced(child, replacements, memo) for key, child in item.items()})
        return mapping
    if isinstance(item, list):
        memo[id(item)] = items = copy.copy(item)
        items[:] = [_replaced(child, replacements, memo) for child in item]
        return items
    if isinstance(item, tuple):
        parts = [_replaced(child, replacements, memo) for child in item]
        return item._make(parts) if hasattr(item, "_make") else type(item)(parts)
    return item


def _matched(who: str, own: Mapping[str, Node], given: Mapping[str, Any]) -> dict[str, Node]:
    """``given`` checked against ``own``: nodes as they are, arrays as constants of the parameter's dtype."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{who}: needs a dict of arrays by parameter name, got {type(given).__name__}")
    missing = [name for name in own if name not in given]
    extra = [name for name in given if name not in own]
    if missing or extra:
        wrong = [*(f"missing {name!r}" for name in missing), *(f"unknown {name!r}" for name in extra)]
        legal = ", ".join(map(repr, own)) or "none"
        raise ValueError(f"{who}: {', '.join(wrong)}; the parameters are {legal}")
    return {name: _fitted(f"{who}: {name!r}", leaf, given[name]) for name, leaf in own.items()}


def _fitted(where: str, leaf: Node, item: Any) -> Node:
    """``item`` as a node that can stand in for ``leaf``."""
    array = item if isinstance(item, Variable) else real(where, item, leaf.dtype)
    if array.shape != leaf.shape:
        raise ValueError(f"{where} must have shape {leaf.shape}, got {array.shape}")
    if isinstance(array, Variable):
        return array
    return constant(array.item() if isinstance(leaf, Value) else array, name=leaf.name)
