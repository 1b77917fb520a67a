from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr

numbers = st.floats(-2, 2)
Loss = Callable[[tr.Value, tr.Value], tr.Value]
LOSSES: dict[str, Loss] = {
    "fan-out": lambda x, y: x * y + x.tanh() * (x + y),
    "same twice": lambda x, y: x * x - y / (y * y + 1.0),
    "deep": lambda x, y: ((x * y).sigmoid() * y + x).exp().log1p(),
    "n-ary": lambda x, y: tr.ops.dot([x, y, x], [y, y, x]) + tr.add_n(x, x, y),
}


def leaves() -> tuple[tr.Tensor, tr.Tensor]:
    rng = np.random.default_rng(3)
    return tr.Tensor(rng.normal(size=(3, 2)), name="W"), tr.Tensor(rng.normal(size=2), name="b")


def tensor_loss(w: tr.Tensor, b: tr.Tensor) -> tr.Tensor:
    return ((w * b + b).tanh() @ b).sum() + (w.sum() * b[0]) ** 2


# --- leaves accumulate, interior nodes are set


@pytest.mark.parametrize("name", LOSSES)
@given(a=numbers, b=numbers)
def test_a_second_backward_doubles_the_leaves_bitwise(name: str, a: float, b: float) -> None:
    x, y = tr.Value(a), tr.Value(b)
    loss = LOSSES[name](x, y)
    interior = [node for node in tr.Graph.of(loss) if node.kind == "op"]
    loss.backward()
    once, inside = (x.grad, y.grad), [node.grad for node in interior]
    loss.backward()
    assert (x.grad, y.grad) == (2 * once[0], 2 * once[1])
    assert [node.grad for node in interior] == inside


def test_a_second_backward_doubles_the_leaves_of_tensors_bitwise() -> None:
    w, b = leaves()
    loss = tensor_loss(w, b)
    interior = [node for node in tr.Graph.of(loss) if node.kind == "op"]
    loss.backward()
    once, inside = (w.grad.copy(), b.grad.copy()), [node.grad.copy() for node in interior]
    loss.backward()
    assert np.array_equal(w.grad, 2 * once[0])
    assert np.array_equal(b.grad, 2 * once[1])
    assert all(np.array_equal(node.grad, g) for node, g in zip(interior, inside, strict=True))


def test_two_graphs_add_up_on_a_shared_leaf() -> None:
    x = tr.Value(3.0)
    (x * x).backward()
    (x * 5.0).backward()
    assert x.grad == 11.0


def test_an_interior_node_of_two_losses_keeps_the_last_pass_only() -> None:
    x = tr.Value(3.0)
    shared = x * x
    (shared * 2.0).backward()
    (shared * 5.0).backward()
    assert shared.grad == 5.0
    assert x.grad == 6.0 * 7.0


def test_a_leaf_can_be_its_own_loss() -> None:
    x = tr.Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0


@pytest.mark.parametrize("times", [2, 3, 7])
def test_fan_out_counts_every_use(times: int) -> None:
    x = tr.Value(1.5)
    tr.add_n(*[x] * times).backward()
    assert x.grad == times
    w = tr.Tensor(np.ones(2))
    tr.add_n([w] * times).sum().backward()
    assert w.grad.tolist() == [times, times]


@pytest.mark.parametrize(
    ("op", "expected"),
    [("add", 2.0), ("subtract", 0.0), ("multiply", 6.0), ("divide", 0.0), ("maximum", 1.0), ("minimum", 1.0)],
)
def test_x_op_x_uses_both_slots(op: str, expected: float) -> None:
    x, w = tr.Value(3.0), tr.Tensor([3.0])
    getattr(tr.ops, op)(x, x).backward()
    getattr(tr.ops, op)(w, w).backward()
    assert x.grad == expected
    assert w.grad.tolist() == [expected]


def test_a_power_of_itself() -> None:
    x = tr.Value(3.0)
    (x**x).backward()
    assert x.grad == pytest.approx(27 * (np.log(3) + 1), rel=1e-15)


# --- the cotangent that is given


def test_the_given_cotangent_scales_and_shapes() -> None:
    w = tr.Tensor([[1.0, 2.0], [3.0, 4.0]])
    g = np.array([[1.0, 0.0], [0.5, -1.0]])
    (w * w).backward(g)
    assert np.array_equal(w.grad, 2 * w.data * g)
    x = tr.Value(3.0)
    (x * x).backward(0.5)
    assert x.grad == 3.0


def test_a_cotangent_may_be_nested_lists_integers_or_a_constant() -> None:
    for cotangent in (
        [1, 2],
        np.array([1, 2]),
        tr.constant(np.array([1.0, 2.0])),
        np.array([1, 2], np.float32),
    ):
        w = tr.Tensor([1.0, 1.0])
        (w * 3.0).backward(cotangent)
        assert w.grad.tolist() == [3.0, 6.0]


def test_the_given_cotangent_is_neither_kept_nor_changed() -> None:
    w = tr.Tensor([1.0, 2.0])
    y = w + 0.0
    g = np.array([1.0, 2.0])
    y.backward(g)
    y.backward(g)
    w.grad[0] = 99.0
    assert g.tolist() == [1.0, 2.0]
    assert g.flags.writeable
    g[:] = 7.0
    assert y.grad.tolist() == [1.0, 2.0]


