"""The worlds in which one derivative rule can be run.

A rule is written once as ``rule(xp, ...)``. What ``xp`` is decides what comes out: floats with IEEE results
(``SCALAR``), arrays (``NUMPY``), complex arrays whose branches look at the real part only (``COMPLEX``, for the
complex step of Squire and Trapp 1998), or lines of Python source (``Source``). The fifth world, recorded nodes,
is made by ``autodiff`` from the operations themselves.

A namespace offers the functions below natively; ``primitives`` adds every other operation to it, by running that
operation's own ``forward`` in the same namespace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Namespace = Any

_UNARY: dict[str, tuple[Callable[[float], float], Any]] = {
    "exp": (math.exp, np.exp),
    "expm1": (math.expm1, np.expm1),
    "log": (math.log, np.log),
    "log1p": (math.log1p, np.log1p),
    "sqrt": (math.sqrt, np.sqrt),
    "sin": (math.sin, np.sin),
    "cos": (math.cos, np.cos),
    "tan": (math.tan, np.tan),
    "arctan": (math.atan, np.arctan),
    "sinh": (math.sinh, np.sinh),
    "cosh": (math.cosh, np.cosh),
    "tanh": (math.tanh, np.tanh),
}
_COMPARISONS = {
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
}


def _ieee(fast: Callable[..., float], exact: Any) -> Callable[..., float]:
    """Return ``fast`` with the IEEE result (inf, nan, signed zero) wherever Python's math raises."""

    def function(*args: float) -> float:
        try:
            return fast(*args)
        except (ArithmeticError, ValueError):
            with np.errstate(all="ignore"):
                return float(exact(*args))

    return function


def _scalar_sign(x: float) -> float:
    return float((x > 0) - (x < 0)) if x == x else x


def _scalar_maximum(a: float, b: float) -> float:
    if a != a:
        return a
    return a if a > b else b


def _scalar_minimum(a: float, b: float) -> float:
    if a != a:
        return a
    return a if a < b else b


def _make_scalar() -> SimpleNamespace:
    ns = SimpleNamespace(**{name: _ieee(fast, exact) for name, (fast, exact) in _UNARY.items()})
    for name in ("tanh", "arctan"):  # these two never raise: no guard to pay for
        setattr(ns, name, _UNARY[name][0])
    ns.abs, ns.sign, ns.maximum, ns.minimum = abs, _scalar_sign, _scalar_maximum, _scalar_minimum
    ns.divide = _ieee(lambda a, b: a / b, np.divide)
    ns.power = _ieee(math.pow, np.power)
    ns.where = lambda c, a, b: a if c else b
    ns.weigh = lambda a, b: a * b if a and b else 0.0
    ns.logical_and = lambda a, b: bool(a) and bool(b)
    ns.logical_or = lambda a, b: bool(a) or bool(b)
    for name, sign in _COMPARISONS.items():
        setattr(ns, name, eval(f"lambda a, b: a {sign} b"))
    return ns


def _make_numpy() -> SimpleNamespace:
    ns = SimpleNamespace(**{name: exact for name, (_, exact) in _UNARY.items()})
    for name in (
        *_COMPARISONS,
        "maximum",
        "minimum",
        "divide",
        "power",
        "where",
        "logical_and",
        "logical_or",
        "sign",
    ):
        setattr(ns, name, getattr(np, name))
    ns.abs, ns.zeros, ns.array = np.abs, np.zeros, np.asarray
    ns.extremum = lambda x, axis, largest: (np.max if largest else np.min)(x, axis=axis, keepdims=True)
    ns.add_reduce = ns.sum = lambda x, axis=None, keepdims=False: np.add.reduce(
        x, axis=axis, keepdims=keepdims
    )
    ns.matmul, ns.real = _array_matmul, lambda x: x
    ns.weigh = _array_weigh
    ns.below_peak = lambda x, axis: below_peak(ns, x, axis)
    return ns


def below_peak(xp: Namespace, x: Any, axis: Any) -> tuple[Any, Any]:
    """Return the largest entry over ``axis``, and x minus it; an infinite peak is 0 below itself, not inf - inf."""
    real = xp.real(x)
    peak = np.max(real, axis=axis, keepdims=True) if real.size else np.sum(real, axis=axis, keepdims=True)
    infinite = np.isinf(peak)
    if not np.any(infinite):
        return peak, x - peak
    top = infinite & (real == peak)
    return peak, xp.where(top, 0.0, x - np.where(top, 0.0, peak))


def _array_matmul(a: Any, b: Any) -> Any:
    if b.ndim != 2 or a.ndim < 3:
        return np.matmul(a, b)
    rows = a.reshape(
        math.prod(a.shape[:-1]), a.shape[-1]
    )  # one product where numpy makes one for each matrix
    return np.matmul(rows, b).reshape(*a.shape[:-1], b.shape[-1])


def _array_weigh(a: Any, b: Any) -> Any:
    product = a * b
    if np.isfinite(product).all():  # the usual case, at a third of the price
        return product
    return np.where((a == 0) | (b == 0), 0.0, product)


