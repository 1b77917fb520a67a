"""``compile``: the same function, recorded once for each kind of arguments and then replayed."""

from __future__ import annotations

import functools
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.graph import RECORDING
from tinygrad_rnn.core.tree import tree_map
from tinygrad_rnn.plan.budget import fitted, require_memory
from tinygrad_rnn.plan.checking.verify import Verification
from tinygrad_rnn.plan.executors.executor import require_executor
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.recording.example import Example
from tinygrad_rnn.plan.recording.garbage import uncollected
from tinygrad_rnn.plan.recording.result import builder
from tinygrad_rnn.plan.recording.signature import signature
from tinygrad_rnn.plan.recording.trace import trace

PLANS = 32  # kept for each compiled function; the one unused for longest goes first


def compile(fn: Callable[..., Any], *, executor: str = "numpy", memory: int | str | None = None) -> Compiled:
    """Return a function with the results of ``fn``, which records ``fn`` once and replays the plan after that.

    Arrays, nodes, modules' parameters and Python floats among the arguments (nested as you like) are inputs, which may
    change from call to call; ints, bools, strings and None are static: another one records anew, and so does another
    structure, shape, dtype or attribute of a module. Leaves that ``fn`` closes over (a model's weights) are
    read at every replay; arrays and numbers that it closes over, and what was computed before, are fixed when it is
    recorded. Results are fresh floats and arrays. Inside another transformation, and inside
    ``tr.detect_anomaly``, ``fn`` itself runs, so that ``tr.grad(tr.compile(f))`` works; ``tr.compile(tr.grad(f))`` is
    faster. A method can be decorated with it; of a module's, the module is an argument like any other.

    Args:
        fn: the function.
        executor: who replays the plan: ``"numpy"`` call by call, or ``"numba"`` (extra ``[jit]``) in one compiled loop.
        memory: of one run, as far as it can be lowered by computing values a second time. None keeps every value that
            the way back reads; a number is a budget in bytes, met with as little recomputation as that allows;
            ``"sqrt"`` takes about as little memory as can be, which grows with the square root of the number of steps.
            Nothing is computed more than twice. Inputs and results are kept in any case, and draws are made once.

    Raises:
        TypeError: ``fn`` is not callable.
        ValueError: there is no such executor; or, at the first call, no plan fits into ``memory``.
        ImportError: a package that the executor needs is not installed.
        TraceError: an argument is of another type; or, at the first call, ``fn`` lets a number out of the graph
            (``float(x)``, ``if x > 0``, ...) or has a side effect: a replay would be wrong. Such are
            ``loss.backward()``, assigning ``.data`` or ``.grad`` and reading the latter, a step of an optimizer object
            (its rule's ``update`` is pure), changing an argument, keeping a node in an outer list or attribute, and
            drawing from a Generator by its own methods. What changes no node (a print, a count) happens once.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> step = tr.compile(tr.value_and_grad(lambda w, x: ((x @ w) ** 2).sum()))
        >>> value, gradient = step(np.array([1.0, 2.0]), np.eye(2))
        >>> float(value), gradient.tolist()
        (5.0, [2.0, 4.0])
    """
    if not callable(fn):
        raise TypeError(f"compile: fn must be callable, got {type(fn).__name__}")
    require_executor(executor)
    require_memory(memory)
    return Compiled(fn, executor, memory)


class Compiled:
    """A compiled function. Two threads may call it at once.

    Attributes:
        fn: the function itself.
        executor: who replays its plans.
        memory: what a run of them may take.
    """

    def __init__(
        self, fn: Callable[..., Any], executor: str = "numpy", memory: int | str | None = None
    ) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn = fn
        self.executor = executor
        self.memory = memory
        self._replays: OrderedDict[Any, _Replay] = OrderedDict()
        self._latest: tuple[Any, _Replay | None] = (None, None)
        self._lock = threading.Lock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the compiled method of ``instance``, which is its first argument: a Module, say."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what ``fn`` returns for these arguments."""
        state = RECORDING.get()
        if state.transforms:
            return self.fn(*args, **kwargs)
        if state.observer is not None:  # it sees nodes, of which a replay makes none
            return tree_map(plain, Example(self.fn, args, kwargs).result())
        data: list[Any] = []
        kept: list[Any] = []
        key = signature(args, kwargs, data, kept)
        latest, replay = self._latest
        if replay is None or key != latest:  # comparing costs less than hashing
            replay = self._found(key, args, kwargs, kept)
        return replay.rebuild(replay.plan(data))

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """Return the plan for these arguments, recording it if need be; it keeps them as its example."""
        kept: list[Any] = []
        plan = self._found(signature(args, kwargs, [], kept), args, kwargs, kept).plan
        plan.example = Example(self.fn, args, kwargs)
        return plan

    def verify(self, *args: Any, **kwargs: Any) -> Verification:
        """Return whether a replay gives what ``fn`` itself gives for these arguments; see ``Plan.verify``."""
        return self.plan(*args, **kwargs).verify()

    def _found(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], kept: list[Any]) -> _Replay:
        """Return the replay for a signature, recording it if there is none; it becomes the latest."""
        with self._lock:
            replay = self._replays.get(key)
            if replay is not None:
                self._replays.move_to_end(key)
        if replay is None:
            replay = self._record(key, args, kwargs, kept)
        self._latest = key, replay
        return replay

    def _record(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], kept: list[Any]) -> _Replay:
        traced = trace(self.fn, args, kwargs)
        with uncollected():
            plan = fitted(traced.program, traced.held, self.executor, self.memory)
        replay = _Replay(plan, builder(traced.result), kept)
        with self._lock:
            self._replays[key] = replay
            while len(self._replays) > PLANS:
                self._replays.popitem(last=False)
        return replay


@dataclass(frozen=True, slots=True)
class _Replay:
    """A plan, what makes the function's result of its outputs, and the objects that its signature knows by identity."""

    plan: Plan
    rebuild: Callable[[list[np.ndarray]], Any]
    kept: list[Any]


__all__ = ["Compiled", "compile"]
