"""For every operation a few calls of it, and what plain numpy says of them: the table that the tests run over.

A sample is (call, args): ``call(op, *args)`` applies the operation (or a variant of it) to nodes or arrays; every
argument is differentiated. ``REFERENCES[name]`` is ``call``'s value by other means than the operation's own forward.
"""

import numpy as np
from numpy.random import default_rng

from tinygrad_rnn import ops

rng = default_rng(20)


def normal(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.2, 2.0, size=shape)


def apart(*shape):
    """Entries that keep 0.1 away from each other and from 0, in random order: no ties, no kinks."""
    size = int(np.prod(shape))
    return (rng.permutation(size) + 1.0).reshape(shape) * 0.3 - 0.15 * size - 0.07


def unary(*args):
    return [(lambda op, x: op(x), (args[0],)), (lambda op, x: op(x * 0.9), (args[0][0],))]


def binary(a, b):
    call = lambda op, a, b: op(a, b)  # noqa: E731
    return [(call, (a, b)), (call, (a[0], b)), (call, (a, b[:, :1])), (lambda op, a: op(a, a * 1.1), (a,))]


def call(*args, **kwargs):
    """A sample that passes constants after, and keywords beside, its one argument."""
    return lambda op, x: op(x, *args, **kwargs)


SQUARE = normal(3, 3)
INDEX = np.array([0, 2, 2, 1])
MASK = np.array([True, False, True])
GETITEM_KEYS = [
    1, -1, slice(None, None, -1), (slice(1, 3), 0), Ellipsis, (None, 2), (Ellipsis, -1), INDEX, (INDEX, INDEX),
    (slice(None), INDEX), MASK, (MASK, 1), (INDEX[:2], None, slice(0, 2)), (np.array([[0, 1], [1, 1]]), 1),
]  # fmt: skip
AT_INDEX = ops.getitem.bind(SQUARE, INDEX)[1]["key"]
REDUCTIONS = [
    {}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True}, {"axis": None, "keepdims": True},
]  # fmt: skip
X3 = apart(2, 3, 4)


def reduction(x=X3):
    return [(call(**kwargs), (x,)) for kwargs in REDUCTIONS] + [(call(), (np.array(x[0, 0, 0]),))]


def matrices(*shapes):
    return [(lambda op, a, b: op(a, b), (normal(*a), normal(*b))) for a, b in shapes]


