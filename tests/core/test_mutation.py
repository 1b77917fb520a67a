import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

STEPS: dict[str, Callable[[Any], None]] = {
    "assign": lambda p: setattr(p, "data", p.data * 0 + 9.0),
    "subtract": lambda p: setattr(p, "data", operator.isub(p.data, 0.1)),
    "add": lambda p: setattr(p, "data", operator.iadd(p.data, 0.1)),
    "scale": lambda p: setattr(p, "data", operator.imul(p.data, 0.9)),
    "divide": lambda p: setattr(p, "data", operator.itruediv(p.data, 2.0)),
    "power": lambda p: setattr(p, "data", operator.ipow(p.data, 2.0)),
}


# --- a step of a leaf while its loss lives


def test_a_training_step_works_while_the_loss_lives() -> None:
    w, x = tr.Tensor([[1.0, 2.0], [3.0, 4.0]], name="w"), tr.Value(3.0)
    losses = []
    for _ in range(3):
        loss, square = (w * w).sum(), x * x
        loss.backward()
        square.backward()
        losses.append((loss, square))
        w.data -= 0.25 * w.grad
        x.data -= 0.25 * x.grad
        w.grad = x.grad = None
    assert w.tolist() == [[0.125, 0.25], [0.375, 0.5]]
    assert x.data == 0.375
    assert [(a.item(), b.item()) for a, b in losses] == [(30.0, 9.0), (7.5, 2.25), (1.875, 0.5625)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "make", [lambda: tr.Tensor([1.0, 2.0], name="weight"), lambda: tr.Value(2.0, name="weight")]
)
def test_a_graph_recorded_before_a_step_is_refused(make: Callable[[], Any], step: str) -> None:
    p = make()
    y = p * p
    loss = y.sum() if p.shape else y
    before = loss.item()
    STEPS[step](p)
    with pytest.raises(
        tr.GraphMutationError, match=r"leaf 'weight' .* operation 'multiply' had used it.*Run the forward"
    ):
        loss.backward()
    assert not p.has_grad
    assert loss.item() == before
    again = (p * p).sum() if p.shape else p * p
    again.backward()
    assert np.array_equal(p.grad, 2 * p.data)


def test_the_first_use_of_several_is_found_and_the_leaf_without_a_name_shown_by_shape() -> None:
    w, v = tr.Tensor(np.ones((2, 3))), tr.Tensor(np.ones(3))
    loss = ((w @ v).tanh() * 2.0).sum()
    w.data = np.zeros((2, 3))
    with pytest.raises(tr.GraphMutationError, match=r"unnamed leaf of shape \(2, 3\) .* operation 'matmul'"):
        loss.backward()


def test_a_stale_leaf_that_no_derivative_needs_is_no_error() -> None:
    w, v = tr.Tensor([1.0, -1.0]), tr.Tensor([2.0, 2.0])
    y = tr.ops.where(w > 0.0, v * 3.0, v)
    w.data = [5.0, 5.0]
    y.sum().backward()
    assert v.grad.tolist() == [3.0, 1.0]


def test_only_graphs_that_hold_the_assigned_leaf_are_stale() -> None:
    w, v = tr.Value(1.0), tr.Value(2.0)
    of_w, of_v = w * w, v * v
    w.data = 5.0
    of_v.backward()
    assert v.grad == 4.0
    with pytest.raises(tr.GraphMutationError):
        of_w.backward()


def test_a_stale_graph_adds_to_no_leaf_at_all() -> None:
    w, v = tr.Value(1.0), tr.Value(2.0)
    y = w * v
    w.data = 5.0
    with pytest.raises(tr.GraphMutationError):
        y.backward()
    assert not v.has_grad


READERS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "grad": lambda fn: tr.grad(fn)(3.0),
    "vjp": lambda fn: tr.vjp(fn, 3.0)[1](1.0),
    "jvp": lambda fn: tr.jvp(fn, 3.0, 1.0),
    "hvp": lambda fn: tr.hvp(fn, 3.0, 1.0),
    "jacobian": lambda fn: tr.jacobian(fn)(3.0),
    "jvp of grad": lambda fn: tr.jvp(tr.grad(fn), 3.0, 1.0),
    "grad of jvp": lambda fn: tr.grad(lambda x: tr.jvp(fn, x, 1.0)[1])(3.0),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("which", ["closed over", "argument"])
