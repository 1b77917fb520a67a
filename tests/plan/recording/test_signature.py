"""What tells two calls apart: every way in which a module or an argument can differ plans anew."""

import collections
import itertools

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.plan.recording.signature import signature


class Part(tr.nn.Module):
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Other(Part):
    pass


def leaf(n=2):
    return tr.Tensor(np.ones(n))


def key(*args, **kwargs):
    return signature(args, kwargs, [], [])


def double(x):
    return x * 2


A, B, C, D = leaf(), leaf(), tr.constant(1.0), tr.constant(1.0)
INNER, TWIN = Part(w=A), Part(w=B)
Pair = collections.namedtuple("Pair", "a b")
MODULES = {
    "number": (Part(k=1), Part(k=2)),
    "kind of number": (Part(k=1), Part(k=1.0)),
    "bool": (Part(k=1), Part(k=True)),
    "sign of zero": (Part(k=0.0), Part(k=-0.0)),
    "float of numpy": (Part(k=1.0), Part(k=np.float64(1.0))),
    "text": (Part(k="a"), Part(k="b")),
    "bytes": (Part(k="a"), Part(k=b"a")),
    "None": (Part(k=None), Part()),
    "name": (Part(k=1), Part(j=1)),
    "one more": (Part(k=1), Part(k=1, j=None)),
    "order": (Part(k=1, j=1), Part(j=1, k=1)),
    "class": (Part(k=1), Other(k=1)),
    "class of a part": (Part(act=Part()), Part(act=Other())),
    "list or tuple": (Part(k=[1]), Part(k=(1,))),
    "empty list or dict": (Part(k=[]), Part(k={})),
    "empty list or None": (Part(k=[]), Part(k=None)),
    "empty list or nothing": (Part(k=[]), Part()),
    "class of a tuple": (Part(k=(1, 2)), Part(k=Pair(1, 2))),
    "nesting": (Part(k=[1, [2]]), Part(k=[[1], 2])),
    "depth": (Part(k=[[], 1]), Part(k=[[1]])),
    "keys": (Part(k={"a": 1}), Part(k={"b": 1})),
    "kind of key": (Part(k={1: 1}), Part(k={True: 1})),
    "number or text of key": (Part(k={1: 1}), Part(k={"1": 1})),
    "set": (Part(k={"a"}), Part(k={"a", "b"})),
    "shape": (Part(w=leaf(2)), Part(w=leaf(3))),
    "dtype": (Part(w=leaf()), Part(w=tr.Tensor(np.ones(2, np.float32)))),
    "carrier": (Part(w=tr.Tensor(1.0)), Part(w=tr.Value(1.0))),
    "constant": (Part(w=tr.Tensor(1.0)), Part(w=tr.constant(np.array(1.0)))),
    "which constant": (Part(c=C), Part(c=D)),
    "function": (Part(f=double), Part(f=abs)),
    "table": (Part(t=np.ones(2)), Part(t=np.ones(2))),
    "tied": (Part(a=A, b=A), Part(a=A, b=B)),
    "tied to which": (Part(a=A, b=B, c=A), Part(a=A, b=B, c=B)),
    "module shared": (Part(a=INNER, b=TWIN, c=INNER), Part(a=INNER, b=TWIN, c=TWIN)),
    "list shared": (Part(a=(s := []), b=(t := []), c=s), Part(a=s, b=t, c=t)),
    "deep": (Part(k={"a": [Part(k=(1, 2))]}), Part(k={"a": [Part(k=(1, 3))]})),
}


@pytest.mark.parametrize(("first", "second"), MODULES.values(), ids=MODULES)
def test_a_difference_in_a_module_tells(first, second):
    assert key(first) != key(second)
    assert key(first) == key(first)
    assert hash(key(second)) == hash(key(second))


def test_data_does_not_tell():
    one, two = ({"a": Part(w=leaf(), k=[1, {"b": tr.Value(x)}])} for x in (1.0, 2.0))
    assert key(one, 1.0, np.ones(2), tr.Tensor(1.0)) == key(two, 2.0, np.zeros(2), tr.Tensor(2.0))


def test_all_kinds_of_modules_differ_from_each_other():
    everything = [m for pair in MODULES.values() for m in pair]
    different = [(a, b) for a, b in itertools.combinations(everything, 2) if key(a) != key(b)]
    assert len(different) > 0.97 * len(everything) * (len(everything) - 1) / 2


def test_the_data_is_that_of_the_named_parameters_in_their_order():
    module = Part(
        a=[leaf(2), {"x": leaf(3)}], inner=Part(w=A, again=A, v=tr.Value(3.0)), last=leaf(4), constant=C
    )
    module.inner.parent = module
    data = []
    signature((module, 7, np.ones(5)), {"k": None}, data, [])
    parameters = [p._data for p in module.parameters()]
    assert [id(x) for x in data[: len(parameters)]] == [id(x) for x in parameters]
    assert data[len(parameters)] == 7
    assert len(data) == len(parameters) + 3


def test_the_data_of_a_leaf_is_an_array_like_any_other():
    assert key(A.data) == key(np.ones(2)) != key(np.ma.ones(2))


def test_positions_are_told_from_keywords_and_from_each_other():
    keys = [key(), key({}), key([]), key(()), key(1), key(1, 1), key((1, 1)), key(a=1), key({"a": 1})]
    assert len(set(keys)) == len(keys)


def test_a_method_looked_up_twice_is_one():
    module, other = Part(k=1), Part(k=1)
    assert key(module.parameters) == key(module.parameters)
    assert key(module.parameters) != key(other.parameters)
    assert key(module.parameters) != key(module.named_parameters)


def test_what_counts_by_identity_is_kept():
    kept = []
    signature((Part(f=double, c=C, table=np.ones(2), name="n"), np.dtype(float), abs), {}, [], kept)
    assert kept[:2] == [double, C]
    assert kept[-2:] == [np.dtype(float), abs]
    assert len(kept) == 5