SAMPLES = {
    ops.add: binary(normal(3, 4), normal(3, 4)),
    ops.subtract: binary(normal(3, 4), normal(3, 4)),
    ops.multiply: binary(normal(3, 4), normal(3, 4)),
    ops.divide: binary(normal(3, 4), positive(3, 4)),
    ops.power: [*binary(positive(3, 4), normal(3, 4)), (lambda op, x: op(x, 3.0), (normal(4),)),
                (lambda op, x: op(x, 2), (np.array([0.0, -1.0]),)), (lambda op, x: op(2.0, x), (normal(4),))],
    ops.negative: unary(normal(3, 4)),
    ops.abs: unary(apart(3, 4)),
    ops.sign: unary(apart(3, 4)),
    ops.exp: unary(normal(3, 4)),
    ops.expm1: unary(normal(3, 4)),
    ops.log: unary(positive(3, 4)),
    ops.log1p: unary(positive(3, 4) - 0.5),
    ops.sqrt: unary(positive(3, 4)),
    ops.square: unary(normal(3, 4)),
    ops.sin: unary(normal(3, 4)),
    ops.cos: unary(normal(3, 4)),
    ops.tan: unary(normal(3, 4) * 0.4),
    ops.arctan: unary(normal(3, 4)),
    ops.sinh: unary(normal(3, 4)),
    ops.cosh: unary(normal(3, 4)),
    ops.tanh: unary(normal(3, 4)),
    ops.sigmoid: unary(normal(3, 4)),
    ops.softplus: unary(normal(3, 4)),
    ops.relu: unary(apart(3, 4)),
    ops.leaky_relu: [*unary(apart(3, 4)), (call(0.2), (apart(4),)), (call(slope=0.3), (apart(2, 2),))],
    ops.maximum: binary(apart(3, 4), apart(3, 4) * 0.83),
    ops.minimum: binary(apart(3, 4), apart(3, 4) * 0.83),
    ops.where: [
        (lambda op, a, b: op(MASK, a, b), (normal(3), normal(2, 3))),
        (lambda op, a, b: op(MASK[:, None], a, b), (normal(3, 3), normal(1, 3))),
    ],
    ops.clip: [
        (call(-1.0, 1.0), (apart(3, 4),)),
        (call(None, 0.5), (apart(4),)),
        (lambda op, x, low, high: op(x, low, high), (apart(3, 4), -positive(4), positive(3, 1))),
    ],
    ops.weigh: binary(normal(3, 4), normal(3, 4)),
    ops.add_n: [
        (lambda op, a, b, c: op(a, b, c), (normal(3, 4), normal(4), normal(3, 1))),
        (lambda op, a: op([a, a, a * 2.0]), (normal(2),)),
    ],
    ops.sum_of_products: [
        (lambda op, a, b, c, d: op(a, b, c, d), (normal(3), normal(2, 3), normal(3), normal(1))),
        (lambda op, a, b: op(a, a, b, a), (normal(3), normal(3))),
    ],
    ops.sum: reduction(),
    ops.mean: reduction(),
    ops.prod: [*reduction(), (call(), (np.array([2.0, 0.0, 3.0]),)), (call(axis=0), (np.zeros((2, 2)),))],
    ops.max: reduction(),
    ops.min: reduction(),
    ops.logsumexp: reduction(),
    ops.norm: reduction(),
    ops.softmax: [(call(), (normal(3, 4),)), (call(axis=0), (normal(3, 4),)), (call(axis=1), (normal(2, 3, 2),))],
    ops.log_softmax: [(call(), (normal(3, 4),)), (call(axis=0), (normal(3, 4),))],
    ops.cumsum: [(call(axis=0), (normal(3, 4),)), (call(axis=-1), (normal(2, 3),)), (call(), (normal(2, 2),))],
    ops.cumprod: [(call(axis=0), (normal(3, 4),)), (call(), (normal(2, 2),)), (call(), (np.array([2.0, 0.0, 3.0]),))],
    ops.linear_scan: [
        (lambda op, a, b: op(a, b), (normal(2, 5), normal(2, 5))),
        (lambda op, a: op(a, a), (normal(3),)),
    ],
    ops.reshape: [(call((4, 3)), (normal(3, 4),)), (call(-1), (normal(2, 3),)), (call(()), (normal(1, 1),))],
    ops.transpose: [(call(), (normal(3, 4),)), (call((2, 0, 1)), (normal(2, 3, 4),)), (call(1, 0), (normal(2, 3),))],
    ops.broadcast_to: [(call((2, 3, 4)), (normal(3, 1),)), (call((3,)), (normal(),)), (call((2, 0)), (normal(2, 1),))],
    ops.concatenate: [
        (lambda op, a, b: op([a, b]), (normal(2, 3), normal(1, 3))),
        (lambda op, a, b: op([a, b, a], axis=-1), (normal(2, 3), normal(2, 1))),
        (lambda op, a: op([np.ones(2, a.dtype), a]), (normal(2),)),
    ],
    ops.stack: [
        (lambda op, a, b: op([a, b]), (normal(2, 3), normal(2, 3))),
        (lambda op, a: op([a, a], axis=-1), (normal(2),)),
        (lambda op, a, b: op([a, b], axis=1), (normal(2, 3), normal(2, 3))),
    ],
    ops.item: [(lambda op, x: op(x), (normal(1, 1),)), (lambda op, x: op(x), (normal(),))],
    ops.flip: [(call(), (normal(3, 4),)), (call(axis=0), (normal(3, 4),)), (call(axis=(0, 1)), (normal(3, 4),))],
    ops.pad: [
        (call(((1, 0), (0, 2))), (normal(2, 3),)),
        (call(1), (normal(2),)),
        (call(2, constant_values=7.0), (normal(2, 2),)),
    ],
    ops.astype: [(call(np.float64), (normal(3),))],
    ops.alias: [(lambda op, x: op(x), (normal(3),))],
    ops.getitem: [(call(key), (normal(3, 4, 2) if key is not MASK else normal(3, 4),)) for key in GETITEM_KEYS],
    ops.scatter_add: [
        (lambda op, g: op(g, INDEX, key=AT_INDEX, shape=(5,)), (normal(4),)),
        (lambda op, g: op(g, INDEX, key=AT_INDEX, shape=(3, 2)), (normal(4, 2),)),
    ],
    ops.matmul: [*matrices(
        ((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((3, 0), (0, 2)),
    ), (lambda op, a: op(a, a), (SQUARE,)), (lambda op, a: op(a, a.T), (SQUARE,))],
    ops.einsum: [
        (lambda op, a, b: op("ij,jk->ik", a, b), (normal(2, 3), normal(3, 2))),
        (lambda op, a, b: op("bij,bjk->bk", a, b), (normal(2, 2, 3), normal(2, 3, 2))),
        (lambda op, a: op("ij->", a), (normal(2, 3),)),
        (lambda op, a: op("ii->i", a), (SQUARE,)),
        (lambda op, a: op("ii", a), (SQUARE,)),
        (lambda op, a, b: op("...i,i", a, b), (normal(2, 2, 3), normal(3))),
        (lambda op, a, b, c: op("i,j,k->kj", a, b, c), (normal(2), normal(3), normal(2))),
        (lambda op, a, b: op("ij,ij->", a, b), (normal(2, 3), normal(1, 3))),
        (lambda op, a: op("i,i->i", a, a), (normal(3),)),
    ],
}  # fmt: skip
NOT_DIFFERENTIABLE = {
    **{op: [(lambda op, a, b: op(a, b), (np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])))]
       for op in (ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal,
                  ops.logical_and, ops.logical_or)},
    ops.detach: [(lambda op, a: op(a), (normal(3),))],
}  # fmt: skip


