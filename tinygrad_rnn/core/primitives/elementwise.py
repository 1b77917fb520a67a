"""Operations that act at each position alone: arithmetic, powers, transcendental functions, branches.

Derivatives at kinks and edges are conventions; the table in ``tinygrad_rnn.core.primitives`` publishes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tinygrad_rnn.core.op import Op

_POSITIVE = ((0.0, math.inf),)

add = Op(
    name="add",
    symbol="+",
    forward=lambda xp, a, b: a + b,
    partials=(lambda xp, y, a, b: 1.0, lambda xp, y, a, b: 1.0),
    linear="jointly",
    doc="a + b; dy/da = 1, dy/db = 1",
)
subtract = Op(
    name="subtract",
    symbol="-",
    forward=lambda xp, a, b: a - b,
    partials=(lambda xp, y, a, b: 1.0, lambda xp, y, a, b: -1.0),
    linear="jointly",
    doc="a - b; dy/da = 1, dy/db = -1",
)
multiply = Op(
    name="multiply",
    symbol="×",
    forward=lambda xp, a, b: a * b,
    partials=(lambda xp, y, a, b: b, lambda xp, y, a, b: a),
    linear="each",
    doc="a b; dy/da = b, dy/db = a",
)
divide = Op(
    name="divide",
    symbol="÷",
    forward=lambda xp, a, b: xp.divide(a, b),
    partials=(lambda xp, y, a, b: 1.0 / b, lambda xp, y, a, b: -y / b),
    guarded=True,
    doc="a / b; dy/da = 1/b, dy/db = -y/b",
)
power = Op(
    name="power",
    symbol="^",
    forward=lambda xp, a, b: xp.power(a, b),
    partials=(
        lambda xp, y, a, b: xp.where(xp.equal(b, 0.0), 0.0, b * xp.power(a, b - 1.0)),
        lambda xp, y, a, b: xp.where(
            xp.greater(a, 0.0),
            xp.weigh(xp.log(xp.where(xp.greater(a, 0.0), a, 1.0)), y),
            xp.where(xp.equal(a, 0.0), 0.0, math.nan),
        ),
    ),
    domain=((0.0, math.inf), (-math.inf, math.inf)),
    guarded=True,
    doc="a ** b; dy/da = b a^(b-1) (0 for b = 0), dy/db = y ln a for a > 0, 0 for a = 0, nan for a < 0",
)
negative = Op(
    name="negative",
    symbol="-",
    forward=lambda xp, x: -x,
    partials=(lambda xp, y, x: -1.0,),
    linear="jointly",
    doc="-x; dy/dx = -1",
)
abs = Op(
    name="abs",
    symbol="|x|",
    forward=lambda xp, x: xp.abs(x),
    partials=(lambda xp, y, x: xp.sign(x),),
    guarded=True,
    doc="|x|; dy/dx = sign(x), 0 at 0",
)
sign = Op(
    name="sign",
    symbol="sign",
    forward=lambda xp, x: xp.sign(x),
    partials=(lambda xp, y, x: xp.where(xp.equal(x, x), 0.0, x),),
    guarded=True,
    doc="-1, 0 or 1; dy/dx = 0",
)
exp = Op(
    name="exp",
    symbol="exp",
    forward=lambda xp, x: xp.exp(x),
    partials=(lambda xp, y, x: y,),
    guarded=True,
    doc="e^x; dy/dx = y",
)
expm1 = Op(
    name="expm1",
    symbol="expm1",
    forward=lambda xp, x: xp.expm1(x),
    partials=(lambda xp, y, x: xp.exp(x),),
    guarded=True,
    doc="e^x - 1, accurate near 0; dy/dx = e^x",
)
log = Op(
    name="log",
    symbol="ln",
    forward=lambda xp, x: xp.log(x),
    partials=(lambda xp, y, x: 1.0 / x,),
    domain=_POSITIVE,
    guarded=True,
    doc="ln x; dy/dx = 1/x",
)
log1p = Op(
    name="log1p",
    symbol="log1p",
    forward=lambda xp, x: xp.log1p(x),
    partials=(lambda xp, y, x: 1.0 / (1.0 + x),),
    domain=((-1.0, math.inf),),
    guarded=True,
    doc="ln(1 + x), accurate near 0; dy/dx = 1/(1 + x)",
)
sqrt = Op(
    name="sqrt",
    symbol="√",
    forward=lambda xp, x: xp.sqrt(x),
    partials=(lambda xp, y, x: 0.5 / y,),
    domain=_POSITIVE,
    guarded=True,
    doc="√x; dy/dx = 1/(2y), inf at 0",
)
square = Op(
    name="square",
    symbol="x²",
    forward=lambda xp, x: x * x,
    partials=(lambda xp, y, x: 2.0 * x,),
    guarded=True,
    doc="x²; dy/dx = 2x",
)
sin = Op(
    name="sin",
    symbol="sin",
    forward=lambda xp, x: xp.sin(x),
    partials=(lambda xp, y, x: xp.cos(x),),
    doc="sin x; dy/dx = cos x",
)
cos = Op(
    name="cos",
    symbol="cos",
    forward=lambda xp, x: xp.cos(x),
    partials=(lambda xp, y, x: -xp.sin(x),),
    doc="cos x; dy/dx = -sin x",
)
tan = Op(
    name="tan",
    symbol="tan",
    forward=lambda xp, x: xp.tan(x),
    partials=(lambda xp, y, x: 1.0 + y * y,),
    domain=((-1.5, 1.5),),
    doc="tan x; dy/dx = 1 + y²",
)
arctan = Op(
    name="arctan",
    symbol="arctan",
    forward=lambda xp, x: xp.arctan(x),
    partials=(lambda xp, y, x: 1.0 / (1.0 + x * x),),
    doc="arctan x; dy/dx = 1/(1 + x²)",
)
sinh = Op(
    name="sinh",
    symbol="sinh",
    forward=lambda xp, x: xp.sinh(x),
    partials=(lambda xp, y, x: xp.cosh(x),),
    guarded=True,
    doc="sinh x; dy/dx = cosh x",
)
cosh = Op(
    name="cosh",
    symbol="cosh",
    forward=lambda xp, x: xp.cosh(x),
    partials=(lambda xp, y, x: xp.sinh(x),),
    guarded=True,
    doc="cosh x; dy/dx = sinh x",
)
tanh = Op(
    name="tanh",
    symbol="tanh",
    forward=lambda xp, x: xp.tanh(x),
    partials=(lambda xp, y, x: 1.0 - y * y,),
    doc="tanh x; dy/dx = 1 - y²",
)


def _sigmoid(xp: Any, x: Any) -> Any:
    z = xp.exp(
        xp.where(xp.greater_equal(x, 0.0), -x, x)
    )  # never overflows; analytic on each side, 0 included
    return xp.where(xp.greater_equal(x, 0.0), 1.0, z) / (1.0 + z)


sigmoid = Op(
    name="sigmoid",
    symbol="σ",
    forward=_sigmoid,
    partials=(lambda xp, y, x: y * xp.sigmoid(-x),),
    doc="1 / (1 + e^-x), stable at both ends; dy/dx = σ(x) σ(-x)",
)
softplus = Op(
    name="softplus",
    symbol="softplus",
    forward=lambda xp, x: xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x))),
    partials=(lambda xp, y, x: xp.sigmoid(x),),
    doc="ln(1 + e^x), stable at both ends; dy/dx = σ(x)",
)
relu = Op(
    name="relu",
    symbol="relu",
    forward=lambda xp, x: xp.where(xp.less_equal(x, 0.0), 0.0, x),
    partials=(lambda xp, y, x: xp.where(xp.greater(x, 0.0), 1.0, 0.0),),
    guarded=True,
    doc="max(x, 0); dy/dx = 1 for x > 0, else 0 (also at 0)",
)
leaky_relu = Op(
    name="leaky_relu",
    symbol="leaky relu",
    forward=lambda xp, x, slope: xp.where(xp.greater(x, 0.0), x, slope * x),
    partials=(lambda xp, y, x, slope: xp.where(xp.greater(x, 0.0), 1.0, slope),),
    guarded=True,
    bind=lambda x, slope=0.01: ((x,), {"slope": float(slope)}),
    doc="x for x > 0, else slope x (Maas et al. 2013); dy/dx = 1 or slope (slope at 0)",
)


def _share(wins: Any, ties: Any, xp: Any) -> Any:
    return xp.where(wins, 1.0, xp.where(ties, 0.5, 0.0))


maximum = Op(
    name="maximum",
    symbol="max",
    forward=lambda xp, a, b: xp.maximum(a, b),
    partials=(
        lambda xp, y, a, b: _share(xp.greater(a, b), xp.equal(a, b), xp),
        lambda xp, y, a, b: _share(xp.greater(b, a), xp.equal(a, b), xp),
    ),
    guarded=True,
    doc="the larger of a and b; a tie gives each a half",
)
minimum = Op(
    name="minimum",
    symbol="min",
    forward=lambda xp, a, b: xp.minimum(a, b),
    partials=(
        lambda xp, y, a, b: _share(xp.less(a, b), xp.equal(a, b), xp),
        lambda xp, y, a, b: _share(xp.less(b, a), xp.equal(a, b), xp),
    ),
    guarded=True,
    doc="the smaller of a and b; a tie gives each a half",
)
where = Op(
    name="where",
    symbol="where",
    forward=lambda xp, c, a, b: xp.where(c, a, b),
    partials=(
        None,
        lambda xp, y, c, a, b: xp.where(c, 1.0, 0.0),
        lambda xp, y, c, a, b: xp.where(c, 0.0, 1.0),
    ),
    guarded=True,
    doc="a where c is true, else b; the branch that was not taken gets exactly 0",
)


def _unless_nan(xp: Any, x: Any, low: Any, high: Any) -> Any:
    """Return x, or the bound that is nan: no comparison with it is true, and x would pass as if there were none."""
    known = xp.equal(low, low)
    return xp.where(xp.logical_and(known, xp.equal(high, high)), x, xp.where(known, high, low))


clip = Op(
    name="clip",
    symbol="clip",
    forward=lambda xp, x, low, high: xp.where(
        xp.less(high, low),
        high,
        xp.where(xp.less(x, low), low, xp.where(xp.greater(x, high), high, _unless_nan(xp, x, low, high))),
    ),
    partials=(
        lambda xp, y, x, low, high: xp.where(
            xp.logical_and(xp.greater_equal(x, low), xp.less_equal(x, high)), 1.0, 0.0
        ),
        lambda xp, y, x, low, high: xp.where(
            xp.logical_and(xp.less(x, low), xp.less_equal(low, high)), 1.0, 0.0
        ),
        lambda xp, y, x, low, high: xp.where(
            xp.logical_or(xp.greater(x, high), xp.less(high, low)), 1.0, 0.0
        ),
    ),
    guarded=True,
    bind=lambda x, low=None, high=None: (
        (x, -math.inf if low is None else low, math.inf if high is None else high),
        {},
    ),
    doc="x held between low and high; dy/dx = 1 inside and at the bounds, else the bound in force has derivative 1",
)
weigh = Op(
    name="weigh",
    symbol="×",
    forward=lambda xp, a, b: xp.weigh(a, b),
    partials=(lambda xp, y, a, b: b, lambda xp, y, a, b: a),
    guarded=True,
    doc="a b, where a zero factor wins over an infinite one: the product of guarded derivative rules",
)


def _sum(terms: Any) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _bind_terms(*terms: Any) -> Any:
    if len(terms) == 1 and isinstance(terms[0], (list, tuple, Iterator)):
        terms = tuple(terms[0])
    if not terms:
        raise ValueError("add_n: needs at least one term, got none")
    return terms, {}


def _dot(xp: Any, *factors: Any) -> Any:
    n = len(factors) // 2
    return _sum([factors[k] * factors[n + k] for k in range(n)])


add_n = Op(
    name="add_n",
    symbol="Σ",
    forward=lambda xp, *terms: _sum(terms),
    partials=lambda i, xp, y, terms: 1.0,
    packed=True,
    linear="jointly",
    bind=_bind_terms,
    doc="x_1 + ... + x_n as one node; every derivative is 1",
)
sum_of_products = Op(
    name="dot",
    symbol="·",
    forward=_dot,
    partials=lambda i, xp, y, factors: factors[(i + len(factors) // 2) % len(factors)],
    packed=True,
    doc="x_1 w_1 + ... + x_n w_n as one node, given (x_1 ... x_n, w_1 ... w_n); dy/dx_i = w_i",
)


def _comparison(name: str, symbol: str) -> Op:
    return Op(
        name=name,
        symbol=symbol,
        forward=lambda xp, a, b: getattr(xp, name)(a, b),
        doc=f"a {symbol} b, a truth value; no derivative",
    )


greater = _comparison("greater", ">")
greater_equal = _comparison("greater_equal", "≥")
less = _comparison("less", "<")
less_equal = _comparison("less_equal", "≤")
equal = _comparison("equal", "=")
not_equal = _comparison("not_equal", "≠")
logical_and = _comparison("logical_and", "∧")
logical_or = _comparison("logical_or", "∨")
