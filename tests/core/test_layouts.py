from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_rnn as tr

BASE = np.random.default_rng(5).normal(size=(4, 6, 6))
LAYOUTS: dict[str, np.ndarray] = {
    "C": BASE[0, :3, :3].copy(),
    "F": np.asfortranarray(BASE[0, :3, :3]),
    "transposed": BASE[0, :3, :3].T,
    "strided": BASE[0, ::2, ::2],
    "negative strides": BASE[0, 2::-1, 2::-1],
    "zero stride": np.broadcast_to(BASE[0, 0, :3], (3, 3)),
    "zero strides": np.broadcast_to(BASE[0, 0, 0], (3, 3)),
    "offset": BASE[1, 1:4, 2:5],
    "read-only": BASE[0, :3, :3].copy(),
    "middle axis": BASE[:3, 2, :3],
    "unaligned": np.frombuffer(b"x" + BASE[0, :3, :3].tobytes(), np.uint8)[1:].view(np.float64).reshape(3, 3),
}
LAYOUTS["read-only"].flags.writeable = False

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: x.tanh() * x + (x * x).exp() / (1.0 + x * x),
    "matmul": lambda x: (x @ x).tanh() @ x[0],
    "sum": lambda x: x.sum(axis=0) * x.mean(axis=1),
    "cumsum": lambda x: x.cumsum(axis=1) * x.cumprod(axis=0),
    "prod": lambda x: x.prod(axis=1) + x.max(axis=0) + x.norm(),
    "softmax": lambda x: x.softmax(axis=0) * x.log_softmax(axis=1) + x.logsumexp(),
    "shapes": lambda x: x.reshape(9)[::-2] * x.T.ravel()[:5],
    "joined": lambda x: tr.ops.concatenate([x, x.T], axis=1)[:, ::-1] * tr.ops.repeat(x, 2, axis=1),
    "picked": lambda x: x[[0, 2, 0]] * x[:, [1, 1, 0]] + x[x > 0].sum(),
    "einsum": lambda x: tr.ops.einsum("ij,kj->ki", x, x) + tr.ops.einsum("ii->i", x),
    "cell": lambda x: tr.unroll(CELL, x[:, None, :]).outputs[-1],
}
CELL = tr.nn.LSTMCell(3, 2, rng=np.random.default_rng(1))


