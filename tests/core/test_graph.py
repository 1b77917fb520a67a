import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tinygrad_rnn.core.draws import random


def diamond() -> tuple[tr.Value, tr.Value, tr.Value, tr.Value]:
    x = tr.Value(2.0, name="x")
    left, right = x * 3.0, x.tanh()
    return x, left, right, left * right


programs = st.lists(
    st.tuples(
        st.sampled_from(["add", "multiply", "subtract", "maximum"]), st.integers(0, 9), st.integers(0, 9)
    ),
    min_size=1,
    max_size=20,
)


def run(program: list[tuple[str, int, int]], first: float = 0.5) -> list[tr.Value]:
    """Each instruction applies an operation to two of the nodes made so far."""
    nodes = [tr.Value(first, name="a"), tr.Value(-1.5, name="b")]
    for name, i, j in program:
        nodes.append(getattr(tr.ops, name)(nodes[i % len(nodes)], nodes[j % len(nodes)]))
    return nodes


# --- order and index


@given(programs)
def test_parents_come_first_and_each_node_once(program: list[tuple[str, int, int]]) -> None:
    graph = tr.Graph.of(run(program)[-1])
    assert len(set(graph.nodes)) == len(graph) == len(graph.nodes)
    for i, node in enumerate(graph):
        assert graph.index(node) == i
        assert graph[i] is node
        assert graph.parent_indices[i] == tuple(graph.index(p) for p in node.parents)
        assert all(k < i for k in graph.parent_indices[i])


@given(programs)
def test_two_runs_of_a_program_number_and_print_alike(program: list[tuple[str, int, int]]) -> None:
    first, second = (tr.Graph.of(run(program)[-1]) for _ in range(2))
    assert str(first) == str(second)
    assert first.parent_indices == second.parent_indices


@given(programs)
def test_graph_holds_the_ancestors_and_nothing_else(program: list[tuple[str, int, int]]) -> None:
    nodes = run(program)
    expected, waiting = set(), [nodes[-1]]
    while waiting:
        node = waiting.pop()
        if node not in expected:
            expected.add(node)
            waiting.extend(node.parents)
    graph = tr.Graph.of(nodes[-1])
    assert set(graph.nodes) == expected
    assert all((node in graph) == (node in expected) for node in nodes)


def test_several_outputs_share_one_graph_in_the_order_given() -> None:
    x, left, right, y = diamond()
    graph = tr.Graph.of(right, left)
    assert graph.outputs == (right, left)
    assert x in graph
    assert y not in graph
    assert tr.Graph.of(y, y).outputs == (y, y)


def test_parents_keep_order_and_multiplicity() -> None:
    x, y = tr.Value(2.0), tr.Value(5.0)
    assert (y - x).parents == (y, x)
    assert (x * x).parents == (x, x)
    assert tr.add_n(x, y, x, x).parents == (x, y, x, x)
    assert tr.ops.stack([y, x, y]).parents == (y, x, y)


def test_index_of_a_stranger_names_it() -> None:
    graph = tr.Graph.of(diamond()[3])
    with pytest.raises(ValueError, match=r"Value\(7, name='far'\) does not belong to this graph of 5 nodes"):
        graph.index(tr.Value(7.0, name="far"))


