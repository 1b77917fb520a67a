"""How arrays enter and leave the graph: copied once on the way in, read-only ever after."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.errors import GraphMutationError
from tinygrad_rnn.core.op import Carrier

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


_WAY = (
    "the array of a Tensor is read-only, because recorded graphs rely on it: assign a whole new array "
    "(p.data = new, or p.data -= step), or work on a copy (p.data.copy())"
)


def _in_place(ufunc: np.ufunc) -> Any:
    """Return an in-place operator whose result, on a read-only array, is a new one for the setter to take."""

    def operator(self: np.ndarray[Any, Any], other: Any) -> Any:
        return ufunc(self, other, out=self) if self.flags.writeable else ufunc(self, other)

    return operator


class ReadOnlyArray(np.ndarray):
    """What ``tensor.data`` returns: an array that a graph may rely on.

    Reading and computing with it gives ordinary arrays. ``p.data -= step`` makes a new array and assigns it;
    writing into it is an error that names the way.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise GraphMutationError(_WAY)
        super().__setitem__(key, value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Carrier) for x in inputs):
            return NotImplemented
        written = inputs[:1] if method == "at" else kwargs.get("out", ())  # at would ignore the flag
        for target in written:
            if isinstance(target, ReadOnlyArray) and not target.flags.writeable:
                raise GraphMutationError(_WAY)
        kwargs = {k: tuple(map(plain, v)) if k == "out" else v for k, v in kwargs.items()}
        return getattr(ufunc, method)(*map(plain, inputs), **kwargs)

    __iadd__: Any = _in_place(np.add)
    __isub__: Any = _in_place(np.subtract)
    __imul__: Any = _in_place(np.multiply)
    __itruediv__: Any = _in_place(np.divide)
    __ipow__: Any = _in_place(np.power)


def plain(array: Any) -> Any:
    """Return a ReadOnlyArray as an ordinary array (a view), anything else as it is."""
    return array.view(np.ndarray) if isinstance(array, ReadOnlyArray) else array


def frozen(array: Any) -> Any:
    """Return a result array as an ndarray that nothing can write to any more."""
    if array.__class__ is not np.ndarray:
        array = np.asarray(array)
    array.flags.writeable = False
    return array


def taken_in(what: str, data: Any, *, leaf: bool) -> Any:
    """Return a read-only copy of ``data`` in C order.

    Args:
        what: who asks, for the message.
        data: an array, or nested lists of numbers (Python ints become float64).
        leaf: whether it shall be differentiable, which integer and boolean arrays cannot be.

    Raises:
        TypeError: the dtype is not float64 or float32 (nor, unless ``leaf``, integer or boolean).
    """
    if isinstance(data, Carrier):
        raise TypeError(
            f"{what}: already a {type(data).__name__}; use it as it is, or its .data for a new leaf"
        )
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError(
            f"{what}: a masked array would lose its mask; give .filled(0) and the mask on their own"
        )
    is_array = isinstance(data, (np.ndarray, np.generic))
    try:
        array = np.array(data, order="C", copy=True, subok=False)
    except (ValueError, TypeError) as error:
        raise TypeError(
            f"{what}: not an array of numbers ({error}); Values are joined by tr.ops.stack"
        ) from None
    if not is_array and array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if not is_array and array.size == 0:
        array = array.astype(np.float64)
    if array.dtype not in FLOATS and (leaf or array.dtype.kind not in "iub"):
        raise TypeError(f"{what}: {_advice(array.dtype, leaf)}")
    array.flags.writeable = False
    return array


def real_array(what: str, data: Any, dtype: np.dtype[Any]) -> Any:
    """Return a writable copy of ``data``, a gradient or cotangent, in ``dtype``.

    Raises:
        TypeError: it holds anything but real numbers; an imaginary part is not dropped in silence.
    """
    try:
        array = np.array(data)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what}: needs an array of real numbers ({error})") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what}: needs an array of real numbers, got dtype {array.dtype}")
    return array.astype(dtype, copy=False)


def _advice(dtype: np.dtype[Any], leaf: bool) -> str:
    if dtype.kind in "iub":
        return (
            f"an array of dtype {dtype} cannot be differentiated: use it as it is (an index, a target, a mask), "
            "tr.constant(array), or array.astype(float)"
        )
    if dtype.kind == "O":
        return "an array of objects cannot hold a graph: join Values with tr.ops.stack([...])"
    allowed = "float64 and float32" + ("" if leaf else ", integers and booleans as constants")
    return f"dtype {dtype} is not supported ({allowed} are); convert it with .astype(float)"
