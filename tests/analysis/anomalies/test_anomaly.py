"""``detect_anomaly`` stops at the first inf or nan, where it was put, and nowhere else."""

import asyncio
import gc
import json
import math
import pickle
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import SAMPLES

INF, NAN = math.inf, math.nan


def stopped(fn: Callable[[], Any], **options: bool) -> Any:
    """Return the error that ``fn`` is stopped with."""
    with pytest.raises(tr.AnomalyError) as caught, tr.detect_anomaly(**options):
        fn()
    return caught.value


def watched() -> bool:
    """Whether anomalies are found here and now, by a Value and by a Tensor."""
    found = []
    for x in (tr.Value(-1.0), tr.Tensor([-1.0])):
        try:
            with np.errstate(all="ignore"):
                tr.ops.log(x)
            found.append(False)
        except tr.AnomalyError:
            found.append(True)
    assert len(set(found)) == 1
    return found[0]


# --- forward

WRONG = [
    (tr.ops.log, (-1.0,), "nan"), (tr.ops.log, (0.0,), "inf"), (tr.ops.sqrt, (-2.0,), "nan"),
    (tr.ops.exp, (1000.0,), "inf"), (tr.ops.divide, (1.0, 0.0), "inf"), (tr.ops.divide, (0.0, 0.0), "nan"),
    (tr.ops.power, (-8.0, 1 / 3), "nan"), (tr.ops.multiply, (1e200, 1e200), "inf"), (tr.ops.square, (1e300,), "inf"),
    (tr.ops.subtract, (-1e308, 1e308), "inf"), (tr.ops.cosh, (800.0,), "inf"), (tr.ops.log1p, (-1.0,), "inf"),
]  # fmt: skip


@pytest.mark.parametrize("carrier", [tr.Value, lambda x, name: tr.Tensor([0.5, x, 0.5], name=name)])
@pytest.mark.parametrize(("op", "args", "kind"), WRONG, ids=lambda x: getattr(x, "name", str(x)))
def test_an_operation_is_stopped(op: Any, args: Any, kind: str, carrier: Any) -> None:
    nodes = [carrier(x, name=f"x{i}") for i, x in enumerate(args)]

    def run() -> None:
        with tr.scope("layer 1"), tr.scope("t=7"):
            op(*nodes)  # the line

    error = stopped(run)
    assert isinstance(error, FloatingPointError)
    assert str(error).startswith(f"{kind} in the result of {op.name} [layer 1, t=7]")
    assert (error.direction, error.op, error.step, error.scope) == ("forward", op.name, 7, ("layer 1", "t=7"))
    assert (error.name, error.argument) == ("", None)
    assert error.line.startswith("test_anomaly.py:")
    assert error.line.endswith(": 'op(*nodes)  # the line'")
    assert error.line in str(error)
    assert [(s.smallest, s.largest) for s in error.inputs] == [
        (float(np.min(n.data)), float(np.max(n.data))) for n in nodes
    ]
    assert f"'x{len(args) - 1}'" in str(error)
    assert (error.result.nans, error.result.infs) == ((1, 0) if kind == "nan" else (0, 1))
    assert error.result.first == (() if isinstance(nodes[0], tr.Value) else (1,))


def test_operators_and_methods_are_stopped_too() -> None:
    for x in (tr.Value(0.0), tr.Tensor([0.0])):
        assert stopped(lambda x=x: 1.0 / x).op == "divide"
        assert stopped(lambda x=x: x**-1.0).op == "power"
        assert stopped(lambda x=x: x.log()).op == "log"
    assert stopped(lambda: tr.Tensor([[1e200]]) @ tr.Tensor([[1e200]])).op == "matmul"
    assert stopped(lambda: tr.Tensor([1e308, 1e308]).sum()).op == "sum"
    assert stopped(lambda: np.sqrt(tr.Tensor([-1.0]))).op == "sqrt"


def test_a_users_own_operation_is_stopped() -> None:
    inverse = tr.Op(
        name="inverse", symbol="1/x", forward=lambda xp, x: 1.0 / x, vjp=lambda g, y, x: -g * y * y
    )
    for x in (tr.Value(0.0), tr.Tensor([0.0])):
        assert stopped(lambda x=x: inverse(x)).op == "inverse"
        with tr.no_grad():
            error = stopped(lambda x=x: inverse(x))
        assert (error.op, len(error.inputs)) == ("inverse", 1)


