"""What may not leave the graph while a function is recorded: a replay would use today's number for ever."""

import math

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_same
from tinygrad_rnn import ops
from tinygrad_rnn.core.draws import random
from tinygrad_rnn.plan.compiled import compile

X = np.array([0.3, -0.2, 0.7])
W = tr.Tensor(np.array([0.5, 0.1, -0.4]), name="w")
V = tr.Value(0.5, name="v")


def into(array, value):
    b = np.zeros(3)
    b[:] = value
    return b


def loop(value):
    while value > 0:
        value = value - 1.0
    return value


TENSOR = {
    "data": lambda t: t.data * 2,
    "item": lambda t: t.sum().item(),
    "item of one entry": lambda t: t[0].item(),
    "float": lambda t: float(t[0]),
    "float of math": lambda t: math.sin(t[0]),
    "int": lambda t: int(t[0]),
    "bool": lambda t: bool(t[0] > 0),
    "if": lambda t: t if t[0] > 0 else -t,
    "and": lambda t: t[0] > 0 and t[1],
    "not": lambda t: not t[0],
    "while": lambda t: loop(t[0]),
    "max of Python": lambda t: max(t[0], t[1]),
    "sorted": lambda t: sorted([t[0], t[1]]),
    "asarray": np.asarray,
    "array": lambda t: np.array(t),
    "array of a list": lambda t: np.array([t[0], t[1]]),
    "written into an array": lambda t: into(np.zeros(3), t),
    "tolist": lambda t: t.tolist(),
    "format": lambda t: f"{t[0]:.3f}",
    "format method": lambda t: f"{t.sum():10}",
    "mask": lambda t: t[t > 0],
    "mask of ops": lambda t: ops.getitem(t, t > 0),
}
INTEGER = {
    "row of a table": lambda t: np.eye(3)[t],
    "index of a list": lambda t: [1, 2, 3][t[0]],
    "range": lambda t: list(range(t[0])),
    "int": lambda t: int(t[0]),
    "array": lambda t: np.array([t[0]]),
    "written": lambda t: into(np.zeros(3), t),
    "repeat": lambda t: np.ones(3).repeat(t),
    "shape": lambda t: np.zeros(t),
    "slice": lambda t: X[: t[0]],
    "slice of a node": lambda t: W[: t[0]],
    "dictionary by number": lambda t: {0: 1.0}[t[0].item()],
}
VALUE = {
    "data": lambda v: v.data * 2,
    "item": lambda v: v.item(),
    "float": float,
    "int": int,
    "bool": bool,
    "if": lambda v: v if v else -v,
    "while": loop,
    "less": lambda v: v < 0.2,
    "greater": lambda v: v > 0.2,
    "at most": lambda v: v <= 0.2,
    "at least": lambda v: v >= 0.2,
    "equal": lambda v: v == 0.2,
    "unequal": lambda v: v != 0.2,
    "turned around": lambda v: v > 0.2,
    "two Values": lambda v: v < tr.Value(0.2),
    "max": lambda v: max(v, 0.0),
    "math": math.tanh,
    "tolist": lambda v: v.tolist(),
    "format": lambda v: f"{v:.3f}",
    "array": lambda v: np.array([v, v], dtype=float),
    "written": lambda v: into(np.zeros(3), v),
}


def through_an_operation(x):
    return x * 1.5 + 0.25


TENSOR_SOURCES = {
    "an input": (lambda t: through_an_operation(t), (X,)),
    "the input itself": (lambda t: t, (X,)),
    "a leaf": (lambda t: W, (X,)),
    "made of a leaf": (lambda t: W * 2.0, (X,)),
    "a draw": (lambda t: random(np.random.default_rng(0), (3,)), (X,)),
    "a gradient": (lambda t: tr.grad(lambda w: (w * w).sum())(t), (X,)),
}
VALUE_SOURCES = {
    "an input": (through_an_operation, (0.3,)),
    "a Value": (through_an_operation, (tr.Value(0.3),)),
    "a leaf": (lambda v: V, (0.3,)),
    "made of a leaf": (lambda v: V * 2, (0.3,)),
    "a gradient": (lambda v: tr.grad(lambda w: w * w)(v), (0.3,)),
}
INTEGER_SOURCES = {
    "an input": (lambda t: t, (np.array([0, 2, 1]),)),
    "part of an input": (lambda t: t[0], (np.array([[0, 2, 1], [1, 1, 1]]),)),
}


def reads(table, sources):
    return [
        pytest.param(read, source, args, id=f"{name} of {where}")
        for name, read in table.items()
        for where, (source, args) in sources.items()
    ]


