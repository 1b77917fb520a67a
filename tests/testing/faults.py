"""Wrong rules for our own operations, to see checks and strategies catch them; the right ones stay untouched."""

from dataclasses import replace
from typing import Any

from tinygrad_rnn import ops


def _wrong(op: Any, *rules: Any) -> Any:
    given = rules if op.elementwise else ()
    return replace(op, partials=given) if given else replace(op, transpose=rules)


# what is wrong -> an operation that has ours' name and value
WRONG_RULES: dict[str, Any] = {
    "tanh without its square": _wrong(ops.tanh, lambda xp, y, x: 1.0 - y),
    "tanh off by 5e-7": _wrong(ops.tanh, lambda xp, y, x: (1.0 - y * y) * (1.0 + 5e-7)),
    "sigmoid' = y": _wrong(ops.sigmoid, lambda xp, y, x: y),
    "sin' = sin": _wrong(ops.sin, lambda xp, y, x: y),
    "cos without its sign": _wrong(ops.cos, lambda xp, y, x: xp.sin(x)),
    "square without its 2": _wrong(ops.square, lambda xp, y, x: x),
    "exp' = 1": _wrong(ops.exp, lambda xp, y, x: 1.0),
    "log' = x": _wrong(ops.log, lambda xp, y, x: x),
    "sqrt' = 1/y": _wrong(ops.sqrt, lambda xp, y, x: 1.0 / y),
    "relu' = 1 at 0": _wrong(ops.relu, lambda xp, y, x: xp.where(xp.greater_equal(x, 0.0), 1.0, 0.0)),
    "abs' = 1": _wrong(ops.abs, lambda xp, y, x: 1.0),
    "maximum: a tie goes to a": _wrong(
        ops.maximum,
        lambda xp, y, a, b: xp.where(xp.greater_equal(a, b), 1.0, 0.0),
        lambda xp, y, a, b: xp.where(xp.greater_equal(a, b), 0.0, 1.0),
    ),
    "multiply: both slopes are a": _wrong(
        ops.multiply, lambda xp, y, a, b: a, lambda xp, y, a, b: a
    ),
    "divide without its sign": _wrong(
        ops.divide, lambda xp, y, a, b: 1.0 / b, lambda xp, y, a, b: y / b
    ),
    "subtract with two pluses": _wrong(
        ops.subtract, lambda xp, y, a, b: 1.0, lambda xp, y, a, b: 1.0
    ),
    "power without its logarithm": _wrong(
        ops.power, lambda xp, y, a, b: b * xp.power(a, b - 1.0), lambda xp, y, a, b: y
    ),
}  # fmt: skip
WRONG_TENSOR_RULES: dict[str, Any] = {
    "softmax without its sum": replace(
        ops.softmax, transpose=(lambda xp, g, y, x, axis: g * y,)
    ),
    "cumsum not reversed": replace(
        ops.cumsum, linear="", transpose=(lambda xp, g, y, x, axis: xp.cumsum(g, axis=axis),)
    ),
    "flip not flipped back": replace(
        ops.flip, linear="", transpose=(lambda xp, g, y, x, axis: g,)
    ),
    "mean forgets 1/n": replace(
        ops.mean, linear="",
        transpose=(lambda xp, g, y, x, axis, keepdims: ops.sum.transpose[0](
            xp, g, y, x, axis=axis, keepdims=keepdims),),
    ),
    "matmul: b is not transposed": replace(
        ops.matmul, linear="",
        transpose=(
            lambda xp, g, y, a, b: ops.matmul.transpose[0](xp, g, y, a, xp.swapaxes(b, -1, -2))
            if len(b.shape) == 2 and b.shape[0] == b.shape[1]
            else ops.matmul.transpose[0](xp, g, y, a, b),
            ops.matmul.transpose[1],
        ),
    ),
    "prod divides": replace(
        ops.prod,
        transpose=(lambda xp, g, y, x, axis, keepdims: ops.prod.transpose[0](
            xp, g, y, x, axis=axis, keepdims=keepdims) * xp.where(xp.equal(x, 0.0), 0.0, 1.0),),
    ),
}  # fmt: skip
