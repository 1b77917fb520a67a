"""Operations that sum up or scan one axis: sum, mean, prod, max, logsumexp, softmax, cumsum, norm.

Shapes: ``x`` of any shape; ``axis`` None, an integer or a tuple; ``keepdims`` as in numpy.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Op


def axes_of(axis: Any) -> Any:
    """Return ``axis`` as None, an int or a tuple of ints, so that it can be hashed."""
    if axis is None:
        return None
    if isinstance(axis, (tuple, list)):
        return tuple(operator.index(a) for a in axis)
    return operator.index(axis)


def _bind_reduction(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return (x,), {"axis": axes_of(axis), "keepdims": bool(keepdims)}


def _bind_last_axis(x: Any, axis: Any = -1) -> Any:
    return (x,), {"axis": operator.index(axis)}


def _bind_scan(x: Any, axis: Any = None) -> Any:
    """An ``axis`` of None flattens first, as numpy does."""
    return ((x.reshape(-1) if axis is None else x),), {"axis": 0 if axis is None else operator.index(axis)}


def reduced_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Return the axes that ``axis`` (None, an integer or a tuple) names, counted from the first; none of a number."""
    if axis is None:
        return tuple(range(rank))
    return tuple(a % rank for a in (axis if isinstance(axis, tuple) else (axis,))) if rank else ()


def _kept_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """Return ``shape`` with a 1 at each reduced axis."""
    reduced = reduced_axes(axis, len(shape))
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def _narrow_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """Return ``shape`` without the reduced axes."""
    reduced = reduced_axes(axis, len(shape))
    return tuple(n for i, n in enumerate(shape) if i not in reduced)


def _restore(xp: Any, reduced: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Return ``reduced`` with its reduced axes back, each of length 1."""
    return reduced if keepdims else xp.reshape(reduced, _kept_shape(x.shape, axis))


def _spread(xp: Any, g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    return xp.broadcast_to(_restore(xp, g, x, axis, keepdims), x.shape)


def _count(shape: tuple[int, ...], axis: Any) -> int:
    kept = math.prod(_kept_shape(shape, axis))
    return math.prod(shape) // kept if kept else 0


sum = Op(
    name="sum",
    symbol="Σ",
    forward=lambda xp, x, axis, keepdims: xp.add_reduce(x, axis, keepdims),
    transpose=(lambda xp, g, y, x, axis, keepdims: _spread(xp, g, x, axis, keepdims),),
    linear="each",
    bind=_bind_reduction,
    doc="sum over axis; every derivative is 1",
)
mean = Op(
    name="mean",
    symbol="mean",
    forward=lambda xp, x, axis, keepdims: xp.add_reduce(x, axis, keepdims) / _count(x.shape, axis),
    transpose=(
        lambda xp, g, y, x, axis, keepdims: (
            _spread(xp, g, x, axis, keepdims)
            * (1.0 / (_count(x.shape, axis) or 1))  # an empty axis has no entry to scale
        ),
    ),
    linear="each",
    bind=_bind_reduction,
    doc="mean over axis; every derivative is 1/n",
)


def _product_of_others(xp: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The derivative of a product is the product of the others, found without dividing (so zeros are right).

    ``left`` and ``right`` are the products of all entries before and after each one, along one flattened axis.
    """
    ndim = len(x.shape)
    axes = reduced_axes(axis, ndim)
    order = tuple(a for a in range(ndim) if a not in axes) + axes
    moved = xp.transpose(x, order)
    flat = xp.reshape(moved, (*moved.shape[: ndim - len(axes)], _count(x.shape, axis)))
    left = _before(xp, flat)
    right = xp.flip(_before(xp, xp.flip(flat, -1)), -1)
    others = xp.transpose(xp.reshape(left * right, moved.shape), tuple(int(i) for i in np.argsort(order)))
    return xp.weigh(_spread(xp, g, x, axis, keepdims), others)


def _before(xp: Any, x: Any) -> Any:
    """Return the product of all entries before each one along the last axis."""
    if x.shape[-1] == 0:
        return x
    widths = ((0, 0),) * (len(x.shape) - 1) + ((1, 0),)
    return xp.pad(xp.cumprod(x, -1)[..., :-1], widths, 1.0)


prod = Op(
    name="prod",
    symbol="Π",
    forward=lambda xp, x, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims),
    transpose=(_product_of_others,),
    bind=_bind_reduction,
    doc="product over axis; dy/dx_i = product of the others, right also where an entry is 0",
)