@pytest.mark.parametrize(
    ("read", "source", "args"),
    reads(TENSOR, TENSOR_SOURCES) + reads(VALUE, VALUE_SOURCES) + reads(INTEGER, INTEGER_SOURCES),
)
def test_a_number_that_may_change_does_not_leave_the_graph(read, source, args):
    def fn(x):
        return x * 1.0, read(source(x))

    with pytest.raises(tr.TraceError) as error:
        compile(fn)(*args)
    assert "compile" in str(error.value) or "grad" in str(error.value)


@pytest.mark.parametrize(
    "read", [TENSOR["data"], TENSOR["if"], TENSOR["item"], VALUE["less"], VALUE["float"]]
)
def test_the_error_names_the_line_of_the_user(read):
    with pytest.raises(tr.TraceError, match=r"test_trace\.py:\d+: .*lambda"):
        compile(lambda x: read(x[0] if read in TENSOR.values() and read is TENSOR["item"] else x))(
            X if read in TENSOR.values() else 0.3
        )


def test_the_error_of_asarray_names_the_line_of_the_user():
    with pytest.raises(tr.TraceError, match=r"test_trace\.py:\d+"):
        compile(lambda t: np.eye(3)[t])(np.array([0, 2]))


EFFECTS = {
    "backward": lambda x: (x * W).sum().backward(),
    "backward of a leaf": lambda x: (W * W).sum().backward(),
    "assigning data": lambda x: setattr(W, "data", X),
    "assigning data of a Value": lambda x: setattr(V, "data", 2.0),
    "in place": lambda x: exec("W.data -= 0.1", {"W": W}),
    "assigning grad": lambda x: setattr(W, "grad", X),
    "resetting grad": lambda x: setattr(V, "grad", 0),
    "resetting all": lambda x: MODULE.zero_grad(),
    "loading a state": lambda x: MODULE.load_state_dict({"weight": np.ones((1, 1))}),
    "a step": lambda x: tr.train.SGD(MODULE).step({"weight": np.ones((1, 1))}),
    "a step along traced gradients": lambda x: tr.train.SGD([W]).step([x * W]),
    "a hook": lambda x: W.register_hook(print),
    "a hook on a Value": lambda x: V.register_hook(print),
    "no_grad": lambda x: tr.no_grad().__enter__(),
    "no_grad as a decorator": lambda x: tr.no_grad()(lambda: x * 2)(),
    "writing into a node": lambda x: x.__setitem__(0, 1.0),
}


@pytest.mark.parametrize("effect", EFFECTS.values(), ids=EFFECTS)
def test_a_side_effect_is_refused(effect):
    before, number = W.data.copy(), V.data

    def fn(x):
        effect(x)
        return x * 2.0

    with pytest.raises(TypeError):  # TraceError is one
        compile(fn)(X)
    np.testing.assert_array_equal(W.data, before)
    assert V.data == number
    assert not W.has_grad
    assert not V.has_grad


def test_a_gradient_step_by_an_optimizer_object_is_refused():
    p = tr.Tensor(X)
    optimizer = tr.train.SGD([p], lr=0.1)
    p.grad = X

    def fn(x):
        optimizer.step()
        return x * p

    with pytest.raises(tr.TraceError):
        compile(fn)(X)
    np.testing.assert_array_equal(p.data, X)


class Holder(tr.nn.Module):
    def __init__(self):
        self.w, self.seen, self.log = tr.Tensor(X), None, []

    def __call__(self, x):
        return x * self.w


def keeping(what):
    """A side effect that keeps a node: ``what`` is given the module, a list outside, and the argument."""
    holder, outside = Holder(), []

    def fn(x):
        what(holder, outside, x)
        return holder(x)

    return fn


def recursive(x):
    def walk(n):
        return x * W if n == 0 else walk(n - 1) * 2.0  # refers to itself: a cycle, which holds x

    return walk(3)


KEPT = {
    "appended to a list": lambda holder, outside, x: outside.append(x * 2.0),
    "the argument itself": lambda holder, outside, x: outside.append(x),
    "within a dict": lambda holder, outside, x: outside.append({"h": [x + 1.0]}),
    "a gradient": lambda holder, outside, x: outside.append(tr.grad(lambda x: (x * x).sum())(x)),
    "a part of the result": lambda holder, outside, x: outside.append(holder(x)),
    "a draw": lambda holder, outside, x: outside.append(random(np.random.default_rng(0), (3,))),
    "an attribute": lambda holder, outside, x: setattr(holder, "seen", x * 1.0),
    "a parameter moved": lambda holder, outside, x: setattr(holder, "w", holder.w - x),
    "a list of the module": lambda holder, outside, x: holder.log.append(x.sum()),
    "a function": lambda holder, outside, x: outside.append(lambda: x),
    "a pullback": lambda holder, outside, x: outside.append(tr.vjp(lambda x: x * x, x)[1]),
    "a graph": lambda holder, outside, x: outside.append(tr.Graph.of(x * 2.0)),
    "an unrolled net": lambda holder, outside, x: outside.append(
        tr.unroll(lambda u, h: h * u, [x, x], state=x)
    ),
}