@pytest.mark.parametrize(
    ("outputs", "message"), [((), "got none"), ((3.0,), "got float"), (([],), "got list")]
)
def test_a_graph_is_of_nodes(outputs: tuple[object, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tr.Graph.of(*outputs)


# --- one step of backpropagation


def test_local_vjp_gives_one_cotangent_per_parent() -> None:
    x, left, right, y = diamond()
    graph = tr.Graph.of(y)
    assert graph.local_vjp(y, 10.0) == (right.data * 10.0, left.data * 10.0)
    assert graph.local_vjp(left, 1.0) == (3.0, None)  # the factor is a constant
    assert graph.local_vjp(x, 1.0) == ()


def test_local_vjp_of_tensors_sums_over_broadcast_axes() -> None:
    w, b = tr.Tensor(np.ones((2, 3))), tr.Tensor(np.zeros(3))
    y = w * 2.0 + b
    to_product, to_b = tr.Graph.of(y).local_vjp(y, np.full((2, 3), 5.0))
    assert to_product.tolist() == [[5.0] * 3] * 2
    assert to_b.tolist() == [10.0] * 3


def test_local_vjp_refuses_a_wrong_shape_and_a_stranger() -> None:
    w = tr.Tensor(np.ones((2, 3)), name="w")
    y = w * w
    with pytest.raises(ValueError, match=r"multiply has shape \(2, 3\), the cotangent has \(3,\)"):
        tr.Graph.of(y).local_vjp(y, np.ones(3))
    with pytest.raises(ValueError, match="does not belong"):
        tr.Graph.of(w).local_vjp(y, np.ones((2, 3)))


def test_a_reader_writes_backward_in_five_lines() -> None:
    """What notebook 01 ends with."""
    x, _, _, y = diamond()
    graph = tr.Graph.of(y)
    gradient = dict.fromkeys(graph, 0.0) | {y: 1.0}
    for node in reversed(graph.nodes):
        for parent, part in zip(node.parents, graph.local_vjp(node, gradient[node]), strict=True):
            gradient[parent] += part or 0.0
    y.backward()
    assert gradient[x] == x.grad == 3.0 * np.tanh(2.0) + 6.0 * (1 - np.tanh(2.0) ** 2)


# --- printing


def test_prints_numbered_lines_with_names_kinds_and_scopes() -> None:
    x = tr.Value(2.0, name="x")
    with tr.scope("layer 0"), tr.scope("t=3"):
        y = (x * x + 0.5).named("y")
    assert str(tr.Graph.of(y)).splitlines() == [
        "0: x = leaf 2",
        "1: multiply(0, 0) = 4  [layer 0, t=3]",
        "2: constant 0.5  [layer 0, t=3]",
        "3: y = add(1, 2) = 4.5  [layer 0, t=3]",
    ]


def test_prints_the_shapes_of_tensors() -> None:
    w = tr.Tensor(np.ones((2, 3), dtype=np.float32), name="W")
    assert str(tr.Graph.of(w.sum(axis=0))).splitlines() == [
        "0: W = leaf float32[2, 3]",
        "1: sum(0) = float32[3]",
    ]
    assert repr(tr.Graph.of(w)) == "<Graph of 1 nodes, 1 outputs>"


# --- immutable, and no way to close a cycle


@pytest.mark.parametrize("field", ["nodes", "outputs", "parent_indices", "anything"])
def test_a_graph_is_immutable(field: str) -> None:
    graph = tr.Graph.of(diamond()[3])
    before = graph.nodes
    with pytest.raises(AttributeError, match=f"immutable: cannot set '{field}'"):
        setattr(graph, field, ())
    assert graph.nodes is before
    assert isinstance(graph.nodes, tuple)
    assert isinstance(graph.parent_indices, tuple)


def test_closing_a_cycle_says_to_unroll() -> None:
    x = tr.Value(0.5, name="state")
    y = (x * 2.0).tanh()
    with pytest.raises(tr.GraphCycleError, match=r"cycle has no topological order.*tr\.unroll"):
        x.parents = (y,)
    with pytest.raises(tr.GraphCycleError, match="feed on itself"):
        y.parents = (y,)
    with pytest.raises(AttributeError, match="fixed when a node is recorded"):
        y.parents = (x,)
    assert issubclass(tr.GraphCycleError, ValueError)


def test_a_cycle_forced_in_past_the_setter_is_refused() -> None:
    x = tr.Value(0.5, name="x")
    h = x * 0.9
    y = h.tanh()
    h._first = y  # nobody's API: what a hand-made rolled network would be
    with pytest.raises(tr.GraphCycleError, match=r"unroll it over time \(tr\.unroll\)"):
        tr.Graph.of(y)


# --- a leaf that was assigned after it was used


def test_a_stale_leaf_can_be_looked_at_but_not_differentiated() -> None:
    w = tr.Value(3.0, name="w")
    y = w * w
    w.data = 4.0
    graph = tr.Graph.of(y)
    assert graph.nodes == (w, y)
    assert str(graph).splitlines() == ["0: w = leaf 4", "1: multiply(0, 0) = 9"]
    with pytest.raises(
        tr.GraphMutationError, match=r"leaf 'w' was assigned new data after operation 'multiply'"
    ):
        y.backward()
    assert not w.has_grad


# --- names and scopes do not change the graph


def test_names_and_labels_are_one_and_change_no_number() -> None:
    x, left, _, y = diamond()
    y.backward()
    gradient, shape = x.grad, tr.Graph.of(y).parent_indices
    x.grad = None
    left.label = "left"
    y.name = "loss"
    assert (left.name, y.label) == ("left", "loss")
    y.backward()
    assert x.grad == gradient
    assert tr.Graph.of(y).parent_indices == shape
    with pytest.raises(TypeError, match="name must be a str, got int"):
        y.name = 3


@pytest.mark.parametrize("make", [tr.Value, tr.constant])
def test_a_name_is_a_text(make: type) -> None:
    assert make(1.0).name == ""
    assert make(1.0, name="x").name == "x"
    with pytest.raises(TypeError, match="name must be a str, got int"):
        make(1.0, name=3)


def test_scopes_nest_and_end() -> None:
    with tr.scope("a"):
        with tr.scope("b"):
            inner = tr.Value(1.0) * 2.0
        outer = inner + 1.0
    after = outer + 1.0
    assert [n.scope for n in (inner, outer, after)] == [("a", "b"), ("a",), ()]
    with pytest.raises(TypeError, match="name must be a str such as 't=3', got int"), tr.scope(3):  # type: ignore[arg-type]
        pass


def test_a_scope_ends_when_an_error_passes_through() -> None:
    with pytest.raises(KeyError), tr.scope("t=0"):
        raise KeyError
    assert tr.Value(1.0).scope == ()


def test_scopes_change_no_gradient() -> None:
    def loss(x: tr.Value) -> tr.Value:
        return (x * x).tanh() + x

    x, z = tr.Value(0.3), tr.Value(0.3)
    loss(x).backward()
    with tr.scope("anywhere"):
        loss(z).backward()
    assert x.grad == z.grad


def test_a_copy_or_pickle_of_a_graph_is_refused_at_once() -> None:
    graph = tr.Graph.of(tr.Value(1.0))
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Graph"):
            use(graph)


WEIGHT = tr.Value(2.0)
READINGS = {
    "reading .data": lambda x: x.data,
    r"float\(\)": float,
    "item": lambda x: x.tolist(),
}


@pytest.mark.parametrize("what", READINGS)
@pytest.mark.parametrize("which", ["an input", "a parameter", "what is made of them", "a random draw"])
def test_no_number_leaves_a_graph_that_is_traced(what: str, which: str) -> None:
    read = READINGS[what]

    def fn(x: Any) -> Any:
        drawn = tr.ops.item(random(np.random.default_rng(0), (1,)))
        node = {
            "an input": x,
            "a parameter": WEIGHT,
            "what is made of them": x * WEIGHT,
            "a random draw": drawn,
        }[which]
        return x * read(node)

    with pytest.raises(tr.TraceError, match=f"{what}.* inside compile"):
        tr.compile(fn)(3.0)


def test_a_constant_may_be_read_while_a_function_is_traced() -> None:
    constant = tr.constant(4.0) * 2.0
    assert tr.compile(lambda x: x * float(constant))(3.0) == 24.0


def test_an_index_does_not_leave_a_graph_that_is_traced() -> None:
    with pytest.raises(tr.TraceError, match="an index inside compile"):
        tr.compile(lambda x, i: x * [1.0, 2.0][i])(3.0, np.array(1))


def test_a_number_is_read_as_a_number() -> None:
    x = tr.Value(2.5)
    assert [x.tolist(), x.item(), x.data] == [2.5, 2.5, 2.5]
    assert type(x.tolist()) is float
