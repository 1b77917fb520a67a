"""Nested arguments: dicts, lists, tuples and modules, taken apart into leaves and put together again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = str


class Parameterized(ABC):
    """What counts, in a nested argument, as the dict of its named parameters; ``nn.Module`` is one."""

    @abstractmethod
    def named_parameters(self) -> dict[str, Any]:
        """Return every parameter under its dotted name."""

    @abstractmethod
    def structure(self, data: list[Any], kept: list[Any]) -> list[Any]:
        """Return all that decides what it computes except the data of its parameters, to be compared and hashed.

        Args:
            data: the data of each parameter is appended to it, in the order of ``named_parameters``.
            kept: what is told apart by its identity is appended to it.
        """

    @abstractmethod
    def with_parameters(self, named: Mapping[str, Any]) -> Any:
        """Return a copy that computes with ``named`` in the place of its own parameters."""


def flatten(tree: Any, path: Path = "") -> list[tuple[Path, Any]]:
    """Return the leaves of a nested structure with their paths (such as ``"[0]['w']"``), in a fixed order.

    Depth is bounded by how deeply the user nests containers, not by the size of a graph.
    """
    return list(_leaves(tree, path))


def _leaves(tree: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(tree, Parameterized):
        tree = tree.named_parameters()
    if isinstance(tree, Mapping):
        for key in tree:
            yield from _leaves(tree[key], f"{path}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for i, item in enumerate(tree):
            yield from _leaves(item, f"{path}[{i}]")
    else:
        yield path, tree


def unflatten(like: Any, leaves: Iterator[Any], *, modules: bool = False) -> Any:
    """Return the structure of ``like`` filled with ``leaves`` in order.

    Args:
        like: the structure.
        leaves: an iterator over as many leaves as ``flatten`` gives.
        modules: whether a module comes back as a module (else as the dict of its parameters).
    """
    if isinstance(like, Parameterized):
        named = {name: next(leaves) for name in like.named_parameters()}
        return like.with_parameters(named) if modules else named
    if isinstance(like, Mapping):
        return {key: unflatten(like[key], leaves, modules=modules) for key in like}
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*(unflatten(item, leaves, modules=modules) for item in like))
    if isinstance(like, (list, tuple)):
        return type(like)(unflatten(item, leaves, modules=modules) for item in like)
    return next(leaves)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the structure of ``tree`` with ``function`` applied to each leaf."""
    return unflatten(tree, iter([function(leaf) for _, leaf in flatten(tree)]))
