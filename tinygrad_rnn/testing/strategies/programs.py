"""``programs``: random graphs, drawn as lists of instructions, which shrink to the operations that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import assume, currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.testing.strategies.arrays import DOMAIN, numbers
from tinygrad_rnn.testing.strategies.program import Program, Step
from tinygrad_rnn.testing.strategies.steps import RECIPES, Recipe, recipe_of

# Results are kept between these, or are 0, so that neither overflow nor rounding nor underflow hides a wrong rule.
LARGEST, SMALLEST = 100.0, 1e-60
MOST_ENTRIES = 64
DIGIT = (
    8  # how far back the second and third argument reach, and how many parameters there are to choose from
)
SIDE = st.sampled_from((1, 2, 3, 2))
MOST_NUMBERS = 9  # for one array: all of three by three
BACK = st.sampled_from((*[0] * 9, 1, 2, 3, 5))  # mostly the value just made: else most of it would be dead
REST = st.integers(0, DIGIT**3 - 1)
Shape = Callable[[int, int], tuple[int, ...]]
SHAPES: tuple[Shape, ...] = (
    lambda a, b: (),
    lambda a, b: (b,),
    lambda a, b: (a, b),
    lambda a, b: (b, b),  # broadcasts against some of the others only; a product of matrices fits always
    lambda a, b: (a, 1),
    lambda a, b: (1, b),
    lambda a, b: (b, b),
)
Instruction = tuple[Recipe, int, int]  # the third: places of the other arguments and the choice of parameters


def programs(
    *,
    carrier: str = "Value",
    operations: Iterable[Any] | None = None,
    max_operations: int = 12,
    max_leaves: int = 3,
    domain: tuple[float, float] = DOMAIN,
    kinks: bool = True,
) -> SearchStrategy[Program]:
    """Return programs: functions of some leaves with fan-out, diamonds, ``x op x`` and leaves used again.

    Each instruction takes its arguments from all values before it, most often from the last. Arguments lie in the
    domain of their operation, results within 100 and, unless 0, beyond 1e-60. What does not fit is left out, and so is
    what the last value does not depend on. When a test fails, the program is shrunk and printed as code.

    Args:
        carrier: "Value" for programs over floats, "Tensor" for programs over arrays of up to 64 entries.
        operations: names of functions of ``tr.ops``, and Ops of your own; None takes all that fit. An Op of your own
            may have partials, or the name of one of ours, whose arguments it then takes.
        max_operations: the longest program.
        max_leaves: the most leaves.
        domain: where the entries of the leaves lie.
        kinks: False keeps the arguments of ``abs``, ``relu``, ``maximum`` and others away from where they have no
            derivative.

    Example:
        >>> from hypothesis import find
        >>> print(find(programs(operations=["add", "tanh"]), lambda p: "tanh" in p.operations))
        import tinygrad_rnn as tr
        <BLANKLINE>
        x0 = tr.Value(0.0)
        x1 = tr.ops.tanh(x0)
        x1.backward()
    """
    check.one_of("programs: carrier", carrier, RECIPES)
    most = check.whole("programs: max_operations", max_operations, 1)
    count = check.whole("programs: max_leaves", max_leaves, 1)
    check.interval("programs: domain", domain)
    check.truth("programs: kinks", kinks)
    given = RECIPES[carrier] if operations is None else operations
    recipes = [recipe_of(op, carrier) for op in check.items("programs: operations", given)]
    if not recipes:
        raise ValueError("programs: operations must not be empty")
    return _programs(_leaves(carrier, count, domain, kinks), recipes, most, not kinks)


def _leaves(carrier: str, count: int, domain: tuple[float, float], kinks: bool) -> SearchStrategy[list[Any]]:
    if carrier == "Value":
        return st.lists(numbers(domain=domain, kinks=kinks), min_size=1, max_size=count)
    entries = st.lists(numbers(domain=domain, kinks=kinks), min_size=1, max_size=MOST_NUMBERS)
    return _arrays(st.lists(_leaf(st.sampled_from(SHAPES), entries), min_size=1, max_size=count))


# Drawn one by one, here and below: st.tuples() and st.builds() would have Hypothesis try hundreds of examples, after
# a failure, to tell which of their members matter; nobody would see it, for a program prints itself.
@st.composite
def _leaf(draw: DrawFn, shapes: SearchStrategy[Shape], entries: SearchStrategy[list[float]]) -> Any:
    return draw(shapes), draw(entries)


@st.composite
def _arrays(draw: DrawFn, leaves: SearchStrategy[list[Any]]) -> list[np.ndarray]:
    """Arrays most of which broadcast; what has more entries than numbers were drawn repeats those."""
    sides = draw(SIDE), draw(SIDE)
    return [np.resize(entries, shape(*sides)) for shape, entries in draw(leaves)]


@st.composite
def _instruction(draw: DrawFn, recipes: SearchStrategy[Recipe]) -> Instruction:
    # At most four choices with that of the list: Hypothesis deletes runs of up to five, more would never be taken out.
    return draw(recipes), draw(BACK), draw(REST)


@st.composite
def _programs(
    draw: DrawFn, leaves: SearchStrategy[list[Any]], recipes: Sequence[Recipe], most: int, smooth: bool
) -> Program:
    instruction = _instruction(st.sampled_from(recipes))
    start = draw(leaves)
    # Where nothing that was drawn fits, the first operation that does.
    drawn = draw(st.lists(instruction, min_size=1, max_size=most))
    steps = _accepted(start, drawn, smooth) or _accepted(start, [(r, 0, 0) for r in recipes], smooth)[:1]
    assume(steps)
    program = _pruned(start, steps)
    if currently_in_test_context():
        note(f"# reproduces it\n{program}")
    return program


def _accepted(start: Sequence[Any], drawn: Iterable[Instruction], smooth: bool) -> list[Step]:
    """Return the instructions for which there are arguments that fit."""
    values = [np.asarray(x) for x in start]
    steps = []
    for recipe, first, rest in drawn:
        back = (first, rest % DIGIT, rest // DIGIT % DIGIT)
        choice = rest // DIGIT**2
        for places in _candidates(len(values), back[: recipe.arity]):
            step = _step(recipe, values, places, choice, smooth)
            if step is not None:
                steps.append(step[0])
                values.append(step[1])
                break
    return steps


def _candidates(count: int, back: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield places of arguments: those that were drawn, counted back from the last value, then others."""
    last = count - 1
    drawn = tuple(last - b % count for b in back)
    yield drawn
    for other in range(1, min(count, 6)):
        yield (*drawn[:-1], (drawn[-1] - other) % count)
    for other in range(1, min(count, 6) if len(back) > 1 else 0):
        yield ((drawn[0] - other) % count, *drawn[1:])