def _make_complex() -> SimpleNamespace:
    """The numpy world for complex arrays: analytic functions as they are, every branch on the real part."""
    ns = _make_numpy()
    for name in _COMPARISONS:
        compare = getattr(np, name)
        setattr(ns, name, lambda a, b, compare=compare: compare(np.real(a), np.real(b)))
    ns.abs = lambda z: np.where(np.real(z) == 0, 0, np.where(np.real(z) < 0, -1, 1)) * z
    ns.sign = lambda z: np.sign(np.real(z))
    ns.maximum = lambda a, b: np.where(
        np.real(a) == np.real(b), (a + b) / 2, np.where(np.real(a) > np.real(b), a, b)
    )
    ns.minimum = lambda a, b: np.where(
        np.real(a) == np.real(b), (a + b) / 2, np.where(np.real(a) < np.real(b), a, b)
    )
    ns.zeros = lambda shape, dtype: np.zeros(shape, dtype=complex)
    ns.extremum, ns.real = _complex_extremum, np.real
    ns.weigh = _complex_weigh
    return ns


def _complex_weigh(a: Any, b: Any) -> Any:
    """The product, whose slope at a zero factor is the other one; 0 only where it would be nan."""
    product = a * b
    zero = (np.real(a) == 0) | (np.real(b) == 0)
    return np.where(zero & ~np.isfinite(product), 0.0, product)


def _complex_extremum(x: Any, axis: int | None, largest: bool) -> Any:
    """The mean of the entries whose real part is extreme: its derivative is the published one for ties."""
    real = np.real(x)
    best = real == (np.max if largest else np.min)(real, axis=axis, keepdims=True)
    return np.sum(np.where(best, x, 0), axis=axis, keepdims=True) / np.sum(best, axis=axis, keepdims=True)


SCALAR = _make_scalar()
NUMPY = _make_numpy()
COMPLEX = _make_complex()


class Expr:
    """A name or a number in printed source; arithmetic on it prints one more line."""

    __slots__ = ("source", "text")

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.text = text

    def __add__(self, other: Any) -> Expr:
        return self.source.infix(self, "+", other)

    def __radd__(self, other: Any) -> Expr:
        return self.source.infix(other, "+", self)

    def __sub__(self, other: Any) -> Expr:
        return self.source.infix(self, "-", other)

    def __rsub__(self, other: Any) -> Expr:
        return self.source.infix(other, "-", self)

    def __mul__(self, other: Any) -> Expr:
        return self.source.infix(self, "*", other)

    def __rmul__(self, other: Any) -> Expr:
        return self.source.infix(other, "*", self)

    def __truediv__(self, other: Any) -> Expr:
        return self.source.call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return self.source.call("divide", other, self)

    def __neg__(self) -> Expr:
        return self.source.emit(f"-{self.text}")


class Source:
    """A namespace that prints: running a rule in it appends single-assignment lines to ``lines``.

    An expression that was printed before is not printed again. Functions are called by the names that ``SCALAR``
    gives them, so the printed text is run with ``vars(SCALAR)`` as its globals.
    """

    def __init__(self, prefix: str = "t") -> None:
        self.lines: list[str] = []
        self._prefix = prefix
        self._known: dict[str, Expr] = {}

    def name(self, text: str) -> Expr:
        """Return ``text``, an existing variable, as an expression."""
        return Expr(self, text)

    def emit(self, text: str) -> Expr:
        """Return the name that a line ``name = text`` gives to ``text``."""
        if text not in self._known:
            self._known[text] = Expr(self, f"{self._prefix}{len(self._known)}")
            self.lines.append(f"{self._known[text].text} = {text}")
        return self._known[text]

    def infix(self, a: Any, sign: str, b: Any) -> Expr:
        """Return ``a sign b``; a product with the literal 1 is the other factor."""
        if sign == "*":
            if isinstance(a, (int, float)) and a == 1:
                return self._expr(b)
            if isinstance(b, (int, float)) and b == 1:
                return self._expr(a)
        return self.emit(f"{self._text(a)} {sign} {self._text(b)}")

    def call(self, function: str, *args: Any) -> Expr:
        """Return ``function(args)`` for a function of ``SCALAR``."""
        return self.emit(f"{function}({', '.join(self._text(a) for a in args)})")

    def where(self, condition: Any, a: Any, b: Any) -> Expr:
        """Return ``a`` where ``condition`` is true, else ``b``."""
        return self.emit(f"{self._text(a)} if {self._text(condition)} else {self._text(b)}")

    def weigh(self, a: Any, b: Any) -> Expr:
        """Return ``a * b``, 0 where either is 0."""
        first, second = self._text(a), self._text(b)
        return self.emit(f"{first} * {second} if {first} and {second} else 0.0")

    def logical_and(self, a: Any, b: Any) -> Expr:
        """Return whether both hold."""
        return self.emit(f"{self._text(a)} and {self._text(b)}")

    def logical_or(self, a: Any, b: Any) -> Expr:
        """Return whether one holds."""
        return self.emit(f"{self._text(a)} or {self._text(b)}")

    def __getattr__(self, function: str) -> Callable[..., Expr]:
        if function in _COMPARISONS:
            return lambda a, b: self.infix(a, _COMPARISONS[function], b)
        if function.startswith("_") or function not in vars(SCALAR):
            raise AttributeError(f"Source has no function {function!r}; it knows {sorted(vars(SCALAR))}")
        return lambda *args: self.call(function, *args)

    def _expr(self, item: Any) -> Expr:
        return item if isinstance(item, Expr) else Expr(self, self._text(item))

    @staticmethod
    def _text(item: Any) -> str:
        return item.text if isinstance(item, Expr) else repr(float(item))
