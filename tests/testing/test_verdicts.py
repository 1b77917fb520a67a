"""The four verdicts, each with its evidence."""

import json

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.testing.wrong_ops import opaque, partial, transposed
from tinygrad_rnn import ops
from tinygrad_rnn.core.autodiff import Ledger
from tinygrad_rnn.testing import Verdict, gradcheck, localise

X = default_rng(0).normal(size=4)


def test_pass():
    report = gradcheck(lambda x: ops.tanh(x).sum(), X)
    assert report.verdict is Verdict.PASS
    assert report.verdict == "PASS"
    assert report.ok
    assert bool(report)


def test_fail_says_what_is_wrong():
    op = partial("cube", lambda xp, x: x * x * x, lambda xp, y, x: -3.0 * x * x)
    report = gradcheck(lambda x: op(x).sum(), X)
    assert report.verdict is Verdict.FAIL
    assert not report
    assert report.mismatch.shape == (4,)
    assert "sign" in report.hint
    assert report.faults[0].op == "cube"
    text = str(report)
    assert "hint: the sign is wrong" in text
    assert "wrong rule: cube" in text
    assert "test_verdicts.py:" in text
    assert "<td>argument 0[" in report._repr_html_()
    assert json.loads(json.dumps(report.to_dict()))["verdict"] == "FAIL"
    assert 'fillcolor="#c62828"' in report.draw().source


KINKS = {
    "relu": (lambda x: ops.relu(x).sum(), [0.0, 1.0], "relu[0]"),
    "abs": (lambda x: ops.abs(x).sum(), [1.0, 0.0], "abs[1]"),
    "leaky relu": (lambda x: ops.leaky_relu(x).sum(), [0.0], "leaky_relu[0]"),
    "maximum": (lambda x: ops.maximum(x, 2.0).sum(), [1.0, 2.0], "maximum[1]"),
    "minimum": (lambda x: ops.minimum(x[0], x[1]), [1.0, 1.0], "minimum"),
    "clip": (lambda x: ops.clip(x, -1.0, 1.0).sum(), [0.0, 1.0], "clip[1]"),
    "max": (lambda x: ops.max(x), [1.0, 3.0, 3.0], "max"),
    "min of rows": (lambda x: ops.min(x, axis=1).sum(), [[1.0, 3.0], [2.0, 2.0]], "min[1]"),
    "norm": (lambda x: ops.norm(x), [0.0, 0.0], "norm"),
    "where": (lambda x: ops.where(x > 0.5, x, -x).sum(), [0.5, 1.0], "greater[0]"),
    "within rounding": (lambda x: ops.relu(x).sum(), [1e-15, 1.0], "relu[0]"),
}


@pytest.mark.parametrize("name", KINKS)
def test_nondifferentiable_names_the_kink_and_holds_the_convention(name):
    fn, x, where = KINKS[name]
    report = gradcheck(fn, np.array(x))
    assert report.verdict is Verdict.NONDIFFERENTIABLE, str(report)
    assert report.ok
    assert str(report.kinks[0]).startswith(where)
    assert str(report).splitlines()[0].endswith("the documented convention holds")


def test_a_fault_at_a_kink_is_a_fault():
    wrong = partial("slope", lambda xp, x: x * 2.0, lambda xp, y, x: 2.1)
    report = gradcheck(lambda x: wrong(ops.relu(x)).sum(), np.array([0.0, 1.0]))
    assert report.verdict is Verdict.FAIL