def _extremum_rule(xp: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    best = xp.equal(x, _restore(xp, y, x, axis, keepdims))
    share = xp.sum(xp.where(best, 1.0, 0.0), axis, True)
    return xp.where(best, _spread(xp, g, x, axis, keepdims) / share, 0.0)


def _extremum(xp: Any, x: Any, axis: Any, keepdims: bool, largest: bool) -> Any:
    y = xp.extremum(x, axis, largest)
    return y if keepdims else np.squeeze(y, axis=axis)


max = Op(
    name="max",
    symbol="max",
    forward=lambda xp, x, axis, keepdims: _extremum(xp, x, axis, keepdims, True),
    transpose=(_extremum_rule,),
    bind=_bind_reduction,
    doc="largest entry over axis; tied entries share the derivative equally",
)
min = Op(
    name="min",
    symbol="min",
    forward=lambda xp, x, axis, keepdims: _extremum(xp, x, axis, keepdims, False),
    transpose=(_extremum_rule,),
    bind=_bind_reduction,
    doc="smallest entry over axis; tied entries share the derivative equally",
)


# ``xp.below_peak(x, axis)`` gives the largest entry, and x minus it. Softmax and its kin do not change when x is
# shifted, so the shift needs no derivative.


def _sum_exp(xp: Any, below: Any, axis: Any) -> Any:
    return xp.add_reduce(xp.exp(below), axis, True)


def _logsumexp(xp: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    peak, below = xp.below_peak(x, axis)
    y = xp.log(_sum_exp(xp, below, axis)) + peak
    return y if keepdims or not y.shape else xp.reshape(y, _narrow_shape(x.shape, axis))


def _softmax(xp: Any, x: Any, axis: Any) -> Any:
    weights = xp.exp(xp.below_peak(x, axis)[1])
    return weights / xp.add_reduce(weights, axis, True)


def _log_softmax(xp: Any, x: Any, axis: int) -> Any:
    below = xp.below_peak(x, axis)[1]
    return below - xp.log(_sum_exp(xp, below, axis))


def _softmax_over(xp: Any, x: Any, axis: Any) -> Any:
    """Return the softmax of x over one, several or all axes."""
    if axis is None:
        return xp.reshape(xp.softmax(xp.reshape(x, (-1,)), 0), x.shape)
    if isinstance(axis, int):
        return xp.softmax(x, axis)
    return xp.exp(x - xp.logsumexp(x, axis, True))


logsumexp = Op(
    name="logsumexp",
    symbol="logΣexp",
    forward=_logsumexp,
    transpose=(
        lambda xp, g, y, x, axis, keepdims: _restore(xp, g, x, axis, keepdims) * _softmax_over(xp, x, axis),
    ),
    bind=_bind_reduction,
    doc="ln Σ e^x over axis, shifted by the largest entry; dy/dx = softmax(x)",
)
softmax = Op(
    name="softmax",
    symbol="softmax",
    forward=_softmax,
    transpose=(lambda xp, g, y, x, axis: y * (g - xp.sum(g * y, axis, True)),),
    bind=_bind_last_axis,
    doc="e^x / Σ e^x over axis, shifted by the largest entry; its vjp is y (g - Σ g y)",
)
log_softmax = Op(
    name="log_softmax",
    symbol="log softmax",
    forward=_log_softmax,
    transpose=(lambda xp, g, y, x, axis: g - xp.exp(y) * xp.sum(g, axis, True),),
    bind=_bind_last_axis,
    doc="x - logsumexp(x) over axis; its vjp is g - softmax(x) Σ g",
)
cumsum = Op(
    name="cumsum",
    symbol="cumΣ",
    forward=lambda xp, x, axis: np.cumsum(x, axis=axis),
    transpose=(lambda xp, g, y, x, axis: xp.flip(xp.cumsum(xp.flip(g, axis), axis), axis),),
    linear="each",
    bind=_bind_scan,
    doc="running sum along axis (None flattens)",
)


def _linear_scan(xp: Any, a: Any, b: Any) -> Any:
    out = np.array(np.broadcast_arrays(b, a)[0], dtype=np.result_type(a, b))
    for t in range(1, out.shape[-1]):
        out[..., t] = a[..., t] * out[..., t - 1] + b[..., t]
    return out


def _shifted(xp: Any, x: Any, before: int, after: int) -> Any:
    """Return x moved along its last axis by one place, a zero coming in."""
    if x.shape[-1] == 0:
        return x
    inner = x[..., :-1] if before else x[..., 1:]
    return xp.pad(inner, ((0, 0),) * (len(x.shape) - 1) + ((before, after),), 0.0)


def _scan_adjoint(xp: Any, g: Any, a: Any) -> Any:
    """The scan run backward in time: lambda_t = g_t + a_{t+1} lambda_{t+1}."""
    reverse = xp.linear_scan(xp.flip(_shifted(xp, a, 0, 1), -1), xp.flip(g, -1))
    return xp.flip(reverse, -1)


linear_scan = Op(
    name="linear_scan",
    symbol="scan",
    forward=_linear_scan,
    transpose=(
        lambda xp, g, y, a, b: _scan_adjoint(xp, g, a) * _shifted(xp, y, 1, 0),
        lambda xp, g, y, a, b: _scan_adjoint(xp, g, a),
    ),
    doc="s_t = a_t s_{t-1} + b_t along the last axis, s_0 = b_0: the recurrence behind cumprod's derivative",
)


def _cumprod_rule(xp: Any, g: Any, y: Any, x: Any, axis: int) -> Any:
    """dL/dx_i = (product before i) * Σ_{j>=i} g_j Π_{i<k<=j} x_k; the sum is a scan, so zeros are right."""
    g, last = xp.swapaxes(g, axis, -1), xp.swapaxes(x, axis, -1)
    return xp.swapaxes(_before(xp, last) * _scan_adjoint(xp, g, last), axis, -1)


cumprod = Op(
    name="cumprod",
    symbol="cumΠ",
    forward=lambda xp, x, axis: np.cumprod(x, axis=axis),
    transpose=(_cumprod_rule,),
    bind=_bind_scan,
    doc="running product along axis (None flattens); right also where an entry is 0",
)
norm = Op(
    name="norm",
    symbol="‖x‖",
    forward=lambda xp, x, axis, keepdims: xp.sqrt(xp.add_reduce(xp.square(x), axis, keepdims)),
    transpose=(
        lambda xp, g, y, x, axis, keepdims: (
            x
            * _restore(
                xp, xp.where(xp.equal(y, 0.0), 0.0, g / xp.where(xp.equal(y, 0.0), 1.0, y)), x, axis, keepdims
            )
        ),
    ),
    bind=_bind_reduction,
    doc="Euclidean (Frobenius) norm over axis; dy/dx = x/y, 0 where y = 0",
)