def value_and_gradient(fn: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leaf = tr.Tensor(x)
    y = fn(leaf)
    y.backward(np.cos(np.arange(y.size, dtype=float)).reshape(y.shape))
    return y.data, leaf.grad


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_bitwise_what_its_copy_gives(layout: str, name: str) -> None:
    given, plain = LAYOUTS[layout], LAYOUTS[layout].copy(order="C")
    for a, b in zip(
        value_and_gradient(FUNCTIONS[name], given), value_and_gradient(FUNCTIONS[name], plain), strict=True
    ):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_raw_operand_of_every_layout_acts_as_its_copy(layout: str) -> None:
    given, plain = LAYOUTS[layout], LAYOUTS[layout].copy(order="C")

    def run(x: np.ndarray) -> tuple[bytes, bytes]:
        w = tr.Tensor(LAYOUTS["C"])
        y = (w @ x + x).tanh() * x + tr.ops.maximum(x, w)
        y.sum().backward()
        return y.data.tobytes(), w.grad.tobytes()

    assert run(given) == run(plain)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_cotangent_of_every_layout_acts_as_its_copy(layout: str) -> None:
    def run(g: np.ndarray) -> bytes:
        w = tr.Tensor(LAYOUTS["C"])
        (w @ w).backward(g)
        return w.grad.tobytes()

    assert run(LAYOUTS[layout]) == run(LAYOUTS[layout].copy(order="C"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_enters_as_a_copy_in_c_order(layout: str) -> None:
    x = tr.Tensor(LAYOUTS[layout])
    assert x.data.flags.c_contiguous
    assert not np.shares_memory(x.data, LAYOUTS[layout])
    assert np.array_equal(x.data, LAYOUTS[layout])


@given(
    hnp.arrays(
        float, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), elements=st.floats(-2, 2)
    ),
    st.data(),
)
def test_any_basic_view_of_an_array_gives_bitwise_what_its_copy_gives(
    array: np.ndarray, data: st.DataObject
) -> None:
    view = array.T[data.draw(hnp.basic_indices(array.T.shape, allow_newaxis=True))]

    def fn(x: Any) -> Any:
        return (x.tanh() * x.exp() + x.cumsum().sum() * x).sum(axis=None)

    def run(x: np.ndarray) -> tuple[bytes, bytes]:
        leaf = tr.Tensor(x)
        y = fn(leaf)
        y.backward()
        assert leaf.grad.shape == np.shape(x)
        return y.data.tobytes(), leaf.grad.tobytes()

    assert run(view) == run(np.array(view, order="C"))


# --- no axes, and no entries


def test_a_tensor_of_no_axes() -> None:
    x = tr.Tensor(np.array(0.5))
    y = (x.sum() * x.mean() + x.max() * x.reshape(1, 1)[0, 0] + x.ravel()[0] + x[...] * x[None][0]).tanh()
    y.backward()
    assert y.shape == x.grad.shape == ()
    assert x.grad == pytest.approx((3 * 2 * 0.5 + 1) * (1 - np.tanh(3 * 0.25 + 0.5) ** 2), rel=1e-14)


EMPTY: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "elementwise": (lambda x: x.tanh() * 2.0, lambda a: np.tanh(a) * 2.0),
    "sum": (lambda x: x.sum(), lambda a: a.sum()),
    "sum over it": (lambda x: x.sum(axis=0), lambda a: a.sum(axis=0)),
    "sum beside it": (lambda x: x.sum(axis=1), lambda a: a.sum(axis=1)),
    "mean beside it": (lambda x: x.mean(axis=1), lambda a: a.mean(axis=1)),
    "prod": (lambda x: x.prod(axis=0), lambda a: a.prod(axis=0)),
    "cumsum": (lambda x: x.cumsum(axis=0), lambda a: a.cumsum(axis=0)),
    "cumprod": (lambda x: x.cumprod(axis=0), lambda a: a.cumprod(axis=0)),
    "matmul": (lambda x: x @ np.ones((3, 2)), lambda a: a @ np.ones((3, 2))),
    "inner of length 0": (lambda x: x.T @ np.ones((0, 2)), lambda a: a.T @ np.ones((0, 2))),
    "transpose": (lambda x: x.T, lambda a: a.T),
    "reshape": (lambda x: x.reshape(3, 0, 2), lambda a: a.reshape(3, 0, 2)),
    "slice": (lambda x: x[:, :2], lambda a: a[:, :2]),
    "fancy": (lambda x: x[[]], lambda a: a[[]]),
    "mask": (lambda x: x[x > 0], lambda a: a[a > 0]),
    "concatenate": (
        lambda x: tr.ops.concatenate([x, np.ones((2, 3))]),
        lambda a: np.concatenate([a, np.ones((2, 3))]),
    ),
    "stack": (lambda x: tr.ops.stack([x, x]), lambda a: np.stack([a, a])),
    "softmax": (lambda x: x.softmax(axis=1), lambda a: a),
    "max beside it": (lambda x: x.max(axis=1), lambda a: a.max(axis=1)),
    "norm": (lambda x: x.norm(), lambda a: np.linalg.norm(a)),
    "pad": (lambda x: tr.ops.pad(x, ((1, 0), (0, 0))), lambda a: np.pad(a, ((1, 0), (0, 0)))),
    "flip": (lambda x: tr.ops.flip(x, 0), lambda a: np.flip(a, 0)),
    "einsum": (lambda x: tr.ops.einsum("ij,ik->jk", x, x), lambda a: np.einsum("ij,ik->jk", a, a)),
    "broadcast": (lambda x: x + np.ones((2, 1, 3)), lambda a: a + np.ones((2, 1, 3))),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_array_without_entries_gives_numpys_value_and_an_empty_gradient(name: str) -> None:
    ours, numpys = EMPTY[name]
    x = tr.Tensor(np.zeros((0, 3)))
    y = ours(x)
    expected = numpys(np.zeros((0, 3)))
    assert (y.shape, y.tolist()) == (expected.shape, expected.tolist())
    y.backward(np.ones(y.shape))
    assert x.grad.shape == (0, 3)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_mean_of_nothing_is_nan_and_has_an_empty_gradient() -> None:
    x = tr.Tensor(np.zeros((0, 3)))
    y = x.mean(axis=0)
    y.backward(np.ones(3))
    assert np.isnan(y.data).all()
    assert x.grad.shape == (0, 3)


def test_a_network_of_no_steps_and_a_batch_of_no_examples() -> None:
    cell = tr.nn.GRUCell(3, 2, rng=np.random.default_rng(0))
    net = tr.unroll(cell, np.zeros((0, 4, 3)))
    assert net.outputs == []
    assert net.final_state.tolist() == np.zeros((4, 2)).tolist()
    none = tr.unroll(cell, np.zeros((5, 0, 3)))
    none.final_state.sum().backward()
    assert none.final_state.shape == (0, 2)
    assert all(np.array_equal(p.grad, np.zeros(p.shape)) for p in cell.parameters())
