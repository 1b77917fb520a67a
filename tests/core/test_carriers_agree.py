"""Value and Tensor: one rule, two carriers, the same numbers to 4 units in the last place, special values exactly."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES
from tinygrad_rnn import ops

INF, NAN = math.inf, math.nan
TINY, HUGE = 5e-324, 1.7976931348623157e308
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, TINY, -TINY, 1e-300, 1e-8, 20.0, -20.0, 40.0, -40.0, 709.0, 710.0,
           -745.0, 1e4, -1e4, HUGE, -HUGE, INF, -INF, NAN]  # fmt: skip
CALLS = {
    op.name: (op, len(op.partials)) for op in SAMPLES if op.elementwise and isinstance(op.partials, tuple)
} | {
    "add_n": (ops.add_n, 3),
    "dot": (lambda a, b, c, d: ops.dot([a, b], [c, d]), 4),
    "leaky_relu(0.3)": (lambda x: ops.leaky_relu(x, 0.3), 1),
    "clip(-1, 1)": (lambda x: ops.clip(x, -1.0, 1.0), 1),
    "power(x, 3)": (lambda x: x**3, 1),
    "power(2, x)": (lambda x: 2**x, 1),
    "x - 1": (lambda x: x - 1, 1),
    "1 - x": (lambda x: 1 - x, 1),
    "1 / x": (lambda x: 1 / x, 1),
    "x / 3": (lambda x: x / 3, 1),
}
CALLS["where"] = (lambda c, a, b: ops.where(c.data > 0, a, b), 3)
COMPARISONS = [op for op in NOT_DIFFERENTIABLE if op is not ops.detach]
ULPS = 4


def same(a, b, slack=0.0, signed_zero=True):
    """Equal to ``ULPS`` units in the last place (plus ``slack``); nan, infinities and the sign of zero exactly."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    if a == b:
        return a != 0 or not signed_zero or math.copysign(1, a) == math.copysign(1, b)
    return abs(a - b) <= ULPS * max(math.ulp(a), math.ulp(b)) + slack


def both(call, numbers):
    """(value, gradients) with Values and with Tensors of no axes."""
    found = []
    for carrier in (tr.Value, tr.Tensor):
        leaves = [carrier(x) for x in numbers]
        out = call(*leaves)
        out.backward()
        found.append((float(out), [float(leaf.grad) for leaf in leaves]))
    return found


def check(name, numbers):
    with np.errstate(all="ignore"):
        (value, gradients), (other, others) = both(CALLS[name][0], numbers)
    assert same(value, other, signed_zero=name != "weigh"), (
        f"value at {numbers}: Value {value!r}, Tensor {other!r}"
    )
    for i, (a, b) in enumerate(zip(gradients, others, strict=True)):
        assert same(a, b, BOUNDED.get(name, 0.0), signed_zero=False), (
            f"gradient {i} at {numbers}: Value {a!r}, Tensor {b!r}"
        )


# 1 - y² and its like lose what y lost: their error is absolute, relative to the largest derivative (1)
BOUNDED = {"tanh": 4 * 2.2e-16}


@pytest.mark.parametrize("name", CALLS)
def test_special_values(name):
    arity = CALLS[name][1]
    grid = SPECIAL if arity < 3 else [0.0, -0.0, 1.0, -2.5, 1e300, INF, -INF, NAN]
    if arity == 4:
        grid = [0.0, -0.0, 1.5, INF, NAN]
    for numbers in itertools.product(grid, repeat=arity):
        if name == "power" and numbers[1] == 0.5 and numbers[0] in (0.0, -INF):
            continue  # numpy takes the square root, which is -0 at -0 and nan at -inf, where a power is 0 and inf
        check(name, numbers)


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_any_numbers(name, data):
    arity = CALLS[name][1]
    numbers = data.draw(st.lists(st.floats(), min_size=arity, max_size=arity))
    if name in ("sin", "cos", "tan") and abs(numbers[0]) > 1e300:
        return  # math and numpy reduce such angles alike, but not to the last unit on every platform
    check(name, numbers)


@pytest.mark.parametrize("op", COMPARISONS, ids=lambda op: op.name)
def test_comparisons(op):
    numbers = (
        [True, False] if op in (ops.logical_and, ops.logical_or) else [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN]
    )
    for a, b in itertools.product(numbers, repeat=2):
        if isinstance(a, bool):
            left = op(ops.greater(tr.Value(float(a)), 0.5), ops.greater(tr.Value(float(b)), 0.5))
        else:
            left = op(tr.Value(a), tr.Value(b))
        expected = bool(getattr(np, op.name)(a, b))  # nan: false, but for !=
        assert bool(left) is expected
        right = op(tr.constant(np.array(a)), tr.constant(np.array(b)))
        assert bool(right) is expected
        assert right.dtype == bool
        assert left.kind == right.kind == "op"


@pytest.mark.parametrize("op", [op for op in SAMPLES if op.elementwise and isinstance(op.partials, tuple)])
def test_an_operation_beside_no_node_returns_a_plain_number(op):
    args = [0.5 + 0.25 * i for i in range(len(op.partials))]
    if op is ops.where:
        args[0] = True
    plain = op(*args)
    assert type(plain) is float
    assert same(plain, float(op(*[a if a is True else tr.Value(a) for a in args])))
