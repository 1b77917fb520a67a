"""Random programs over Tensors and over Values, as data: a list of steps that any interpreter can run."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops

UNARY = (
    ops.tanh, ops.sigmoid, ops.sin, ops.cos, ops.arctan, ops.softplus, ops.relu, ops.negative, ops.square, ops.abs,
    ops.leaky_relu, ops.sign, lambda x: ops.exp(ops.tanh(x)), lambda x: ops.log(ops.square(x) + 1.5),
    lambda x: ops.sqrt(ops.square(x) + 0.5), lambda x: ops.log1p(ops.square(x)), lambda x: ops.expm1(ops.sin(x)),
    lambda x: ops.clip(x, -0.7, 0.6), lambda x: 2.0 - x, lambda x: x * 0.5 + x, lambda x: x / 1.7,
    lambda x: ops.detach(x) * x, lambda x: ops.tanh(x) ** 2,
)  # fmt: skip
BINARY = (
    ops.add, ops.subtract, ops.multiply, ops.maximum, ops.minimum, ops.weigh,
    lambda a, b: a / (ops.square(b) + 1.0), lambda a, b: ops.where(a > b, a, ops.sin(b)),
    lambda a, b: ops.add_n([a, b, a]), lambda a, b: ops.sum_of_products(a, b, b, a), lambda a, b: a * b + b,
    lambda a, b: (ops.square(a) + 0.3) ** ops.tanh(b), lambda a, b: (a + b) + (a - b),
)  # fmt: skip
SHAPES = [
    (),
    (1,),
    (3,),
    (0,),
    (2, 3),
    (3, 2),
    (3, 3),
    (1, 3),
    (3, 1),
    (2, 0),
    (2, 1, 3),
    (2, 3, 3),
    (4, 2, 3),
]
ON_VALUES = tuple(k for k in range(len(BINARY)) if k != 7)  # Values compare to bools
STEPS = st.lists(
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=14
)


def shaping(x, k):
    """Some other reading of ``x``, chosen by ``k`` among those that its shape allows."""
    rank = x.ndim
    axis = k % rank if rank else None
    choices = [
        lambda: ops.sum(x),
        lambda: ops.mean(x, axis=axis, keepdims=True) if x.size else ops.sum(x, axis=axis),
        lambda: ops.sum(x, axis=axis),
        lambda: ops.reshape(x, (-1,)) if x.size else x,
        lambda: ops.transpose(x),
        lambda: ops.expand_dims(x, 0),
    ]
    if rank:
        choices += [
            lambda: ops.flip(x, axis=axis),
            lambda: ops.cumsum(x, axis=axis),
            lambda: ops.concatenate([x, ops.tanh(x), x], axis=axis),
            lambda: ops.stack([x, x * 2.0], axis=axis),
            lambda: ops.pad(x, 1),
            lambda: ops.repeat(x, 2, axis=axis),
            lambda: x[::-1],
            lambda: x[..., None],
            lambda: ops.swapaxes(x, 0, axis),
            lambda: ops.sum(x, axis=(0, rank - 1)) if rank > 1 else ops.sum(x, axis=(0,)),
        ]
    if rank and min(x.shape):
        choices += [
            lambda: x[0],
            lambda: x[..., -1],
            lambda: x[np.array([0, x.shape[0] - 1, 0])],
            lambda: ops.softmax(x, axis=axis),
            lambda: ops.log_softmax(x, axis=axis),
            lambda: ops.logsumexp(x, axis=axis),
            lambda: ops.max(x, axis=axis),
            lambda: ops.prod(x, axis=axis),
            lambda: ops.norm(x + 2.0, axis=axis),
            lambda: ops.take(x, np.array([[0, 0]]), axis=axis),
            lambda: ops.var(x),
            lambda: ops.split(x, x.shape[axis], axis=axis)[-1],
        ]
    return choices[k % len(choices)]()


def product(a, b, k):
    """A product of ``a`` and ``b``, with an axis turned or made where it must be."""
    batches = a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]
    if a.ndim and b.ndim and not batches and a.shape[-1] == b.shape[-2 if b.ndim > 1 else -1]:
        return ops.matmul(a, b)
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1]:
        return a @ b.T if k % 2 else ops.einsum("ij,kj->ki", a, b)
    if a.ndim == b.ndim == 2 and a.shape[0] == b.shape[0]:
        return a.T @ b
    return None


def broadcastable(a, b):
    try:
        return int(np.prod(np.broadcast_shapes(a.shape, b.shape))) <= 200
    except ValueError:
        return False


def run_tensors(steps, leaves):
    """All values of a program over Tensors; a step combines values that were made before, the latest most often."""
    values = list(leaves)
    for what, i, j in steps:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        if what < 25:
            y = UNARY[what % len(UNARY)](a)
        elif what < 60:
            fits = [v for v in values if broadcastable(a, v)]
            y = BINARY[what % len(BINARY)](a, fits[j % len(fits)])
        elif what < 75:
            y = next((p for v in values[::-1] if (p := product(a, v, j)) is not None), None)
            y = a * 0.5 if y is None else y * 0.5
        else:
            y = shaping(a, what + j)
        values.append(y if y.size <= 400 else ops.tanh(b))
    return values[len(leaves) :]


def run_values(steps, leaves):
    """The same over Values."""
    values = list(leaves)
    for what, i, j in steps:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        if what < 40:
            y = UNARY[what % len(UNARY)](a)
        elif what < 80:
            y = BINARY[ON_VALUES[what % len(ON_VALUES)]](a, b)
        else:
            y = ops.add_n(values[-5:]) * 0.3
        values.append(y if what % 3 else ops.tanh(y))
    return values[len(leaves) :]


def total(values):
    """One number out of several values, each taken in by another weight."""
    return ops.add_n([ops.sum(ops.tanh(v)) * (1.0 + 0.1 * k) for k, v in enumerate(values)])


def total_of_values(values):
    return ops.add_n([ops.tanh(v) * (1.0 + 0.1 * k) for k, v in enumerate(values)])


@st.composite
def arrays(draw, shape, dtype=np.float64):
    """Entries of some normal distribution; stored in C or Fortran order, strided, reversed or as a broadcast."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = np.asarray(np.round(rng.normal(size=shape) * 0.8, 3), dtype)
    layout = draw(st.integers(0, 4))
    if not shape or layout == 0:
        return x
    if layout == 1:
        return np.asfortranarray(x)
    if layout == 2:
        wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == 3:
        return x[::-1]
    return np.broadcast_to(x[:1], shape) if shape[0] else x
