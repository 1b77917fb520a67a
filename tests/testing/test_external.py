"""Functions over plain arrays: hand-written backward passes, with and without faults."""

import random

import numpy as np
import pytest
from numpy.random import default_rng

from tinygrad_rnn.testing import Verdict, gradcheck_external
from tinygrad_rnn.testing.differences import taylor_slopes

RNG = default_rng(0)
W, U, B = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 3)), RNG.normal(size=3)
X, H0 = RNG.normal(size=(6, 2)), RNG.normal(size=3)


def rnn(x, h, W, U, b):
    hs = [h]
    for x_t in x:
        hs.append(np.tanh(W @ x_t + U @ hs[-1] + b))
    return {"states": np.stack(hs[1:]), "last": hs[-1]}


def bptt(g, x, h, W, U, b, fault=""):
    hs = [h, *rnn(x, h, W, U, b)["states"]]
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
    dh = g["last"].copy()
    for t in reversed(range(len(x))):
        dh = g["states"][t] + dh
        dz = dh * (1 - hs[t + 1] ** 2) if fault != "slope" else dh
        dW += np.outer(dz, x[t])
        dU += np.outer(dz, hs[t + 1] if fault == "late state" else hs[t])
        db += dz if fault != "bias" else 0
        dx[t] = W.T @ dz
        dh = (U if fault == "transpose" else U.T) @ dz
        if fault == "overwritten":
            dh = np.zeros(3)
        if fault == "clipped":
            dh = np.clip(dh, -0.5, 0.5)
    return dx, dh if fault != "initial state" else None, dW, dU, db


ARGS = (X, H0, W, U, B)


def test_a_right_backward_passes():
    report = gradcheck_external(rnn, bptt, *ARGS)
    assert report.verdict is Verdict.PASS, str(report)
    assert report.method == "complex step through the whole function"
    assert report.compared.startswith("full Jacobian 21 x ")


@pytest.mark.parametrize(
    "fault", ["slope", "late state", "bias", "transpose", "overwritten", "clipped", "initial state"]
)
def test_a_wrong_backward_fails(fault):
    report = gradcheck_external(rnn, lambda g, *args: bptt(g, *args, fault=fault), *ARGS)
    assert report.verdict is Verdict.FAIL
    assert not report


def test_the_report_names_argument_entry_and_hint():
    report = gradcheck_external(rnn, lambda g, *args: bptt(g, *args, fault="initial state"), X, H0, W, U, B)
    assert report.mismatch.argument == "argument 1"
    assert report.mismatch.got == 0.0
    report = gradcheck_external(lambda p: np.tanh(p["h0"]), lambda g, p: {"h0": 0 * g}, {"h0": H0})
    assert "initial state is forgotten" in report.hint
    report = gradcheck_external(lambda h0: np.tanh(h0), lambda g, h0: 0 * g, H0)
    assert report.mismatch.name == "h0"
    assert "initial state is forgotten" in report.hint
    with pytest.raises(ValueError, match="no graph was recorded"):
        report.draw()


def test_large_jacobians_are_projected():
    rng = default_rng(1)
    A, x = rng.normal(size=(70, 70)) / 8, rng.normal(size=70)
    forward = lambda A, x: np.tanh(A @ x)  # noqa: E731

    def backward(g, A, x, off=0.0):
        dz = g * (1 - np.tanh(A @ x) ** 2)
        dA = np.outer(dz, x)
        dA[13, 57] *= 1 + off
        return dA, A.T @ dz

    assert gradcheck_external(forward, backward, A, x).ok
    report = gradcheck_external(forward, lambda g, A, x: backward(g, A, x, 1e-3), A, x)
    assert report.verdict is Verdict.FAIL
    assert report.mismatch.index == (13, 57)


