"""Gradient clipping: by the norm over all parameters, or element by element; in place, or as pure functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.nn.module import Module


class NonFiniteGradientError(FloatingPointError):
    """A gradient holds inf or nan; nothing was changed, neither parameters, gradients nor optimizer state."""


def named(params: Any) -> dict[str, Any]:
    """Return the parameters of a Module, mapping or sequence under their names, "0", "1", ... in a sequence.

    Raises:
        TypeError: `params` is something else.
    """
    if isinstance(params, Module):
        return dict(params.named_parameters())
    if isinstance(params, Mapping):
        return {str(name): param for name, param in params.items()}
    if isinstance(params, Sequence) and not isinstance(params, (str, bytes)):
        return {str(number): param for number, param in enumerate(params)}
    raise TypeError(f"params must be a Module, a list or a dict of parameters, not {type(params).__name__}")


def leaves(params: Any) -> dict[str, Any]:
    """Return what `named` does, of parameters.

    Raises:
        TypeError: `params` is something else, or holds something that is no Value or Tensor.
    """
    found = named(params)
    for name, param in found.items():
        if not isinstance(param, Carrier):
            raise TypeError(f"params: {name!r} must be a Value or Tensor, got {type(param).__name__}")
    return found


def gradient_norm(grads: Mapping[str, Any]) -> float:
    """Return sqrt(sum of g^2 over all elements of all gradients), computed without overflow.

    Raises:
        NonFiniteGradientError: a gradient holds inf or nan; its parameter is named.
    """
    largest = 0.0
    for name, grad in grads.items():
        top = float(np.max(np.abs(grad), initial=0.0))
        if not math.isfinite(top):
            bad = int(np.count_nonzero(~np.isfinite(grad)))
            raise NonFiniteGradientError(
                f"the gradient of {name!r} is not finite in {bad} of {np.size(grad)} elements"
            )
        largest = max(largest, top)
    if largest == 0.0:
        return 0.0
    # Scaled by a power of two, which rounds nothing: 1e200 has a norm although its square is no float.
    scale = math.ldexp(1.0, math.frexp(largest)[1])
    squares = (float(np.sum(np.square(np.asarray(grad, np.float64) / scale))) for grad in grads.values())
    return scale * math.sqrt(math.fsum(squares))


def clip_grad_norm(params: Any, max_norm: float) -> float:
    """Return the norm of all gradients together, after scaling them down to `max_norm` where it is larger.

    g <- g min(1, max_norm / (norm + 1e-6)), as PyTorch's `clip_grad_norm_`; the direction is kept (Pascanu,
    Mikolov and Bengio 2013, algorithm 1). Parameters without a gradient are passed over.

    Args:
        params: a Module, list or dict of parameters whose `.grad` is changed.
        max_norm: at least 0; infinity only measures.

    Raises:
        NonFiniteGradientError: a gradient holds inf or nan; its parameter is named and nothing is changed.
        ValueError: `max_norm` is negative or not a number.
    """
    check.number("clip_grad_norm: max_norm", max_norm, 0.0, finite=False)
    with_grad = {name: param for name, param in leaves(params).items() if param.has_grad}
    norm = gradient_norm({name: param.grad for name, param in with_grad.items()})
    factor = max_norm / (norm + 1e-6)
    if factor < 1.0:
        for param in with_grad.values():
            param.grad = param.grad * factor
    return norm


def clip_grad_value(params: Any, limit: float) -> None:
    """Move every element of every gradient into -limit ... limit, as PyTorch's `clip_grad_value_`.

    Raises:
        NonFiniteGradientError: a gradient holds inf or nan; its parameter is named and nothing is changed.
        ValueError: `limit` is negative or not a number.
    """
    check.number("clip_grad_value: limit", limit, 0.0, finite=False)
    with_grad = {name: param for name, param in leaves(params).items() if param.has_grad}
    gradient_norm({name: param.grad for name, param in with_grad.items()})  # refuses inf and nan
    for param in with_grad.values():
        clipped = np.clip(param.grad, -limit, limit)
        param.grad = clipped if np.ndim(param.grad) or isinstance(param.grad, np.ndarray) else float(clipped)


def clipped_by_norm(grads: Mapping[str, Any], max_norm: Any) -> tuple[dict[str, Any], Any]:
    """Return what `clip_grad_norm` makes of the gradients, and their norm before, written in operations.

    So it can be recorded into one plan with the gradient and the update. Nothing can be refused there: where a gradient
    holds inf or nan, so do the norm and all that is returned.

    Args:
        grads: a float, array or node under each name.
        max_norm: a number above 0, or a node.
    """
    _require_gradients("clipped_by_norm", grads, max_norm, "max_norm")
    largest = functools.reduce(
        ops.maximum, [_reduced(ops.max, ops.abs(grad)) for grad in grads.values() if _filled(grad)], 0.0
    )
    scale = ops.where(ops.greater(largest, 0.0), largest, 1.0)  # no square overflows
    squares = [
        _reduced(ops.sum, ops.square(ops.divide(grad, scale))) for grad in grads.values() if _filled(grad)
    ]
    norm = ops.multiply(ops.sqrt(functools.reduce(ops.add, squares, 0.0)), scale)
    factor = ops.minimum(ops.divide(max_norm, ops.add(norm, 1e-6)), 1.0)
    return {name: ops.multiply(grad, factor) for name, grad in grads.items()}, norm


def clipped_by_value(grads: Mapping[str, Any], limit: Any) -> dict[str, Any]:
    """Return the gradients with every element moved into -limit ... limit, written in operations."""
    _require_gradients("clipped_by_value", grads, limit, "limit")
    return {name: ops.clip(grad, ops.negative(limit), limit) for name, grad in grads.items()}


def _require_gradients(who: str, grads: Any, limit: Any, name: str) -> None:
    """Raise unless there are gradients by their names, and a limit; a node has no number yet."""
    if not isinstance(grads, Mapping):
        raise TypeError(f"{who}: grads must be a dict of gradients, got {type(grads).__name__}")
    for key, grad in grads.items():
        if not isinstance(grad, (Carrier, np.ndarray, float)):
            raise TypeError(
                f"{who}: grads: {key!r} must be a node, array or float, got {type(grad).__name__}"
            )
    if not isinstance(limit, Carrier):
        check.number(f"{who}: {name}", limit, 0.0, finite=False)


def _filled(grad: Any) -> bool:
    return 0 not in getattr(grad, "shape", ())


def _reduced(op: Any, grad: Any) -> Any:
    """Return the reduction of all elements of an array; a number is its own."""
    return op(grad) if getattr(grad, "shape", ()) else grad
