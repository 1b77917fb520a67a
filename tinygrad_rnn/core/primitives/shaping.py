"""Operations that move entries without changing them: reshape, transpose, broadcast, join, flip, pad, cast."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives.reductions import axes_of


def _ints(shape: Any) -> tuple[int, ...]:
    return (
        tuple(operator.index(n) for n in shape)
        if isinstance(shape, (tuple, list))
        else (operator.index(shape),)
    )


def _bind_reshape(x: Any, *shape: Any) -> Any:
    return (x,), {"shape": _ints(shape[0] if len(shape) == 1 else shape)}


def _bind_transpose(x: Any, *axes: Any) -> Any:
    if not axes:
        return (x,), {"axes": tuple(range(len(x.shape)))[::-1]}
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        axes = tuple(axes[0] or range(len(x.shape))[::-1])
    order = _ints(axes)
    return (x,), {"axes": tuple(a % len(x.shape) if -len(x.shape) <= a < 0 else a for a in order)}


def sum_to(xp: Any, c: Any, shape: tuple[int, ...]) -> Any:
    """Return ``c`` summed over the axes that broadcasting added to, or stretched in, an array of ``shape``."""
    lead = len(c.shape) - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, c.shape[lead:], strict=True)):
        raise ValueError(f"a cotangent of shape {c.shape} does not fit an argument of shape {shape}")
    stretched = (lead + i for i, n in enumerate(shape) if n == 1 and c.shape[lead + i] != 1)
    axes = (*range(lead), *stretched)
    summed = xp.sum(c, axes) if axes else c
    return summed if summed.shape == shape else xp.reshape(summed, shape)


reshape = Op(
    name="reshape",
    symbol="reshape",
    forward=lambda xp, x, shape: np.reshape(x, shape),
    transpose=(lambda xp, g, y, x, shape: xp.reshape(g, x.shape),),
    linear="each",
    bind=_bind_reshape,
    doc="the same entries in C order under another shape",
)
transpose = Op(
    name="transpose",
    symbol="ᵀ",
    forward=lambda xp, x, axes: x.transpose(axes),
    transpose=(lambda xp, g, y, x, axes: xp.transpose(g, tuple(sorted(axes, key=axes.__getitem__))),),
    linear="each",
    bind=_bind_transpose,
    doc="axes in another order (reversed when None)",
)
broadcast_to = Op(
    name="broadcast_to",
    symbol="broadcast",
    forward=lambda xp, x, shape: np.broadcast_to(x, shape),
    transpose=(lambda xp, g, y, x, shape: sum_to(xp, g, x.shape),),
    linear="each",
    bind=lambda x, shape: ((x,), {"shape": _ints(shape)}),
    doc="entries repeated along axes of length 1 and new leading axes",
)


def _bind_stack(arrays: Any, axis: Any = 0) -> Any:
    items = tuple(arrays)
    if not items:
        raise ValueError("stack: needs at least one array, got none")
    return items, {"axis": operator.index(axis)}


def _bind_concatenate(arrays: Any, axis: Any = 0) -> Any:
    items = tuple(arrays)
    if not items:
        raise ValueError("concatenate: needs at least one array, got none")
    k = operator.index(axis)
    shapes = [np.shape(x) for x in items]
    if not all(-len(s) <= k < len(s) for s in shapes):
        raise ValueError(f"concatenate: axis {k} is out of bounds for arrays of shapes {shapes[:4]}")
    return items, {"axis": k, "starts": tuple(itertools.accumulate((s[k] for s in shapes), initial=0))}


def _piece(i: int, xp: Any, g: Any, y: Any, args: Any, axis: int, starts: tuple[int, ...]) -> Any:
    """Return the part of ``g`` that came from argument i of a concatenation."""
    return g[(*_before(axis, y), slice(starts[i], starts[i + 1]))]


def _before(axis: int, y: Any) -> tuple[slice, ...]:
    """Return a key that takes all of each axis before ``axis``."""
    return (slice(None),) * (axis % len(y.shape))


concatenate = Op(
    name="concatenate",
    symbol="concat",
    forward=lambda xp, *args, axis, starts: np.concatenate(args, axis=axis),
    transpose=_piece,
    packed=True,
    linear="jointly",
    bind=_bind_concatenate,
    doc="arrays joined along an existing axis",
)
stack = Op(
    name="stack",
    symbol="stack",
    forward=lambda xp, *args, axis: np.stack(args, axis=axis),
    transpose=lambda i, xp, g, y, args, axis: g[(*_before(axis, y), i)],
    packed=True,
    linear="jointly",
    result="Tensor",
    bind=_bind_stack,
    doc="arrays of one shape joined along a new axis; of Values: the Tensor that holds them",
)
item = Op(
    name="item",
    symbol="item",
    forward=lambda xp, x: _only(x),
    transpose=(lambda xp, g, y, x: xp.reshape(xp.stack([g]), x.shape),),
    linear="each",
    result="Value",
    doc="the only entry of a Tensor, as a Value: the way back over the bridge that stack is",
)


def _only(x: Any) -> Any:
    if x.size != 1:
        raise ValueError(f"item: needs a Tensor of one entry, got shape {x.shape}")
    return np.reshape(x, ())


flip = Op(
    name="flip",
    symbol="flip",
    forward=lambda xp, x, axis: np.flip(x, axis),
    transpose=(lambda xp, g, y, x, axis: xp.flip(g, axis),),
    linear="each",
    bind=lambda x, axis=None: ((x,), {"axis": axes_of(axis)}),
    doc="entries in reverse order along axis (all axes when None)",
)


def _bind_pad(x: Any, pad_width: Any, constant_values: float = 0.0, mode: str = "constant") -> Any:
    if mode != "constant":
        raise ValueError(f"pad: mode must be 'constant', got {mode!r}")
    widths = np.broadcast_to(np.asarray(pad_width), (len(x.shape), 2)).tolist()
    return (x,), {
        "pad_width": tuple((int(a), int(b)) for a, b in widths),
        "constant_values": float(constant_values),
    }


pad = Op(
    name="pad",
    symbol="pad",
    forward=lambda xp, x, pad_width, constant_values: _padded(x, pad_width, constant_values),
    transpose=(
        lambda xp, g, y, x, pad_width, constant_values: g[
            tuple(slice(a, a + n) for (a, _), n in zip(pad_width, x.shape, strict=True))
        ],
    ),
    bind=_bind_pad,
    doc="x with constant entries before and after along each axis",
)


def _padded(x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
    out = np.full([a + n + b for (a, b), n in zip(widths, x.shape, strict=True)], value, dtype=x.dtype)
    out[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))] = x
    return out


def _bind_astype(x: Any, dtype: Any) -> Any:
    to = np.dtype(dtype)
    if x.dtype.kind == "f" and to not in (np.float64, np.float32):
        raise TypeError(
            f"astype: {to} has no derivative; cast to float64 or float32, or take x.data.astype({str(to)!r}), which "
            "leaves the graph"
        )
    return (x,), {"dtype": str(to)}


astype = Op(
    name="astype",
    symbol="cast",
    forward=lambda xp, x, dtype: x.astype(dtype) if x.dtype.kind in "fiub" else x,
    transpose=(lambda xp, g, y, x, dtype: xp.astype(g, str(x.dtype)),),
    linear="each",
    bind=_bind_astype,
    doc="x in another floating dtype",
)
alias = Op(
    name="copy",
    symbol="copy",
    forward=lambda xp, x: x,
    partials=(lambda xp, y, x: 1.0,),
    linear="each",
    doc="x itself as a node of its own",
)
detach = Op(
    name="detach",
    symbol="✂",
    forward=lambda xp, x: x,
    doc="the value of x and no gradient: where truncated BPTT cuts the graph",
)