@pytest.mark.parametrize("what", KEPT.values(), ids=KEPT)
def test_a_node_may_not_outlive_the_function(what):
    with pytest.raises(tr.TraceError, match="outlives the function"):
        compile(keeping(what))(X)


def test_the_error_says_what_the_node_depends_on():
    with pytest.raises(tr.TraceError, match=r"depends on an argument \(prices\)"):
        compile(keeping(KEPT["appended to a list"]))(tr.Tensor(X, name="prices"))


def test_a_step_without_arguments_may_not_move_its_model():
    holder = Holder()

    def step():
        value, gradient = tr.value_and_grad(lambda w: (w * w).sum())(holder.w)
        holder.w = holder.w - 0.1 * gradient
        return value + (holder.w * 0.0).sum()

    with pytest.raises(tr.TraceError, match="outlives"):
        compile(step)()


def test_nodes_in_an_object_that_is_returned_are_refused():
    with pytest.raises(tr.TraceError, match="lies in an object that the function returns"):
        compile(lambda x: tr.unroll(lambda u, h: h * u, [x, x], state=x))(X)
    with pytest.raises(tr.TraceError, match="outlives"):
        compile(lambda x: tr.vjp(lambda x: x * x, x))(X)


def test_what_only_waits_for_the_garbage_collector_is_no_leak():
    for x in (X, X + 1):
        assert_same(compile(recursive)(x), recursive(tr.Tensor(x)))


CHANGED = {
    "attribute": lambda m, d, x: setattr(m, "seen", 1),
    "attribute that is a node": lambda m, d, x: setattr(m, "seen", x * 2.0),
    "parameter": lambda m, d, x: setattr(m, "w", m.w - x),
    "parameter in place": lambda m, d, x: exec("m.w -= x", {"m": m, "x": x}),
    "count": lambda m, d, x: setattr(m, "seen", (m.seen or 0) + 1),
    "list of a module": lambda m, d, x: m.log.append(x),
    "item": lambda m, d, x: d.__setitem__("a", x),
    "new item": lambda m, d, x: d.update(new=1),
    "popped": lambda m, d, x: d.pop("a"),
    "inner list": lambda m, d, x: d["list"].append(x * 1.0),
    "inner item": lambda m, d, x: d["list"].__setitem__(0, d["list"][0] * 2.0),
    "swapped": lambda m, d, x: d["list"].reverse(),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_an_argument_may_not_be_changed(change):
    def fn(m, d, x):
        change(m, d, x)
        return m(x)

    holder, given = Holder(), {"a": X, "list": [1.0, 2.0]}
    with pytest.raises(tr.TraceError, match="changes an argument"):
        compile(fn)(holder, given, X)
    assert given["list"] == [1.0, 2.0]
    assert list(given) == ["a", "list"]
    assert holder.seen is None


def test_rebinding_a_name_is_no_side_effect():
    def fn(p, x):
        p -= 0.1 * x
        x *= 2.0
        return p * x

    assert_same(compile(fn)(X, X + 1), (X - 0.1 * (X + 1)) * 2 * (X + 1))


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: g.normal(size=3),
        lambda g: g.random(3),
        lambda g: g.integers(9),
        lambda g: g.spawn(1)[0].random(),
    ],
)
def test_a_generator_that_is_passed_may_only_draw_nodes(draw):
    """Its own methods give plain numbers, which a replay would use for ever."""
    generator, twin = np.random.default_rng(1), np.random.default_rng(1)
    fn = lambda x, g: x + draw(g)  # noqa: E731
    with pytest.raises(tr.TraceError, match="draws from a Generator"):
        compile(fn)(X, generator)
    assert generator.random() == twin.random()


def test_a_generator_passed_is_told_from_the_same_one_held_elsewhere():
    shared = np.random.default_rng(3)
    replay = compile(lambda g: (random(g, (2,)), random(shared, (2,))))
    twin = np.random.default_rng(3)
    np.testing.assert_array_equal(np.concatenate(replay(shared)), twin.random(4))
    other = np.random.default_rng(4)
    first, second = replay(other)
    np.testing.assert_array_equal(first, np.random.default_rng(4).random(2))
    np.testing.assert_array_equal(second, twin.random(2))


