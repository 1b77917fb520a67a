"""How a result is made of outputs: every structure comes back as it was returned."""

import collections

import numpy as np
import pytest

from tinygrad_rnn.plan.recording.result import Output, builder

Pair = collections.namedtuple("Pair", "loss rest")
A, B, C, N = Output(0, False), Output(1, False), Output(2, False), Output(1, True)


class Row(list):
    pass


class Triple(tuple):
    pass


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (A, "a"),
        ((A, B, C), ("a", "b", "c")),
        ([B, C], ["b", "c"]),
        ((C, A), ("c", "a")),
        ((A, A), ("a", "a")),
        ([A, "text", None, 3], ["a", "text", None, 3]),
        ({"w": A, "v": B}, {"w": "a", "v": "b"}),
        ({"v": B, "w": A}, {"v": "b", "w": "a"}),
        (Pair(A, {"x": [B, (C,)]}), Pair("a", {"x": ["b", ("c",)]})),
        (Row([A, B]), Row(["a", "b"])),
        (Triple([B, A]), Triple(["b", "a"])),
        ([], []),
        ((), ()),
        ({}, {}),
        ([[], (), {"n": None}], [[], (), {"n": None}]),
    ],
    ids=str,
)
def test_structures_come_back(result, expected):
    found = builder(result)(["a", "b", "c"])
    assert found == expected
    assert type(found) is type(expected)


def test_a_number_is_a_float_and_an_array_is_not():
    outputs = [np.array(2.0, np.float32), np.array(3.0), np.array(True)]
    number, array, other = builder((Output(1, True), Output(0, False), Output(2, True)))(outputs)
    assert (type(number), number) == (float, 3.0)
    assert array is outputs[0]
    assert (type(other), other) == (float, 1.0)


def test_an_array_among_the_leaves_is_copied_each_time():
    table = np.arange(3.0)
    build = builder({"table": table, "x": A})
    first = build(["a"])
    first["table"][:] = -1
    assert build(["a"])["table"].tolist() == [0, 1, 2]


def test_each_call_makes_its_own_containers():
    build = builder([A, [B]])
    first = build(["a", "b"])
    first[1].append("more")
    assert build(["a", "b"]) == ["a", ["b"]]
