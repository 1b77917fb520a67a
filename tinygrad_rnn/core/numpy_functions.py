"""Which of numpy's functions run on Tensors, and what to say of the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op

UFUNCS: dict[Any, Op] = {
    getattr(np, name): getattr(ops, name)
    for name in (
        "add", "subtract", "multiply", "divide", "power", "negative", "sign", "exp", "expm1", "log", "log1p", "sqrt",
        "square", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "maximum", "minimum", "matmul", "greater",
        "greater_equal", "less", "less_equal", "equal", "not_equal", "logical_and", "logical_or",
    )
}  # fmt: skip
UFUNCS |= {np.absolute: ops.abs, np.float_power: ops.power, np.positive: ops.alias}


def _zeros_like(x: Any, dtype: Any = None) -> Any:
    return np.zeros(x.shape, dtype=dtype or x.dtype)


def _ones_like(x: Any, dtype: Any = None) -> Any:
    return np.ones(x.shape, dtype=dtype or x.dtype)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    two = ord is None or (ord == 2 and (axis is not None or len(x.shape) == 1)) or ord == "fro"
    if not two:
        raise TypeError(
            f"np.linalg.norm of a Tensor offers the Euclidean norm only (ord None, 2 or 'fro'), got {ord!r}"
        )
    return ops.norm(x, axis=axis, keepdims=keepdims)


FUNCTIONS: dict[Any, Any] = {
    getattr(np, name): getattr(ops, name)
    for name in (
        "sum", "mean", "prod", "max", "min", "cumsum", "cumprod", "reshape", "transpose", "swapaxes", "moveaxis",
        "expand_dims", "squeeze", "broadcast_to", "concatenate", "stack", "split", "flip", "pad", "repeat", "take",
        "einsum", "where", "clip", "dot", "outer", "inner", "tensordot", "vstack", "hstack", "ravel", "var", "std",
    )
}  # fmt: skip
FUNCTIONS |= {
    np.amax: ops.max,
    np.amin: ops.min,
    np.copy: ops.alias,
    np.zeros_like: _zeros_like,
    np.ones_like: _ones_like,
    np.linalg.norm: _norm,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: len(x.shape),
    np.size: lambda x: x.size,
}


def refusal(function: Any, method: str, kwargs: dict[str, Any]) -> str:
    """Return why a numpy function does not run on a Tensor, and what does."""
    module = getattr(function, "__module__", None) or "numpy"
    name = f"{module}.{function.__name__}".removeprefix("numpy.") + (
        "" if method == "__call__" else f".{method}"
    )
    if kwargs.get("out") is not None:
        return f"np.{name}: out= would write into a recorded array; take the result instead"
    known = function in UFUNCS or function in FUNCTIONS
    if known and kwargs:
        return (
            f"np.{name} on a Tensor does not take {sorted(kwargs)}; call tr.ops.{function.__name__} without"
        )
    return (
        f"np.{name} has no derivative here: compose it from tr.ops, define it with tr.Op, or apply it "
        "to the plain array (tensor.data), which leaves the graph"
    )