class TestWhereTheComplexStepIsBlind:
    """A function that drops or refuses imaginary parts is differenced, and still decided."""

    CASES = {  # noqa: RUF012
        "abs": (lambda x: np.abs(x) ** 1.5, lambda x: 1.5 * np.sqrt(np.abs(x)) * np.sign(x)),
        "conj": (lambda x: x * np.conj(x), lambda x: 2 * x),
        "norm of each": (lambda x: np.sqrt(np.abs(x) ** 2 + 1), lambda x: x / np.sqrt(x**2 + 1)),
        "max": (lambda x: np.maximum(np.abs(x), 0.1), lambda x: np.sign(x)),
        "float()": (lambda x: np.array([float(v) ** 3 for v in x]), lambda x: 3 * x**2),
        "into a real array": (lambda x: _into_real(x), lambda x: np.cos(x)),
        "logaddexp": (lambda x: np.logaddexp(x, 0.0), lambda x: 1 / (1 + np.exp(-x))),
        "a tiny part only": (lambda x: x + 1e-9 * np.abs(x), lambda x: 1 + 1e-9 * np.sign(x)),
    }

    @pytest.mark.parametrize("name", CASES)
    def test_right(self, name):
        forward, slope = self.CASES[name]
        report = gradcheck_external(forward, lambda g, x: g * slope(x), RNG_X)
        assert report.verdict is Verdict.PASS, str(report)
        assert "Ridders" in report.method

    @pytest.mark.parametrize("name", CASES)
    def test_wrong(self, name):
        forward, slope = self.CASES[name]
        report = gradcheck_external(forward, lambda g, x: g * slope(x) * (1 + 1e-5), RNG_X)
        assert report.verdict is Verdict.FAIL, str(report)

    def test_the_blind_answer_itself_is_not_believed(self):
        """The complex step of |x| is 0, and so says a backward that forgot it."""
        report = gradcheck_external(lambda x: np.abs(x), lambda g, x: 0 * g, RNG_X)
        assert report.verdict is Verdict.FAIL


RNG_X = default_rng(3).normal(size=5) + 0.3


def _into_real(x):
    y = np.zeros(len(x))
    y[:] = np.sin(x)
    return y


