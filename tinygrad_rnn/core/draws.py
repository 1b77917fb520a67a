"""Random draws as nodes: fresh ones in every replay."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.arrays import frozen
from tinygrad_rnn.core.graph import RECORDING
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Call, Op
from tinygrad_rnn.core.tensor import Tensor


def random(generator: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64) -> Tensor:
    """Return uniform draws from [0, 1) as a node without parents, which no replay may fold or share.

    Raises:
        TypeError: ``generator`` is not a ``numpy.random.Generator``.
    """
    if not isinstance(generator, np.random.Generator):
        raise TypeError(f"random: needs a numpy.random.Generator, got {type(generator).__name__}")
    params: dict[str, Any] = {"generator": generator, "shape": tuple(shape), "dtype": str(np.dtype(dtype))}
    draws = RECORDING.get().draws
    before = generator.bit_generator.state
    data = frozen(_draw(NUMPY, **params))
    node: Tensor = Tensor._new(data, Call(RANDOM, params, active=False))
    if draws is not None:  # an example to trace with; the replay makes the draw
        generator.bit_generator.state = before
        draws.append(node)
    return node


def _draw(xp: Any, generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return np.asarray(generator.random(shape, dtype=np.dtype(dtype).type))


RANDOM = Op(name="random", symbol="rand", forward=_draw, doc="uniform draws from [0, 1); no derivative")
