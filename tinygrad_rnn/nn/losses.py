"""Losses: one number for each item, then a reduction over the items that a mask keeps.

Every loss takes

- ``reduction``: ``"mean"`` over the kept items (0 where none is kept), ``"sum"``, or ``"none"``, the items;
- ``mask``: booleans, True for an item that counts, with the shape of the items or of their leading axes. A
  masked item is 0 and sends no gradient back, whatever finite padding lies under it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.nn.inputs import plain, real, require_indices

REDUCTIONS = ("mean", "sum", "none")


def mean_squared_error(predictions: Any, targets: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """Return the reduction of ``(predictions - targets)**2``, elementwise, for Tensors, arrays or two Values.

    Raises:
        ValueError: the shapes differ (they are not broadcast: (B,) against (B, 1) would be B*B errors).

    Example:
        >>> import tinygrad_rnn as tr
        >>> tr.mean_squared_error(tr.Tensor([1.0, 5.0]), [1.0, 2.0]).item()
        4.5
        >>> tr.mean_squared_error(tr.Tensor([1.0, 5.0]), [1.0, 2.0], mask=[True, False]).item()
        0.0
    """
    _require_reduction("mean_squared_error", reduction)
    predictions, targets = _same_shapes("mean_squared_error: targets", predictions, targets)
    kept = _kept("mean_squared_error: mask", mask, predictions.shape)
    return _reduced(ops.square(predictions - targets), reduction, kept)


def cross_entropy(logits: Any, targets: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """Return the reduction of ``-log softmax(logits)`` at the targets, in nats; the class axis is the last.

    Args:
        logits: (..., K), any real numbers; computed by log_softmax, so 1000 does not overflow.
        targets: integers (...) from 0 to K - 1, or probabilities (..., K): then an item is
            ``-sum_k targets_k * log softmax(logits)_k``. Integers that a mask leaves out may be anything.
        reduction: see the module.
        mask: (...) or its leading axes.

    Raises:
        ValueError, IndexError: targets of another shape, or outside 0..K - 1.

    Example:
        >>> import math, tinygrad_rnn as tr
        >>> loss = tr.cross_entropy(tr.Tensor([[0.0, 0.0], [1000.0, 0.0]]), [1, 0])
        >>> math.isclose(loss.item(), math.log(2) / 2)
        True
    """
    _require_reduction("cross_entropy", reduction)
    logits = _node("cross_entropy: logits", logits)
    if not logits.shape:
        raise ValueError("cross_entropy: logits must have shape (..., K), got ()")
    *batch, classes = logits.shape
    kept = _kept("cross_entropy: mask", mask, tuple(batch))
    given: Any = targets if isinstance(targets, Variable) else plain("cross_entropy: targets", targets)
    if given.dtype.kind == "f" and given.shape == logits.shape:
        log_p = ops.log_softmax(logits, axis=-1)
        return _reduced(-ops.sum(_cast(given, logits) * log_p, axis=-1), reduction, kept)
    if given.shape != tuple(batch):
        raise ValueError(
            f"cross_entropy: targets must be integers of shape {tuple(batch)} or probabilities of shape "
            f"{logits.shape}, got {given.dtype} of shape {given.shape}"
        )
    if kept is not None and not isinstance(given, Variable) and not isinstance(kept, Variable):
        given = np.where(np.broadcast_to(kept, given.shape), given, np.zeros((), given.dtype))
    given = require_indices("cross_entropy: targets", given, classes)
    if not isinstance(given, Variable):
        given = given.astype(np.intp)  # an empty list is float64
    places = np.ogrid[tuple(slice(size) for size in batch)]
    return _reduced(-ops.log_softmax(logits, axis=-1)[(*places, given)], reduction, kept)


def binary_cross_entropy(logits: Any, targets: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """Return the reduction of ``-(y log p + (1 - y) log(1 - p))``, p = sigmoid(logits), in nats.

    Elementwise, as ``y softplus(-x) + (1 - y) softplus(x)``: exact for logits x of any size.

    Args:
        logits: any real numbers.
        targets: y, from 0 to 1, of the same shape; booleans and integers too.
        reduction: see the module.
        mask: the same shape, or its leading axes.

    Example:
        >>> import math, tinygrad_rnn as tr
        >>> items = tr.binary_cross_entropy(tr.Tensor([0.0, 800.0]), [1, 0], reduction="none")
        >>> items.tolist() == [math.log(2), 800.0]
        True
    """
    _require_reduction("binary_cross_entropy", reduction)
    logits, y = _same_shapes("binary_cross_entropy: targets", logits, targets)
    kept = _kept("binary_cross_entropy: mask", mask, logits.shape)
    items = y * ops.softplus(-logits) + (1.0 - y) * ops.softplus(logits)
    return _reduced(items, reduction, kept)


def _require_reduction(who: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{who}: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")


def _node(argument: str, item: Any) -> Any:
    """A node as it is, anything else as a float64 constant."""
    return item if isinstance(item, Variable) else constant(real(argument, item, np.dtype(np.float64)))


def _cast(targets: Any, like: Any) -> Any:
    """Raw targets in the dtype of the predictions, which decides the dtype of the loss."""
    if isinstance(targets, Variable):
        return targets
    return np.asarray(targets, like.dtype) if isinstance(like, Tensor) else float(targets)


def _same_shapes(argument: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    predictions = _node(argument, predictions)
    if not isinstance(targets, Variable):
        targets = real(argument, targets, predictions.dtype)
    if np.shape(targets) != predictions.shape:
        raise ValueError(
            f"{argument} must have the shape of the predictions {predictions.shape}, got {np.shape(targets)}"
        )
    return predictions, _cast(targets, predictions)


def _kept(argument: str, mask: Any, items: tuple[int, ...]) -> Any:
    """The mask with as many axes as the items; None for no mask."""
    if mask is None:
        return None
    mask = mask if isinstance(mask, Variable) else plain(argument, mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"{argument} must be booleans, got dtype {mask.dtype}")
    if mask.shape != items[: len(mask.shape)]:
        raise ValueError(f"{argument} must have shape {items} or its leading axes, got {mask.shape}")
    missing = len(items) - len(mask.shape)
    return mask if not missing else mask.reshape((*mask.shape, *[1] * missing))


def _reduced(items: Any, reduction: str, kept: Any) -> Any:
    """The reduction of the items; the mean divides by the number of kept ones, at least by 1."""
    if kept is not None:
        items = ops.where(kept, items, _cast(0.0, items))
    if reduction == "none" or not isinstance(items, Tensor):
        return items
    total = ops.sum(items)
    if reduction == "sum":
        return total
    if not isinstance(kept, Variable):
        count = (
            math.prod(items.shape) if kept is None else np.count_nonzero(np.broadcast_to(kept, items.shape))
        )
        return total / _cast(max(1, count), items)
    ones = np.ones(items.shape, items.dtype)
    return total / ops.maximum(ops.sum(ops.where(kept, ones, _cast(0.0, items))), _cast(1.0, items))
