from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

Pair = namedtuple("Pair", "a b")
rng = np.random.default_rng(8)
X = rng.normal(size=(2, 3))
ALL: dict[str, Callable[[Any], Any]] = {
    "grad": lambda fn: lambda *a: tr.grad(fn)(*a),
    "value_and_grad": lambda fn: lambda *a: tr.value_and_grad(fn)(*a),
    "vjp": lambda fn: lambda *a: tr.vjp(fn, *a)[1](1.0),
    "jvp": lambda fn: lambda *a: tr.jvp(fn, a, tuple(np.ones(np.shape(x)) for x in a)),
    "hvp": lambda fn: lambda *a: tr.hvp(fn, a, tuple(np.ones(np.shape(x)) for x in a)),
    "jacobian": lambda fn: lambda *a: tr.jacobian(fn)(*a),
    "hessian": lambda fn: lambda *a: tr.hessian(fn)(*a),
}


# --- arguments: nested containers, argnums, keywords, modules


def test_a_gradient_has_the_structure_of_its_argument() -> None:
    p = {
        "w": np.array([1.0, 2.0]),
        "pair": Pair(3.0, [4.0, (5.0,)]),
        "t": tr.Tensor([6.0]),
        "v": tr.Value(7.0),
    }

    def loss(p: Any) -> Any:
        b, (c,) = p["pair"].b
        return (
            (p["w"] ** 2).sum() * 1.0
            + tr.ops.stack([p["pair"].a * b * c * p["v"]]).sum()
            + (p["t"] * 2.0).sum()
        )

    g = tr.grad(loss)(p)
    assert list(g) == ["w", "pair", "t", "v"]
    assert type(g["pair"]) is Pair
    assert g["w"].tolist() == [2.0, 4.0]
    assert (g["pair"].a, g["pair"].b) == (140.0, [105.0, (84.0,)])
    assert (g["t"].tolist(), g["v"]) == ([2.0], 60.0)
    assert [type(x) for x in (g["w"], g["t"], g["v"])] == [np.ndarray, np.ndarray, float]


def test_argnums_choose_and_a_tuple_gives_a_tuple() -> None:
    def f(a: Any, b: Any, c: Any) -> Any:
        return a * b * c

    assert tr.grad(f)(2.0, 3.0, 5.0) == 15.0
    assert tr.grad(f, argnums=2)(2.0, 3.0, 5.0) == 6.0
    assert tr.grad(f, argnums=-2)(2.0, 3.0, 5.0) == 10.0
    assert tr.grad(f, argnums=(2, 0))(2.0, 3.0, 5.0) == (6.0, 15.0)
    assert tr.grad(f, argnums=(1,))(2.0, 3.0, 5.0) == (10.0,)
    assert tr.grad(f, argnums=())(tr.Value(2.0), 3.0, 5.0) == ()
    assert tr.jacobian(f, argnums=(0, 1))(2.0, 3.0, 5.0) == (15.0, 10.0)
    assert tr.hessian(f, argnums=(0, 1))(2.0, 3.0, 5.0) == ((0.0, 5.0), (5.0, 0.0))


def test_other_arguments_pass_through_untouched() -> None:
    seen: list[Any] = []

    def f(x: Any, text: str, at: np.ndarray, *, scale: float, flag: Any = None) -> Any:
        seen.append((text, at, scale, flag))
        return x[at].sum() * scale

    at = np.array([0, 0, 2])
    g = tr.grad(f)(np.ones(3), "text", at, scale=2.0, flag={"k": None})
    assert g.tolist() == [4.0, 0.0, 2.0]
    assert seen == [("text", at, 2.0, {"k": None})]


def test_has_aux_hands_the_rest_back_as_plain_data() -> None:
    def f(x: Any) -> Any:
        return x * x, {"double": [2.0 * x], "text": "t", "none": None, "row": tr.ops.stack([x, x])}

    (value, aux), g = tr.value_and_grad(f, has_aux=True)(3.0)
    assert (value, g) == (9.0, 6.0)
    assert (aux["double"], aux["text"], aux["none"], aux["row"].tolist()) == ([6.0], "t", None, [3.0, 3.0])
    assert type(aux["double"][0]) is float
    g, again = tr.grad(f, has_aux=True)(3.0)
    assert (g, again["double"]) == (6.0, [6.0])


