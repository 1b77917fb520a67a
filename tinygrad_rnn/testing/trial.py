"""A function under test together with its arguments: copied, run again and again from the same state."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import recording
from tinygrad_rnn.core.hooks import twin
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import Parameterized, flatten, unflatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.core.variable import Variable

Path = tuple[str, Any]
RANDOM = "the function gives another result when it is run again: pass its randomness as a Generator, or seed it inside"
_RANDOM = (np.random.Generator, np.random.RandomState)


class Rewound:
    """A context in which random numbers start from where they stood; set back on leaving, too.

    These are the Generators and RandomStates that ``fn`` can reach, and the ones that all of Python shares.
    """

    def __init__(self, fn: Any, leaves: list[Any]) -> None:
        found = {id(g): g for g in _generators(fn, leaves)}
        self._generators = [(g.bit_generator, g.bit_generator.state) for g in found.values() if _modern(g)]
        older = [g for g in found.values() if not _modern(g)]
        self._setters = [(g.set_state, g.get_state()) for g in older]
        self._setters += [(np.random.set_state, np.random.get_state()), (random.setstate, random.getstate())]

    def __enter__(self) -> None:
        for bits, state in self._generators:
            bits.state = state
        for setter, state in self._setters:
            setter(state)

    def __exit__(self, *exception: object) -> None:
        self.__enter__()


class Trial:
    """Runs ``fn(*args)`` on fresh float64 leaves.

    Floats, float arrays and nodes, nested in any way, become leaves; everything else (integers, integer arrays,
    texts, Generators) is passed on, arrays as copies. Generators are set back before each run and afterwards.

    Raises:
        TypeError: ``fn`` cannot be called, or no argument can be differentiated.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if not callable(fn):
            raise TypeError(f"gradcheck: fn must be callable, got {type(fn).__name__}")
        self._fn = fn
        self._args = args
        self._names = argument_names(fn)
        self._flat = [(f"argument {i}{path}", x) for i, arg in enumerate(args) for path, x in flatten(arg)]
        self.paths = tuple(path for path, x in self._flat if differentiable(x))
        if not self.paths:
            kinds = ", ".join(sorted({type(x).__name__ for _, x in self._flat})) or "none"
            raise TypeError(
                "gradcheck: needs an argument that can be differentiated: a float, a float array, a Value, a Tensor "
                f"or a Module, nested in any way (an int is passed on as it is: write 2.0 for 2); got {kinds}"
            )
        self._before = [_data(x) for _, x in self._flat]
        self.changed: list[str] = []
        self._rewound = Rewound(fn, [x for _, x in self._flat])

    def run(self, shift: Sequence[Any] | None = None) -> tuple[list[Any], list[Path]]:
        """Return the leaves and the outputs with their paths, of one run in which the leaves are moved by ``shift``."""
        items: list[Any] = []
        leaves: list[Any] = []
        for path, x in self._flat:
            if not differentiable(x):
                items.append(x.copy() if isinstance(x, np.ndarray) else x)
                continue
            name = called(path, self._names) or path.removeprefix("argument ")
            items.append(_leaf(x, None if shift is None else shift[len(leaves)], name))
            leaves.append(items[-1])
        rest = iter(items)
        call = [unflatten(arg, rest, modules=True) for arg in self._args]
        with self._rewound, recording(on=True, scope=(), transforms=("gradcheck",)):
            out = self._fn(*call)
        self.changed = [
            path
            for (path, x), item in zip(self._flat, items, strict=True)
            if isinstance(x, np.ndarray) and isinstance(item, np.ndarray) and not same_data(x, item)
        ]
        return leaves, [(f"output{path}", y) for path, y in flatten(out)]

    def altered(self) -> list[str]:
        """Return the paths of the arguments that the function has written into, in its last run or ever."""
        pairs = zip(self._flat, self._before, strict=True)
        return self.changed + [path for (path, x), old in pairs if not same_data(_data(x), old)]


