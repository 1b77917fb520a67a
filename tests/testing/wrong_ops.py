"""Operations with a known fault in their derivative, in all three ways in which a rule can be given."""

from collections.abc import Callable

import numpy as np

import tinygrad_rnn as tr


def partial(name: str, forward: Callable, *rules: Callable | None) -> tr.Op:
    return tr.Op(name=name, symbol=name, forward=forward, partials=rules)


def transposed(name: str, forward: Callable, *rules: Callable | None) -> tr.Op:
    return tr.Op(name=name, symbol=name, forward=forward, transpose=rules)


def opaque(name: str, forward: Callable, vjp: Callable) -> tr.Op:
    return tr.Op(name=name, symbol=name, forward=forward, vjp=vjp)


def tanh(xp, x):
    return xp.tanh(x)


def logistic(xp, x):
    return 1.0 / (1.0 + xp.exp(-x))


def product(xp, a, b):
    return a * b


# --- in the place of tanh

TANHS = [
    partial("tanh_sign", tanh, lambda xp, y, x: y * y - 1.0),
    partial("tanh_twice", tanh, lambda xp, y, x: 2.0 * (1.0 - y * y)),
    partial("tanh_slightly", tanh, lambda xp, y, x: (1.0 + 1e-7) * (1.0 - y * y)),
    partial("tanh_of_input", tanh, lambda xp, y, x: 1.0 - x * x),
    partial("tanh_without_square", tanh, lambda xp, y, x: 1.0 - y),
    partial("tanh_missing", tanh, lambda xp, y, x: 1.0),
    partial("tanh_of_sigmoid", tanh, lambda xp, y, x: y * (1.0 - y)),
    partial("tanh_wrong_below", tanh, lambda xp, y, x: xp.where(xp.less(x, 1.0), 1.0, 1.0 - y * y)),
    transposed("tanh_g_squared", tanh, lambda xp, g, y, x: g * g * (1.0 - y * y)),
    transposed("tanh_g_forgotten", tanh, lambda xp, g, y, x: 1.0 - y * y),
    transposed("tanh_reversed", tanh, lambda xp, g, y, x: xp.flip(g * (1.0 - y * y), axis=(-1,))),
    opaque("tanh_opaque_sign", lambda xp, x: np.tanh(x), lambda g, y, x: (-g * (1 - y * y),)),
    opaque("tanh_opaque_shift", lambda xp, x: np.tanh(x), lambda g, y, x: (np.roll(g, 1, -1) * (1 - y * y),)),
    opaque("tanh_opaque_clip", lambda xp, x: np.tanh(x), lambda g, y, x: (np.clip(g, -0.1, 0.1) * (1 - y * y),)),
    opaque("tanh_opaque_rounded", lambda xp, x: np.tanh(x),
           lambda g, y, x: ((g * (1 - y * y)).astype(np.float32).astype(float),)),
]  # fmt: skip

# --- in the place of sigmoid

SIGMOIDS = [
    partial("sigmoid_missing", logistic, lambda xp, y, x: 1.0),
    partial("sigmoid_half", logistic, lambda xp, y, x: y),
    partial("sigmoid_of_tanh", logistic, lambda xp, y, x: 1.0 - y * y),
    partial("sigmoid_sign", logistic, lambda xp, y, x: y * (y - 1.0)),
    transposed("sigmoid_mean", logistic, lambda xp, g, y, x: g * y * (1.0 - y) / float(x.shape[-1])),
    opaque("sigmoid_opaque_first", lambda xp, x: 1 / (1 + np.exp(-x)),
           lambda g, y, x: (g * y * (1 - y) * (np.arange(x.shape[-1]) > 0),)),
]  # fmt: skip

# --- in the place of a product of two arrays of one shape

PRODUCTS = [
    partial("times_swapped", product, lambda xp, y, a, b: a, lambda xp, y, a, b: b),
    partial("times_second_forgotten", product, lambda xp, y, a, b: b, None),
    partial("times_both", product, lambda xp, y, a, b: b, lambda xp, y, a, b: a + b),
    opaque("times_opaque_swapped", lambda xp, a, b: a * b, lambda g, y, a, b: (g * a, g * b)),
    opaque("times_opaque_none", lambda xp, a, b: a * b, lambda g, y, a, b: (g * b, None)),
]

# --- in the place of W @ h, W (n, n) and h (n,)

MATMULS = [
    transposed("matmul_not_transposed", lambda xp, W, h: xp.matmul(W, h),
               lambda xp, g, y, W, h: xp.reshape(g, (-1, 1)) * xp.reshape(h, (1, -1)),
               lambda xp, g, y, W, h: xp.matmul(W, g)),
    transposed("matmul_outer_transposed", lambda xp, W, h: xp.matmul(W, h),
               lambda xp, g, y, W, h: xp.reshape(h, (-1, 1)) * xp.reshape(g, (1, -1)),
               lambda xp, g, y, W, h: xp.matmul(xp.transpose(W), g)),
    opaque("matmul_opaque_no_weight", lambda xp, W, h: W @ h, lambda g, y, W, h: (0 * W, W.T @ g)),
    opaque("matmul_opaque_no_state", lambda xp, W, h: W @ h, lambda g, y, W, h: (np.outer(g, h), 0 * h)),
    opaque("matmul_opaque_mean", lambda xp, W, h: W @ h,
           lambda g, y, W, h: (np.outer(g, h) / len(h), W.T @ g)),
]  # fmt: skip

PLACES = {"tanh": TANHS, "sigmoid": SIGMOIDS, "times": PRODUCTS, "matmul": MATMULS}