@pytest.mark.parametrize("x", [tr.Value(-1.0), tr.Tensor([-1.0])], ids=["Value", "Tensor"])
def test_what_is_not_recorded_is_looked_at_as_well(x: Any) -> None:
    with tr.no_grad():
        error = stopped(lambda: tr.ops.log(x))
    assert (error.op, error.inputs[0].smallest) == ("log", -1.0)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_leaf_that_is_wrong_from_the_start_is_blamed(bad: float) -> None:
    def value() -> None:
        x = tr.Value(bad, name="v")
        x.tanh() * 0.5 + x

    def tensor() -> None:
        x = tr.Tensor([[1.0, bad]], name="v")
        (x * 2.0).sum()

    for fn, user in ((value, "add" if math.isinf(bad) else "tanh"), (tensor, "multiply")):
        error = stopped(fn)
        assert str(error).startswith(f"{'nan' if math.isnan(bad) else 'inf'} in the leaf 'v', from the start")
        assert (error.op, error.name, error.direction) == ("", "v", "forward")
        assert 'name="v")\'' in error.line
        assert f"passed on by {user}, test_anomaly.py:" in str(error)


def test_a_number_of_an_operation_is_blamed() -> None:
    for x in (tr.Value(1.0), tr.Tensor([1.0])):
        error = stopped(lambda x=x: x * NAN)
        assert str(error).startswith("nan in the constant, from the start")


def test_what_was_made_before_is_blamed_without_a_line() -> None:
    with np.errstate(all="ignore"):
        y = tr.ops.log(tr.Tensor([-1.0], name="x")).named("y")
    error = stopped(lambda: (y * 2.0).sum())
    assert str(error).startswith("nan in the result of log 'y'")
    assert error.line == ""
    assert "not known: the node was made outside of detect_anomaly" in str(error)


def net(bad_step: int, what: str) -> tuple[Any, Any]:
    """Return an unrolled net with something wrong put in at one step, and its loss."""
    xs = np.linspace(0.1, 1.0, 8).reshape(8, 1, 1)
    if what == "input":
        xs[bad_step] = NAN

    def cell(x: Any, h: Any) -> Any:
        step = int(tr.Graph.of(x).nodes[0].name.rpartition("_")[2])
        pre = h * 0.5 + x
        if step == bad_step and what == "log":
            pre = tr.ops.log(pre - 100.0)
        if step == bad_step and what == "exp":
            pre = tr.ops.exp(pre * 1e5)
        return tr.ops.tanh(pre)

    unrolled = tr.unroll(cell, xs, state=tr.Tensor([[0.1]], name="h_init"))
    return unrolled, tr.add_n(unrolled.each(lambda h: (h * h).sum()))


@pytest.mark.parametrize("step", [0, 3, 7])
@pytest.mark.parametrize(("what", "op"), [("log", "log"), ("exp", "exp"), ("input", "")])
def test_the_time_step_is_named(step: int, what: str, op: str) -> None:
    error = stopped(lambda: net(step, what))
    assert (error.op, error.step, error.scope) == (op, step, (f"t={step}",))
    if what == "input":
        assert error.name == f"x_{step}"
    else:
        assert error.path[-1].step == step


def test_a_net_that_is_sound_is_not_stopped() -> None:
    with tr.detect_anomaly():
        _, loss = net(-1, "")
        loss.backward()
    _, again = net(-1, "")
    assert loss.item() == again.item()


