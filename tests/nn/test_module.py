"""The tree of parameters: names, state, copies, functional calls."""

import collections
import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tr


class Net(tr.nn.Module):
    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.embed = tr.nn.Embedding(5, 3, rng=rng)
        self.layers = [tr.nn.LSTMCell(3, 4, rng=rng), {"out": tr.nn.Linear(4, 2, rng=rng)}]
        self.scale = tr.Tensor(2.0, name="scale")
        self.gain = tr.Value(3.0)
        self.frozen = tr.constant(np.ones(2))
        self.note = "not a parameter"

    def __call__(self, tokens):
        h, _ = self.layers[0](self.embed(tokens))
        return self.layers[1]["out"](h) * self.scale


NAMES = [
    "embed.weight",
    "layers.0.weight_ih",
    "layers.0.weight_hh",
    "layers.0.bias_ih",
    "layers.0.bias_hh",
    "layers.1.out.weight",
    "layers.1.out.bias",
    "scale",
    "gain",
]


def test_parameters_are_the_leaves_by_their_paths():
    net = Net()
    assert list(net.named_parameters()) == NAMES
    assert net.parameters() == list(net.named_parameters().values())
    assert net.named_parameters()["layers.1.out.bias"] is net.layers[1]["out"].bias


def test_a_result_kept_as_an_attribute_is_no_parameter():
    net = Net()
    net.last = net([1, 2])
    assert list(net.named_parameters()) == NAMES


def test_a_tied_weight_is_one_parameter():
    class Tied(tr.nn.Module):
        def __init__(self):
            self.first = tr.nn.Linear(3, 3, bias=False)
            self.second = tr.nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def __call__(self, x):
            return self.second(self.first(x))

    tied = Tied()
    assert list(tied.named_parameters()) == ["first.weight"]
    doubled = tr.functional_call(tied, {"first.weight": 2 * np.eye(3)}, np.ones(3))
    assert doubled.tolist() == [4.0, 4.0, 4.0]


def test_a_module_that_refers_to_its_parent_is_walked_once():
    net = Net()
    net.layers[0].parent = net
    assert list(net.named_parameters()) == NAMES
    twin = net.with_parameters(net.state_dict())
    assert twin.layers[0].parent is twin


def test_parameters_in_kinds_of_dicts_lists_and_tuples_are_replaced():
    Two = collections.namedtuple("Two", "a b")

    class Rows(list):
        pass

    class Held(tr.nn.Module):
        def __init__(self):
            leaves = [tr.Tensor(1.0 + k) for k in range(4)]
            self.ordered = collections.OrderedDict(w=leaves[0])
            self.default = collections.defaultdict(list, w=leaves[1])
            self.rows, self.two = Rows([leaves[2]]), Two(leaves[3], "b")

        def __call__(self):
            return self.ordered["w"] + 2 * self.default["w"] + 3 * self.rows[0] + 4 * self.two.a

    held = Held()
    assert tr.functional_call(held, dict.fromkeys(held.named_parameters(), np.array(1.0))).item() == 10.0
    assert list(tr.grad(lambda net: net())(held).values()) == [1.0, 2.0, 3.0, 4.0]
    twin = held.with_parameters(held.state_dict())
    assert [type(x) for x in vars(twin).values()] == [type(x) for x in vars(held).values()]
    assert twin.default["new"] == []


def test_zero_grad_forgets_gradients():
    net = Net()
    net([1, 2]).sum().backward()
    assert net.scale.has_grad
    net.zero_grad()
    assert not any(leaf.has_grad for leaf in net.parameters())


def test_state_dict_is_a_copy_and_loads_back():
    net, other = Net(0), Net(1)
    state = net.state_dict()
    assert list(state) == NAMES
    other.load_state_dict(state)
    assert np.array_equal(other([1, 2]).data, net([1, 2]).data)
    state["scale"][...] = 77.0
    state["embed.weight"][...] = 77.0
    assert other.scale.item() == net.scale.item() == 2.0
    assert np.max(other.embed.weight.data) < 77.0


