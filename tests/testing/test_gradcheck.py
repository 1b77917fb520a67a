"""gradcheck catches what other checkers let through, and does not cry wolf."""

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing import assert_gradients, gradcheck


def elementwise(forward, *partials, name="wrong"):
    return tr.Op(name=name, symbol="?", forward=forward, partials=partials)


def scaled_tanh(factor):
    return elementwise(lambda xp, x: xp.tanh(x), lambda xp, y, x: factor * (1.0 - y * y))


def transposed(forward, *rules, name="wrong"):
    return tr.Op(name=name, symbol="?", forward=forward, transpose=rules)


def _zero_first(xp, g, y, x):
    mask = np.ones(x.shape)
    mask[0] = 0.0
    return xp.broadcast_to(g, x.shape) * mask


def _swapped(n):
    order = default_rng(5).permutation(n)
    inverse = np.argsort(order)
    wrong = inverse.copy()
    wrong[[17, 230]] = wrong[[230, 17]]
    return transposed(lambda xp, x: x[order], lambda xp, g, y, x: g[wrong])


def _softmax(xp, x):
    z = xp.exp(x - np.max(np.real(x)))
    return z / z.sum()


X = default_rng(0).normal(size=(3, 4))
FAULTS = {
    "tanh' off by 5e-4": (lambda x: scaled_tanh(1 + 5e-4)(x).sum(), X),
    "tanh' off by 1e-5": (lambda x: scaled_tanh(1 + 1e-5)(x).sum(), X),
    "tanh' off by 5e-7": (lambda x: scaled_tanh(1 + 5e-7)(x).sum(), X),
    "1e-6 x², the 2 missing": (
        lambda x: (1e-6 * elementwise(lambda xp, x: x * x, lambda xp, y, x: x)(x)).sum(),
        X,
    ),
    "1e-7 tanh, sign lost": (lambda x: (1e-7 * scaled_tanh(-1.0)(x)).sum(), X),
    "saturated tanh returns 0": (
        lambda x: elementwise(
            lambda xp, x: xp.tanh(8 + x),
            lambda xp, y, x: xp.where(xp.greater(xp.abs(y), 0.99999), 0.0, 1.0 - y * y),
        )(x).sum(),
        0.1 * X,
    ),
    "sum of 600, one entry zeroed": (
        transposed(lambda xp, x: x.sum(), _zero_first),
        default_rng(1).normal(size=600),
    ),
    "1e6 x, slope off by 3": (
        lambda x: elementwise(lambda xp, x: 1e6 * x, lambda xp, y, x: 1e6 + 3.0)(x).sum(),
        X,
    ),
    "permutation of 300, two swapped": (_swapped(300), default_rng(2).normal(size=300)),
    "softmax without its sum": (transposed(_softmax, lambda xp, g, y, x: y * g), X[0]),
    "x @ W without transposing": (
        lambda W: transposed(
            lambda xp, x, W: x @ W, lambda xp, g, y, x, W: g @ W, lambda xp, g, y, x, W: xp.transpose(x) @ g
        )(tr.Tensor(X[:2, :2]), W.sum() * 0 + W),
        default_rng(3).normal(size=(2, 2)),
    ),
}
FAULTS["x @ W without transposing"] = (
    lambda x: transposed(
        lambda xp, x, W: x @ W, lambda xp, g, y, x, W: xp.matmul(g, W), lambda xp, g, y, x, W: None
    )(x, default_rng(4).normal(size=(3, 3))),
    default_rng(3).normal(size=(2, 3)),
)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_that_other_checkers_miss_is_caught(fault):
    report = gradcheck(*FAULTS[fault])
    assert not report
    assert report.mismatch is not None, str(report)