def test_the_path_has_the_norms_of_the_states() -> None:
    W = np.array([[3.0, 1.0], [1.0, 2.0]]) * 1e20
    h, norms = np.array([1e-5, 2e-5]), []
    with np.errstate(over="ignore"):
        while np.isfinite(h).all():
            h = W @ h + 1.0
            norms.append(math.hypot(*h))
    # Other ways that could be taken: to a weight that is larger than the first states, to an input that is smaller.
    weight, start = tr.Tensor(W.T, name="W").T, tr.Tensor([1e-5, 2e-5])
    error = stopped(lambda: tr.unroll(lambda x, h: weight @ h + tr.ops.exp(x), np.zeros(30), state=start))
    assert error.step == len(norms) - 1
    assert [s.step for s in error.path] == list(range(len(norms)))
    assert [s.norm for s in error.path[:-1]] == pytest.approx(norms[:-1], rel=1e-14)
    ratios = [b / a for a, b in pairwise(norms[:-1])]
    assert [s.factor for s in error.path[1:-1]] == pytest.approx(ratios, rel=1e-12)
    assert (error.path[0].factor, error.path[-1].factor, error.path[-1].norm) == (None, None, INF)
    assert error.path[1].what == "add 'h_1' [t=1]"
    text = str(error)
    mean = (error.path[-5].norm / error.path[3].norm) ** (1 / (len(norms) - 8))
    assert f"… {len(norms) - 8} more, × {mean:.4g} each in the mean" in text
    assert text.count("[t=") < 14
    assert re.search(r"\n +add 'h_0' \[t=0\] +7\.071e\+15\n", text)


def test_the_path_to_a_readout_leads_through_the_states() -> None:
    large = tr.Tensor(np.full((1, 2), 1e300)).T * 10.0
    net = tr.unroll(lambda x, h: h * 1e5, np.zeros(3), state=tr.Tensor([[1.0, 1.0]]))
    error = stopped(lambda: net.final_state @ large)
    assert [s.step for s in error.path] == [0, 1, 2, -1]


# --- backward


@pytest.mark.parametrize("carrier", [tr.Value, lambda x, name: tr.Tensor([x, 4.0], name=name)])
@pytest.mark.parametrize("way", ["backward", "grad", "value_and_grad", "vjp", "jacobian"])
def test_a_slope_is_stopped(way: str, carrier: Any) -> None:
    x = carrier(0.0, "x")
    unit = 1.0 if isinstance(x, tr.Value) else np.ones(2)

    def root(x: Any) -> Any:
        y = tr.ops.sqrt(x)  # here
        return y if isinstance(y, tr.Value) else y.sum()

    ways: dict[str, Callable[[], Any]] = {
        "backward": lambda: root(x).backward(),
        "grad": lambda: tr.grad(root)(x),
        "value_and_grad": lambda: tr.value_and_grad(root)(x),
        "vjp": lambda: tr.vjp(tr.ops.sqrt, x)[1](unit),
        "jacobian": lambda: tr.jacobian(root)(x),
    }
    error = stopped(ways[way])
    assert str(error).startswith("inf in the cotangent of argument 0 of sqrt, going backward")
    assert (error.direction, error.op, error.argument) == ("backward", "sqrt", 0)
    assert ("# here" in error.line) == (way != "vjp")
    assert error.result.infs == 1
    arrived, _, argument = error.inputs
    assert (arrived.smallest, argument.smallest) == (1.0, 0.0)
    assert x.has_grad is False


def test_the_argument_is_named() -> None:
    for a, b in ((tr.Value(2.0), tr.Value(1e-200)), (tr.Tensor([2.0]), tr.Tensor([1e-200]))):
        assert (
            stopped(lambda a=a, b=b: (a / b).sum().backward() if b.shape else (a / b).backward()).argument
            == 1
        )


def test_nothing_is_added_to_the_gradients() -> None:
    w, x = tr.Value(3.0), tr.Value(0.0)
    w.grad = 5.0
    stopped(lambda: (w * tr.ops.sqrt(x)).backward())
    assert (w.grad, x.has_grad) == (5.0, False)


def test_a_sum_of_uses_that_overflows_is_told_from_a_use() -> None:
    for w in (tr.Value(1e-9, name="w"), tr.Tensor([1e-9], name="w")):
        error = stopped(lambda w=w: (w * 1e308 + w * 1e308).backward())
        why = "the sum of what its 2 uses handed to it overflows"
        assert str(error).startswith(f"inf in the cotangent of leaf 'w': {why}")
        assert (error.direction, error.op, error.argument) == ("backward", "", None)


def test_the_cotangent_that_a_user_gives_is_blamed() -> None:
    x = tr.Tensor([1.0, 2.0])
    error = stopped(lambda: (x * 2.0).named("y").backward([1.0, NAN]))
    assert str(error).startswith("nan in the cotangent of multiply 'y': it was given from outside")


