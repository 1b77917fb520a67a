"""micrograd's two test programs with Value in its place: the same numbers, the same public attributes, the same use.

The functions are those of micrograd's own tests (Karpathy 2020), restated. The first one's derivative is worked out
below by hand; the second one's numbers are frozen from micrograd, and both run against it where it is installed.
"""

from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_rnn as tr


def sanity(value: Callable[[float], Any]) -> tuple[Any, ...]:
    """A scalar that is used several times, through relu and products."""
    x = value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    return x, y


def more_operations(value: Callable[[float], Any]) -> tuple[Any, ...]:
    """In-place names, powers, divisions, numbers on both sides."""
    a, b = value(-4.0), value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    return a, b, g


def test_the_first_program() -> None:
    x, y = sanity(tr.Value)
    # z = 3x + 2 = -10; y = z^2 + zx + zx^2 (relu(z) = 0); dy/dx = 6z + (3x + z) + (3x^2 + 2xz)
    assert y.data == 100 + 40 - 160
    assert x.grad == 6 * -10 + (-12 - 10) + (48 + 80)


def test_the_second_program() -> None:
    a, b, g = more_operations(tr.Value)
    assert g.data == pytest.approx(24.70408163265306, rel=1e-15)
    assert a.grad == pytest.approx(138.83381924198252, rel=1e-15)
    assert b.grad == pytest.approx(645.5772594752186, rel=1e-15)


def test_micrograd_itself_gives_these_numbers() -> None:
    engine = pytest.importorskip("micrograd.engine")
    for program in (sanity, more_operations):
        ours, theirs = program(tr.Value), program(engine.Value)
        assert [v.data for v in ours] == pytest.approx([v.data for v in theirs], rel=1e-14)
        assert [v.grad for v in ours[:-1]] == pytest.approx([v.grad for v in theirs[:-1]], rel=1e-13)


def test_every_public_attribute_of_micrograds_value_is_ours() -> None:
    engine = pytest.importorskip("micrograd.engine")
    theirs = engine.Value(1.0)
    public = {name for name in dir(theirs) if not name.startswith("_")}
    operators = {name for name in vars(engine.Value) if name.startswith("__")} - {
        "__dict__", "__weakref__", "__module__", "__doc__", "__init__", "__static_attributes__", "__firstlineno__"
    }  # fmt: skip
    assert {"data", "grad", "backward", "relu"} <= public
    assert {"__add__", "__rtruediv__", "__pow__", "__repr__"} <= operators
    assert [name for name in sorted(public | operators) if not hasattr(tr.Value(1.0), name)] == []


def test_it_is_used_as_micrograds_value_is() -> None:
    """grad reads as a number before backward and after a reset; data is assigned; a training loop runs."""
    ws = [tr.Value(0.5), tr.Value(-0.5)]
    assert [w.grad for w in ws] == [0, 0]
    for _ in range(200):
        loss = sum(
            (sum((wi * xi for wi, xi in zip(ws, xs, strict=True)), 0.0) - y) ** 2
            for xs, y in [((1, 2), 3), ((2, 1), 0)]
        )
        for w in ws:
            w.grad = 0
        loss.backward()
        for w in ws:
            w.data += -0.05 * w.grad
    assert [w.data for w in ws] == pytest.approx([-1.0, 2.0], abs=1e-6)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda x: x**0, (1.0, 0.0)),
        (lambda x: x**2, (0.0, 0.0)),
        (lambda x: 0 * x, (0.0, 0.0)),
        (lambda x: x.relu(), (0.0, 0.0)),
    ],
)
def test_at_zero_where_micrograd_divides_by_zero(
    program: Callable[[Any], Any], expected: tuple[float, float]
) -> None:
    x = tr.Value(0.0)
    y = program(x)
    y.backward()
    assert (y.data, x.grad) == expected


def test_a_root_of_a_negative_number_is_nan_and_not_complex() -> None:
    y = tr.Value(-8.0) ** (1 / 3)
    assert y.data != y.data
    assert type(y.data) is float
