"""The mutants that `mutation.py` tries: each is one small fault in what the code does."""

import pytest

from tests.stress.mutants import Mutant, mutants
from tests.stress.mutation import own_tests, sample

SOURCE = '''"""A text."""

LIMIT = 3


def f(x: int = 2, *, sure: bool = True) -> "float":
    """Another."""
    if x < LIMIT and not sure:
        raise ValueError(f"too small: {x + 1}")
    while x > 0:
        x -= 1
        print(-x)
        break
    return x * 0.5 if x is None else g(x, doc="é" + "a", symbol="b")
'''
EXPECTED = {
    "LIMIT = 4", "x: int = 3", "sure: bool = False", "((x) <= (LIMIT))", "((x < LIMIT) or (not sure))", "(sure)",
    "(not (x < LIMIT and not sure))", "((x) >= (0))", "while x > 1", "(not (x > 0))", "x += 1", "x -= 2", "print((x))",
    "pass", "continue", "((x) / (0.5))", "x * 1.5", "((x) is not (None))", "(not (x is None))", "return None",
}  # fmt: skip


def test_every_kind_of_fault_is_made_and_nothing_that_no_test_could_see() -> None:
    found = [m.applied(SOURCE) for m in mutants("m.py", SOURCE)]
    assert len(found) == len(set(found)) == len(EXPECTED)
    for what in EXPECTED:
        assert [what in text and what not in SOURCE for text in found].count(True) >= 1, what
    assert all('"""A text."""' in text and "too small: {x + 1}" in text for text in found)


def test_what_would_stay_the_same_is_no_mutant() -> None:
    assert mutants("m.py", "def f():\n    return None\n") == []


def test_a_mutant_does_not_fit_another_text() -> None:
    mutant = Mutant("m.py", 3, 8, 9, "x", "y")
    with pytest.raises(ValueError, match=r"m\.py:3: the text has changed"):
        mutant.applied(SOURCE)


def test_the_sample_is_seeded_and_every_module_has_tests_of_its_own() -> None:
    drawn = sample(300, 0)
    assert drawn == sample(300, 0)
    assert len(set(drawn)) == 300
    assert all(own_tests(mutant.path) for mutant in drawn)