def differentiable(x: Any) -> bool:
    """Return whether an argument's leaf can be differentiated: a float, a float array or such a node."""
    if isinstance(x, Variable):
        return bool(x.dtype.kind == "f")
    if isinstance(x, np.ndarray):
        return bool(x.dtype.kind == "f")
    return isinstance(x, (float, np.floating))


def _leaf(x: Any, shift: Any, name: str) -> Any:
    """Return a float64 leaf with the data of ``x`` (moved by ``shift``), its hooks, and its name, else ``name``."""
    data = _data(x)
    data = np.asarray(data, dtype=np.float64) if shift is None else data + shift
    node = Tensor(data) if isinstance(x, (Tensor, np.ndarray)) else Value(float(data))
    if isinstance(x, Variable):
        node._note = twin(x._note)
    return node if node.name else node.named(name)


def _data(x: Any) -> Any:
    if isinstance(x, (Value, Tensor)):
        return np.array(x._data)
    return x.copy() if isinstance(x, np.ndarray) else x


def same_data(a: Any, b: Any) -> bool:
    """Return whether two arrays are bitwise the same; of anything else, whether it is of one kind."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return a is b or type(a) is type(b)


def data_of(y: Any) -> Any:
    """Return the array of a node, or what numpy makes of anything else."""
    return np.asarray(y._data if isinstance(y, Variable) else y)


def same_outputs(first: list[Path], second: list[Path]) -> bool:
    """Return whether two runs gave bitwise the same results."""
    if [path for path, _ in first] != [path for path, _ in second]:
        return False
    pairs = ((data_of(a), data_of(b)) for (_, a), (_, b) in zip(first, second, strict=True))
    return all(same_data(a, b) for a, b in pairs if a.dtype.kind in "fiub")


def _generators(fn: Any, leaves: list[Any]) -> Iterator[Any]:
    """Find the sources of random numbers that ``fn`` can reach: among its arguments, in what it closes over or owns."""
    yield from (x for x in leaves if isinstance(x, _RANDOM))
    for x in _reached(fn):
        if isinstance(x, _RANDOM):
            yield x
        elif isinstance(x, (dict, list, tuple)):
            yield from (item for _, item in flatten(x) if isinstance(item, _RANDOM))
        elif isinstance(x, Parameterized):
            yield from (item for item in vars(x).values() if isinstance(item, _RANDOM))


def _modern(generator: Any) -> bool:
    return isinstance(generator, np.random.Generator)


def _reached(fn: Any) -> Iterator[Any]:
    if isinstance(fn, functools.partial):
        yield from (*fn.args, *fn.keywords.values())
        yield from _reached(fn.func)
        return
    if getattr(fn, "__wrapped__", None) is not None:
        yield from _reached(fn.__wrapped__)
    owner = getattr(fn, "__self__", fn)
    yield from getattr(owner, "__dict__", {}).values()
    code = getattr(fn, "__code__", None)
    if code is None:
        return
    for cell in fn.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
        yield content
        if hasattr(content, "__code__"):
            yield from (c.cell_contents for c in content.__closure__ or ())
    yield from fn.__defaults__ or ()
    yield from (fn.__kwdefaults__ or {}).values()
    yield from (fn.__globals__[name] for name in code.co_names if name in fn.__globals__)


def argument_names(fn: Callable[..., Any]) -> list[str]:
    """Return what a function calls the arguments that are given to it by position, as far as it tells."""
    try:
        parameters = inspect.signature(fn).parameters.items()
    except (TypeError, ValueError):
        return []
    return [name for name, p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def called(path: str, names: Sequence[str]) -> str:
    """Return what the function itself calls an argument, ``""`` where it has no name.

    Example:
        >>> called("argument 1['w']", ["x", "p"])
        "p['w']"
    """
    number, _, rest = path.removeprefix("argument ").partition("[")
    name = names[int(number)] if number.isdigit() and int(number) < len(names) else ""
    return f"{name}[{rest}" if name and rest else name