def test_a_hook_is_blamed() -> None:
    for x in (tr.Value(1.0), tr.Tensor([1.0])):
        y = (x * 2.0).named("y")
        y.register_hook(lambda g: g * NAN)
        error = stopped(lambda y=y: (y * 3.0).backward())
        assert str(error).startswith("nan in the cotangent of multiply 'y': a hook put it there")


def test_a_wrong_result_is_traced_back_when_backward_starts() -> None:
    with np.errstate(all="ignore"):
        _, loss = net(4, "log")
    error = stopped(loss.backward)
    assert str(error).startswith("nan in the result of log [t=4]")
    assert error.direction == "forward"


def test_the_path_back_has_the_norms_of_the_cotangents() -> None:
    W = np.array([[3.0, 1.0], [1.0, 2.0]]) * 1e30
    steps = 12
    g, norms = np.ones(2), {}
    with np.errstate(over="ignore"):
        for t in reversed(
            range(steps)
        ):  # dL/dh_t; each h_t = W h_{t-1} is weighed by 1 in L, by .001 before the last
            norms[t] = math.hypot(*g)
            g = W.T @ g + 0.001
    first = max(t for t in norms if norms[t] == INF)
    weight, start = tr.constant(W), tr.Tensor([0.0, 0.0], name="h_init")

    def run() -> None:
        net = tr.unroll(lambda x, h: weight @ h, np.zeros(steps), state=start)
        (net.final_state.sum() * 0.999 + tr.add_n(net.each(lambda h: (h * 0.001).sum()))).backward()

    error = stopped(run)
    assert (error.op, error.argument, error.step) == ("matmul", 1, first + 1)
    path = [s for s in error.path if s.step >= 0]
    assert [s.step for s in path] == list(reversed(range(first + 1, steps)))
    assert [s.norm for s in path] == pytest.approx([norms[s.step] for s in path], rel=1e-14)
    assert [s.factor for s in path[1:]] == pytest.approx(
        [norms[s.step] / norms[s.step + 1] for s in path[1:]], rel=1e-12
    )
    assert error.path[0].what == "add"


def test_second_order_is_stopped_and_names_the_first_line() -> None:
    def bumpy(x: Any) -> Any:
        return x**1.5  # once

    assert tr.grad(bumpy)(0.0) == 0.0
    error = stopped(lambda: tr.grad(tr.grad(bumpy))(0.0))
    assert str(error).startswith("inf in the cotangent of argument 0 of power [backward]")
    assert error.line.endswith("'return x**1.5  # once'")
    assert error.scope == ("backward",)
    first = stopped(
        lambda: tr.grad(tr.grad(tr.ops.sqrt))(0.0)
    )  # found while the first derivative is recorded
    assert (first.op, first.argument, first.scope) == ("sqrt", 0, ())
    array = stopped(lambda: tr.grad(lambda x: tr.grad(lambda x: (x**1.5).sum())(x).sum())(np.zeros(2)))
    assert array.op == "power"


def test_forward_mode_is_stopped() -> None:
    for x, unit in ((0.0, 1.0), (np.zeros(2), np.ones(2))):
        error = stopped(lambda x=x, unit=unit: tr.jvp(tr.ops.sqrt, x, unit))
        assert str(error).startswith("inf in the tangent of sqrt, in forward mode")
        assert (error.direction, error.op) == ("tangent", "sqrt")
    error = stopped(lambda: tr.hvp(lambda x: (x**1.5).sum(), np.zeros(2), np.ones(2)))
    assert error.direction == "tangent"
    assert error.scope[:1] == ("backward",)


def test_what_a_rule_computes_on_the_way_is_its_own_affair() -> None:
    with tr.detect_anomaly():  # an infinite slope times a tangent or cotangent of 0 is 0
        assert tr.grad(lambda y: tr.jvp(tr.ops.sqrt, 0.0, 0.0)[1] + y)(1.0) == 1.0
        assert tr.grad(lambda y: tr.grad(lambda x: tr.ops.sqrt(x) * 0.0)(0.0) + y)(1.0) == 1.0


# --- what is meant

MASK = np.array([0.0, -INF])


