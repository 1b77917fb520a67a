import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.core.op_samples import SAMPLES, cases
from tinygrad_rnn.analysis.reading.rows import Rows, pull, run, sweep

CASES = cases(SAMPLES)


@pytest.mark.parametrize(("op", "call", "args"), [c[:3] for c in CASES], ids=[c[3] for c in CASES])
def test_rows_are_pulled_back_as_one_by_one(op, call, args):
    nodes = [tr.Tensor(a) for a in args]
    graph = tr.Graph.of(call(op, *nodes))
    for node in graph:
        if node.op is op:
            rows = default_rng(1).normal(size=(3, *node.shape))
            found = pull(node, rows, [True] * len(node.parents))
            if isinstance(node, tr.Value):
                expected = [graph.local_vjp(node, float(row)) for row in rows]
            else:
                expected = [graph.local_vjp(node, row) for row in rows]
            for parent, share, column in zip(node.parents, found, zip(*expected, strict=True), strict=True):
                if column[0] is None:
                    assert share is None or parent.kind == "constant"  # backward does not ask for that one
                else:
                    np.testing.assert_allclose(share, np.stack(column), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
     ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4))],
)  # fmt: skip
def test_products_of_vectors_matrices_and_stacks(a, b):
    rng = default_rng(0)
    node = tr.Tensor(rng.normal(size=a)) @ tr.Tensor(rng.normal(size=b))
    rows = rng.normal(size=(3, *node.shape))
    graph = tr.Graph.of(node)
    expected = zip(*(graph.local_vjp(node, row) for row in rows), strict=True)
    for share, column in zip(pull(node, rows, [True, True]), expected, strict=True):
        np.testing.assert_allclose(share, np.stack(column), rtol=1e-12, atol=1e-14)


def test_values_are_pulled_back_as_numbers():
    x, y = tr.Value(0.3), tr.Value(-2.0)
    node = tr.ops.dot([x, y], [y, x])
    (a, b, c, d) = pull(node, np.array([1.0, 10.0]), [True] * 4)
    np.testing.assert_allclose([a, b, c, d], [[-2, -20], [0.3, 3], [0.3, 3], [-2, -20]])


def test_an_opaque_operation_is_pulled_row_by_row():
    double = tr.Op(name="double", symbol="2x", forward=lambda xp, x: 2 * x, vjp=lambda g, y, x: (2 * g,))
    node = double(tr.Tensor([1.0, 2.0]))
    (share,) = pull(node, np.array([[1.0, 0.0], [0.0, 3.0]]), [True])
    assert share.tolist() == [[2.0, 0.0], [0.0, 6.0]]


def test_an_infinite_slope_times_zero_stays_zero():
    node = tr.ops.sqrt(tr.Tensor([0.0, 4.0]))
    (share,) = pull(node, np.array([[0.0, 1.0], [1.0, 1.0]]), [True])
    assert share.tolist() == [[0.0, 0.25], [np.inf, 0.25]]


def test_rows_of_other_passes_are_zero():
    total = (
        Rows(2, np.array([[1.0], [2.0]])) + Rows(1, np.array([[10.0]])) + Rows(3, np.array([[0.5], [7.0]]))
    )
    assert total.first == 1
    assert total.array.ravel().tolist() == [10.0, 1.0, 2.5, 7.0]


def test_a_sweep_goes_where_it_may_and_shows_each_edge():
    x = tr.Value(3.0, name="x")
    y, z = x * x, x * 2.0
    graph = tr.Graph.of(y + z)
    seen = []

    def edge(child, parent, rows):
        seen.append((graph[child].op.name, rows.array.tolist()))

    seeds = [(len(graph) - 1, Rows(0, np.array([1.0, -1.0])))]
    through = np.array([node is not z for node in graph])
    run(sweep(graph, seeds, through, {graph.index(x)}, edge))
    assert seen == [("multiply", [3.0, -3.0]), ("multiply", [3.0, -3.0])]
