"""Which dtype a number takes beside arrays: numpy's rules, for traced floats too."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops


def dtype_beside(others: tuple[Any, ...]) -> Any:
    """Return the dtype that a Python number takes beside ``others``."""
    arrays = [o for o in others if isinstance(o, np.ndarray) or getattr(o, "_carrier", "") == "Tensor"]
    dtypes = [o.dtype for o in arrays if o.dtype.kind == "f"]
    return np.result_type(*dtypes) if dtypes else np.dtype(np.float64)


def array_beside(value: Any, others: tuple[Any, ...]) -> Any:
    """Return a traced float as the 0-d Tensor that it is beside ``others``; a float of numpy stays a float64."""
    array = ops.reshape(ops.stack([value]), ())
    dtype = array.dtype if isinstance(value._data, np.float64) else dtype_beside(others)
    return array if array.dtype == dtype else ops.astype(array, dtype)
