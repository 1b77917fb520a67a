"""A number that leaves the graph is found, and where differences cannot tell they keep silent."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing.leaks import leaks
from tinygrad_rnn.testing.trial import Trial


def found(fn, *args):
    trial = Trial(fn, args)
    return leaks(trial, trial.run()[0])


LEAKS = {
    "float(x)": lambda x: x * float(x.sum()),
    "x.data": lambda x: (x * x.data).sum(),
    "x.item()": lambda x: x.sum() + x[0].item() ** 2,
    "x.tolist()": lambda x: tr.constant(np.tanh(x.tolist())).sum(),
    "a new leaf": lambda x: tr.Tensor(np.array(x.data)).sum(),
    "no_grad": lambda x: _without_recording(x) + x.sum(),
    "in one of two outputs": lambda x: (x.sum(), {"b": x * x.data[0]}),
}


def _without_recording(x):
    with tr.no_grad():
        return ops.tanh(x).sum()


@pytest.mark.parametrize("name", LEAKS)
def test_it_is_found(name):
    assert "left the graph" in found(LEAKS[name], np.array([0.5, -0.3]))[0]


SOUND = {
    "smooth": lambda x: (ops.tanh(x) * x).sum(),
    "at a kink": lambda x: (ops.relu(x - 0.5) + ops.abs(x + 0.3)).sum(),
    "at a jump": lambda x: ops.where(x >= 0.5, x, -x).sum(),
    "a Python branch at the point": lambda x: x.sum() if float(x[0]) >= 0.5 else 2.0 * x.sum() + 7,
    "saturated": lambda x: ops.tanh(30 + x).sum(),
    "constant": lambda x: (x - x).sum(),
    "beside a pole": lambda x: ops.log(x - 0.4999999).sum(),
    "shape changes nearby": lambda x: x[: 1 + int(float(x[0]) > 0.5)],
    "chaos": lambda x: _chaos(x),
    "huge": lambda x: (x * 1e200).sum(),
    "tiny": lambda x: (x * x * 1e-200).sum(),
}


def _chaos(x):
    y = ops.sigmoid(x)
    for _ in range(80):
        y = 3.99 * y * (1.0 - y)
    return y.sum()


@pytest.mark.parametrize("name", SOUND)
def test_there_is_no_false_alarm(name):
    with np.errstate(all="ignore"):
        assert found(SOUND[name], np.array([0.5, -0.3])) == []


def test_kinks_that_mirror_each_other_are_no_leak():
    """Entries moved by equal amounts would make the two kinks look like one straight line."""
    assert found(lambda x: ops.softmax(ops.relu(x + x), axis=0), np.zeros((2, 1))) == []


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_kinks_beside_the_point_that_hide_each_other_are_no_leak(sign):
    """The difference quotient of each bends; of their sum, where the offsets cancel, it does not."""
    near = 2.0**-23
    assert found(lambda x: ops.maximum(x, np.array([near, sign * near])).sum(), np.zeros(2)) == []
