"""``Op``: the one place where an operation is defined, and the two products that every rule needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from tinygrad_rnn.core.namespaces import NUMPY, Namespace

Rule = Callable[..., Any]
NO_PARAMS: Mapping[str, Any] = MappingProxyType({})
REAL_LINE = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operation: its value, its derivative and how it is drawn, as one frozen record that can be called.

    Exactly one of ``partials``, ``transpose`` and ``vjp`` is given, or none where nothing can be differentiated.

    Attributes:
        name: numpy's name, such as ``"tanh"``.
        symbol: what a drawing shows, such as ``"tanh"`` or ``"+"``.
        forward: ``forward(xp, *args, **params)``, the value.
        partials: of an elementwise operation, for each argument ``rule(xp, y, *args, **params)`` = dy/dx_i, or None
            where that argument has no derivative.
        transpose: of any other, for each argument ``rule(xp, g, y, *args, **params)``: the cotangent of that argument
            given the cotangent ``g`` of y, linear in g. An operation with any number of arguments gives one callable
            ``rule(i, xp, ...)`` instead of a tuple, here and in ``partials``.
        vjp: ``vjp(g, y, *args, **params)`` in plain numpy, returning a cotangent (or None) for each argument. The
            operation is then opaque: it can be run and differentiated once, and not be taken apart.
        domain: for each argument the interval in which it may lie; one interval serves all.
        linear: ``"each"`` (linear in every argument while the others are held: matmul), ``"jointly"`` (linear in all of
            them together: concatenate) or ``""``. A short cut for forward mode, which the tests check.
        packed: whether the rule of an operation with any number of arguments takes them as one tuple,
            ``rule(i, xp, g, y, args)``: 20,000 of them then cost nothing a call.
        guarded: whether 0 times an infinite partial is 0 and not nan: true of operations with a pole or with a mask.
        result: ``"Tensor"`` or ``"Value"`` for an operation that goes from one carrier to the other; ``""`` stays.
        differentiable: whether any argument has a derivative; follows from the rules.
        bind: turns a call's arguments into ``(node arguments, static parameters)``; None where they are the same.
        doc: formula and source.

    Example:
        >>> import tinygrad_rnn as tr
        >>> cube = tr.Op(name="cube", symbol="x³", forward=lambda xp, x: x * x * x,
        ...              partials=(lambda xp, y, x: 3.0 * x * x,))
        >>> tr.grad(cube)(2.0)
        12.0
    """

    name: str
    symbol: str
    forward: Rule
    partials: tuple[Rule | None, ...] | Rule | None = None
    transpose: tuple[Rule | None, ...] | Rule | None = None
    vjp: Rule | None = None
    domain: tuple[Any, ...] = REAL_LINE
    linear: str = ""
    packed: bool = False
    guarded: bool = False
    result: str = ""
    bind: Rule | None = None
    doc: str = ""
    differentiable: bool = field(init=False)

    def __post_init__(self) -> None:
        given = [k for k in ("partials", "transpose", "vjp") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(
                f"Op {self.name!r}: give one of partials, transpose and vjp, not {' and '.join(given)}"
            )
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"Op: name must be an identifier such as 'tanh', got {self.name!r}")
        if not callable(self.forward):
            raise TypeError(f"Op {self.name!r}: forward must be callable, got {type(self.forward).__name__}")
        if self.linear not in ("", "each", "jointly"):
            raise ValueError(f"Op {self.name!r}: linear must be '', 'each' or 'jointly', got {self.linear!r}")
        rules = self.partials or self.transpose or self.vjp
        some = any(r is not None for r in rules) if isinstance(rules, tuple) else rules is not None
        object.__setattr__(self, "differentiable", some)

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Return the recorded node, or a float or array where no argument is a Value or Tensor.

        Raises:
            TypeError, ValueError, IndexError: an argument does not fit; the message names the operation.
        """
        given = args
        try:
            if self.bind is not None:
                args, params = self.bind(*args, **params)
            rules = self.partials or self.transpose
            if isinstance(rules, tuple) and len(rules) != len(args):
                raise TypeError(
                    f"{self.name}: has rules for {len(rules)} arguments, was called with {len(args)}"
                )
            for arg in args:
                if isinstance(arg, Carrier):
                    return arg._apply(self, args, params)
            return self.plain(*args, **params)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise_named(self.name, error, given)

    def __repr__(self) -> str:
        return f"<Op {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"Op {self.name!r} holds functions and cannot be pickled; pickle its name and look it up in ops"
        )

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Op:
        return self

    def plain(self, *args: Any, **params: Any) -> Any:
        """Return the value for arguments that are numbers and arrays only; nothing is recorded."""
        result = self.forward(NUMPY, *args, **params)
        number = (
            isinstance(result, (np.floating, np.ndarray)) and result.ndim == 0 and result.dtype.kind == "f"
        )
        return float(result) if number else result

    @property
    def elementwise(self) -> bool:
        """Whether the value at each position depends on the arguments at that position only."""
        return self.partials is not None

    def differentiates(self, i: int) -> bool:
        """Return whether argument ``i`` has a derivative rule."""
        rules = self.partials or self.transpose
        return rules is not None and (not isinstance(rules, tuple) or rules[i] is not None)

    def cotangent(
        self, i: int, xp: Namespace, g: Any, y: Any, args: tuple[Any, ...], params: Mapping[str, Any]
    ) -> Any:
        """Return the cotangent of argument ``i`` (before any sum over broadcast axes), None where there is none."""
        if self.partials is not None:
            if not isinstance(self.partials, tuple):
                given = (args,) if self.packed else args
                return self.product(xp, g, self.partials(i, xp, y, *given, **params))
            partial = self.partials[i]
            return None if partial is None else self.product(xp, g, partial(xp, y, *args, **params))
        if isinstance(self.transpose, tuple):
            rule = self.transpose[i]
            return None if rule is None else rule(xp, g, y, *args, **params)
        if self.transpose is None:
            return None
        return self.transpose(i, xp, g, y, *((args,) if self.packed else args), **params)

    def product(self, xp: Namespace, g: Any, partial: Any) -> Any:
        """Return ``g * partial``, where a guarded operation lets a zero factor win over an infinite one."""
        if type(partial) is float:
            if partial == 1.0:
                return g
            if partial == -1.0:
                return -g
        return xp.weigh(g, partial) if self.guarded else g * partial


def raise_named(name: str, error: Exception, args: tuple[Any, ...]) -> NoReturn:
    """Raise the ``error`` that is being handled as one whose message has ``name`` in it."""
    named = _named(name, error, args)
    try:
        if named is error:
            raise
        raise named from error
    finally:
        del named, error, args  # their tracebacks hold this frame, and with it the graph


def _named(name: str, error: Exception, args: tuple[Any, ...]) -> Exception:
    """Return ``error`` as one whose message has ``name`` in it; Python's and numpy's own know no operation.

    What this package or a user raised on purpose, and what a wrong rule raises, is returned as it is.
    """
    text, kinds = str(error), (TypeError, ValueError, IndexError, OverflowError)
    if type(error) not in kinds and not type(error).__module__.startswith("numpy"):
        known = (Carrier, np.ndarray, np.generic)
        fit = all(isinstance(arg, known) and str(getattr(arg, "dtype", "")) != "object" for arg in args)
        if fit or not isinstance(error, (AttributeError, KeyError)):
            return error
        text = f"arguments must be nodes, arrays or numbers, got {', '.join(type(a).__name__ for a in args)}"
    elif name in text and type(error) in kinds:
        return error
    kind = next((k for k in kinds if isinstance(error, k)), TypeError)
    return kind(text if name in text else f"{name}: {text}")


class Call:
    """An operation with its static parameters: what a node was made by. ``active``: some leaf can be reached."""

    __slots__ = ("active", "kind", "op", "params", "pull")

    def __init__(
        self,
        op: Op | None,
        params: Mapping[str, Any],
        *,
        active: bool,
        kind: str = "op",
        pull: Callable[[Any, Any, Any, Any], None] | None = None,
    ) -> None:
        self.op = op
        self.params = params
        self.active = active
        self.kind = kind
        self.pull = pull


LEAF = Call(None, NO_PARAMS, active=True, kind="leaf")
CONSTANT = Call(None, NO_PARAMS, active=False, kind="constant")


class Carrier:
    """What an operation can be applied to; ``Value`` and ``Tensor`` are the two carriers."""

    __slots__ = ()

    def _apply(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        raise NotImplementedError