def test_a_leaf_that_the_function_itself_assigns_after_its_use_is_refused(which: str, reader: str) -> None:
    w = tr.Value(2.0, name="w")

    def fn(x: Any) -> Any:
        y = w * x * x
        if which == "closed over" or x.kind == "leaf":
            (w if which == "closed over" else x).data = 100.0
        else:
            w.data = 100.0  # inside another transformation the argument is itself a result
        return y

    with pytest.raises(tr.GraphMutationError, match="was assigned new data after operation 'multiply'"):
        READERS[reader](fn)


def test_local_vjp_and_scalarize_refuse_a_stale_graph() -> None:
    w = tr.Tensor([2.0], name="w")
    y = w * w
    graph = tr.Graph.of(y)
    w.data = [5.0]
    for use in (lambda: graph.local_vjp(y, [1.0]), lambda: tr.scalarize(y)):
        with pytest.raises(tr.GraphMutationError, match="leaf 'w' was assigned new data"):
            use()


def test_a_leaf_assigned_between_two_uses_in_one_graph_is_refused() -> None:
    w = tr.Value(2.0, name="w")
    first = w * 3.0
    w.data = 5.0
    with pytest.raises(tr.GraphMutationError, match="leaf 'w' was assigned"):
        (first + w * 3.0).backward()
    assert not w.has_grad


# --- writing into what a graph relies on