def test_several_entries_need_a_cotangent_of_their_shape() -> None:
    w = tr.Tensor(np.ones((2, 3)), name="w")
    with pytest.raises(
        ValueError, match=r"shape \(2, 3\); give a cotangent of that shape, or reduce it.*\.sum"
    ):
        (w * 2.0).backward()
    for shape in [(3,), (1, 3), (2, 1), (3, 2), ()]:
        with pytest.raises(ValueError, match="the cotangent has"):
            (w * 2.0).backward(np.ones(shape))
    assert not w.has_grad
    w[:1, :1].backward()  # one entry needs none
    assert w.grad.sum() == 1.0


@pytest.mark.parametrize("cotangent", ["a", np.ones(2) * 1j, [None, None]])
def test_a_cotangent_is_of_real_numbers(cotangent: object) -> None:
    w = tr.Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="cotangent"):
        (w * 2.0).backward(cotangent)
    x = tr.Value(2.0)
    for wrong in ("a", 1j, np.ones(2), x):
        with pytest.raises(TypeError, match="cotangent"):
            (x * 2.0).backward(wrong)


@pytest.mark.parametrize(
    "make", [lambda: tr.constant(1.0), lambda: tr.constant([1.0]) * 2.0, lambda: tr.Tensor([1.0]) > 0]
)
def test_what_depends_on_no_leaf_says_so(make: Callable[[], tr.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"depends on no differentiable leaf \(it is a constant, detached"):
        make().backward()


def test_a_loss_of_infinite_slope_stays_quiet() -> None:
    w = tr.Tensor([0.0, 4.0])
    w.sqrt().sum().backward()
    assert w.grad.tolist() == [np.inf, 0.25]


def test_branches_without_a_derivative_are_left_out() -> None:
    x = tr.Value(2.0)
    unused = x * 3.0
    step = x.sign()
    (x * 5.0 + step).backward()
    assert x.grad == 5.0
    assert not unused.has_grad


# --- .grad and .has_grad


@pytest.mark.parametrize(
    ("make", "zero"), [(lambda: tr.Value(2.0), 0.0), (lambda: tr.Tensor([[2.0]]), [[0.0]])]
)
def test_grad_is_zero_until_computed_and_has_grad_tells(make: Callable[[], tr.Value], zero: object) -> None:
    x = make()
    y = x * 2.0
    for node in (x, y):
        assert not node.has_grad
        assert np.array_equal(node.grad, zero)
    y.backward()
    assert x.has_grad
    assert y.has_grad


@pytest.mark.parametrize("reset", [0, 0.0, None])
@pytest.mark.parametrize("make", [lambda: tr.Value(2.0), lambda: tr.Tensor([2.0])])
def test_zero_or_none_resets(make: Callable[[], tr.Value], reset: object) -> None:
    x = make()
    (x * 3.0).backward()
    x.grad = reset
    assert not x.has_grad
    assert np.array_equal(x.grad, 0.0 * x.data)
    (x * 3.0).backward()
    assert np.array_equal(x.grad, 3.0 + 0.0 * x.data)


def test_an_assigned_gradient_is_copied_and_added_to() -> None:
    w = tr.Tensor([1.0, 2.0])
    mine = np.array([10.0, 20.0])
    w.grad = mine
    mine[:] = -1.0
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [13.0, 23.0]
    assert mine.tolist() == [-1.0, -1.0]
    w.grad = np.zeros(2)
    assert w.has_grad


def test_a_gradient_of_another_shape_or_kind_is_refused() -> None:
    w, x = tr.Tensor([1.0, 2.0], name="w"), tr.Value(1.0)
    for wrong in (np.ones(3), np.ones((2, 1)), 3.0):
        with pytest.raises(ValueError, match=r"w has shape \(2,\), the gradient has"):
            w.grad = wrong
    for wrong in (np.ones(2), "a", 1j):
        with pytest.raises(TypeError, match="grad"):
            x.grad = wrong
    for wrong in (tr.Tensor([1.0, 2.0]), np.ones(2) * 1j, ["a", "b"]):
        with pytest.raises(TypeError, match="grad"):
            w.grad = wrong
    assert not w.has_grad
    assert not x.has_grad


def test_the_gradient_of_a_leaf_is_the_users_own_array() -> None:
    w, b = tr.Tensor([1.0, 2.0]), tr.Tensor([3.0, 4.0])
    (w + b).sum().backward()
    w.grad *= 10.0
    w.grad[0] = -1.0
    assert w.grad.tolist() == [-1.0, 10.0]
    assert b.grad.tolist() == [1.0, 1.0]


def test_the_gradient_of_an_interior_node_is_read_only() -> None:
    w = tr.Tensor([1.0, 2.0])
    y = w * 2.0
    y.sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        y.grad[0] = 3.0


def test_gradients_have_the_shape_and_dtype_of_the_data() -> None:
    w = tr.Tensor(np.ones((3, 1), np.float32))
    x = np.ones((2, 1, 4))
    (w * x).sum().backward()
    assert (w.grad.shape, w.grad.dtype) == ((3, 1), np.float32)
    assert w.grad.tolist() == [[8.0]] * 3
