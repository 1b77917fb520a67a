"""``Context``: what holds for the operations inside a ``with``, or inside a decorated function; ``no_grad`` is one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import RECORDING, Recording

F = TypeVar("F", bound=Callable[..., Any])
# How to leave each context that was entered.
ENTERED: ContextVar[tuple[Any, ...]] = ContextVar("tinygrad_rnn.entered", default=())


class Context:
    """A context manager and a decorator; abstract: a subclass says what it changes.

    It holds in the thread or asyncio task that entered it. Inside a generator a ``with`` stays in force while the
    generator is suspended, as for every context variable; decorating the generator function instead wraps each
    resumption, so that its caller never sees it. An async function can be decorated, an async generator cannot.
    """

    __slots__ = ()  # nothing that changes, so one object can serve many threads and tasks at once
    _silences_numpy: ClassVar[bool] = (
        False  # whether numpy's warnings of overflows and nans are left out inside
    )

    def _changed(self, now: Recording) -> Recording:
        raise NotImplementedError

    def __enter__(self) -> None:
        token = RECORDING.set(self._changed(RECORDING.get()))
        errors = np.errstate(all="ignore") if self._silences_numpy else nullcontext()
        errors.__enter__()
        ENTERED.set((*ENTERED.get(), (token, errors)))

    def __exit__(self, *exception: object) -> None:
        *outer, (token, errors) = ENTERED.get()
        ENTERED.set(tuple(outer))
        errors.__exit__(None, None, None)
        RECORDING.reset(token)

    def __call__(self, function: F) -> F:
        """Return ``function`` such that each call of it runs in this context.

        Raises:
            TypeError: it is an async generator function.
        """
        if inspect.isasyncgenfunction(function):
            name = type(self).__name__
            raise TypeError(
                f"{name} cannot decorate the async generator {function.__name__}: put `with {name}():` inside it "
                "around the operations, and leave it before each yield"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def resumed(*args: Any, **kwargs: Any) -> Any:
                return (yield from _Resumptions(function(*args, **kwargs), self))

            return resumed  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _Resumptions:
    """A generator each of whose resumptions runs in a context."""

    __slots__ = ("_context", "_generator")

    def __init__(self, generator: Any, context: Context) -> None:
        self._generator = generator
        self._context = context

    def __iter__(self) -> _Resumptions:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        with self._context:
            return self._generator.send(value)

    def throw(self, *exception: Any) -> Any:
        with self._context:
            return self._generator.throw(*exception)

    def close(self) -> None:
        with self._context:
            self._generator.close()


class no_grad(Context):
    """Record nothing inside: results are constants. A context manager and a decorator, see :class:`Context`.

    Example:
        >>> import tinygrad_rnn as tr
        >>> x = tr.Value(3.0)
        >>> with tr.no_grad():
        ...     y = x * x
        >>> y.kind
        'constant'
    """

    __slots__ = ()

    def _changed(self, now: Recording) -> Recording:
        if now.inputs is not None:
            raise TraceError(
                "no_grad inside compile: what is not recorded cannot be replayed. Use tr.detach(x) for a value without "
                "a gradient, or compile the function without no_grad"
            )
        return replace(now, on=False)