class TestVerdicts:
    def test_at_a_kink(self):
        report = gradcheck_external(
            lambda x: np.maximum(x, 0.0), lambda g, x: g * (x > 0), np.array([1.0, 0.0, -1.0])
        )
        assert report.verdict is Verdict.NONDIFFERENTIABLE
        assert not report.ok
        assert report.kinks[0].index == (1,)
        assert "argument 0" in str(report)

    def test_away_from_a_kink(self):
        report = gradcheck_external(
            lambda x: np.maximum(x, 0.0), lambda g, x: g * (x > 0), np.array([1.0, 1e-4, -1.0])
        )
        assert report.verdict is Verdict.PASS, str(report)

    def test_noise_is_inconclusive_or_fails_by_its_taylor_slope(self):
        def noisy(x):
            return np.float32(np.sin(x.real)).astype(float) if np.isrealobj(x) else np.sin(x) * (1 + 1e-9)

        right = gradcheck_external(noisy, lambda g, x: g * np.cos(x), RNG_X)
        assert right.verdict is not Verdict.FAIL
        wrong = gradcheck_external(noisy, lambda g, x: -g * np.cos(x), RNG_X)
        assert wrong.verdict is not Verdict.PASS

    def test_nan(self):
        report = gradcheck_external(lambda x: np.log(x), lambda g, x: g / x, np.array([-1.0]))
        assert report.verdict is Verdict.INCONCLUSIVE

    def test_a_saturated_unit(self):
        forward = lambda x: np.tanh(8 + x)  # noqa: E731
        x = 0.1 * RNG_X
        assert gradcheck_external(forward, lambda g, x: g * (1 - np.tanh(8 + x) ** 2), x).ok
        assert not gradcheck_external(forward, lambda g, x: 0 * g, x)
        nearly = lambda g, x: g * (1 - np.tanh(8 + x) ** 2) * (1 + 1e-7)  # noqa: E731
        assert not gradcheck_external(forward, nearly, x)

    @pytest.mark.parametrize("gain", [1.0, 2.5])
    def test_a_chaotic_network_is_no_false_alarm(self, gain):
        rng = default_rng(5)
        U = gain * rng.normal(size=(8, 8)) / np.sqrt(8)
        args = (rng.normal(size=(100, 2)), rng.normal(size=8), rng.normal(size=(8, 2)), U, rng.normal(size=8))
        assert gradcheck_external(rnn, bptt, *args).verdict is not Verdict.FAIL

    def test_chaos_makes_the_complex_step_unbelievable(self):
        """Complex numbers round otherwise, and 200 steps later the orbit is another one."""
        rng = default_rng(6)
        U, starts = 4.0 * rng.normal(size=(50, 50)) / np.sqrt(50), rng.normal(size=(50, 2))
        rest = (np.zeros((200, 1)), np.zeros((50, 1)), U, np.zeros(50))
        orbit = lambda a: rnn(rest[0], starts @ a, *rest[1:])["states"]  # noqa: E731

        def backward(g, a):
            g = np.concatenate([g, np.zeros(47)])
            for y in orbit(a)[::-1]:
                g = U.T @ (g * (1 - y**2))
            return starts.T @ g

        report = gradcheck_external(lambda a: orbit(a)[-1][:3], backward, np.array([0.3, -0.2]))
        assert "complex numbers change its values" in report.method
        assert report.verdict is Verdict.INCONCLUSIVE

    def test_float32_is_differenced_as_far_as_it_goes(self):
        """Its rounding is no fault of the gradient; a wrong gradient is none of the rounding."""
        single = lambda x: np.tanh(x.astype(np.float32))  # noqa: E731
        for seed in (24, 55, 58, 64, 70, 223):
            x = default_rng(seed).normal(size=8)
            right = gradcheck_external(single, lambda g, x: g * (1 - np.tanh(x) ** 2), x)
            wrong = gradcheck_external(single, lambda g, x: g * (1 - np.tanh(x)), x)
            assert right.verdict is Verdict.PASS, str(right)
            assert wrong.verdict is Verdict.FAIL, str(wrong)

    def test_where_there_is_no_finite_derivative(self):
        report = gradcheck_external(np.sqrt, lambda g, x: 0.5 * g / np.sqrt(x), np.array([0.0, 1.0]))
        assert report.verdict is Verdict.INCONCLUSIVE
        assert "no finite derivative" in str(report)

    @pytest.mark.parametrize("size", [1e-30, 1e-100, 1e-160])
    def test_tiny_arguments(self, size):
        """A step must be small beside them, too; below that a wrong gradient is not passed at least."""
        x = size * np.array([1.0, -3.0])
        right, wrong = (gradcheck_external(lambda x: x * x, lambda g, x, k=k: k * g * x, x) for k in (2, 3))
        assert right.verdict is (Verdict.PASS if size > 1e-150 else Verdict.INCONCLUSIVE), str(right)
        assert wrong.verdict is not Verdict.PASS, str(wrong)
        real = gradcheck_external(lambda x: np.array([float(v) ** 2 for v in x]), lambda g, x: 3 * g * x, x)
        assert real.verdict is Verdict.INCONCLUSIVE, str(real)


