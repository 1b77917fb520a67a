"""``Example``: a function with arguments of the kind that a plan is for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.plan.recording.signature import signature

_FIRST = re.compile(r"\A\['(.*?)'\]")


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a function.

    Attributes:
        fn: the function itself.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Example:
        """Return the call with other arguments of the same kind.

        Raises:
            ValueError: a plan for this call does not fit them.
        """
        if signature(args, kwargs, [], []) != signature(self.args, self.kwargs, [], []):
            raise ValueError(
                "plan: these arguments have another structure, shape or dtype than those that the plan is for; "
                "ask the compiled function: .verify(*args) or .plan(*args)"
            )
        return Example(self.fn, args, kwargs)

    def inputs(self) -> list[Any]:
        """Return the data of the arguments' leaves, as a plan is given them."""
        data: list[Any] = []
        signature(self.args, self.kwargs, data, [])
        return data

    def names(self) -> list[str]:
        """Return what the function calls each leaf of its arguments, such as ``"weights[0]"``, in the inputs' order."""
        try:
            positional: Any = inspect.signature(self.fn).bind_partial(*self.args).arguments
        except (TypeError, ValueError):  # a builtin tells no signature
            positional = {f"argument {k}": x for k, x in enumerate(self.args)}
        paths = [path for tree in (positional, self.kwargs) for path, _ in flatten(tree)]
        return [_FIRST.sub(r"\1", path, count=1) for path in paths]

    def eager(self) -> list[tuple[str, Any]]:
        """Return the leaves of what the function itself returns, with their paths."""
        return flatten(self.result())

    def result(self) -> Any:
        """Return what the function itself returns; its arrays become nodes first."""
        leaves = [_node(x) if isinstance(x, np.ndarray) else x for _, x in flatten((self.args, self.kwargs))]
        args, kwargs = unflatten((self.args, self.kwargs), iter(leaves), modules=True)
        return self.fn(*args, **kwargs)


def _node(x: np.ndarray) -> Any:
    return Tensor(x) if x.dtype.kind == "f" else constant(x)