def test_a_module_counts_as_its_named_parameters() -> None:
    cell = tr.nn.GRUCell(3, 2, rng=np.random.default_rng(0))
    x = rng.normal(size=(4, 3))

    def loss(cell: Any, x: Any) -> Any:
        return (tr.unroll(cell, x).final_state ** 2).sum()

    g, gx = tr.grad(loss, argnums=(0, 1))(cell, x)
    assert list(g) == list(cell.named_parameters())
    assert not any(p.has_grad for p in cell.parameters())
    leaf = tr.Tensor(x)
    loss(cell, leaf).backward()
    for name, p in cell.named_parameters().items():
        assert np.array_equal(g[name], p.grad)
    assert np.array_equal(gx, leaf.grad)


def test_the_function_sees_leaves_by_name_and_the_original_is_left_alone() -> None:
    x = tr.Value(3.0, name="x")
    x.grad = 7.0

    def f(inside: tr.Value) -> tr.Value:
        assert inside is not x
        assert inside.name == "x"
        return inside * inside

    assert tr.grad(f)(x) == 6.0
    assert x.grad == 7.0


# --- .grad is never touched, closures are constants to grad


def test_no_transformation_touches_grad() -> None:
    w, v = tr.Tensor(X), tr.Value(2.0)
    w.grad, v.grad = np.full((2, 3), 5.0), 6.0
    for run in (tr.grad, tr.value_and_grad, tr.jacobian, tr.hessian):
        run(lambda x: (w * x).tanh().sum())(0.5 * np.ones(3))
        run(lambda x: (x * x).sum())(w)
        run(lambda x: v * x * x)(v)
    tr.vjp(lambda x: (w * x).sum(), w)[1](1.0)
    tr.jvp(lambda x: (w * x).sum(), w, np.ones((2, 3)))
    tr.hvp(lambda x: (w * x * x).sum(), w, np.ones((2, 3)))
    assert w.grad.tolist() == np.full((2, 3), 5.0).tolist()
    assert v.grad == 6.0


def test_a_closed_over_leaf_is_used_but_not_differentiated() -> None:
    w = tr.Value(5.0)
    assert tr.grad(lambda x: w * x * x)(3.0) == 30.0
    assert tr.jvp(lambda x: w * x, 3.0, 1.0) == (15.0, 5.0)
    assert not w.has_grad
    w.data = 7.0
    assert tr.grad(lambda x: w * x * x)(3.0) == 42.0


def test_a_node_with_history_is_an_argument_like_any_other() -> None:
    a = tr.Value(2.0)
    b = a * 3.0
    assert tr.grad(lambda x: x * x * a)(b) == 24.0
    assert not a.has_grad


def test_an_argument_that_does_not_matter_has_gradient_zero() -> None:
    assert tr.grad(lambda x, y: x * 1.0, argnums=1)(2.0, 3.0) == 0.0
    assert (
        tr.grad(lambda p: p["a"] * 1.0)({"a": 1.0, "b": np.ones((2, 1), np.float32)})["b"].dtype == np.float32
    )
    assert tr.grad(lambda x: 4.0)(2.0) == 0.0
    assert tr.jacobian(lambda x: np.ones(2))(np.ones(3)).tolist() == np.zeros((2, 3)).tolist()
    assert tr.jvp(lambda x: 4.0, 2.0, 1.0) == (4.0, 0.0)
    assert tr.hessian(lambda x: x * 3.0)(2.0) == 0.0


def test_through_detach_and_no_grad_nothing_flows() -> None:
    def frozen(x: Any) -> Any:
        with tr.no_grad():
            return x * x

    for stop in (
        lambda x: (x * x).detach(),
        lambda x: tr.detach(x * x),
        frozen,
        lambda x: tr.constant(x.data**2),
    ):
        assert tr.grad(lambda x, stop=stop: x * stop(x))(3.0) == 9.0
        assert tr.jvp(lambda x, stop=stop: x * stop(x), 3.0, 1.0) == (27.0, 9.0)
        assert tr.grad(tr.grad(lambda x, stop=stop: x * x * stop(x)))(3.0) == 18.0


# --- results: fresh, writable, of the right type