RIGHT = {
    "tanh": (lambda x: ops.tanh(x).sum(), X),
    "nearly saturated tanh": (lambda x: ops.tanh(8 + 0.1 * x).sum(), X),
    "saturated tanh": (lambda x: ops.tanh(30 + x).sum(), X),
    "a sum that is always 1": (lambda x: ops.softmax(x).sum(), X),
    "x - x": (lambda x: (x - x).sum(), X),
    "at the kinks": (lambda x: (ops.relu(x) + ops.abs(x) + ops.maximum(x, 0.0)).sum(), np.zeros(3)),
    "at 0": (lambda x: (ops.sigmoid(x) + ops.softplus(x) + ops.tanh(x)).sum(), np.zeros(3)),
    "tied maximum": (lambda x: ops.max(x), np.array([1.0, 2.0, 2.0])),
    "product with a zero": (lambda x: ops.prod(x), np.array([1.0, 0.0, 3.0])),
    "tiny": (lambda x: 1e-200 * x * x, 1e-90),
    "a slope that vanishes": (lambda x: (x**3 + x * x).sum(), np.array([0.0, 1.0])),
    "a branch point of a power": (lambda x: (x**1.5 + x**1.05).sum(), np.array([0.0, 1.0])),
    "a product with a root": (lambda x: (x * ops.sqrt(x + 1.0)).sum(), np.array([0.0, 1.0])),
    "nothing but a slope that vanishes": (lambda x: x**3, 0.0),
    "below all steps": (lambda x: ops.exp(x), -705.0),
    "square of tiny": (ops.square, 2.4e-253),
    "huge": (lambda x: ops.log(ops.exp(x) + 1.0), 700.0),
    "log of tiny": (lambda x: ops.log(x), 1e-250),
    "a permutation": (lambda x: x[default_rng(5).permutation(300)], default_rng(2).normal(size=300)),
    "no dependence": (lambda x, y: y * 2.0, 1.0, 2.0),
    "a tangent that is no normal number": (lambda h: 1.0 + 1e-155 * (1e-155 * h), 0.5),
    "a sure classifier, whose tangents cancel": (lambda x: tr.cross_entropy(x, 0), np.array([40.0, -40.0])),
    "a gradient": (tr.grad(lambda x: (ops.tanh(x) * x).sum()), X),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_gradient_passes(case):
    report = gradcheck(*RIGHT[case])
    assert report.ok, str(report)


@pytest.mark.parametrize(("steps", "gain"), [(20, 1.0), (60, 2.5), (200, 2.5)])
def test_no_false_alarm_on_a_chaotic_network(steps, gain):
    rng = default_rng(steps)
    W = gain * rng.normal(size=(6, 6)) / np.sqrt(6)

    def loss(W, h):
        states = tr.unroll(lambda x, h: ops.tanh(W @ h + x), rng_inputs, state=h).states
        return tr.add_n([(h * h).sum() for h in states])

    rng_inputs = rng.normal(size=(steps, 6))
    assert_gradients(loss, W, rng.normal(size=6))


def test_a_network_with_a_fault_in_one_step_is_caught():
    wrong = scaled_tanh(1 + 1e-7)

    def loss(W, x):
        h = tr.Tensor(np.zeros(4))
        for t in range(len(x)):
            h = (wrong if t == 3 else ops.tanh)(W @ h + x[t])
        return (h * h).sum()

    rng = default_rng(0)
    assert not gradcheck(loss, rng.normal(size=(4, 4)), rng.normal(size=(7, 4)))


class TestReport:
    def test_it_names_argument_and_entry_in_one_line(self):
        wrong = transposed(
            lambda xp, x: x * 3.0,
            lambda xp, g, y, x: g * np.array([[3.0, 3.0], [3.0, -3.0]]),
        )
        report = gradcheck(
            lambda p: {"y": wrong(p["w"]["inner"][0]).sum()}, {"w": {"inner": [np.ones((2, 2))]}}
        )
        first = str(report).splitlines()[0]
        assert first == (
            "gradcheck FAILED: d output['y'] / d argument 0['w']['inner'][0][1, 1]: expected 3, got -3 (ratio -1)"
        )
        assert report.mismatch.absolute_error == 6.0
        assert report.mismatch.relative_error == 2.0
        assert report.mismatch.ratio == -1.0
        assert "complex step" in str(report)

    def test_it_calls_arguments_as_the_function_does(self):
        wrong = elementwise(lambda xp, w, x: w * x, lambda xp, y, w, x: -x, lambda xp, y, w, x: w)
        report = gradcheck(lambda weight, x: wrong(weight, x).sum(), X, X)
        assert report.mismatch.argument == "argument 0"
        assert report.mismatch.name == "weight"
        assert str(report.mismatch).startswith("argument 0[1, 2] (weight): expected")
        assert {leaf.name for leaf in report.graph if leaf.op is None} == {"weight", "x"}
        nested = gradcheck(lambda p: wrong(p["a"], 2.0), {"a": 3.0})
        assert nested.mismatch.name == "p['a']"
        assert str(nested.mismatch).startswith("argument 0['a']: expected")

    def test_it_shows_as_many_digits_as_tell_the_numbers_apart(self):
        close, far = gradcheck(scaled_tanh(1.0 + 1e-9), 1.0), gradcheck(scaled_tanh(2.0), 1.0)
        assert "expected 0.41997434161, got 0.41997434203 (" in str(
            close.mismatch
        )  # the report quotes this line
        assert "expected 0.419974, got 0.839949 (ratio 2)" in str(far.mismatch)

    def test_no_hint_comes_from_a_row_with_one_entry(self):
        """At x = 2 alone 3x is half of 3x²."""
        cube = elementwise(lambda xp, x: x**3, lambda xp, y, x: 3.0 * x)
        assert gradcheck(cube, np.array([1.0, 2.0])).hint == ""
        assert (
            gradcheck(scaled_tanh(0.5), np.array([1.0, 2.0])).hint
            == "a factor is wrong: got is 1/2 times expected"
        )

    def test_it_finds_the_entry_among_many(self):
        n = 5000
        wrong = transposed(
            lambda xp, x: x * 2.0, lambda xp, g, y, x: g * np.where(np.arange(n) == 4321, 2.0 + 1e-6, 2.0)
        )
        report = gradcheck(lambda x: wrong(ops.tanh(x)), default_rng(0).normal(size=n))
        assert "projections" in report.compared
        assert report.mismatch.index == (4321,)
        assert report.mismatch.output_index == (4321,)
        assert report.mismatch.ratio == pytest.approx(1 + 5e-7, rel=1e-12)

    def test_many_right_entries_pass(self):
        report = gradcheck(
            lambda x, y: ops.tanh(x) * y.sum(), default_rng(0).normal(size=300), np.ones((10, 10))
        )
        assert report.ok, str(report)
        assert "projections" in report.compared

    def test_assert_gradients_raises_with_the_report(self):
        with pytest.raises(
            AssertionError, match=r"gradcheck FAILED: argument 0: expected 12, got 6 \(ratio 0.5\)"
        ):
            assert_gradients(elementwise(lambda xp, x: x * x * x, lambda xp, y, x: 3.0 * x), 2.0)


class TestForeignOperations:
    def test_an_opaque_operation_is_differenced_where_complex_numbers_lie(self):
        op = tr.Op(
            name="opaque", symbol="o",
            forward=lambda xp, x: np.abs(x) ** 1.5,
            vjp=lambda g, y, x: g * 1.5 * np.sqrt(np.abs(x)) * np.sign(x),
        )  # fmt: skip
        report = gradcheck(lambda x: op(x).sum(), X)
        assert report.ok, str(report)
        assert "differences for opaque" in report.method

    def test_a_wrong_opaque_operation_is_caught(self):
        op = tr.Op(
            name="opaque", symbol="o", forward=lambda xp, x: np.abs(x) ** 1.5,
            vjp=lambda g, y, x: g * 1.5001 * np.sqrt(np.abs(x)) * np.sign(x),
        )  # fmt: skip
        assert not gradcheck(lambda x: op(x).sum(), X)

    def test_an_operation_that_refuses_complex_numbers_is_differenced(self):
        def refusing(xp, x):
            if np.iscomplexobj(x):
                raise TypeError("real numbers only")
            return x * x

        right = elementwise(refusing, lambda xp, y, x: 2.0 * x, name="fussy")
        assert gradcheck(lambda x: right(x).sum(), X).ok
        wrong = elementwise(refusing, lambda xp, y, x: 1.999 * x, name="fussy")
        assert not gradcheck(lambda x: wrong(x).sum(), X)

    def test_a_kink_that_differences_cannot_resolve_is_not_passed(self):
        jump = elementwise(lambda xp, x: np.floor(np.real(x)) + 0.0 * np.real(x), lambda xp, y, x: 0.0 * x)
        assert not gradcheck(lambda x: jump(x).sum(), np.array([1.0]))

    def test_a_rule_that_raises_is_a_failed_check(self):
        broken = transposed(lambda xp, x: x * 2.0, lambda xp, g, y, x: g @ np.ones((7, 7)))
        report = gradcheck(lambda x: broken(x).sum(), X)
        assert not report
        assert "backward raised ValueError" in str(report).splitlines()[0]

    def test_an_operation_that_raises_beside_the_point_cannot_be_decided(self):
        def narrow(xp, x):
            if np.iscomplexobj(x) or np.any(np.asarray(x) != 2.0):
                raise ValueError("only at 2")
            return x * x

        fragile = elementwise(narrow, lambda xp, y, x: 2.0 * x)
        report = gradcheck(fragile, 2.0)
        assert not report
        assert "cannot be decided: a value beside the point raised ValueError: only at 2" in str(report)

    def test_an_operation_without_a_rule_is_caught(self):
        forgotten = tr.Op(name="forgotten", symbol="f", forward=lambda xp, x: x * x)
        assert not gradcheck(lambda x: forgotten(x).sum() + x.sum(), X)


class TestPreflight:
    def test_a_number_that_leaves_the_graph_is_caught(self):
        assert not gradcheck(lambda x: float(x) * x, 2.0)
        assert not gradcheck(lambda x: float(x) ** 2, 2.0)
        report = gradcheck(lambda x: (tr.constant(x.data) * x).sum(), X)
        assert "left the graph" in str(report)

    def test_what_is_detached_on_purpose_is_constant_and_noted(self):
        report = gradcheck(lambda x: x * x.detach(), 3.0)
        assert report.ok
        assert report.notes == ("1 detached node counted as constant",)

    def test_reading_a_node_with_asarray_is_a_trace_error(self):
        with pytest.raises(tr.TraceError, match="inside gradcheck"):
            gradcheck(lambda x: x * np.asarray(x).sum(), X)

    def test_a_function_with_its_own_randomness_is_caught(self):
        rng = default_rng(0)
        counter = iter(range(100))
        assert "run again" in str(gradcheck(lambda x: x * next(counter), 2.0)).splitlines()[0]
        assert gradcheck(lambda x: x * rng.random(), 2.0).ok  # a Generator is set back
        assert rng.random() == default_rng(0).random()

    def test_a_generator_among_the_arguments_is_set_back(self):
        report = gradcheck(lambda p, rng: (p["x"] * rng.random(3)).sum(), {"x": np.ones(3)}, default_rng(3))
        assert report.ok, str(report)

    def test_an_argument_that_is_written_into_is_reported(self):
        def careless(x, order):
            order[0] = 7
            return x * 2.0

        report = gradcheck(careless, 1.0, np.arange(3))
        assert "argument 1 was changed" in str(report)

    def test_the_arguments_stay_as_they_were(self):
        x, w = np.ones(3), tr.Tensor(np.ones(3), name="w")
        w.grad = np.full(3, 5.0)
        assert gradcheck(lambda x, w: (x * w).sum(), x, w).ok
        assert x.tolist() == [1.0, 1.0, 1.0]
        assert x.flags.writeable
        assert w.grad.tolist() == [5.0, 5.0, 5.0]

    def test_a_second_backward_that_differs_is_caught(self):
        calls = iter(range(10_000))
        drifting = elementwise(lambda xp, x: x * 2.0, lambda xp, y, x: 2.0 + 1e-13 * next(calls))
        report = gradcheck(drifting, 1.0)
        assert "second backward pass" in str(report)

    def test_a_hook_that_changes_the_gradient_is_caught(self):
        w = tr.Value(2.0, name="w")
        w.register_hook(lambda g: g * 0.5)
        assert not gradcheck(lambda w: w * w, w)

    def test_what_is_not_finite_is_not_passed(self):
        assert not gradcheck(lambda x: ops.log(x), -1.0)
        assert not gradcheck(ops.sqrt, 0.0)
        assert not gradcheck(ops.power, -2.0, 3.0)  # nan to the exponent
        assert not gradcheck(lambda x, y: (ops.sqrt(x) * y).sum(), np.array([0.0, 1.0]), np.ones(2))

    def test_an_argument_that_the_result_does_not_depend_on_is_noted(self):
        report = gradcheck(lambda x, y: x * 2.0, 1.0, {"a": 2.0})
        assert report.ok
        assert report.notes == ("the result does not depend on argument 1['a']",)
        assert gradcheck(lambda x: 3.0, 1.0).notes == ("the result does not depend on argument 0",)

    @pytest.mark.parametrize("args", [(), ("text",), (np.arange(3),), ([],), (2,), (True,)])
    def test_nothing_to_differentiate_is_an_error(self, args):
        with pytest.raises(TypeError, match="needs an argument that can be differentiated"):
            gradcheck(lambda *a: 1.0, *args)

    def test_what_cannot_be_called_is_an_error(self):
        with pytest.raises(TypeError, match="fn must be callable, got int"):
            gradcheck(3, 1.0)


class TestArguments:
    def test_modules_nested_arguments_and_values(self):
        cell = tr.nn.GRUCell(2, 3, rng=default_rng(0))

        def loss(model, batch, scale):
            h = tr.unroll(model["cell"], batch["x"], state=batch["h"]).final_state
            return (h * model["readout"]).sum() * scale, {"h": h}

        report = gradcheck(
            loss,
            {"cell": cell, "readout": tr.Tensor(np.ones(3))},
            {"x": [np.ones(2), -np.ones(2)], "h": np.full(3, 0.1)},
            np.array(0.7),
        )
        assert report.ok, str(report)
        entries = 9 * 2 + 9 * 3 + 9 + 9 + 3 + 2 * 2 + 3 + 1
        assert report.compared == f"full Jacobian 4 x {entries}"

    def test_float32_is_checked_in_float64(self):
        x = np.linspace(0, 1, 5, dtype=np.float32)
        report = gradcheck(lambda x: ops.tanh(x).sum(), x)
        assert report.ok
        assert report.tolerance == 1e-10

    def test_the_tolerance_can_be_loosened(self):
        nearly = lambda x: scaled_tanh(1 + 1e-7)(x).sum()  # noqa: E731
        assert not gradcheck(nearly, X)
        assert gradcheck(nearly, X, tolerance=1e-6).ok

    def test_integer_arrays_and_other_things_are_passed_on(self):
        report = gradcheck(
            lambda x, i, mode: x[i].sum() if mode == "take" else x, X[0], np.array([0, 0, 2]), "take"
        )
        assert report.ok, str(report)

    def test_a_size_0_argument(self):
        assert gradcheck(lambda x, y: x.sum() + y, np.zeros((0, 3)), np.array(2.0)).ok