STORED = {
    "grad": lambda p: p.grad,
    "has_grad": lambda p: p.has_grad,
    "a step by hand": lambda p: p * 1.0 - 0.1 * p.grad,
    "clipping": lambda p: tr.train.clip_grad_norm([p], 1.0),
}


@pytest.mark.parametrize("read", STORED.values(), ids=STORED)
def test_a_stored_gradient_is_no_part_of_a_plan(read):
    p, v = tr.Tensor(X), tr.Value(2.0)
    (p * 2.0).sum().backward()
    (v * v).backward()
    for node in (p, v):
        with pytest.raises(tr.TraceError, match=r"reading \.grad inside compile"):
            compile(lambda x, node=node: (x * 2.0, read(node)))(X)
    assert p.has_grad


CONSTANTS = {
    "data": lambda c: c.data * 2,
    "item": lambda c: c[0].item(),
    "float": lambda c: float(c[0]),
    "int": lambda c: int(c[1]),
    "if": lambda c: 1.0 if c[0] > 0 else 2.0,
    "tolist": lambda c: c.tolist()[2],
    "format": lambda c: f"{c[0]:.3f}",
    "mask": lambda c: c[c > 1],
}


@pytest.mark.parametrize("read", CONSTANTS.values(), ids=CONSTANTS)
def test_a_true_constant_may_be_read(read):
    c = tr.constant(np.array([1.0, 2.0, 3.0]))
    replay = compile(lambda x: (x * 2.0, read(c), read(c * 2.0)))
    for x in (X, X + 1):
        assert_same(replay(x), (x * 2, read(c), read(c * 2.0)))


def test_constant_Values_may_be_compared():
    c = tr.constant(2.0)
    replay = compile(lambda x: x * 2 if c > 1 and c * 2 == 4.0 and float(c) == 2 else x)
    assert replay(3.0) == 6.0
    assert replay(4.0) == 8.0


def test_shape_dtype_length_and_name_may_be_read():
    def fn(x, y):
        assert len(x) == 3
        assert x.ndim == 1
        n = x.shape[0] if x.dtype == np.float64 else 0
        return [x * float(n) for _ in range(n)], list(y), list(x), y is y

    replay = compile(fn)
    for x in (X, X + 1):
        result = replay(x, [1.0, 2.0])
        assert_same(result[0], [x * 3.0] * 3)
        assert_same(result[2], list(x))


def test_after_a_refusal_numbers_can_be_read_again():
    with pytest.raises(tr.TraceError):
        compile(lambda x: W.data)(X)
    assert float(W[0]) == 0.5
    assert V > 0.2
    with tr.no_grad():
        assert (W * 2).kind == "constant"


def test_what_a_grad_inside_hands_out_is_still_traced():
    """Inside compile the results of an inner transformation are nodes: to read them is refused, not baked in."""
    with pytest.raises(tr.TraceError):
        compile(lambda x: float(tr.grad(lambda w: w * w)(x)))(2.0)
    with pytest.raises(tr.TraceError):
        compile(lambda x: 1.0 if tr.value_and_grad(lambda w: w * w)(x)[0] > 1 else 2.0)(2.0)


def test_detaching_does_not_hide_the_dependence():
    for read in (
        lambda x: float(x.detach()),
        lambda x: tr.detach(x).item(),
        lambda x: bool(tr.detach([x])[0]),
    ):
        with pytest.raises(tr.TraceError):
            compile(read)(2.0)
    y = compile(tr.grad(lambda x: x * tr.detach(x)))
    assert [y(2.0), y(3.0)] == [2.0, 3.0]


def test_a_copy_or_new_node_of_a_traced_one_does_not_hide_it():
    import copy
    import pickle

    for hide in (
        lambda x: tr.Value(x * 1.0),
        lambda x: tr.constant(x * 1.0),
        lambda x: tr.Value((x * 1.0).item()),
        lambda x: copy.copy(x),
        lambda x: copy.deepcopy(x),
        lambda x: pickle.loads(pickle.dumps(x)),
    ):
        try:
            replay = compile(lambda x, hide=hide: hide(x) * 3.0)
            assert [replay(2.0), replay(5.0)] == [6.0, 15.0]
        except TypeError:
            pass  # refused: never a wrong number


