"""A call knows its data and what the function calls it."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.plan.recording.example import Example

X = np.ones(2)


def fn(weights, *more, rate=0.1):
    return weights["w"] * rate, more


def test_names_follow_the_inputs():
    example = Example(fn, ({"w": X, "b": [X, 3.0]}, X, 2.0), {"rate": 0.5})
    assert example.names() == [
        "weights['w']",
        "weights['b'][0]",
        "weights['b'][1]",
        "more[0]",
        "more[1]",
        "rate",
    ]
    assert len(example.inputs()) == 6
    assert example.inputs()[-1] == 0.5


def test_names_of_a_differentiated_function_and_of_a_module():
    model = tr.nn.Linear(2, 3)
    example = Example(tr.value_and_grad(lambda net, x: net(x).sum()), (model, X), {})
    assert example.names() == ["net['weight']", "net['bias']", "x"]


def test_names_without_a_signature():
    assert Example(max, (X, X), {}).names() in (["argument 0", "argument 1"], ["args[0]", "args[1]"])


def test_other_arguments_of_the_same_kind():
    example = Example(fn, ({"w": X},), {})
    assert example.of(({"w": X * 2},), {}).inputs()[0].tolist() == [2, 2]
    with pytest.raises(ValueError, match="another structure"):
        example.of(({"v": X},), {})


def test_the_function_itself_sees_nodes():
    assert isinstance(Example(lambda x: x, (X,), {}).eager()[0][1], tr.Tensor)