NO_KINK = {
    "near": (lambda x: ops.relu(x).sum(), [1e-8, 1.0]),
    "the gradient does not feel it": (lambda x: (ops.abs(x) ** 2).sum(), [0.0, 1.0]),
    "both sides are one": (lambda x: ops.maximum(x, x).sum(), [0.0, 1.0]),
    "of a constant": (lambda x: (x * ops.relu(tr.constant(np.zeros(2)))).sum(), [1.0, 2.0]),
    "of what is shut off": (lambda x: ops.relu(ops.relu(x)).sum(), [-1.0, 1.0]),
    "of an integer": (lambda x: ops.where(np.arange(2) > 0, x, 0.0).sum(), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", NO_KINK)
def test_no_kink(name):
    fn, x = NO_KINK[name]
    report = gradcheck(fn, np.array(x))
    assert report.verdict is Verdict.PASS, str(report)


def test_a_branch_that_is_not_taken_has_no_say():
    """It may lie where there is no logarithm."""
    x = np.array([0.3, -1.2])
    with np.errstate(invalid="ignore"):
        assert gradcheck(lambda x: ops.where(x > 0, ops.log(x), 0.0).sum(), x).verdict is Verdict.PASS
        assert localise(lambda x: ops.where(x > 0, ops.log(x), 0.0).sum(), x).ok
        wrong = partial("wrong", lambda xp, x: xp.log(x), lambda xp, y, x: 2.0 / x)
        report = gradcheck(lambda x: ops.where(x > 0, wrong(x), 0.0).sum(), x)
    assert [fault.op for fault in report.faults] == ["wrong"]


def test_nothing_returned_is_inconclusive():
    for forgotten in (lambda x: None, lambda x: 3.0):
        report = gradcheck(forgotten, X)
        assert report.verdict is Verdict.INCONCLUSIVE
        assert "returns no Value or Tensor" in str(report)


def test_no_warning_comes_from_points_beside_the_point():
    """There the logarithm has no value, and the user has not asked for it."""
    assert gradcheck(lambda x: ops.sqrt(x).sum(), np.array([1e-14, 1.0])).ok
    assert gradcheck(lambda x: ops.sqrt(x).sum(), np.array([1e-14, 1.0]), order=2).ok


def test_a_near_kink_is_noted():
    report = gradcheck(lambda x: ops.relu(x).sum(), np.array([1e-8, 1.0]))
    assert report.notes == ("relu[0] is 1e-08 from its kink: the derivative jumps there",)


@pytest.mark.parametrize("steep", [ops.sqrt, ops.log, lambda x: x**0.9, lambda x: x**-1.0, lambda x: 1.0 / x])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_pole_has_no_derivative(steep):
    report = gradcheck(lambda x: steep(x).sum(), np.array([0.0, 1.0]))
    assert report.verdict is Verdict.NONDIFFERENTIABLE
    assert not report.ok
    assert gradcheck(lambda x: steep(x).sum(), np.array([1e-9, 1.0])).verdict is Verdict.PASS


def test_a_kink_of_a_foreign_operation():
    op = opaque("foreign_abs", lambda xp, x: np.abs(x), lambda g, y, x: (g * np.sign(x),))
    assert gradcheck(lambda x: op(x).sum(), X).verdict is Verdict.PASS
    report = gradcheck(lambda x: op(x).sum(), np.array([0.0]))
    assert report.verdict is Verdict.NONDIFFERENTIABLE
    assert not report.ok
    assert str(report.kinks[0]).startswith("foreign_abs")


INCONCLUSIVE = {
    "nan": (lambda x: ops.log(x), -1.0, "output is nan"),
    "a wild foreign function": (
        opaque("wild", lambda xp, x: np.sin(1e12 * np.abs(x)), lambda g, y, x: (g * 0.0,)), 1.0, "cannot be decided",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INCONCLUSIVE)
def test_inconclusive_says_why(name):
    fn, x, why = INCONCLUSIVE[name]
    report = gradcheck(fn, x)
    assert report.verdict is Verdict.INCONCLUSIVE, str(report)
    assert not report.ok
    assert why in str(report).splitlines()[0]


class TestSecondOrder:
    def test_right(self):
        report = gradcheck(lambda x, w: ops.tanh(w @ x), X, np.ones((2, 4)), order=2)
        assert report.verdict is Verdict.PASS, str(report)
        assert "second order" in report.compared

    def test_a_network(self):
        cell = tr.nn.GRUCell(2, 3, rng=default_rng(0))
        loss = lambda cell, x: (tr.unroll(cell, x).final_state ** 2).sum()  # noqa: E731
        assert gradcheck(loss, cell, default_rng(1).normal(size=(3, 2)), order=2).ok

    def test_a_first_derivative_that_is_right_and_not_a_function_of_x(self):
        """Its value is right, but it is computed from a number that stands still when x moves."""
        frozen = partial("frozen", lambda xp, x: x * x, lambda xp, y, x: 2.0 * tr.detach(x))
        assert gradcheck(lambda x: frozen(x).sum(), X).ok
        assert not gradcheck(lambda x: frozen(x).sum(), X, order=2)
        assert gradcheck(lambda x: (x * x * tr.detach(x)).sum(), X, order=2).ok
        held = transposed("held", lambda xp, x: x * x, lambda xp, g, y, x: 2.0 * g * np.asarray(X))
        assert gradcheck(lambda x: held(x).sum(), X).ok
        report = gradcheck(lambda x: held(x).sum(), X, order=2)
        assert report.verdict is Verdict.FAIL
        assert str(report).startswith("gradcheck of second order FAILED")

    def test_a_first_derivative_that_is_right_everywhere_and_has_a_wrong_rule_itself(self):
        cosine = partial("cosine", lambda xp, x: xp.cos(x), lambda xp, y, x: xp.sin(x))
        sine = partial("sine", lambda xp, x: xp.sin(x), lambda xp, y, x: cosine(x))
        assert gradcheck(lambda x: sine(x).sum(), X).ok
        report = gradcheck(lambda x: sine(x).sum(), X, order=2)
        assert report.verdict is Verdict.FAIL
        assert {fault.op for fault in report.faults} == {"cosine"}
        assert "sign" in report.hint

    def test_an_opaque_operation_has_no_second_order(self):
        op = opaque("cosine", lambda xp, x: np.cos(x), lambda g, y, x: (-g * np.sin(x),))
        report = gradcheck(lambda x: op(x).sum(), X, order=2)
        assert report.verdict is Verdict.INCONCLUSIVE
        assert "opaque" in str(report)

    def test_another_order_is_an_error(self):
        with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
            gradcheck(ops.tanh, 1.0, order=3)


def test_forward_mode_is_held_against_reverse_mode():
    lying = tr.Op(
        name="lying", symbol="?", forward=lambda xp, x: x * x, linear="each",
        transpose=(lambda xp, g, y, x: 2.0 * g * x,),
    )  # fmt: skip
    report = gradcheck(lambda x: lying(x).sum(), X)
    assert report.verdict is Verdict.FAIL
    assert "forward mode and reverse mode disagree" in str(report)


@pytest.mark.parametrize("kept", ["last", "first"])
def test_an_accumulation_that_overwrites_is_told_from_a_wrong_rule(monkeypatch, kept):
    def add(self, node, contribution):
        if kept == "last" or node not in self.sums:
            self.sums[node] = contribution

    monkeypatch.setattr(Ledger, "add", add)

    def loss(w, x):
        return tr.unroll(lambda x, h: ops.tanh(w @ h + x), x, state=np.ones(2)).final_state.sum()

    report = gradcheck(
        loss, np.array([[0.3, -0.5], [0.8, 0.1]]), tr.constant(default_rng(1).normal(size=(4, 2)))
    )
    assert report.verdict is Verdict.FAIL
    assert report.faults == ()
    step = "t=0" if kept == "last" else "t=3"  # a backward pass comes to the first step last
    assert report.hint == f"overwritten instead of accumulated: only the contribution of {step} is there"


LINEARITY = {
    "squared": lambda xp, g, y, x: 2.0 * g * g,
    "forgotten": lambda xp, g, y, x: 2.0 * x**0,
    "absolute": lambda xp, g, y, x: 2.0 * xp.abs(g),
    "clipped": lambda xp, g, y, x: xp.minimum(xp.maximum(2.0 * g, -5.0), 5.0),
}


@pytest.mark.parametrize("name", LINEARITY)
def test_a_rule_that_is_not_linear_in_the_cotangent(name):
    """For a cotangent of 1, which the whole Jacobian of one output needs, each of these is right."""
    op = transposed(name, lambda xp, x: 2.0 * x, LINEARITY[name])
    report = gradcheck(lambda x: op(x), np.array(0.7))
    assert report.verdict is Verdict.FAIL
    assert "not linear in the cotangent" in str(report)
    assert report.faults[0].op == name


def test_an_input_that_the_backward_pass_writes_into_is_reported():
    order = np.arange(3)

    def vjp(g, y, x):
        order[0] = 7
        return (g,)

    op = opaque("careless", lambda xp, x: x + 0.0, vjp)
    report = gradcheck(lambda x, order: op(x).sum(), np.ones(3), order)
    assert "argument 1 was changed" in str(report)
