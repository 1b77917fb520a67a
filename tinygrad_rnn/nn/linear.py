"""``Linear`` and ``Embedding``: what stands before and after a recurrence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.nn.cells import affine, draw_parameters
from tinygrad_rnn.nn.inputs import carry, float_dtype, generator, plain, positive, real, require_indices
from tinygrad_rnn.nn.module import Module


class Linear(Module):
    """The affine map ``x @ weight.T + bias`` of the last axis.

    Args:
        in_features: the size of the last axis of x.
        out_features: the size of the last axis of the result.
        bias: whether there is a bias; without, ``bias`` is None.
        rng: draws weight (out, in) and bias (out,) uniformly within 1/sqrt(in), as PyTorch does.
        dtype: float64 or float32; inputs of another dtype are cast to it.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> tr.nn.Linear(3, 2, rng=np.random.default_rng(0))(np.zeros((5, 4, 3))).shape
        (5, 4, 2)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        rows, columns = (
            positive("Linear: out_features", out_features),
            positive("Linear: in_features", in_features),
        )
        shapes = {"weight": (rows, columns), "bias": (rows,) if bias else None}
        rng = generator("Linear: rng", rng)
        leaves = draw_parameters(shapes, 1 / math.sqrt(columns), rng, float_dtype("Linear: dtype", dtype))
        vars(self).update(leaves)

    def __call__(self, x: Any) -> Node:
        """Return (..., out) for a Tensor or array x (..., in)."""
        dtype, size = self.weight.dtype, self.weight.shape[1]
        x = real("Linear: x", x, dtype)
        if x.shape[-1:] != (size,):
            raise ValueError(f"Linear: x must have shape (..., in={size}), got {x.shape}")
        return affine(carry(x, dtype), self.weight, self.bias)


class Embedding(Module):
    """A table of vectors looked up by integers: the rows ``weight[indices]``.

    Args:
        num_embeddings: the number of rows.
        embedding_dim: the size of each.
        rng: draws weight (num_embeddings, embedding_dim) from the standard normal, as PyTorch does.
        dtype: float64 or float32.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> tr.nn.Embedding(27, 8, rng=np.random.default_rng(0))([[0, 3], [26, 3]]).shape
        (2, 2, 8)
    """

    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        shape = (
            positive("Embedding: num_embeddings", num_embeddings),
            positive("Embedding: embedding_dim", embedding_dim),
        )
        rng = generator("Embedding: rng", rng)
        self.weight = Tensor(
            rng.normal(size=shape).astype(float_dtype("Embedding: dtype", dtype)), name="weight"
        )

    def __call__(self, indices: Any) -> Node:
        """Return (..., embedding_dim) for integers (...), each at least 0 and below num_embeddings.

        Raises:
            TypeError: the indices are not integers.
            IndexError: one of them is outside the table; a negative one does not count from the end.
        """
        given = indices if isinstance(indices, Tensor) else plain("Embedding: indices", indices)
        return self.weight[require_indices("Embedding: indices", given, self.weight.shape[0])]
