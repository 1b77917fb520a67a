"""Every operation, each defined once; public as ``tinygrad_rnn.ops``.

An operation is an :class:`~tinygrad_rnn.core.op.Op`; ``ALL`` lists them. Names are numpy's, with short aliases
(``div``, ``mul``, ``sub``, ``pow``, ``neg``).

Derivatives at kinks and edges are conventions. These are ours, tested exactly:

    ======================  =====================================================================
    at                      derivative
    ======================  =====================================================================
    abs(0)                  0
    sign(x)                 0
    relu(0), relu(nan)      0
    leaky_relu(0)           slope
    maximum, minimum tie    a half to each
    max, min tie            an equal share to each tied entry
    clip at a bound         1 to x, 0 to the bound; beyond it 0 to x, 1 to the bound
    where(c, a, b)          the branch not taken gets exactly 0, even where its own slope is infinite
    norm(0)                 0
    prod with zeros         the product of the others, found without dividing
    sqrt(0)                 inf (and 0 where the cotangent is 0)
    log(0), 1/0             inf with the sign of zero (and 0 where the cotangent is 0)
    x ** 0 at x = 0         0 to x
    0 ** y                  0 to y
    x ** y, x < 0           y x^(y-1) to x; nan to y
    std of equal entries    0: sqrt's infinite slope meets a zero
    ======================  =====================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.namespaces import COMPLEX, NUMPY, SCALAR
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives import elementwise, indexing, products, reductions, shaping
from tinygrad_rnn.core.primitives.derived import (
    dot,
    expand_dims,
    hstack,
    inner,
    moveaxis,
    outer,
    ravel,
    repeat,
    split,
    squeeze,
    std,
    swapaxes,
    take,
    tensordot,
    var,
    vstack,
)
from tinygrad_rnn.core.primitives.elementwise import (
    abs,
    add,
    add_n,
    arctan,
    clip,
    cos,
    cosh,
    divide,
    equal,
    exp,
    expm1,
    greater,
    greater_equal,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    relu,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    subtract,
    sum_of_products,
    tan,
    tanh,
    weigh,
    where,
)
from tinygrad_rnn.core.primitives.indexing import getitem, scatter_add
from tinygrad_rnn.core.primitives.products import einsum, matmul
from tinygrad_rnn.core.primitives.reductions import (
    cumprod,
    cumsum,
    linear_scan,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    softmax,
    sum,
)
from tinygrad_rnn.core.primitives.shaping import (
    alias,
    astype,
    broadcast_to,
    concatenate,
    detach,
    flip,
    item,
    pad,
    reshape,
    stack,
    sum_to,
    transpose,
)

ALL: tuple[Op, ...] = tuple(
    value
    for module in (elementwise, reductions, shaping, indexing, products)
    for value in vars(module).values()
    if isinstance(value, Op)
)
div, mul, sub, pow, neg, absolute = divide, multiply, subtract, power, negative, abs


def _complete(namespace: Any, ops: tuple[Op, ...]) -> None:
    """Give ``namespace`` each operation that it does not have natively, by the operation's own forward in it."""
    for op in ops:
        if not hasattr(namespace, op.name):
            setattr(namespace, op.name, _inside(namespace, op))


def _inside(namespace: Any, op: Op) -> Any:
    def run(*args: Any, **params: Any) -> Any:
        if op.bind is not None:
            args, params = op.bind(*args, **params)
        return op.forward(namespace, *args, **params)

    return run


_complete(SCALAR, tuple(op for op in ALL if op.elementwise))
NUMPY.add, NUMPY.subtract, NUMPY.multiply, NUMPY.swapaxes = np.add, np.subtract, np.multiply, np.swapaxes
COMPLEX.swapaxes = np.swapaxes
_complete(NUMPY, ALL)
_complete(COMPLEX, ALL)

__all__ = [
    "ALL",
    "abs",
    "absolute",
    "add",
    "add_n",
    "alias",
    "arctan",
    "astype",
    "broadcast_to",
    "clip",
    "concatenate",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "detach",
    "div",
    "divide",
    "dot",
    "einsum",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "flip",
    "getitem",
    "greater",
    "greater_equal",
    "hstack",
    "inner",
    "item",
    "leaky_relu",
    "less",
    "less_equal",
    "linear_scan",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_or",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "mul",
    "multiply",
    "neg",
    "negative",
    "norm",
    "not_equal",
    "outer",
    "pad",
    "pow",
    "power",
    "prod",
    "ravel",
    "relu",
    "repeat",
    "reshape",
    "scatter_add",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "subtract",
    "sum",
    "sum_of_products",
    "sum_to",
    "swapaxes",
    "take",
    "tan",
    "tanh",
    "tensordot",
    "transpose",
    "var",
    "vstack",
    "weigh",
    "where",
]