def test_inf_may_be_meant() -> None:
    def masked(x: Any) -> Any:
        return tr.ops.softmax(x + MASK).sum()

    error = stopped(lambda: masked(tr.Tensor([1.0, 2.0])))
    assert str(error).endswith("if the inf is meant (a mask): tr.detect_anomaly(inf=False)")
    with tr.detect_anomaly(inf=False):
        assert tr.grad(masked)(np.array([1.0, 2.0])).tolist() == [0.0, 0.0]
        tr.ops.exp(tr.Value(1000.0))
    assert stopped(lambda: tr.ops.log(tr.Value(-1.0)), inf=False).op == "log"
    assert stopped(lambda: tr.Value(1.0).__mul__(INF) - INF, inf=False).op == "subtract"


def test_a_branch_that_is_not_selected_is_stopped_unless_told_otherwise() -> None:
    def guarded(x: Any) -> Any:
        return tr.ops.where(x > 0, tr.ops.log(x), 0.0).sum()

    x = np.array([-1.0, 2.0])
    assert stopped(lambda: tr.grad(guarded)(x)).op == "log"
    with tr.detect_anomaly(forward=False):
        assert tr.grad(guarded)(x).tolist() == [0.0, 0.5]
    assert stopped(lambda: tr.grad(lambda x: tr.ops.log(x).sum())(x), forward=False).op == "log"


@pytest.mark.parametrize("op", [op for op in SAMPLES if op.differentiable], ids=lambda op: op.name)
def test_no_operation_is_stopped_on_sound_numbers(op: tr.Op) -> None:
    for call, args in SAMPLES[op]:
        numbers = tuple(range(len(args)))

        def total(*args: Any, call: Any = call) -> Any:
            y = tr.ops.square(call(op, *args))
            return y if isinstance(y, tr.Value) else tr.ops.sum(y)

        plain = tr.grad(total, numbers)(*args), tr.hvp(total, args, args)
        with tr.detect_anomaly():
            seen = tr.grad(total, numbers)(*args), tr.hvp(total, args, args)
        for a, b in zip(plain[0] + plain[1], seen[0] + seen[1], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
def test_networks_are_not_stopped_and_give_the_same_numbers(kind: Any) -> None:
    model = kind(3, 4, num_layers=2, bidirectional=True, dropout=0.3, rng=np.random.default_rng(1))
    xs = np.random.default_rng(2).normal(size=(5, 2, 3))

    def run() -> list[np.ndarray]:
        outputs, _ = model(xs, lengths=[5, 3], rng=np.random.default_rng(3))
        mask = np.arange(5)[:, None] < np.array([5, 3])
        tr.cross_entropy(outputs, np.ones((5, 2), dtype=int), mask=mask).backward()
        gradients = [p.grad.copy() for p in model.parameters()]
        model.zero_grad()
        return gradients

    plain = run()
    with tr.detect_anomaly():
        seen = run()
    for a, b in zip(plain, seen, strict=True):
        np.testing.assert_array_equal(a, b)


# --- compile


def test_a_compiled_function_runs_as_it_is_written() -> None:
    calls = []

    def loss(w: Any, x: Any) -> Any:
        calls.append(1)
        return tr.ops.log(w * x).sum()  # written

    step = tr.compile(tr.value_and_grad(loss))
    w, x = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    plain = step(w, x)
    before = len(calls)
    with tr.detect_anomaly():
        seen = step(w, x)
        tr.compile(lambda x: tr.ops.log(x)).plan(-1.0)  # recording looks at no number
    assert len(calls) == before + 1
    assert type(seen[0]) is type(plain[0])
    assert (float(seen[0]), seen[1].tolist()) == (float(plain[0]), plain[1].tolist())
    error = stopped(lambda: step(np.array([-1.0, 2.0]), x))
    assert error.line.endswith("'return tr.ops.log(w * x).sum()  # written'")
    assert tr.compile(tr.ops.tanh)(w).tolist() == np.tanh(w).tolist()


def test_it_cannot_be_entered_while_compiling() -> None:
    @tr.compile
    def inside(x: Any) -> Any:
        with tr.detect_anomaly():
            return x * 2.0

    with pytest.raises(tr.TraceError, match="Call the compiled function inside detect_anomaly"):
        inside(np.ones(2))


def test_a_trainer_is_stopped() -> None:
    model = tr.nn.Linear(2, 1, rng=np.random.default_rng(0))

    def loss(model: Any, batch: Any) -> Any:
        return (tr.ops.log(model(batch)) ** 2).mean()

    trainer = tr.train.Trainer(model, loss, tr.train.SGD(model, lr=0.1))
    error = stopped(lambda: trainer.fit(iter([-np.ones((3, 2)), np.ones((3, 2))] * 2), 4, progress=False))
    assert error.op == "log"


# --- where it holds


def test_it_holds_inside_only() -> None:
    assert not watched()
    with tr.detect_anomaly():
        assert watched()
        with tr.no_grad(), tr.scope("s"), tr.detect_anomaly():
            assert watched()
        assert watched()
    assert not watched()
    stopped(lambda: tr.ops.log(tr.Value(-1.0)))
    assert not watched()


def test_threads_and_tasks_do_not_see_it() -> None:
    inside = threading.Barrier(2, timeout=30)

    def one(on: bool) -> bool:
        if on:
            with tr.detect_anomaly():
                inside.wait()
                return watched()
        inside.wait()
        return watched()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, [True, False])) == [True, False]

    async def task(on: bool) -> bool:
        if not on:
            await asyncio.sleep(0)
            return watched()
        with tr.detect_anomaly():
            await asyncio.sleep(0)
            return watched()

    async def both() -> list[bool]:
        return list(await asyncio.gather(task(True), task(False)))

    assert asyncio.run(both()) == [True, False]