class TestPreflight:
    def test_an_input_that_is_written_into(self):
        def careless(g, x):
            x += 1.0
            return g * np.cos(x - 1.0)

        report = gradcheck_external(np.sin, careless, RNG_X)
        assert "argument 0 was changed" in str(report)
        report = gradcheck_external(lambda x: np.add(x, 1.0, out=x), lambda g, x: g, RNG_X)
        assert "argument 0 was changed" in str(report)

    def test_randomness(self):
        calls = iter(range(10_000))
        report = gradcheck_external(lambda x: x * next(calls), lambda g, x: g, RNG_X)
        assert "run again" in str(report).splitlines()[0]
        rng = default_rng(0)
        noisy = lambda x: x * rng.random()  # noqa: E731
        assert gradcheck_external(noisy, lambda g, x: g * default_rng(0).random(), RNG_X).ok

    @pytest.mark.parametrize(
        "draw", [lambda r: np.random.rand(5), lambda r: random.random(), lambda r: r.rand(5)]
    )
    def test_what_python_shares_is_set_back_too(self, draw):
        state = np.random.get_state()[1].copy(), random.getstate()
        fixed = np.random.RandomState(3)
        assert gradcheck_external(
            lambda x, r: x * draw(r), lambda g, x, r: (g * draw(r), None), RNG_X, fixed
        ).ok
        assert random.getstate() == state[1]
        np.testing.assert_array_equal(np.random.get_state()[1], state[0])

    def test_a_layer_that_keeps_what_its_forward_saw(self):
        layer = Layer()

        def forward(x, W):
            layer.W = W
            return layer.forward(x)

        def backward(g, x, W):
            dx = layer.backward(g)
            return dx, layer.dW

        assert gradcheck_external(forward, backward, RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2))).ok

    def test_a_second_backward_that_differs(self):
        calls = iter(range(10_000))
        report = gradcheck_external(np.sin, lambda g, x: g * np.cos(x) + 1e-13 * next(calls), RNG_X)
        assert "second backward pass" in str(report)

    def test_a_backward_that_forgets_its_cotangent(self):
        report = gradcheck_external(lambda x: np.sin(x).sum(), lambda g, x: np.cos(x), RNG_X)
        assert "not linear in the cotangent" in str(report)
        report = gradcheck_external(np.sin, lambda g, x: np.cos(x), RNG_X)
        assert "not linear in the cotangent" in str(report)
        assert report.hint == ""

    def test_a_backward_that_raises(self):
        report = gradcheck_external(np.sin, lambda g, x: g @ np.ones((7, 7)), RNG_X)
        assert report.verdict is Verdict.FAIL
        assert "backward raised ValueError" in str(report).splitlines()[0]

    def test_the_arguments_stay_as_they_were(self):
        x = RNG_X.copy()
        gradcheck_external(np.sin, lambda g, x: g * np.cos(x), x)
        np.testing.assert_array_equal(x, RNG_X)


class Layer:
    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.W)

    def backward(self, g):
        g = g * (1 - np.tanh(self.x @ self.W) ** 2)
        self.dW = self.x.T @ g
        return g @ self.W.T