def test_loading_casts_to_the_modules_dtype():
    narrow = tr.nn.Linear(2, 1, dtype=np.float32)
    narrow.load_state_dict({"weight": np.array([[1, 2]]), "bias": np.array([0.1])})
    assert narrow.weight.dtype == narrow.bias.dtype == np.float32
    assert narrow.bias.data[0] == np.float32(0.1)
    called = tr.functional_call(narrow, {"weight": np.array([[0.1, 2]]), "bias": [0.1]}, np.ones(2))
    assert called.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda s: s.pop("scale"),
            ValueError,
            "load_state_dict: missing 'scale'; the parameters are 'embed.weight', ",
        ),
        (lambda s: s.update(b=1.0), ValueError, "load_state_dict: unknown 'b'; "),
        (lambda s: s.update(scale=np.ones(3)), ValueError, r"'scale' must have shape \(\), got \(3,\)"),
        (lambda s: s.update(scale="2"), TypeError, "'scale' must hold real numbers, got dtype <U1"),
        (lambda s: s.update(scale=1 + 2j), TypeError, "'scale' must hold real numbers, got dtype complex128"),
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(change, error, message):
    net = Net(0)
    before = net.state_dict()
    state = Net(1).state_dict()
    change(state)
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


def test_functional_call_uses_other_parameters_and_leaves_the_module_alone():
    net, other = Net(0), Net(1)
    before = net([1, 2]).data
    got = tr.functional_call(net, other.named_parameters(), [1, 2])
    assert np.array_equal(got.data, other([1, 2]).data)
    assert np.array_equal(net([1, 2]).data, before)
    got.sum().backward()
    assert other.scale.has_grad
    assert not net.scale.has_grad


def test_functional_call_gives_the_gradient_of_every_parameter():
    net = Net()
    parameters = net.state_dict()
    gradient = tr.grad(lambda p: tr.functional_call(net, p, [1, 4]).sum())(parameters)
    net([1, 4]).sum().backward()
    assert list(gradient) == NAMES
    for name, leaf in net.named_parameters().items():
        assert np.array_equal(gradient[name], leaf.grad), name


@pytest.mark.parametrize("change", [lambda p: p.pop("scale"), lambda p: p.update(b=1.0)])
def test_functional_call_names_a_wrong_key(change):
    net = Net()
    parameters = net.state_dict()
    change(parameters)
    with pytest.raises(ValueError, match=r"Net: (missing 'scale'|unknown 'b'); the parameters are"):
        tr.functional_call(net, parameters, [1])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_equal_and_independent(duplicate):
    net = Net()
    net([1, 2]).sum().backward()
    twin = duplicate(net)
    assert list(twin.named_parameters()) == NAMES
    assert np.array_equal(twin([3]).data, net([3]).data)
    assert np.array_equal(twin.scale.grad, net.scale.grad)
    twin.scale.data = 1.0
    assert net.scale.item() == 2.0
    twin.zero_grad()
    assert net.scale.has_grad
    twin([1, 2]).sum().backward()  # gradients flow through the copy, half as large as through the original
    for name in NAMES[:7]:
        mine, its = twin.named_parameters()[name].grad, net.named_parameters()[name].grad
        assert np.array_equal(2 * mine, its), name


class Scaled(tr.nn.Module):
    """A module with settings that are no parameters."""

    def __init__(self, scale, times=1):
        self.scale, self.times = scale, times

    def __call__(self, x):
        return x / self.scale * self.times


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.0,), (-0.0,), -np.inf),
        ((2.0,), (4.0,), 0.25),
        ((1.0, 1), (1.0, 3), 3.0),
        ((1.0, True), (1.0, 2), 2.0),
    ],
)
def test_a_setting_that_changes_is_not_replayed(first, second, expected):
    step = tr.compile(lambda module, x: module(x))
    with np.errstate(divide="ignore"):
        step(Scaled(*first), 1.0)
        assert step(Scaled(*second), 1.0) == expected
