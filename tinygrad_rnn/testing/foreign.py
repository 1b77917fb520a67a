"""A forward function over arrays that knows nothing of this engine, and its derivatives from values alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.testing.trial import Rewound, argument_names, called, differentiable, same_data

Outputs = list[tuple[str, Any]]


class ForeignCall:
    """Runs ``fn(*args)`` with other numbers in the place of its float arguments.

    Floats and float arrays, nested in any way, can be replaced; everything else is passed on, arrays as copies.
    Generators are set back before each run.

    Args:
        fn: the forward function.
        args: its arguments.
        loss_first: whether it returns ``(loss, gradients, ...)``; the loss alone is then its output.
        names: of the entries of the only argument, a dict, where a report is to call them so.

    Attributes:
        paths: of what can be replaced.
        names: what ``fn`` calls it, ``""`` where it does not tell.
        values: float64 copies of it.
        changed: the paths of the arguments that some run has written into.
        latest: the values of the latest forward run, which an object with a state still holds.

    Raises:
        TypeError: ``fn`` cannot be called, or no argument can be differentiated.
    """

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], *, loss_first: bool, names: Sequence[str] = ()
    ) -> None:
        if not callable(fn):
            raise TypeError(f"gradcheck_external: fn must be callable, got {type(fn).__name__}")
        self.args = args
        self._fn = fn
        self._loss_first = loss_first
        self._called = {f"argument 0[{name!r}]": name for name in names}
        self._flat = self._leaves(args)
        self.paths = [path for path, x in self._flat if differentiable(x)]
        self.names = [called(path, argument_names(fn)) for path in self.paths]
        self.values = [np.array(x, dtype=np.float64) for _, x in self._flat if differentiable(x)]
        if not self.paths:
            kinds = ", ".join(sorted({type(x).__name__ for _, x in self._flat})) or "none"
            raise TypeError(
                "gradcheck_external: needs an argument that can be differentiated, a float or a float array, nested in "
                f"any way; got {kinds}"
            )
        self._rewound = Rewound(fn, [x for _, x in self._flat])
        self._returned: Any = None
        self.changed: dict[str, None] = {}
        self.latest: Sequence[Any] | None = None

    def arguments(self, values: Sequence[Any]) -> list[Any]:
        """Return the call's arguments with copies of ``values`` in the place of the float ones."""
        rest = iter(values)
        items = []
        for _, x in self._flat:
            if differentiable(x):
                value = np.array(next(rest))
                items.append(value if isinstance(x, np.ndarray) else value.item())
            else:
                items.append(x.copy() if isinstance(x, np.ndarray) else x)
        leaves = iter(items)
        return [unflatten(arg, leaves) for arg in self.args]

    @property
    def wanted(self) -> int:
        """How many of the arguments hold something that can be differentiated."""
        return sum(any(differentiable(x) for _, x in flatten(arg)) for arg in self.args)

    def like(self, cotangents: Sequence[Any]) -> Any:
        """Return the cotangents of the outputs in the structure of what the function returned last."""
        rest = iter(cotangents)
        leaves = [next(rest) if _is_number(y) else None for _, y in flatten(self._returned)]
        return unflatten(self._returned, iter(leaves))

    def run(self, values: Sequence[Any]) -> Outputs:
        """Return the outputs of one run, with their paths."""
        found = self.full(values)
        self._returned = found
        if not self._loss_first:
            return [(f"output{path}", np.asarray(y)) for path, y in flatten(found) if _is_number(y)]
        return [("loss", np.asarray(_first(found)))]

    def full(self, values: Sequence[Any]) -> Any:
        """Return all that the function returns."""
        call = self.arguments(values)
        self.latest = values
        return self.watched(call, lambda: self._fn(*call))

    def watched(self, call: list[Any], run: Callable[[], Any]) -> Any:
        """Return ``run()``, noting which of the arguments ``call`` it writes into; Generators are set back."""
        before = [(path, np.array(x)) for path, x in self._leaves(call) if isinstance(x, np.ndarray)]
        with self._rewound, np.errstate(all="ignore"):
            found = run()
        after = [x for _, x in self._leaves(call) if isinstance(x, np.ndarray)]
        for (path, old), new in zip(before, after, strict=True):
            if not same_data(old, new):
                self.changed[path] = None
        return found

    def _leaves(self, call: Sequence[Any]) -> list[tuple[str, Any]]:
        found = [(f"argument {i}{path}", x) for i, arg in enumerate(call) for path, x in flatten(arg)]
        return [(self._called.get(path, path), x) for path, x in found]

    def moved(self, shifts: Sequence[Any]) -> list[Any]:
        """Return the arguments' values, each moved by its shift."""
        return [x + d for x, d in zip(self.values, shifts, strict=True)]

    def stepped(self, direction: Sequence[Any], step: float) -> tuple[list[Any], list[Any]] | None:
        """Return (values, tangents) of the outputs by the complex step, None where complex numbers are refused."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                found = self.run(self.moved([1j * step * d for d in direction]))
        except Exception:  # it is code of anyone's, and complex numbers were not asked of it
            return None
        return [np.real(y) for _, y in found], [np.imag(y) / step for _, y in found]


def matched(args: tuple[Any, ...], gradients: Any, who: str) -> list[Any]:
    """Return the gradients of all float leaves of ``args``, in order.

    Args:
        args: the arguments.
        gradients: their gradients in the arguments' structure: a tuple with one for each argument (or for each that
            can be differentiated), or the gradient alone of a single argument. None counts as zero.
        who: what returned them, for the error.

    Raises:
        ValueError: there are too few or too many, or a container has another structure.
    """
    wanted = [i for i, arg in enumerate(args) if any(differentiable(x) for _, x in flatten(arg))]
    rest = [i for i in range(len(args)) if i not in wanted]
    if not isinstance(gradients, (tuple, list)):
        chosen = [gradients]
    elif len(gradients) == len(args) and (len(wanted) > 1 or all(gradients[i] is None for i in rest)):
        chosen = [gradients[i] for i in wanted]
    elif len(wanted) > 1 or (len(gradients) == 1 and not isinstance(args[wanted[0]], (tuple, list))):
        chosen = list(gradients)
    else:
        chosen = [gradients]
    if len(chosen) != len(wanted):
        raise ValueError(
            f"{who} must return one gradient for each of the {len(args)} arguments (or for each of the {len(wanted)} "
            f"that can be differentiated), got {described(gradients)}"
            + ("; an argument without a gradient is best bound: lambda p: fn(p, x)" if who == "fn" else "")
        )
    return [g for i, c in zip(wanted, chosen, strict=True) for g in _picked(args[i], c, f"argument {i}", who)]


def _picked(arg: Any, gradient: Any, path: str, who: str) -> Iterator[Any]:
    """Yield the gradient of each float leaf of ``arg``. Depth is that of the user's containers."""
    if isinstance(arg, Mapping):
        keys = [key for key in arg if any(differentiable(x) for _, x in flatten(arg[key]))]
        if gradient is not None and (
            not isinstance(gradient, Mapping) or any(key not in gradient for key in keys)
        ):
            raise ValueError(
                f"{who} must return for {path} a dict with the keys {keys}, got {described(gradient)}"
            )
        for key in keys:
            yield from _picked(arg[key], None if gradient is None else gradient[key], f"{path}[{key!r}]", who)
    elif isinstance(arg, (tuple, list)):
        if gradient is not None and len(gradient) != len(arg):
            raise ValueError(f"{who} must return for {path} {len(arg)} gradients, got {described(gradient)}")
        for i, item in enumerate(arg):
            yield from _picked(item, None if gradient is None else gradient[i], f"{path}[{i}]", who)
    elif differentiable(arg):
        yield np.zeros(np.shape(arg)) if gradient is None else np.asarray(gradient)


def described(x: Any) -> str:
    """Return what was given in the place of gradients, for an error."""
    if isinstance(x, Mapping):
        return f"a dict with the keys {list(x)}"
    return f"{len(x)}" if isinstance(x, (tuple, list)) else f"a {type(x).__name__}"


def _first(found: Any) -> Any:
    if not isinstance(found, (tuple, list)) or len(found) < 2:
        raise TypeError(
            "gradcheck_external: with backward=None fn must return (loss, gradients, ...), got "
            f"{described(found)}"
        )
    if np.size(found[0]) != 1:
        raise ValueError(
            f"gradcheck_external: the loss must be one number, got shape {np.shape(found[0])}; give a backward instead"
        )
    return np.reshape(found[0], ())


def _is_number(y: Any) -> bool:
    return np.asarray(y).dtype.kind in "fc"