def test_it_decorates_functions_and_generators() -> None:
    @tr.detect_anomaly()
    def function(x: float) -> tuple[float, bool]:
        """Doc."""
        return x, watched()

    @tr.detect_anomaly()
    def generator() -> Iterator[bool]:
        yield watched()
        yield watched()

    @tr.detect_anomaly()
    async def coroutine() -> bool:
        return watched()

    assert (function(2.0), function.__doc__, watched()) == ((2.0, True), "Doc.", False)
    seen = []
    for inside in generator():
        seen += [inside, watched()]
    assert seen == [True, False, True, False]
    assert asyncio.run(coroutine()) is True
    with pytest.raises(TypeError, match="detect_anomaly cannot decorate the async generator"):

        @tr.detect_anomaly()
        async def wrong() -> Any:
            yield 1


def test_a_with_in_a_generator_stays_in_force_while_it_is_suspended() -> None:
    def generator() -> Iterator[None]:
        with tr.detect_anomaly():
            yield

    suspended = generator()
    next(suspended)
    assert watched()
    suspended.close()
    assert not watched()


def test_numpys_warnings_are_silent_inside_and_back_after() -> None:
    with tr.detect_anomaly(forward=False):
        tr.ops.log(tr.Tensor([-1.0]))
    with pytest.raises(RuntimeWarning):
        tr.ops.log(tr.Tensor([-1.0]))


@pytest.mark.parametrize("options", [{"inf": 1}, {"forward": None}])
def test_bad_options_are_refused(options: Any) -> None:
    with pytest.raises(TypeError, match=r"must be True or False, got"):
        tr.detect_anomaly(**options)


# --- what it leaves


def test_a_graph_is_freed_as_ever() -> None:
    gc.disable()
    try:
        with tr.detect_anomaly():
            nodes = [weakref.ref(net(-1, "")[1]) for _ in range(2)]
        assert [node() for node in nodes] == [None, None]
    finally:
        gc.enable()


def test_a_leaf_keeps_its_name_when_a_function_renames_it() -> None:
    with tr.detect_anomaly():
        w = tr.Value(2.0, name="w")
        tr.grad(lambda x: x.named("renamed") * 2.0)(w)
        assert w.name == "w"
        assert pickle.loads(pickle.dumps(w)).name == "w"


def test_the_error_is_plain_data_as_well() -> None:
    error = stopped(lambda: net(3, "log"))
    found = json.loads(json.dumps(error.to_dict(), allow_nan=False))
    assert (found["op"], found["step"], found["scope"]) == ("log", 3, ["t=3"])
    assert found["path"][-1]["norm"] == "nan"
    assert found["message"] == str(error)
    assert found["result"] == {
        "what": "result", "shape": [1, 1], "dtype": "float64", "nans": 1, "infs": 0, "smallest": None, "largest": None,
        "norm": "nan", "first": [0, 0],
    }  # fmt: skip
    assert error.node.op is tr.ops.log
    with pytest.raises(TypeError, match="use its to_dict"):
        pickle.dumps(error)