def test_results_are_fresh_and_writable() -> None:
    def two(a: Any, b: Any) -> Any:
        return a + b

    pull = tr.vjp(two, np.ones(3), np.ones(3))[1]
    g = np.ones(3)
    first, second = pull(g)
    first[0] = 99.0
    assert second.tolist() == [1.0] * 3
    assert g.tolist() == [1.0] * 3
    assert pull(g)[0].tolist() == [1.0] * 3
    for fn in (
        tr.grad(lambda a: a.sum()),
        tr.jacobian(lambda a: a * 1.0),
        tr.hessian(lambda a: (a * a).sum()),
    ):
        result = fn(np.ones(3))
        result += 1.0
    value, tangent = tr.jvp(lambda a: a, np.ones(3), np.ones(3))
    value += 1.0
    assert tangent.tolist() == [1.0] * 3
    tangent += 1.0


def test_inside_a_function_results_are_nodes() -> None:
    kinds: list[Any] = []

    def f(x: Any) -> Any:
        g = tr.grad(lambda y: y * y)(x)
        v, t = tr.jvp(lambda y: y * y, x, 1.0)
        j = tr.jacobian(lambda y: tr.ops.stack([y, y * y]))(x)
        o, pull = tr.vjp(lambda y: y * y, x)
        kinds.extend(map(type, (g, v, t, j, o, pull(1.0)[0])))
        return g + v + t + j.sum().item() * 0.0 + o

    assert type(tr.grad(f)(3.0)) is float
    assert kinds == [tr.Value, tr.Value, tr.Value, tr.Tensor, tr.Value, tr.Value]


@pytest.mark.parametrize("name", ALL)
def test_results_keep_shape_and_dtype(name: str) -> None:
    result = ALL[name](lambda x: (x * x * x).sum())(np.ones((2, 3), np.float32))
    found = [x for _, x in tr.core.tree.flatten(result) if type(x) is not float]
    assert found
    assert {x.dtype for x in found} == {np.dtype(np.float32)}
    assert found[-1].shape == {"jvp": (), "hessian": (2, 3, 2, 3)}.get(name, (2, 3))


# --- nested outputs


