"""Arguments that nobody should pass, and what may happen then: a result, or an error that says which one is meant."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr


class Foreign:
    """An object of someone else's."""


HOSTILE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "a text": lambda: "abc",
    "bytes": lambda: b"abc",
    "an object": Foreign,
    "a function": lambda: len,
    "a type": lambda: float,
    "a set": lambda: {1.0, 2.0},
    "a dict": lambda: {"a": 1.0},
    "an empty list": list,
    "a list of texts": lambda: ["a", "b"],
    "a ragged list": lambda: [[1.0], [1.0, 2.0]],
    "complex": lambda: 1j,
    "complex array": lambda: np.ones((2, 3), complex),
    "object array": lambda: np.array([Foreign(), None], dtype=object),
    "text array": lambda: np.array(["a", "b"]),
    "dates": lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    "a structured array": lambda: np.zeros(2, dtype=[("a", float)]),
    "a masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "booleans": lambda: np.array([True, False]),
    "a wrong shape": lambda: np.ones((7, 5, 2)),
    "size 0": lambda: np.zeros((0,)),
    "size 0 in the middle": lambda: np.zeros((2, 0, 3)),
    "no axes": lambda: np.array(1.5),
    "nan": lambda: np.full((2, 3), np.nan),
    "inf": lambda: np.full((2, 3), np.inf),
    "huge numbers": lambda: np.full((2, 3), 1e308),
    "a huge integer": lambda: 10**400,
    "minus one": lambda: -1,
    "zero": lambda: 0,
    "a fraction": lambda: 1.5,
    "a float nan": lambda: float("nan"),
    "a Value": lambda: tr.Value(0.5),
    "a Tensor": lambda: tr.Tensor([[0.5, 1.0, 1.5]]),
    "a generator": lambda: (x for x in (1.0, 2.0)),
}
FUNCTIONS = {
    (name,) for name in ("fn", "cell", "step", "loss", "mine", "backward", "model")
}  # of the user's own
TYPED = (
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    OverflowError,
)  # the builtin ones that a caller would expect


@dataclass(frozen=True, slots=True)
class Call:
    """A public function with arguments that fit.

    Attributes:
        name: what an error must begin with or contain, such as ``"unroll"``.
        function: what is called.
        arguments: makes the arguments anew for each call.
        names: of the arguments; an error must contain the function's name or that of the argument.
        fixed: places that are not tried (a function of the user's own).
        by: public functions that it stands on and whose name in an error will do.
        takes: what alone may pass without an error, and no nan; anything if empty.
    """

    name: str
    function: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]
    names: tuple[str, ...] = ()
    fixed: tuple[int, ...] = ()
    by: tuple[str, ...] = ()
    takes: tuple[type, ...] = ()

    def attempts(self) -> Iterator[tuple[str, tuple[Any, ...], int]]:
        """Yield each call in which one argument is hostile."""
        for place in range(len(self.arguments())):
            if place not in self.fixed:
                for what, make in HOSTILE.items():
                    if self.names[place : place + 1] in FUNCTIONS and callable(make()):
                        continue  # a function, and as good as another
                    args = list(self.arguments())
                    args[place] = make()
                    yield what, tuple(args), place


def verdict(call: Call, args: tuple[Any, ...], place: int) -> str | None:
    """Return what is wrong with how a call ended, None if nothing is."""
    try:
        with np.errstate(all="ignore"):
            call.function(*args)
        given = args[place]
        if call.takes and (
            not isinstance(given, call.takes) or (isinstance(given, float) and math.isnan(given))
        ):
            return "is taken without a word"
    except TYPED as error:
        text = str(error)
        if not text:
            return f"{type(error).__name__} without a message"
        named = [call.name, *call.names[place : place + 1], *call.by]
        return (
            None
            if any(name in text for name in named)
            else f"{type(error).__name__} names nothing: {text[:110]}"
        )
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:110]}"
    return None