def _step(
    recipe: Recipe, values: Sequence[np.ndarray], places: tuple[int, ...], choice: int, smooth: bool
) -> tuple[Step, np.ndarray] | None:
    """Return the instruction and its result, None where the arguments do not fit or the result is no plain number."""
    args = tuple(values[place] for place in places)
    parameters = recipe.choose(choice, args)
    if parameters is None or not recipe.fits(args, smooth=smooth):
        return None
    step = Step(recipe.operation, places, parameters)
    with np.errstate(all="ignore"):
        result = np.asarray(step(values))
    size = np.abs(result)
    plain = np.all((size <= LARGEST) & ((size >= SMALLEST) | (size == 0.0)))
    return (step, result) if plain and result.size <= MOST_ENTRIES and result.dtype.kind == "f" else None


def _pruned(start: Sequence[Any], steps: Sequence[Step]) -> Program:
    """Return the program without what its last value does not depend on."""
    count = len(start)
    needed = {count + len(steps) - 1}
    for place in range(count + len(steps) - 1, count - 1, -1):
        if place in needed:
            needed |= set(steps[place - count].arguments)
    new = {old: place for place, old in enumerate(sorted(needed))}
    kept = [steps[old - count] for old in sorted(needed) if old >= count]
    return Program(
        tuple(x for i, x in enumerate(start) if i in needed),
        tuple(Step(s.operation, tuple(new[a] for a in s.arguments), s.parameters) for s in kept),
    )