WRITES: dict[str, Callable[[np.ndarray], Any]] = {
    "item": lambda a: operator.setitem(a, 0, 1.0),
    "slice": lambda a: operator.setitem(a, slice(None), 1.0),
    "item in place": lambda a: operator.setitem(a, 0, operator.iadd(a[0], 1.0)),
    "row": lambda a: operator.setitem(a[:1], 0, 1.0),
    "out=": lambda a: np.add(a, 1.0, out=a),
    "floor": lambda a: operator.ifloordiv(a, 2.0),
    "ufunc.at": lambda a: np.add.at(a, [0], 1.0),
    "fill": lambda a: a.fill(1.0),
    "sort": lambda a: a.sort(),
    "copyto": lambda a: np.copyto(a, 1.0),
    "put": lambda a: np.put(a, [0], [1.0]),
    "flat": lambda a: operator.setitem(a.flat, 0, 1.0),
    "memory": lambda a: operator.setitem(memoryview(a), 0, 1.0),
    "flag": lambda a: a.setflags(write=True),
    "another view": lambda a: operator.setitem(a.view(np.ndarray), 0, 1.0),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("make", [lambda: tr.Tensor([2.0, 1.0]), lambda: tr.Tensor([2.0, 1.0]) * 1.0])
def test_nothing_writes_into_the_data_of_a_node(make: Callable[[], Any], write: str) -> None:
    node = make()
    with pytest.raises((ValueError, TypeError, tr.GraphMutationError)):
        WRITES[write](node.data)
    assert node.tolist() == [2.0, 1.0]


@pytest.mark.parametrize("write", ["item", "slice", "row", "out=", "floor", "ufunc.at"])
def test_writing_into_data_names_the_way(write: str) -> None:
    w = tr.Tensor([2.0, 1.0])
    with pytest.raises(
        tr.GraphMutationError, match=r"p\.data = new, or p\.data -= step\), or work on a copy"
    ):
        WRITES[write](w.data)
    assert issubclass(tr.GraphMutationError, RuntimeError)


def test_writing_into_a_tensor_names_the_way() -> None:
    w = tr.Tensor([2.0, 1.0])
    with pytest.raises(
        TypeError, match=r"tr\.ops\.where, concatenate or stack; for a leaf assign p\.data = new"
    ):
        w[0] = 1.0


def test_an_in_place_operator_on_data_alone_changes_no_tensor() -> None:
    w = tr.Tensor([2.0, 1.0])
    data = w.data
    data -= 1.0
    assert data.tolist() == [1.0, 0.0]
    assert w.tolist() == [2.0, 1.0]


def test_a_copy_of_data_is_an_ordinary_array() -> None:
    w = tr.Tensor([2.0, 1.0])
    mine = w.data.copy()
    alias = mine[:]
    mine += 1.0
    mine[0] = 7.0
    assert alias.tolist() == [7.0, 2.0]
    assert w.tolist() == [2.0, 1.0]
    assert type(w.data + 1.0) is np.ndarray


# --- the user's own arrays


@pytest.mark.parametrize(
    "use",
    [
        tr.Tensor,
        tr.constant,
        lambda a: tr.Tensor([1.0, 1.0]) * a,
        lambda a: tr.ops.where(a > 1.5, tr.Tensor([1.0, 1.0]), a),
        lambda a: tr.ops.stack([tr.Tensor([1.0, 1.0]), a])[1],
    ],
)
def test_the_users_array_is_neither_aliased_nor_locked(use: Callable[[np.ndarray], Any]) -> None:
    mine = np.array([1.0, 2.0])
    node = use(mine)
    before = node.tolist()
    mine[:] = 99.0
    assert node.tolist() == before
    assert mine.flags.writeable


def test_assigned_data_is_copied() -> None:
    w = tr.Tensor([1.0, 2.0])
    mine = np.array([3.0, 4.0])
    w.data = mine
    mine[0] = 99.0
    assert w.tolist() == [3.0, 4.0]
    assert mine.flags.writeable


def test_an_array_that_is_changed_after_its_use_gives_the_gradient_of_its_use() -> None:
    """The fault that other libraries leave silent: x *= 10 between forward and backward."""
    x, w = np.array([1.0, 2.0]), tr.Tensor([3.0, 4.0])
    loss = (w * x).sum()
    x *= 10.0
    loss.backward()
    assert w.grad.tolist() == [1.0, 2.0]


def test_an_index_array_that_is_changed_after_its_use_gives_the_gradient_of_its_use() -> None:
    at, w = np.array([0, 0, 1]), tr.Tensor([3.0, 4.0])
    loss = w[at].sum()
    at[:] = 1
    loss.backward()
    assert w.grad.tolist() == [2.0, 1.0]


# --- results cannot be assigned, and assignments are checked


@pytest.mark.parametrize("make", [lambda: tr.Value(1.0) * 2.0, lambda: tr.Tensor([1.0]) * 2.0])
def test_the_result_of_an_operation_cannot_be_assigned(make: Callable[[], Any]) -> None:
    y = make()
    with pytest.raises(tr.GraphMutationError, match=r"result of operation 'multiply'.*Assign to a leaf"):
        y.data = y.data * 2.0


def test_a_constant_cannot_be_assigned() -> None:
    """No backward pass visits constants, so a graph that uses one could not tell that it changed."""
    x = tr.Value(2.0, name="x")
    c, i = tr.constant(3.0, name="c"), tr.constant(np.array([0, 1]))
    y = c * x
    for node, new in ((c, 5.0), (i, np.array([1, 0]))):
        with pytest.raises(tr.GraphMutationError, match="a constant cannot be assigned"):
            node.data = new
    y.backward()
    assert x.grad == 3.0


def test_a_leaf_assigned_between_two_uses_is_stale() -> None:
    x = tr.Value(2.0, name="x")
    early = x * x
    x.data = 10.0
    with pytest.raises(tr.GraphMutationError, match=r"leaf 'x' was assigned .* 'multiply'"):
        (early + 3.0 * x).backward()


@pytest.mark.parametrize("carrier", [tr.Value, tr.Tensor])
def test_a_weight_closed_over_by_a_pullback_is_stale_once_assigned(carrier: type) -> None:
    w = carrier(2.0, name="w")
    pull = tr.vjp(lambda x: w * x, carrier(3.0))[1]
    assert pull(1.0) == (2.0,)
    w.data = 7.0
    with pytest.raises(tr.GraphMutationError, match="leaf 'w'"):
        pull(1.0)


def test_assigned_data_keeps_shape_and_dtype() -> None:
    w = tr.Tensor(np.ones(2, np.float32), name="w")
    w.data = np.array([1.5, 2.5])
    assert w.dtype == np.float32
    with pytest.raises(ValueError, match=r"w has shape \(2,\), the new array has \(3,\)"):
        w.data = np.ones(3)
    for wrong in (np.array([1, 2]), "ab", np.array([1j, 2j]), tr.Tensor([1.0, 2.0])):
        with pytest.raises(TypeError, match="data"):
            w.data = wrong
    assert w.tolist() == [1.5, 2.5]


def test_assigned_numbers_are_checked() -> None:
    x = tr.Value(1.0)
    x.data = 3
    assert type(x.data) is float
    for wrong in ("1", True, None, np.ones(1), 1j, tr.Value(2.0)):
        with pytest.raises(TypeError, match="data"):
            x.data = wrong
    assert x.data == 3.0


def test_a_refused_assignment_leaves_the_graph_fresh() -> None:
    x = tr.Value(2.0)
    y = x * x
    with pytest.raises(TypeError):
        x.data = "3"
    y.backward()
    assert x.grad == 4.0
