"""``product``: a matrix product of any numbers of axes as one ``gemm``, or one ``bmm``."""

from __future__ import annotations

import math

from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.codegen.windows import reshaped, window
from tinygrad_rnn.plan.codegen.writer import Writer


def product(writer: Writer, a: Place, b: Place, out: Place) -> None:
    """``a @ b`` with vectors as matrices of one row or column, and all leading axes of a as one, where they are."""
    if len(a.shape) == 1:
        a, out = with_axis(a, 0), with_axis(out, len(out.shape) - (len(b.shape) > 1))
    if len(b.shape) == 1:
        b, out = with_axis(b, 1), with_axis(out, len(out.shape))
    if len(b.shape) == 2:
        rows = reshaped(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        result = reshaped(out, (math.prod(out.shape[:-1]), out.shape[-1]))
        if rows is not None and result is not None:
            writer.emit("gemm", result, (rows, b))
            return
    lead = out.shape[:-2]
    stacks = [_stack(writer, x, lead) for x in (a, b)]
    result = reshaped(out, (math.prod(lead), *out.shape[-2:]))
    if result is not None:
        writer.emit("bmm", result, stacks)
        return
    room = writer.room((math.prod(lead), *out.shape[-2:]), out.dtype)
    writer.emit("bmm", room, stacks)
    writer.emit(
        "copy", out, (room._replace(shape=out.shape, strides=window(0, 0, out.shape, out.dtype).strides),)
    )


def _stack(writer: Writer, x: Place, lead: tuple[int, ...]) -> Place:
    """Return matrices, repeated as broadcasting to the leading axes demands, with these axes as one."""
    missing = len(lead) + 2 - len(x.shape)
    shape, strides = (1,) * missing + x.shape, (0,) * missing + x.strides
    spread = tuple(0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2], strict=True))
    wide = x._replace(shape=(*lead, *shape[-2:]), strides=(*spread, *strides[-2:]))
    flat = (math.prod(lead), *shape[-2:])
    stack = reshaped(wide, flat) if any(spread) else x._replace(shape=flat, strides=(0, *strides[-2:]))
    return writer.copied(wide, flat) if stack is None else stack


def with_axis(place: Place, at: int) -> Place:
    """Return the window with an axis of length 1 before axis ``at``."""
    shape, strides = place.shape, place.strides
    return place._replace(shape=(*shape[:at], 1, *shape[at:]), strides=(*strides[:at], 0, *strides[at:]))
