"""Plain arguments: what is taken is returned, and what is refused is named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.core import arguments as check


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (check.whole("n", np.int64(3), 0), 3),
        (check.number("x", np.float32(0.5)), 0.5),
        (check.number("x", float("inf"), finite=False), float("inf")),
        (check.number("x", -1), -1.0),
        (check.truth("b", np.True_), True),
        (check.interval("d", [0, 1.5]), (0.0, 1.5)),
        (check.one_of("k", "a", ("a", "b")), "a"),
        (check.some_of("k", {"a": 1}, ("a", "b")), ("a",)),
        (check.items("i", (1, 2)), [1, 2]),
        (check.extent("s", 3), (3,)),
        (check.extent("s", [2, 0], axes=2), (2, 0)),
        (check.text("t", "a"), "a"),
        (check.path("p", "a"), "a"),
        (check.seeded("r", None).random(), np.random.default_rng(0).random()),
    ],
)
def test_what_fits_is_returned(got: Any, expected: Any) -> None:
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check.whole("f: n", True, 0), TypeError, "f: n must be an integer, got True"),
        (lambda: check.whole("f: n", -1, 0), ValueError, "f: n must be at least 0, got -1"),
        (lambda: check.whole("f: n", 10**30, 0), ValueError, "f: n is larger than any memory"),
        (lambda: check.number("f: x", True), TypeError, "f: x must be a number, got bool"),
        (lambda: check.number("f: x", 10**400, finite=False), ValueError, "f: x is too large for a float"),
        (lambda: check.number("f: x", float("nan"), finite=False), ValueError, "f: x must be a number; it is nan"),
        (lambda: check.number("f: x", float("nan")), ValueError, "f: x must be finite; it is nan"),
        (lambda: check.number("f: x", float("inf"), 0.0), ValueError, "f: x must be finite and at least 0; it is inf"),
        (lambda: check.number("f: x", -float("inf")), ValueError, "f: x must be finite; it is -inf"),
        (lambda: check.number("f: x", -1, 0, finite=False), ValueError, "f: x must be at least 0; it is -1"),
        (lambda: check.truth("f: b", 1), TypeError, "f: b must be True or False, got 1"),
        (lambda: check.interval("f: d", (0, "a")), TypeError, "f: d must be a pair of numbers"),
        (lambda: check.one_of("f: k", ["a"], ("a",)), TypeError, "f: k must be one of 'a', got list"),
        (lambda: check.one_of("f: k", "c", ("a", "b")), ValueError, "f: k must be one of 'a', 'b', got 'c'"),
        (lambda: check.some_of("f: k", np.array("a"), ("a",)), TypeError, "f: k must be a collection, got ndarray"),
        (lambda: check.items("f: i", "ab"), TypeError, "f: i must be a collection, got str"),
        (lambda: check.extent("f: s", (2,), axes=2), ValueError, r"f: s must hold 2 integers, got \(2,\)"),
        (lambda: check.text("f: t", b"a"), TypeError, "f: t must be a str, got bytes"),
        (lambda: check.path("f: p", 3), TypeError, "f: p must be a str or a path, got int"),
        (lambda: check.generator("f: r", None), TypeError, "f: r must be a numpy.random.Generator, got NoneType"),
        (lambda: check.seeded("f: r", 3), TypeError, "f: r must be a numpy.random.Generator, got int"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
