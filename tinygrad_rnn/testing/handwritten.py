"""What a user's own backward pass gives, brought together with the nodes of the recorded network by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.testing.tape import BEFORE, Tape
from tinygrad_rnn.testing.trial import argument_names

NO_STEP = -2  # of a parameter
_PREFIXES = ("d_", "grad_", "d")
_PRE_ACTIVATIONS = ("z", "a", "raw", "pre", "net", "hraw", "dhraw", "act")
_CARRY = re.compile(r"\Ad_?(?:(?:next|prev)_?(\w+)|(\w+?)_?(?:next|prev))\Z")  # dhnext, dh_next, dprev_h
_LAST_KEY = re.compile(r"\['?([^'\]]+)'?\]\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One array under test.

    Attributes:
        name: what the user calls it.
        t: its time step, ``NO_STEP`` of a parameter.
        got: the array.
        node: the node whose cotangent it should be.
        carried: whether it should be the part alone that comes back to ``node`` from the step after it.
    """

    name: str
    t: int
    got: Any
    node: Node
    carried: bool = False


class Names:
    """What the arrays of a recorded network may be called.

    Args:
        tape: the recorded loss.
        fn: the function that was recorded.
        leaves: the nodes of its arguments, with their paths.
    """

    def __init__(self, tape: Tape, fn: Callable[..., Any], leaves: list[tuple[str, Node]]) -> None:
        self._tape = tape
        self.parameters: dict[str, Node] = {}
        signature = argument_names(fn)
        for path, node in leaves:
            number, _, rest = path.removeprefix("argument ").partition("[")
            key = _LAST_KEY.search(path)
            words = [key[1], key[1].rpartition(".")[2]] if key else []
            words += [signature[int(number)]] if not rest and int(number) < len(signature) else []
            for word in [*words, node.name, path.removeprefix("argument ")]:
                if word:
                    self.parameters.setdefault(word, node)
        for name in tape.names():
            initial = tape.at(name, BEFORE)
            if initial is not None and initial.kind == "leaf":
                self.parameters.setdefault(f"{name}0", initial)
                self.parameters.setdefault(f"{name}_init", initial)

    def parameter(self, key: str) -> Node | None:
        """Return the leaf that ``key`` (such as ``"weight_hh"`` or ``"dWhh"``) stands for, None if there is none."""
        return next((self.parameters[word] for word in _words(key) if word in self.parameters), None)

    def series(self, key: str) -> Callable[[int], Node | None] | None:
        """Return the function from a step to the node that ``key`` (such as ``"dh"``) stands for in it."""
        tape = self._tape
        for word in _words(key):
            if word in tape.names():
                return lambda t, word=word: tape.at(word, t)  # type: ignore[misc]
        if any(word in _PRE_ACTIVATIONS for word in _words(key)):
            return self._before_activation
        return None

    def carry(self, key: str) -> Callable[[int], Node | None] | None:
        """Return the function from a step to the state that ``key`` (such as ``"dh_next"``) comes back to from it."""
        found = _CARRY.match(key)
        state = found and (found[1] or found[2])
        return (lambda t: self._tape.at(state, t - 1)) if state in self._tape.names() else None

    def _before_activation(self, t: int) -> Node | None:
        """Return what the state of step ``t`` is a function of: the argument of its nonlinearity."""
        state = self._tape.at("h", t)
        if state is None or state.op is None or not state.op.elementwise or len(state.parents) != 1:
            return None
        return state.parents[0]

    def known(self) -> str:
        """Return all names, for an error."""
        series = [f"d{name} (by t)" for name in self._tape.names()]
        carries = [f"d{name}_next (by t)" for name in self._tape.states()]
        readable = [name for name in self.parameters if name.isidentifier()]
        return ", ".join([*readable, *series, *carries])


def entries(given: Mapping[str, Any], names: Names, tape: Tape) -> Iterator[Entry]:
    """Yield each array of a dict under test with the node that it belongs to.

    Raises:
        KeyError: a key names nothing in the network.
        ValueError: a list over time has neither T nor T + 1 items.
    """
    for key, value in given.items():
        node = names.parameter(key)
        timed = names.series(key)
        carried = names.carry(key) if timed is None else None
        timed = timed or carried
        if node is not None and not (timed is not None and isinstance(value, (list, tuple, Mapping))):
            if value is not None:
                yield Entry(key, NO_STEP, _array(key, value), node)
            continue
        if timed is None:
            raise KeyError(f"diff_backward: {key!r} names nothing in this network; known: {names.known()}")
        items = [(t, timed(t), item) for t, item in _by_step(key, value, tape.last + 1)]
        if all(found is None for _, found, _ in items):
            raise KeyError(
                f"diff_backward: {key!r} cannot be told by its name in this network: call the node "
                f".named({key.removeprefix('d')!r}) in each step; known: {names.known()}"
            )
        for t, found, item in items:
            if found is not None and item is not None:
                yield Entry(key, t, _array(f"{key}[{t}]", item), found, carried is not None)


def _by_step(key: str, value: Any, steps: int) -> Iterator[tuple[int, Any]]:
    if isinstance(value, Mapping):
        yield from ((int(t), item) for t, item in value.items())
        return
    value = check.items(f"diff_backward: {key!r}, which is told by time,", value)
    count = len(value)
    if count not in (steps, steps + 1):
        raise ValueError(
            f"diff_backward: {key!r} has {count} items over time; the network has T={steps} steps"
        )
    first = BEFORE if count == steps + 1 else 0
    yield from ((first + k, item) for k, item in enumerate(value))


def _words(key: str) -> list[str]:
    return [key, *(key[len(p) :] for p in _PREFIXES if key.startswith(p) and len(key) > len(p))]


def _array(key: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"diff_backward: {key} must be an array of numbers, got {array.dtype}")
    return array.astype(float)


def result_of(
    mine: Any, args: tuple[Any, ...], names: Names, leaves: list[tuple[str, Node]]
) -> tuple[Any, dict[str, Any]]:
    """Return (loss or None, dict of arrays) of what is under test: a dict, or a function that is called with ``args``.

    Raises:
        TypeError: it is neither, or the function returns no gradients.
    """
    found = mine(*args) if callable(mine) else mine
    loss = None
    if (
        isinstance(found, tuple)
        and len(found) >= 2
        and np.ndim(found[0]) == 0
        and not isinstance(found[0], Mapping)
    ):
        loss, found = float(found[0]), found[1] if len(found) == 2 else found[1:]
    if isinstance(found, Mapping):
        return loss, dict(found)
    if callable(mine) and isinstance(found, (tuple, list, np.ndarray)):
        flat = [x for _, x in flatten(found if isinstance(found, (tuple, list)) else [found])]
        if len(flat) >= len(leaves):
            return loss, {
                path.removeprefix("argument "): g for (path, _), g in zip(leaves, flat, strict=False)
            }
    raise TypeError(
        'diff_backward: mine must be a dict such as {"weight_hh": array, "dh": list over t}, or a function of the same '
        f"arguments that returns one (or a gradient for each argument), got {type(found).__name__}"
    )
