"""Many directions at once give what each direction alone gives."""

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing.linearity import all_directions
from tinygrad_rnn.testing.truth import _linear

RNG = default_rng(0)
A, B, V = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=4)
CASES = {
    "matmul": (ops.matmul, A, B),
    "matrix by vector": (ops.matmul, A, V),
    "vector by matrix": (ops.matmul, V, B),
    "vector by vector": (ops.matmul, V, V + 1),
    "transpose": (lambda a: a.T, A),
    "three axes": (lambda a: ops.transpose(a, (2, 0, 1)), RNG.normal(size=(2, 3, 4))),
    "a row": (lambda a: a[1], A),
    "columns": (lambda a: a[:, 1:3], A),
    "backwards": (lambda a: a[::-1, None], A),
    "rows by number": (lambda a: a[np.array([0, 2, 2])], A),
    "after an ellipsis": (lambda a: a[..., 1], A),
    "sum": (lambda a: a.sum(), A),
    "sum of the last axis": (lambda a: a.sum(axis=-1, keepdims=True), A),
    "sum of two axes": (lambda a: a.sum(axis=(0, 2)), RNG.normal(size=(2, 3, 4))),
    "reshape": (lambda a: ops.reshape(a, (2, 6)), A),
    "concatenate": (lambda a, b: ops.concatenate([a, b], axis=-1), A, A[:, :2]),
    "stack": (lambda a, b: ops.stack([a, b], axis=1), A, A + 1),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("moving", ["first", "last", "all"])
def test_as_one_by_one(name, moving):
    make, *arrays = CASES[name]
    node = make(*map(tr.Tensor, arrays))
    args = [np.asarray(p.data) for p in node.parents]
    incoming = [RNG.normal(size=(6, *a.shape)) if a.dtype.kind == "f" else None for a in args]
    real = [i for i, t in enumerate(incoming) if t is not None]
    still = {"first": real[1:], "last": real[:-1], "all": []}[moving] if len(real) > 1 else []
    incoming = [None if i in still else t for i, t in enumerate(incoming)]
    found = all_directions(node, args, incoming)
    each = [_linear(node, args, [None if t is None else t[k] for t in incoming]) for k in range(6)]
    if name == "after an ellipsis":
        assert found is None
        return
    assert found.shape == (6, *node.shape)
    np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-14)