class TestStructure:
    def test_a_backward_that_wants_a_cache_is_told_how(self):
        def step(x, W):
            y = np.tanh(x @ W)
            return y, (x, W, y)

        def step_backward(dy, cache):
            x, W, y = cache
            dz = dy * (1 - y * y)
            return dz @ W.T, x.T @ dz

        args = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2))
        with pytest.raises(TypeError, match=r"with the cotangent and the 3 .*lambda g, \*args: backward\(g"):
            gradcheck_external(step, step_backward, *args, 1.0)
        assert gradcheck_external(
            lambda *a: step(*a)[0], lambda g, *a: step_backward(g, step(*a)[-1]), *args
        ).ok

    def test_complex_gradients_are_an_error(self):
        with pytest.raises(ValueError, match="the gradient of argument 0 is complex128"):
            gradcheck_external(lambda x: x * x, lambda g, x: 2j * g * x, RNG_X)

    def test_complex_outputs_are_an_error(self):
        with pytest.raises(TypeError, match="fn must return real numbers, output is complex128"):
            gradcheck_external(lambda x: np.fft.fft(x), lambda g, x: g, RNG_X)

    def test_dicts_and_lists_and_other_arguments(self):
        def forward(p, mode, x):
            return {"y": np.sin(p["a"][0]) * p["a"][1] + x, "n": 3}

        def backward(g, p, mode, x):
            a, b = p["a"]
            return {"a": [g["y"] * np.cos(a) * b, g["y"] * np.sin(a)], "k": None}, None, g["y"]

        report = gradcheck_external(forward, backward, {"a": [RNG_X, RNG_X**2], "k": 3}, "mode", RNG_X)
        assert report.ok, str(report)
        short = lambda g, p, mode, x: backward(g, p, mode, x)[::2]  # noqa: E731
        assert gradcheck_external(forward, short, {"a": [RNG_X, RNG_X**2], "k": 3}, "mode", RNG_X).ok

    def test_floats(self):
        assert gradcheck_external(lambda x, y: x * y, lambda g, x, y: (g * y, g * x), 2.0, 3.0).ok
        assert gradcheck_external(lambda x: x * x, lambda g, x: 2 * g * x, 3.0).ok

    def test_what_is_broadcast_must_be_summed(self):
        report = gradcheck_external(
            lambda x, b: x + b, lambda g, x, b: (g, g), RNG.normal(size=(4, 3)), RNG.normal(size=3)
        )
        assert report.verdict is Verdict.FAIL
        assert "the gradient of argument 1, of shape (3,), has shape (4, 3)" in str(report)
        assert "not summed over axis 0" in report.hint

    @pytest.mark.parametrize("returned", [(1.0,), 3.0, (1.0, 2.0, 3.0, 4.0)])
    def test_another_number_of_gradients_is_an_error(self, returned):
        with pytest.raises(ValueError, match="backward must return one gradient for each of the 2 arguments"):
            gradcheck_external(lambda x, y: x * y, lambda g, x, y: returned, 2.0, 3.0)

    def test_a_missing_key_is_an_error(self):
        with pytest.raises(
            ValueError, match=r"a dict with the keys \['w'\], got a dict with the keys \['W'\]"
        ):
            gradcheck_external(lambda p: p["w"] * 2, lambda g, p: {"W": 2 * g}, {"w": 1.0})

    @pytest.mark.parametrize("args", [(), ("text",), (3,)])
    def test_nothing_to_differentiate_is_an_error(self, args):
        with pytest.raises(TypeError, match="needs an argument that can be differentiated"):
            gradcheck_external(lambda *a: 1.0, lambda *a: None, *args)

    def test_what_cannot_be_called_is_an_error(self):
        with pytest.raises(TypeError, match="fn must be callable, got int"):
            gradcheck_external(3, None, 1.0)
        with pytest.raises(TypeError, match="backward must be callable or None, got int"):
            gradcheck_external(np.sin, 3, 1.0)


class TestTaylor:
    def test_slopes(self):
        assert taylor_slopes(np.sin, 1.0, 0.1) == pytest.approx((3.0, 3.0), abs=0.1)  # f'' is 0 there
        assert taylor_slopes(np.exp, 1.0, 0.1) == pytest.approx((2.0, 2.0), abs=0.1)
        assert taylor_slopes(np.exp, 1.03, 0.1) == pytest.approx((1.0, 1.0), abs=0.2)
        assert taylor_slopes(lambda h: 3.0 * h + 1.0, 3.0, 0.1) == (np.inf, np.inf)
        assert taylor_slopes(lambda h: h * h, 1e-100, 0.1) == (np.inf, np.inf)
        assert taylor_slopes(lambda h: np.sin(1e14 * h), 1e14, 0.1) == (np.inf, np.inf)  # wild over all steps

    @pytest.mark.parametrize("k", [1e4, 3e4, 1e5, 1e6, 1e9])
    def test_a_function_that_is_too_wild_for_differences(self, k):
        """Right gradients are not called wrong, wrong signs not right."""
        forward = lambda x: np.sin(k * np.abs(x))  # noqa: E731
        slope = lambda g, x: g * k * np.cos(k * np.abs(x)) * np.sign(x)  # noqa: E731
        x = np.array([0.7, 1.3])
        right = gradcheck_external(forward, slope, x)
        wrong = gradcheck_external(forward, lambda g, x: -slope(g, x), x)
        assert right.verdict is not Verdict.FAIL, str(right)
        assert wrong.verdict is not Verdict.PASS, str(wrong)
        if 1e4 <= k <= 1e6:
            assert right.verdict is Verdict.PASS
            assert wrong.verdict is Verdict.FAIL
            assert "Taylor remainder" in str(right)
