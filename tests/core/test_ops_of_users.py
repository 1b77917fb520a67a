"""An operation that a user defines is as good as ours, in every consumer; what is wrong with it is said by name."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

rng = np.random.default_rng(23)

swish = tr.Op(
    name="swish",
    symbol="swish",
    forward=lambda xp, x: x * xp.sigmoid(x),
    partials=(lambda xp, y, x: xp.sigmoid(x) * (1.0 + x - y),),
    doc="x σ(x); dy/dx = σ(x) (1 + x - y)",
)
hypotenuse = tr.Op(
    name="hypotenuse",
    symbol="hyp",
    forward=lambda xp, a, b: xp.sqrt(a * a + b * b),
    partials=(lambda xp, y, a, b: a / y, lambda xp, y, a, b: b / y),
)
scaled = tr.Op(
    name="scaled",
    symbol="×k",
    forward=lambda xp, x, k: k * x * x,
    partials=(lambda xp, y, x, k: 2.0 * k * x,),
    bind=lambda x, k=3.0: ((x,), {"k": float(k)}),
)
mirror = tr.Op(
    name="mirror",
    symbol="mirror",
    forward=lambda xp, x: x[..., ::-1] * 2.0,
    transpose=(lambda xp, g, y, x: g[..., ::-1] * 2.0,),
    linear="each",
)
gram = tr.Op(
    name="gram",
    symbol="xxᵀ",
    forward=lambda xp, x: xp.matmul(x, xp.swapaxes(x, -1, -2)),
    transpose=(lambda xp, g, y, x: xp.matmul(g + xp.swapaxes(g, -1, -2), x),),
)
halves = tr.Op(
    name="halves",
    symbol="Σ½",
    forward=lambda xp, *args: sum(args[1:], args[0]) * 0.5,
    partials=lambda i, xp, y, *args: 0.5,
)
opaque = tr.Op(
    name="opaque",
    symbol="?",
    forward=lambda xp, a, b: np.sin(a) * b,
    vjp=lambda g, y, a, b: (g * np.cos(a) * b, g * np.sin(a)),
)
Call = Callable[..., Any]
ON_VALUES: dict[str, tuple[Call, tuple[float, ...]]] = {
    "swish": (swish, (0.7,)),
    "hypotenuse": (hypotenuse, (0.7, -1.2)),
    "scaled": (lambda x: scaled(x, k=-2.0) + scaled(x), (0.7,)),
    "halves": (lambda a, b: halves(a, b, a, 2.0), (0.7, -1.2)),
    "twice": (lambda x: swish(hypotenuse(x, swish(x))), (0.7,)),
}
ON_TENSORS: dict[str, tuple[Call, tuple[np.ndarray, ...]]] = {
    "swish": (swish, (rng.normal(size=(2, 3)),)),
    "hypotenuse": (hypotenuse, (rng.normal(size=(2, 3)), rng.normal(size=3))),
    "scaled": (scaled, (rng.normal(size=3),)),
    "halves": (lambda a, b: halves(a, b, a), (rng.normal(size=(2, 3)), rng.normal(size=3))),
    "mirror": (mirror, (rng.normal(size=(2, 3)),)),
    "gram": (gram, (rng.normal(size=(2, 3)),)),
    "all": (lambda x: mirror(gram(swish(x))), (rng.normal(size=(2, 3)),)),
}


# --- rules: as good as ours


@pytest.mark.parametrize("name", ON_VALUES)
def test_on_values_in_every_mode(name: str) -> None:
    fn, args = ON_VALUES[name]
    tr.testing.assert_gradients(fn, *args)
    tr.testing.assert_gradients(lambda *a: tr.grad(fn)(*a), *args)
    gradient = tr.grad(fn, argnums=tuple(range(len(args))))(*args)
    assert tr.jvp(fn, args, (1.0,) * len(args))[1] == pytest.approx(sum(gradient), rel=1e-13)
    leaves = [tr.Value(a) for a in args]
    fn(*leaves).backward()
    assert tuple(leaf.grad for leaf in leaves) == pytest.approx(gradient, rel=1e-14)


@pytest.mark.parametrize("name", ON_TENSORS)
def test_on_tensors_in_every_mode(name: str) -> None:
    fn, args = ON_TENSORS[name]

    def loss(*a: Any) -> Any:
        y = fn(*a)
        return (y * y * np.arange(1.0, y.size + 1).reshape(y.shape)).sum()

    tr.testing.assert_gradients(fn, *args)
    tr.testing.assert_gradients(lambda *a: tr.grad(loss)(*a), *args)
    directions = tuple(rng.normal(size=a.shape) for a in args)
    gradient = tr.grad(loss, argnums=tuple(range(len(args))))(*args)
    forward = float(tr.jvp(loss, args, directions)[1])
    assert forward == pytest.approx(
        sum((g * d).sum() for g, d in zip(gradient, directions, strict=True)), rel=1e-12
    )
    product = tr.hvp(loss, args, directions)
    again = tr.grad(lambda *a: sum((g * d).sum() for g, d in zip(
        tr.grad(loss, argnums=tuple(range(len(args))))(*a), directions, strict=True)), argnums=tuple(range(len(args))),
    )(*args)  # fmt: skip
    for one, other in zip(product, again, strict=True):
        assert np.allclose(one, other, rtol=1e-11, atol=1e-11)


def gradients(entries: Any) -> Any:
    return [gradients(e) for e in entries] if isinstance(entries, list) else entries.grad


@pytest.mark.parametrize("name", ON_TENSORS)
def test_taken_apart_it_is_the_same_entry_by_entry(name: str) -> None:
    fn, args = ON_TENSORS[name]
    leaves = [tr.Tensor(a) for a in args]
    y = fn(*leaves)
    loss = (y * np.arange(1.0, y.size + 1).reshape(y.shape)).sum()
    apart = tr.scalarize(loss)
    loss.backward()
    apart.outputs[0].backward()
    for leaf in leaves:
        assert np.allclose(gradients(apart.of(leaf)), leaf.grad, rtol=1e-12, atol=1e-12)


def test_it_stands_in_the_graph_under_its_name_with_its_parameters() -> None:
    x = tr.Value(0.5, name="x")
    graph = tr.Graph.of(scaled(swish(x), k=4.0))
    assert [node.op and node.op.name for node in graph] == [None, "swish", "scaled"]
    assert graph[2].op is scaled
    assert graph[2].op.symbol == "×k"
    assert graph[2].params == {"k": 4.0}
    assert str(graph).splitlines()[1].startswith("1: swish(0) = 0.31123")
    assert graph.local_vjp(graph[2], 1.0) == (8.0 * graph[1].data,)


def test_it_runs_inside_a_cell_through_time() -> None:
    def cell(x: Any, h: Any) -> Any:
        return swish(h * 0.7 + x)

    tr.testing.assert_gradients(
        lambda h, x: tr.unroll(cell, [x, 2.0 * x, -x], state=h).final_state,
        rng.normal(size=3),
        rng.normal(size=3),
    )


def test_on_plain_numbers_and_arrays_it_is_a_function() -> None:
    assert swish(0.5) == 0.5 / (1 + math.exp(-0.5))
    assert type(swish(0.5)) is float
    assert swish(np.zeros(2)).tolist() == [0.0, 0.0]
    assert opaque(0.0, 1.0) == 0.0


def test_python_errors_of_ieee_cases_do_not_come_out() -> None:
    inverse = tr.Op(
        name="inverse",
        symbol="1/x",
        forward=lambda xp, x: 1.0 / x,
        partials=(lambda xp, y, x: -1.0 / (x * x),),
    )
    x = tr.Value(0.0)
    y = inverse(x)
    y.backward()
    assert (y.data, x.grad) == (math.inf, -math.inf)


def test_an_operation_without_rules_is_a_constant_to_derivatives() -> None:
    step = tr.Op(name="step", symbol="step", forward=lambda xp, x: xp.where(xp.greater(x, 0.0), 1.0, 0.0))
    assert not step.differentiable
    assert tr.grad(lambda x: x * step(x))(2.0) == 1.0
    w = tr.Tensor([1.0, -1.0])
    assert step(w).tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="depends on no differentiable leaf"):
        step(w).sum().backward()


def test_an_argument_without_a_rule_gets_no_gradient() -> None:
    left = tr.Op(
        name="left", symbol="left", forward=lambda xp, a, b: a * b, partials=(lambda xp, y, a, b: b, None)
    )
    a, b = tr.Value(2.0), tr.Value(5.0)
    left(a, b).backward()
    assert (a.grad, b.has_grad) == (5.0, False)
    assert tr.jvp(left, (2.0, 5.0), (1.0, 1.0))[1] == 5.0


# --- opaque: plain numpy, first order


def test_an_opaque_operation_is_differentiated_once() -> None:
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    v, w = tr.Tensor(a), tr.Tensor(b)
    (opaque(v, w) * a).sum().backward()
    assert np.allclose(v.grad, a * np.cos(a) * b, rtol=1e-14)
    assert np.allclose(w.grad, a * np.sin(a), rtol=1e-14)
    x = tr.Value(0.5)
    (opaque(x, 3.0) * 2.0).backward()
    assert x.grad == pytest.approx(6.0 * math.cos(0.5), rel=1e-15)
    assert tr.grad(opaque, argnums=(0, 1))(0.5, 3.0) == pytest.approx(
        (3 * math.cos(0.5), math.sin(0.5)), rel=1e-15
    )
    graph = tr.Graph.of(opaque(v, w))
    assert graph[2].op.name == "opaque"
    assert np.allclose(graph.local_vjp(graph[2], np.ones((2, 3)))[1], np.sin(a))


def test_an_opaque_rule_may_return_a_bare_array_and_none() -> None:
    double = tr.Op(name="double", symbol="2x", forward=lambda xp, x: x * 2.0, vjp=lambda g, y, x: 2.0 * g)
    pick = tr.Op(name="pick", symbol="pick", forward=lambda xp, x, at: x[at],
                 vjp=lambda g, y, x, at: (np.bincount(at, g, minlength=x.size), None))  # fmt: skip
    w = tr.Tensor([1.0, 2.0, 3.0])
    (double(w).sum() + pick(w, np.array([0, 0, 2])).sum()).backward()
    assert w.grad.tolist() == [4.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "use",
    [
        lambda: tr.grad(tr.grad(lambda x: opaque(x, x)))(0.5),
        lambda: tr.hvp(lambda x: opaque(x, x).sum(), np.ones(2), np.ones(2)),
        lambda: tr.hessian(lambda x: opaque(x, 1.0))(0.5),
        lambda: tr.jvp(opaque, (0.5, 1.0), (1.0, 0.0)),
        lambda: tr.grad(lambda x: tr.jvp(lambda y: opaque(y, 1.0), x, 1.0)[1])(0.5),
    ],
)
def test_higher_order_and_forward_mode_name_the_opaque_operation(use: Callable[[], Any]) -> None:
    with pytest.raises(
        TypeError, match=r"opaque is opaque .* once, in reverse mode only; give it partials or transpose"
    ):
        use()


def test_an_opaque_operation_cannot_be_taken_apart() -> None:
    for node in (opaque(tr.Tensor([1.0]), tr.Tensor([2.0])), opaque(tr.Value(1.0), 2.0)):
        with pytest.raises(TypeError, match="scalarize: opaque is opaque"):
            tr.scalarize(node)


# --- what is wrong is said by name


def of(**fields: Any) -> tr.Op:
    return tr.Op(**{"name": "mine", "symbol": "m", "forward": lambda xp, x: x * 2.0} | fields)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"name": "two words"}, ValueError, "name must be an identifier such as 'tanh', got 'two words'"),
        ({"name": 3}, ValueError, "name must be an identifier"),
        ({"forward": 3}, TypeError, "Op 'mine': forward must be callable, got int"),
        ({"partials": (None,), "transpose": (None,)}, ValueError, "one of .*, not partials and transpose"),
        ({"transpose": (None,), "vjp": lambda g, y, x: g}, ValueError, "not transpose and vjp"),
        ({"linear": "both"}, ValueError, "linear must be '', 'each' or 'jointly', got 'both'"),
    ],
)  # fmt: skip
def test_a_wrong_record_is_refused_when_it_is_made(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        of(**fields)


def test_a_record_is_frozen() -> None:
    with pytest.raises(AttributeError):
        swish.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("x", [tr.Value(1.0), tr.Tensor([1.0, 2.0])])
def test_too_many_or_too_few_arguments_are_counted(x: Any) -> None:
    with pytest.raises(TypeError, match="hypotenuse: has rules for 2 arguments, was called with 1"):
        hypotenuse(x)
    with pytest.raises(TypeError, match="gram: has rules for 1 arguments, was called with 2"):
        gram(x, x)


@pytest.mark.parametrize(
    ("result", "dtype"),
    [("text", "<U4"), (np.array([None]), "object"), (1j, "complex128"), (np.array(["2020"], "M8[Y]"), "datetime64")],
)  # fmt: skip
def test_a_forward_gives_real_numbers(result: Any, dtype: str) -> None:
    with pytest.raises(TypeError, match=rf"mine: its forward must give real numbers, got dtype {dtype}"):
        of(forward=lambda xp, x: result)(tr.Tensor([1.0]))


def test_a_forward_that_numpy_refuses_is_named_with_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"mine of shapes \(2,\): .*reshape"):
        of(forward=lambda xp, x: x.reshape(3, 5))(tr.Tensor([1.0, 2.0]))


def test_an_array_operation_does_not_act_on_single_values() -> None:
    with pytest.raises(TypeError, match=r"gram does not act on single Values.*tr\.ops\.stack"):
        gram(tr.Value(1.0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vjp": lambda g, y, x: (np.ones(5),)}, r"mine: its vjp gave argument 0 .* a cotangent of \(5,\)"),
        ({"vjp": lambda g, y, x: (g.T,)}, r"cotangent of \(3, 2\)"),
        ({"vjp": lambda g, y, x: (g, g)}, "mine: its vjp must return 1 cotangents, one for each argument, got 2"),
        ({"partials": (lambda xp, y, x: np.ones(5),)}, "mine: the rule of argument 0 failed: operands could"),
        ({"transpose": (lambda xp, g, y, x: g.T,)}, r"mine: the rule of argument 0 is wrong: .* \(3, 2\) does"),
        ({"transpose": (lambda xp, g, y, x: g[0],)}, r"of shape \(3,\) does not fit an argument of shape \(2, 3\)"),
        ({"transpose": (lambda xp, g, y, x: np.ones((4, 3, 2)),)}, r"\(4, 3, 2\) does not fit .* \(2, 3\)"),
    ],
)  # fmt: skip
def test_a_cotangent_of_a_wrong_shape_names_operation_and_argument(
    fields: dict[str, Any], message: str
) -> None:
    """A transposed adjoint has the right size: reshaped in silence it would be a wrong gradient."""
    with pytest.raises(ValueError, match=message):
        of(**fields)(tr.Tensor(np.ones((2, 3)))).sum().backward()


def test_a_rule_cannot_change_the_cotangent_that_others_share() -> None:
    def greedy(g: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        g *= 2.0
        return g

    for mine in (of(vjp=greedy), of(transpose=(lambda xp, g, y, x: greedy(g, y, x),))):
        w, b = tr.Tensor([1.0, 2.0]), tr.Tensor([0.0, 0.0])
        with pytest.raises(ValueError, match="read-only"):
            (mine(w) + b).backward([1.0, 1.0])
        assert not b.has_grad


def test_a_forward_cannot_change_its_argument() -> None:
    with pytest.raises(ValueError, match="read-only"):
        of(forward=lambda xp, x: x.__iadd__(1.0))(tr.Tensor([1.0]))