def _keeps(function):
    return lambda x, axis=None, keepdims=False: function(x, axis, keepdims)


def _softmax(x, axis=-1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def _scan(a, b):
    out = [b[..., 0]]
    for t in range(1, b.shape[-1]):
        out.append(a[..., t] * out[-1] + b[..., t])
    return np.stack(out, -1)


def _scatter(g, *indices, key, shape):
    out = np.zeros(shape)
    for i, place in enumerate(INDEX):
        out[place] += g[i]
    return out


REFERENCES = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "weigh": np.multiply,
    "add_n": lambda *terms: (
        sum(terms[0][1:], terms[0][0]) if isinstance(terms[0], list) else sum(terms[1:], terms[0])
    ),
    "dot": lambda a, b, c, d: a * c + b * d,
    "logsumexp": _keeps(lambda x, axis, keep: np.log(np.sum(np.exp(x), axis=axis, keepdims=keep))),
    "norm": _keeps(lambda x, axis, keep: np.sqrt(np.sum(np.abs(x) ** 2, axis=axis, keepdims=keep))),
    "softmax": _softmax,
    "log_softmax": lambda x, axis=-1: np.log(_softmax(x, axis)),
    "linear_scan": _scan,
    "transpose": lambda x, *axes: np.transpose(x, axes[0] if len(axes) == 1 else axes or None),
    "item": lambda x: x.reshape(()),
    "pad": lambda x, widths, constant_values=0: np.pad(x, widths, constant_values=constant_values),
    "astype": lambda x, dtype: x.astype(dtype),
    "detach": lambda x: x,
    "getitem": lambda x, key: x[key],
    "scatter_add": _scatter,
}


def reference(op):
    """The numpy function that an operation is named after, or the one written above."""
    return REFERENCES[op.name] if op.name in REFERENCES else getattr(np, op.name)


def cases(table):
    """(op, call, args, name) of each sample, for parametrization."""
    return [
        (op, f, args, f"{op.name}-{k}")
        for op, samples in table.items()
        for k, (f, args) in enumerate(samples)
    ]
