"""Which instructions a program may have: what an operation needs of its arguments, and which parameters it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.testing.strategies.arrays import APART

Parameters = tuple[tuple[str, Any], ...]
Choose = Callable[[int, tuple[np.ndarray, ...]], "Parameters | None"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an operation becomes an instruction.

    Attributes:
        operation: the Op, or the name of a function of ``tr.ops``.
        arity: how many earlier values it takes.
        choose: ``choose(k, args)`` -> its parameters, made from a small number k; None where the arguments do not fit.
        domain: for each argument, where it may lie.
        kinks: ``kinks(*args)`` -> how far each entry is from a place without a derivative; None where there is none.
    """

    operation: Op | str
    arity: int
    choose: Choose
    domain: tuple[Any, ...] = ()
    kinks: Callable[..., Any] | None = None

    def fits(self, args: Sequence[np.ndarray], *, smooth: bool) -> bool:
        """Return whether the arguments lie in the domain, and with ``smooth`` away from every kink."""
        for arg, (low, high) in zip(args, self.domain, strict=False):
            inside = (arg >= low + APART if math.isfinite(low) else True) & (
                arg <= high - APART if math.isfinite(high) else True
            )
            if not np.all(inside):
                return False
        return not smooth or self.kinks is None or bool(np.all(np.abs(self.kinks(*args)) >= APART))


def _broadcast(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    try:
        np.broadcast_shapes(*(a.shape for a in args))
    except ValueError:
        return None
    return ()


def _axis(k: int, a: np.ndarray) -> int:
    return k % a.ndim - (a.ndim if k % 2 else 0)


def _along(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    """An axis that is not empty."""
    a = args[0]
    return (("axis", _axis(k, a)),) if a.ndim and a.size else None


def _reduced(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    """Everything, or one axis, which may be kept."""
    a = args[0]
    if not a.size:
        return None
    if k % 4 == 0 or not a.ndim:
        return ()
    return (("axis", _axis(k, a)), ("keepdims", True)) if k % 4 == 3 else (("axis", _axis(k, a)),)


def _product(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    a, b = args
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        return None
    return _broadcast(k, (np.empty(a.shape[:-2]), np.empty(b.shape[:-2])))


def _flat(k: int, args: tuple[np.ndarray, ...]) -> Parameters:
    a = args[0]
    return (("", (-1,)),) if k % 2 or a.ndim < 2 or not a.size else (("", (*a.shape[1:], a.shape[0])),)


def _key(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    a = args[0]
    if not (a.ndim and a.shape[0]):
        return None
    last = a.shape[0] - 1
    keys = (0, slice(None, None, -1), (Ellipsis, None), slice(1, None), np.array([last, 0, last]), -1)
    return (("", keys[k % len(keys)]),)


def _joined(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    a, b = args
    if not a.ndim or a.ndim != b.ndim:
        return None
    axis = k % a.ndim
    rest = [(i, j) for n, (i, j) in enumerate(zip(a.shape, b.shape, strict=True)) if n != axis]
    return (("axis", axis),) if all(i == j for i, j in rest) else None


def _stacked(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    return () if args[0].shape == args[1].shape and args[0].ndim < 3 else None


def _padded(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    return (("", tuple((k % 2, i % 2) for i in range(args[0].ndim))),) if args[0].ndim else None


def _grown(k: int, args: tuple[np.ndarray, ...]) -> Parameters | None:
    return (("", (2, *args[0].shape)),) if args[0].ndim < 3 else None


def _anything(k: int, args: tuple[np.ndarray, ...]) -> Parameters:
    return ()


def _gap_along(a: np.ndarray) -> Any:
    """The smallest distance between two entries: a maximum has no derivative at a tie."""
    flat = np.sort(a, axis=None)
    return np.diff(flat) if flat.size > 1 else np.array([math.inf])


KINKS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("abs", "relu", "leaky_relu", "sign"), lambda x: x),
    **dict.fromkeys(("maximum", "minimum"), lambda a, b: a - b),
    "clip": lambda x, low, high: np.minimum(np.abs(x - low), np.abs(x - high)),
    **dict.fromkeys(("max", "min"), _gap_along),
    "norm": lambda a: np.sqrt(np.sum(a * a)),
}
SHAPED: dict[str, tuple[int, Choose]] = {
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "logsumexp", "norm"), (1, _reduced)),
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "cumprod", "flip"), (1, _along)),
    "matmul": (2, _product),
    "transpose": (1, _anything),
    "reshape": (1, _flat),
    "getitem": (1, _key),
    "broadcast_to": (1, _grown),
    "pad": (1, _padded),
    "concatenate": (2, _joined),
    "stack": (2, _stacked),
    "linear_scan": (2, lambda k, args: () if args[0].shape == args[1].shape and args[0].ndim else None),
}
UNUSED = ("where", "weigh", "copy")  # its condition is no number; and two that rules use among themselves


def _elementwise(op: Op) -> Recipe | None:
    if not op.elementwise or not isinstance(op.partials, tuple) or op.name in UNUSED:
        return None
    arity = len(op.partials)
    domain = (op.domain,) * arity if np.ndim(op.domain) == 1 else tuple(op.domain)
    return Recipe(op, arity, _broadcast, domain, KINKS.get(op.name))


def _recipes(shaped: bool) -> dict[str, Recipe]:
    plain = [_elementwise(op) for op in ops.ALL]
    found = {recipe.operation.name: recipe for recipe in plain if recipe}  # type: ignore[union-attr]
    for op in found.values():
        if op.operation.name in ("leaky_relu",):  # type: ignore[union-attr]
            found[op.operation.name] = Recipe(op.operation, 1, _anything, (), op.kinks)  # type: ignore[union-attr]
    found["add_n"] = Recipe(ops.add_n, 3, _broadcast)
    if shaped:
        for name, (arity, choose) in SHAPED.items():
            found[name] = Recipe(getattr(ops, name), arity, choose, (), KINKS.get(name))
    return found


RECIPES = {"Value": _recipes(shaped=False), "Tensor": _recipes(shaped=True)}


def recipe_of(operation: Any, carrier: str) -> Recipe:
    """Return how an operation, given by its name or as an Op, becomes an instruction.

    Raises:
        TypeError: it is neither.
        ValueError: a name that is unknown, or an Op that is not elementwise with a fixed number of arguments.
    """
    known = RECIPES[carrier]
    if isinstance(operation, str):
        if operation not in known:
            raise ValueError(
                f"programs: operations: unknown for a {carrier}: {operation!r}; known are {', '.join(known)}"
            )
        return known[operation]
    if not isinstance(operation, Op):
        raise TypeError(f"programs: operations must hold names and Ops, got {operation!r}")
    if operation.name in known and known[operation.name].operation is operation:
        return known[operation.name]
    recipe = _elementwise(operation)
    if recipe is not None:
        return recipe
    same = known.get(operation.name)
    if same is None:
        raise ValueError(
            f"programs: operations: {operation.name!r} must have partials for a fixed number of arguments, or the name "
            "of one of ours, whose arguments it then takes"
        )
    return Recipe(operation, same.arity, same.choose, same.domain, same.kinks)
