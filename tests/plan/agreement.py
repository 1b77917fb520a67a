"""What it means that a replay is right: the numbers of the function itself, from the same data, call after call."""

from importlib.util import find_spec

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten
from tinygrad_rnn.plan.compiled import compile

EXECUTORS = ("numba", "numpy") if find_spec("numba") else ("numpy",)
TOLERANCE = {"f8": 1e-12, "f4": 5e-5}


def assert_same(found, expected):
    """The same structure, kinds, shapes and dtypes, and numbers within rounding (relative to the largest)."""
    found, expected = flatten(found), flatten(tree_map(plain, expected))
    assert [path for path, _ in found] == [path for path, _ in expected]
    coarse = any(
        np.asarray(b).dtype == np.float32 for _, b in expected
    )  # a loss of theirs is a float all the same
    for (path, a), (_, b) in zip(found, expected, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, path
        assert a.dtype == b.dtype, path
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=path)
            continue
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0))
        tolerance = TOLERANCE["f4" if coarse and not a.shape else a.dtype.str[1:]] * scale
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=path)


def assert_replays(fn, *calls):
    """``compile(fn)`` equals ``fn`` at each of the argument lists, and at the first one again after the others.

    By numba, where it is installed, and by numpy, whose replay is returned.
    """
    for executor in EXECUTORS:
        replay = compile(fn, executor=executor)
        _assert_replays(replay, fn, calls)
    return replay


def _assert_replays(replay, fn, calls):
    results = []
    for args in (*calls, calls[0]):
        before = [np.array(x) for x in _arrays(args)]
        results.append(replay(*args))
        assert_same(results[-1], fn(*_nodes(args)))
        for x, old in zip(_arrays(args), before, strict=True):
            np.testing.assert_array_equal(x, old, err_msg="the user's array was written")
    for args, result in zip((*calls, calls[0]), results, strict=True):
        assert_same(result, fn(*_nodes(args)))  # a result is not overwritten by later replays


def _nodes(args):
    """The arrays as nodes, so that the eager run is one of the engine and not of numpy."""
    leaves = [_node(x) if isinstance(x, np.ndarray) else x for _, x in flatten(args)]
    return unflatten(args, iter(leaves), modules=True)


def _node(x):
    return tr.Tensor(x) if x.dtype.kind == "f" else tr.constant(x)


def _arrays(args):
    return [x for _, x in flatten(args) if isinstance(x, np.ndarray)]


def changed(tree, seed=1):
    """The same structure of other data: floats and arrays of floats moved a little, integers kept."""
    rng = np.random.default_rng(seed)

    def move(x):
        if isinstance(x, float):
            return x * rng.uniform(0.8, 0.97)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return np.asarray(x * rng.uniform(0.8, 0.97, size=x.shape), dtype=x.dtype)
        return x

    return tree_map(move, tree)
