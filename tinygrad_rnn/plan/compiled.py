"""``compile``: the same function, recorded once for each kind of arguments and then replayed."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import RECORDING
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.tree import Parameterized, flatten, unflatten
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.trace import Output, trace

PLANS = 32  # kept for each compiled function; the one unused for longest goes first


def compile(fn: Callable[..., Any]) -> Compiled:
    """Return a function with the results of ``fn``, which records ``fn`` once and replays the plan after that.

    Arrays, nodes, modules' parameters and Python floats among the arguments (nested as you like) are inputs, which may
    change from call to call; ints, bools, strings and None are static: another one records anew, and so does another
    structure, shape or dtype. Leaves that ``fn`` closes over (a model's weights) are read at every replay; arrays and
    numbers that it closes over are fixed when it is recorded. Results are fresh floats and arrays. Inside another
    transformation ``fn`` itself runs, so that ``tr.grad(tr.compile(f))`` works; ``tr.compile(tr.grad(f))`` is faster.

    Raises:
        TypeError: ``fn`` is not callable.
        TraceError: an argument is of another type; or, at the first call, ``fn`` lets a number out of the graph
            (``float(x)``, ``if x > 0``, ...) or has a side effect (``loss.backward()``): a replay would be wrong.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> step = tr.compile(tr.value_and_grad(lambda w, x: ((x @ w) ** 2).sum()))
        >>> value, gradient = step(np.array([1.0, 2.0]), np.eye(2))
        >>> float(value), gradient.tolist()
        (5.0, [2.0, 4.0])
    """
    if not callable(fn):
        raise TypeError(f"compile: fn must be callable, got {type(fn).__name__}")
    return Compiled(fn)


class Compiled:
    """A compiled function. Two threads may call it at once.

    Attributes:
        fn: the function itself.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn = fn
        self._plans: OrderedDict[Any, tuple[Plan, Any, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what ``fn`` returns for these arguments."""
        if RECORDING.get().transforms:
            return self.fn(*args, **kwargs)
        leaves: list[Any] = []
        key = _signature((args, kwargs), leaves)
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
        if found is None:
            found = self._record(key, args, kwargs)
        plan, result, _ = found
        return _rebuilt(result, plan([_data(x) for x in leaves]))

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """Return the plan for these arguments, recording it if need be."""
        key = _signature((args, kwargs), [])
        return (self._plans.get(key) or self._record(key, args, kwargs))[0]

    def _record(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Plan, Any, Any]:
        traced = trace(self.fn, args, kwargs)
        found = Plan(traced.program), traced.result, traced.kept
        with self._lock:
            self._plans[key] = found
            while len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return found


def _signature(tree: Any, leaves: list[Any]) -> Any:
    """Return what decides whether a plan fits these arguments, and append their leaves to ``leaves``."""
    if isinstance(tree, Parameterized):
        named = tree.named_parameters()
        return type(tree), tree.settings(), tuple((k, _signature(v, leaves)) for k, v in named.items())
    if isinstance(tree, Mapping):
        return "dict", tuple((k, _signature(v, leaves)) for k, v in tree.items())
    if isinstance(tree, (list, tuple)):
        return type(tree), tuple(_signature(x, leaves) for x in tree)
    leaves.append(tree)
    if isinstance(tree, float):  # a np.float64 is one
        return float
    if isinstance(tree, (Carrier, np.ndarray, np.number)):
        return type(tree), tree.shape, tree.dtype  # type: ignore[union-attr]
    if isinstance(tree, np.random.Generator):
        return np.random.Generator, next(k for k, x in enumerate(leaves) if x is tree)  # one passed twice?
    if isinstance(tree, (int, bool, str, bytes, complex, type(None), np.generic)):
        return type(tree), tree
    if callable(tree) or isinstance(tree, np.dtype):
        return type(tree), id(tree)
    raise TraceError(
        f"compile: an argument of type {type(tree).__name__} is neither data (arrays, floats, nodes, modules) nor "
        "static (ints, bools, texts, None, functions); pass what it holds as a dict, list or (named) tuple"
    )


def _data(x: Any) -> Any:
    return x._data if isinstance(x, Carrier) else x  # type: ignore[attr-defined]


def _rebuilt(result: Any, outputs: list[np.ndarray]) -> Any:
    """Return the function's result with arrays and numbers in the place of its traced leaves."""
    if isinstance(result, Output):
        return _made(result, outputs)
    return unflatten(result, iter([_made(x, outputs) for _, x in flatten(result)]))


def _made(x: Any, outputs: list[np.ndarray]) -> Any:
    if isinstance(x, Output):
        y = outputs[x.index]
        return float(y) if x.number else y[()] if y.ndim == 0 else y
    return np.array(x) if isinstance(x, np.ndarray) else x


__all__ = ["Compiled", "compile"]
