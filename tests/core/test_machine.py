"""The whole engine driven at random beside the naive oracle.

Build, fan out, differentiate, mutate, cut, copy, unroll, truncate, compile and replay, in any order and over the same
leaves: what one of them leaves behind, the next one meets.
"""

import copy
import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

import tinygrad_rnn as tr
from tests.oracles import naive
from tinygrad_rnn import ops

LARGE = 100.0  # results are kept below it, so that the oracle's formulas neither overflow nor lose all digits
# ties, kinks and zeros belong to the game; so do a few numbers that mean nothing
numbers = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, -0.25]) | st.floats(-3, 3, width=32)


@dataclass(eq=False)
class Pair:
    """One node on either side."""

    node: object
    oracle: naive.Number


class EngineBesideOracle(RuleBasedStateMachine):
    """Carrier-independent rules; a subclass says how a leaf is made."""

    carrier: type

    pairs = Bundle("pairs")
    leaves = Bundle("leaves")

    def __init__(self):
        super().__init__()
        self.all = []

    def keep(self, node, oracle):
        pair = Pair(node, oracle)
        self.all.append(pair)
        return pair

    @initialize(target=leaves, value=numbers)
    def first_leaf(self, value):
        pair = self.closed_over = self.keep(self.carrier(value), naive.leaf(value))
        self.replay = tr.compile(tr.value_and_grad(self.compiled_function(pair.node), argnums=(0, 1)))
        return pair

    def number(self, x):
        """A number as an argument of a transformation over this carrier."""
        return x if self.carrier is tr.Value else np.asarray(x)

    @staticmethod
    def compiled_function(w):
        return lambda x, y: ops.tanh(x * y) + w * x * x

    @rule(target=leaves, value=numbers)
    def new_leaf(self, value):
        return self.keep(self.carrier(value), naive.leaf(value))

    @rule(target=pairs, a=leaves)
    def use_leaf(self, a):
        return a

    @rule(target=pairs, name=st.sampled_from(sorted(naive.UNARY)), a=pairs)
    def apply_one(self, name, a):
        if abs(a.oracle.value) > LARGE:
            name = "sin"
        return self.keep(getattr(ops, name)(a.node), naive.UNARY[name](a.oracle))

    @rule(target=pairs, name=st.sampled_from(sorted(naive.BINARY)), a=pairs | leaves, b=pairs | leaves)
    def combine(self, name, a, b):
        if name == "divide" and abs(b.oracle.value) < 0.1:
            name = "multiply"
        if name == "multiply" and abs(a.oracle.value * b.oracle.value) > LARGE:
            name = "subtract"
        return self.keep(getattr(ops, name)(a.node, b.node), naive.BINARY[name](a.oracle, b.oracle))

    @rule(target=pairs, name=st.sampled_from(["add", "multiply"]), a=pairs | leaves)
    def with_itself(self, name, a):
        if abs(a.oracle.value) > LARGE**0.5:
            name = "subtract"
        return self.keep(getattr(ops, name)(a.node, a.node), naive.BINARY[name](a.oracle, a.oracle))

    @rule(target=pairs, a=pairs | leaves, number=numbers)
    def with_a_number(self, a, number):
        return self.keep(
            number * a.node + 1,
            naive.add(naive.multiply(naive.constant(number), a.oracle), naive.constant(1)),
        )

    @rule(target=pairs, terms=st.lists(pairs | leaves, min_size=1, max_size=5))
    def sum_many(self, terms):
        return self.sum_many_terms(terms)

    def sum_many_terms(self, terms):
        return self.keep(tr.add_n(*[t.node for t in terms]), naive.total(*[t.oracle for t in terms]))

    @rule(target=pairs, xs=st.lists(pairs | leaves, min_size=1, max_size=3), data=st.data())
    def weighted_sum(self, xs, data):
        ws = data.draw(st.permutations(xs))
        if any(abs(x.oracle.value) > LARGE**0.5 for x in xs):
            return self.sum_many_terms(xs)
        node = ops.sum_of_products(*[x.node for x in xs], *[w.node for w in ws])
        return self.keep(node, naive.inner([x.oracle for x in xs], [w.oracle for w in ws]))

    @rule(target=pairs, a=pairs | leaves)
    def detach(self, a):
        return self.keep(tr.detach(a.node), naive.constant(a.oracle.value))

    @rule(target=pairs, a=pairs | leaves, b=pairs | leaves)
    def combine_without_recording(self, a, b):
        with tr.no_grad():
            node = ops.tanh(a.node - b.node)
        return self.keep(node, naive.constant(math.tanh(a.oracle.value - b.oracle.value)))

    @rule(target=leaves, a=leaves, way=st.sampled_from([copy.copy, copy.deepcopy, "pickle"]))
    def copy_leaf(self, a, way):
        """A copy has the data and the gradient, and a life of its own; what was made from the leaf does not follow."""
        node = pickle.loads(pickle.dumps(a.node)) if way == "pickle" else way(a.node)
        oracle = naive.leaf(a.oracle.value)
        oracle.grad = a.oracle.grad
        return self.keep(node, oracle)

    @rule(a=pairs)
    def copy_result(self, a):
        if a.node.kind == "op":
            with pytest.raises(TypeError, match="copying or pickling it would lose its graph"):
                copy.deepcopy(a.node)
        elif a.node.kind == "constant":
            assert (copy.deepcopy(a.node).kind, float(copy.deepcopy(a.node))) == ("constant", float(a.node))

    @rule(
        target=pairs, w=pairs | leaves, start=pairs | leaves, xs=st.lists(numbers, max_size=6),
        truncate=st.none() | st.integers(1, 7), lose=st.booleans(),
    )  # fmt: skip
    def unroll(self, w, start, xs, truncate, lose):
        """h_t = tanh(w h_{t-1} + x_t), cut every ``truncate`` steps; ``lose`` hands the start over without its past."""
        if abs(w.oracle.value) > LARGE**0.5:
            w = start
        h, oracle = start.node, start.oracle
        if lose:
            h, oracle = tr.detach(h), naive.constant(oracle.value)
        net = tr.unroll(lambda x, h: ops.tanh(w.node * h + x), xs, state=h, truncate=truncate)
        for t, x in enumerate(xs):
            if truncate and t and t % truncate == 0:
                oracle = naive.constant(oracle.value)
            inner = naive.add(naive.multiply(w.oracle, oracle), naive.constant(x))
            oracle = naive.tanh(inner)
            close(float(net.states[t]), oracle.value)
        return self.keep(net.final_state, oracle)

    @rule(x=numbers, y=numbers)
    def replay_compiled(self, x, y):
        """A plan traced once reads the leaf that it closes over afresh, and touches nobody's gradient."""
        value, slopes = self.replay(self.number(x), self.number(y))
        a, b, w = naive.leaf(x), naive.leaf(y), naive.constant(self.closed_over.oracle.value)
        result = naive.add(naive.tanh(naive.multiply(a, b)), naive.multiply(w, naive.multiply(a, a)))
        close(float(value), result.value)
        for got, leaf in zip(slopes, (a, b), strict=True):
            close(float(got), naive.derivative(result, leaf, {}), abs(self.closed_over.oracle.value))

    @rule(a=pairs | leaves, seed=st.sampled_from([1.0, 0.5]))
    def differentiate_without_recording(self, a, seed):
        """A recorded graph is differentiated inside no_grad, too: nothing is recorded, and gradients are the same."""
        with tr.no_grad():
            self.differentiate(a, seed)

    @rule(x=leaves, data=st.data())
    def transform(self, x, data):
        """``tr.grad`` of a recorded value is one number and leaves every ``.grad`` as it is."""
        other = data.draw(numbers)
        got = tr.grad(lambda v: ops.tanh(v * x.node) * v)(self.number(other))
        v = naive.leaf(other)
        result = naive.multiply(naive.tanh(naive.multiply(v, naive.constant(x.oracle.value))), v)
        close(float(got), naive.derivative(result, v, {}), abs(x.oracle.value))

    @rule(a=leaves, value=numbers)
    def assign(self, a, value):
        a.node.data = value
        naive.assign(a.oracle, value)

    @rule(a=leaves, value=numbers)
    def assign_in_place(self, a, value):
        a.node.data -= value
        naive.assign(a.oracle, float(a.node.data))

    @rule(target=pairs, a=leaves, value=numbers, data=st.data())
    def assign_between_two_uses(self, a, value, data):
        users = [pair for pair in self.all if any(argument is a.oracle for argument, _ in pair.oracle.edges)]
        if not users:
            return self.keep(a.node + a.node, naive.add(a.oracle, a.oracle))
        user = data.draw(st.sampled_from(users))
        self.assign(a, value)
        pair = self.keep(user.node + a.node, naive.add(user.oracle, a.oracle))
        self.differentiate(pair, 1.0)
        return pair

    @rule(a=pairs | leaves, seed=st.sampled_from([1.0, -2.0, 0.0]))
    def differentiate(self, a, seed):
        if not naive.depends_on_a_leaf(a.oracle):
            with pytest.raises(ValueError, match="no differentiable leaf"):
                a.node.backward(seed)
        elif any(x.stale and naive.depends_on_a_leaf(x) for x in naive.below(a.oracle)):
            before = [(pair.node.has_grad, float(pair.node.grad)) for pair in self.all]
            with pytest.raises(tr.GraphMutationError, match="assigned new data"):
                a.node.backward(seed)
            assert before == [(pair.node.has_grad, float(pair.node.grad)) for pair in self.all]
        else:
            a.node.backward(seed)
            naive.backward(a.oracle, seed)

    @rule(a=leaves, how=st.sampled_from([None, 0]))
    def reset(self, a, how):
        a.node.grad = how
        a.oracle.grad = None

    @rule(a=pairs)
    def graph_is_ordered(self, a):
        graph = tr.Graph.of(a.node)
        assert len(graph) == len(set(graph.nodes))
        for i, parents in enumerate(graph.parent_indices):
            if not any(naive_stale(pair, graph[i]) for pair in self.all):
                assert all(p < i for p in parents)
            assert tuple(graph[p] for p in parents) == graph[i].parents

    @precondition(lambda self: self.all)
    @invariant()
    def values_agree(self):
        for pair in self.all[-3:]:
            close(float(pair.node), pair.oracle.value)

    @invariant()
    def gradients_agree(self):
        scale = max(
            (abs(pair.oracle.grad or 0.0) for pair in self.all), default=0.0
        )  # of what may have canceled
        for pair in self.all:
            if pair.oracle.grad is None:
                assert not pair.node.has_grad
            else:
                close(float(pair.node.grad), pair.oracle.grad, scale)


def naive_stale(pair, node):
    return pair.node is node and pair.oracle.stale


def close(got, expected, scale=0.0):
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, scale))


class Values(EngineBesideOracle):
    carrier = tr.Value


class Tensors(EngineBesideOracle):
    carrier = tr.Tensor


quiet = settings(
    max_examples=4 * settings.default.max_examples,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestValues = Values.TestCase
TestValues.settings = quiet
TestTensors = Tensors.TestCase
TestTensors.settings = quiet