def test_a_draw_can_be_differentiated_and_stays_one():
    fn = lambda x, rng: tr.grad(lambda r: (r * r * x).sum())(random(rng, (3,)))  # noqa: E731
    replay, a, b = compile(fn), np.random.default_rng(1), np.random.default_rng(1)
    for x in (X, X + 1):
        assert_same(replay(x, a), 2 * b.random(3) * x)


MODULE = tr.nn.Linear(1, 1, bias=False, rng=np.random.default_rng(0))
WEIGHT = MODULE.weight.data.copy()
LINEAR = tr.nn.Linear(1, 1, bias=False)
ONE, THREE = np.ones((1, 1)), np.arange(3.0)
NEW_NODES = {  # a way from a traced number to something that is computed with, and what it must give
    "Tensor of a list": (lambda x: tr.Tensor([x, x]), lambda x: [x, x]),
    "constant of a list": (lambda x: tr.constant([x, x]), lambda x: [x, x]),
    "stack": (lambda x: ops.stack([x, x]), lambda x: [x, x]),
    "stack and item": (lambda x: ops.item(ops.stack([x])), lambda x: x),
    "scalarize": (lambda x: tr.scalarize(ops.stack([x, x]) * 1.0).outputs[0], lambda x: x),
    "functional_call": (lambda x: tr.functional_call(LINEAR, {"weight": [[x]]}, ONE), lambda x: [[x]]),
    "with_parameters": (
        lambda x: LINEAR.with_parameters({"weight": ops.reshape(ops.stack([x]), (1, 1))})(ONE),
        lambda x: [[x]],
    ),
    "state_dict": (lambda x: x * MODULE.state_dict()["weight"], lambda x: x * WEIGHT),
    "add_n": (lambda x: ops.add_n([x, x, x]), lambda x: 3 * x),
    "array of objects": (lambda x: np.array([x, x], dtype=object)[0], lambda x: x),
    "sum of Python": (lambda x: sum([x, x]), lambda x: 2 * x),
    "power": (lambda x: 2.0**x, lambda x: 2.0**x),
    "static power": (lambda x: x**2, lambda x: x**2),
    "clip": (lambda x: ops.clip(ops.stack([1.0, 9.0]), 0.0, x), lambda x: [1.0, x]),
    "pad": (lambda x: ops.pad(ops.stack([1.0]), 1, constant_values=x), lambda x: [x, 1.0, x]),
    "leaky_relu": (lambda x: ops.leaky_relu(ops.stack([-1.0]), x), lambda x: [-x]),
    "numpy's sum": (lambda x: np.sum(ops.stack([x, x])), lambda x: 2 * x),
    "numpy's multiply": (lambda x: np.multiply(x, THREE), lambda x: x * THREE),
    "numpy's add": (lambda x: np.add(THREE, x), lambda x: x + THREE),
    "array on the left": (lambda x: THREE - x, lambda x: THREE - x),
    "array on the right": (lambda x: x / (THREE + 1), lambda x: x / (THREE + 1)),
    "operation on an array": (lambda x: ops.maximum(THREE * 2, x), lambda x: np.maximum(THREE * 2, x)),
    "product with a float32 array": (lambda x: x * np.ones(2, np.float32), lambda x: [x, x]),
    "numpy's number": (lambda x: np.float64(2.0) * x, lambda x: 2 * x),
    "where": (lambda x: ops.where(np.array([True, False]), x, 0.0), lambda x: [x, 0]),
    "full": (lambda x: np.full(3, x), lambda x: [x, x, x]),
    "zeros of a list": (lambda x: np.asarray([x]), lambda x: [x]),
    "unroll": (
        lambda x: tr.unroll(lambda u, h: h * u, [1.0, x], state=x).final_state,
        lambda x: x * x,
    ),
    "a named tuple of nodes": (lambda x: ops.add(*(x, x)), lambda x: 2 * x),
}


@pytest.mark.parametrize(("make", "expected"), NEW_NODES.values(), ids=NEW_NODES)
def test_every_way_to_a_new_node_is_right_or_refused(make, expected):
    try:
        replay = compile(lambda x: make(x) * 3.0)
        found = [replay(2.0), replay(5.0)]
    except TypeError:
        return  # refused: never a wrong number
    for y, x in zip(found, (2.0, 5.0), strict=True):
        np.testing.assert_allclose(np.asarray(y, dtype=float), np.asarray(expected(x)) * 3.0, rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["stack", "add_n", "power", "numpy's multiply", "array on the left", "where", "unroll", "clip"]
)
def test_the_plain_ways_are_not_refused(name):
    make, expected = NEW_NODES[name]
    np.testing.assert_allclose(compile(make)(2.0), expected(2.0), rtol=1e-12)