def test_vjp_jvp_and_jacobian_take_nested_outputs() -> None:
    def f(x: Any) -> Any:
        return {"square": x * x, "sum": x.sum(), "plain": 3.0}

    at = np.array([1.0, 2.0])
    out, pull = tr.vjp(f, at)
    assert (out["square"].tolist(), float(out["sum"]), out["plain"]) == ([1.0, 4.0], 3.0, 3.0)
    assert pull({"square": np.array([1.0, 10.0]), "sum": 100.0, "plain": 0.0})[0].tolist() == [102.0, 140.0]
    _, tangent = tr.jvp(f, at, np.array([1.0, 0.5]))
    assert (tangent["square"].tolist(), float(tangent["sum"]), float(tangent["plain"])) == (
        [2.0, 2.0],
        1.5,
        0.0,
    )
    jacobian = tr.jacobian(f)(at)
    assert (jacobian["square"].tolist(), jacobian["sum"].tolist()) == ([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    nested = tr.jacobian(lambda p: {"y": p["a"] * p["b"]})({"a": at, "b": 2.0 * at})
    assert nested["y"]["a"].tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_the_jacobian_has_shape_output_plus_input() -> None:
    j = tr.jacobian(lambda x: x @ np.ones((3, 4)))(X)
    assert j.shape == (2, 4, 2, 3)
    assert np.array_equal(j, np.einsum("ik,jl->ijkl", np.eye(2), np.ones((4, 3))))
    assert tr.jacobian(lambda x: x)(np.zeros(0)).shape == (0, 0)
    assert tr.hessian(lambda x: (x**3).sum())(X).shape == (2, 3, 2, 3)


# --- what is refused


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tr.grad(3), TypeError, "fn must be callable, got int"),
        (
            lambda: tr.grad(lambda x: x, argnums=1)(1.0),
            ValueError,
            "argnums 1 is out of range .* 1 positional",
        ),
        (lambda: tr.grad(lambda x: x)(x=1.0), ValueError, "0 positional arguments"),
        (
            lambda: tr.grad(lambda x: x, argnums="x")(1.0),
            TypeError,
            "argnums must be an int or a tuple of ints",
        ),
        (
            lambda: tr.grad(lambda x, y: x, argnums=(0, 0))(1.0, 2.0),
            ValueError,
            r"each argument once, got \(0, 0\)",
        ),
        (lambda: tr.grad(lambda x, y: x, argnums=(0, -2))(1.0, 2.0), ValueError, "each argument once"),
        (
            lambda: tr.grad(lambda x: x)(np.ones(3)),
            ValueError,
            r"one number, got shape \(3,\).*tr\.jacobian or tr\.vjp",
        ),
        (
            lambda: tr.grad(lambda x: None)(1.0),
            TypeError,
            "must return a Value, a Tensor or a number, got NoneType",
        ),
        (lambda: tr.grad(lambda x: (x, x))(1.0), TypeError, "got tuple"),
        (
            lambda: tr.grad(lambda x: x * 1.0, has_aux=True)(1.0),
            TypeError,
            r"must return a pair \(value, aux\)",
        ),
        (
            lambda: tr.grad(lambda p: p["x"])({"x": 1.0, "t": "a"}),
            TypeError,
            r"argument 0\['t'\]: needs a number",
        ),
        (
            lambda: tr.grad(lambda p: p[0])([1.0, np.arange(2)]),
            TypeError,
            r"argument 0\[1\]: an array of dtype int64",
        ),
        (lambda: tr.grad(lambda x: x)(None), TypeError, "argument 0: needs a number"),
        (
            lambda: tr.grad(lambda x: x.sum())(tr.constant(np.arange(3))),
            TypeError,
            "dtype int64 cannot be diff",
        ),
        (
            lambda: tr.vjp(lambda x: x * x, X)[1](np.ones(3)),
            ValueError,
            r"cotangent: needs shape \(2, 3\), got \(3,\)",
        ),
        (lambda: tr.vjp(lambda x: (x, x), X)[1](X), ValueError, "2 outputs, the cotangent 1"),
        (lambda: tr.vjp(lambda: 1.0), TypeError, "at least one primal"),
        (
            lambda: tr.jvp(lambda x: x, X, np.ones(3)),
            ValueError,
            r"tangent: needs shape \(2, 3\), got \(3,\)",
        ),
        (lambda: tr.jvp(lambda x, y: x, (1.0, 2.0), 1.0), ValueError, "primals are a tuple of 2"),
        (lambda: tr.jvp(lambda p: p[0], [1.0, 2.0], [1.0]), ValueError, "have 2 leaves, the tangents 1"),
        (lambda: tr.hvp(lambda x: x * x, np.ones(3), np.ones(3)), ValueError, "one number"),
        (lambda: tr.hessian(lambda x: x * x)(np.ones(3)), ValueError, "one number"),
        (lambda: tr.jacobian(lambda x: x, argnums=3)(1.0), ValueError, "jacobian: argnums 3 is out of range"),
    ],
)
def test_errors_say_what_which_and_what_is_legal(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_loss_of_one_entry_is_a_number_whatever_its_axes(shape: tuple[int, ...]) -> None:
    value, gradient = tr.value_and_grad(lambda v: (v * v).sum().reshape(shape))(np.array([1.0, 2.0]))
    assert value == 5.0
    assert gradient.tolist() == [2.0, 4.0]


def test_an_output_that_is_no_node_does_not_move() -> None:
    (y, number, array), tangents = tr.jvp(lambda v: (v * v, 0.0, np.zeros(2)), (3.0,), (1.0,))
    assert (y, number, array.tolist()) == (9.0, 0.0, [0.0, 0.0])
    assert tangents[0] == 6.0
    assert tangents[1] == 0.0
    assert np.asarray(tangents[2]).tolist() == [0.0, 0.0]


def test_the_jacobian_of_nothing_has_the_arguments_shape_behind_it() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    nothing = lambda v: v[:0] * 2.0  # noqa: E731
    assert tr.jacobian(nothing)(x).shape == (0, 2, 1, 2)
    twice = tr.jacobian(tr.jacobian(nothing))(x)
    assert (twice.shape, twice.dtype) == ((0, 2, 1, 2, 1, 2), np.float32)
    constant = tr.jacobian(tr.jacobian(lambda v: tr.constant(np.ones(3)) * 2.0))(x)
    assert (constant.shape, float(np.abs(constant).sum())) == ((3, 1, 2, 1, 2), 0.0)


def test_a_gradient_at_a_traced_value_follows_it() -> None:
    for at in (lambda x: x * 2.0, lambda x: tr.detach(x * 2.0)):
        step = tr.compile(lambda x, at=at: tr.grad(lambda v: v * v * v)(at(x)))
        assert [step(1.0), step(2.0)] == [12.0, 48.0]
