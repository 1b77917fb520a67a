"""Train steps over scalars: the same program on micrograd's Value, on ours, and planned once and replayed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import tinygrad_rnn as tr
from tests.benchmarks.contestants import by_numba
from tests.benchmarks.race import Step
from tests.benchmarks.scalar_programs import Leaves, dag_recipe, random_dag, scalar_rnn

Make = Callable[[float], Any]
Program = Callable[[Make], tuple[Any, Leaves]]
RECIPE = dag_recipe()


@dataclass(frozen=True, slots=True)
class ScalarStep:
    """A program over scalars.

    Attributes:
        name: what it is.
        program: given the maker of leaves; returns the loss, and the leaves.
        dotted: the same with inner products and the sum of the losses as single nodes, which only ours has; None
            where there are none.
    """

    name: str
    program: Program
    dotted: Program | None = None
    dtype: str = "float64"


def recorded(program: Program, make: Make) -> tuple[Any, Leaves]:
    """Return the loss, and the leaves in the order in which they were made."""
    leaves = []

    def kept(number: float) -> Any:
        leaves.append(make(number))
        return leaves[-1]

    return program(kept)[0], leaves


def backward(program: Program, make: Make) -> tuple[float, list[float]]:
    """Return the loss and the gradients of the leaves."""
    loss, leaves = recorded(program, make)
    loss.backward()
    return loss.data, [leaf.grad for leaf in leaves]


def micrograd(workload: ScalarStep) -> Step:
    """micrograd, whose sort recurses as deep as the graph is."""
    from micrograd.engine import Value

    sys.setrecursionlimit(1_000_000)
    return partial(backward, workload.program, Value)


def eager(workload: ScalarStep) -> Step:
    """tinygrad_rnn, each node made anew."""
    return partial(backward, workload.program, tr.Value)


def eager_dot(workload: ScalarStep) -> Step:
    """The same with ``ops.dot`` and ``add_n``."""
    return partial(backward, dotted(workload), tr.Value)


def compiled(workload: ScalarStep) -> Step:
    """tinygrad_rnn, planned once and replayed on the leaves' numbers, which are its arguments."""
    return replayed(workload.program)


def compiled_dot(workload: ScalarStep) -> Step:
    """The same with ``ops.dot`` and ``add_n``."""
    return replayed(dotted(workload))


def compiled_by_numba(workload: ScalarStep) -> Step:
    """The program itself, replayed by numba."""
    return replayed(workload.program, by_numba())


def compiled_dot_by_numba(workload: ScalarStep) -> Step:
    """The program with ``ops.dot`` and ``add_n``, replayed by numba."""
    return replayed(dotted(workload), by_numba())


def replayed(program: Program, compile: Callable[[Any], Any] = tr.compile) -> Step:
    """Return the planned train step of a program."""
    numbers = [leaf.data for leaf in recorded(program, tr.Value)[1]]

    def loss(numbers: list[Any]) -> Any:
        given = iter(numbers)
        return program(lambda _: next(given))[0]

    step = compile(tr.value_and_grad(loss))
    return lambda: step(numbers)


def dotted(workload: ScalarStep) -> Program:
    """Return the program with inner products as nodes; ImportError where it has none, so that it stays away."""
    if workload.dotted is None:
        raise ImportError(f"{workload.name} has no inner products")
    return workload.dotted


def scalar_rnn_step(steps: int) -> ScalarStep:
    """Return the RNN with H=8, I=4 and two outputs."""
    program = partial(scalar_rnn, outputs=2, steps=steps)
    nodes = {"inner": tr.ops.dot, "total": lambda losses: tr.add_n(*losses)}
    return ScalarStep(f"scalar-rnn-T{steps}", program, partial(program, **nodes))


SCALAR_STEPS = [
    scalar_rnn_step(50),
    scalar_rnn_step(200),
    ScalarStep("scalar-dag-100000", partial(random_dag, recipe=RECIPE)),
]
SCALAR_CONTESTANTS: dict[str, Callable[[ScalarStep], Step]] = {
    "micrograd": micrograd,
    "eager": eager,
    "eager-dot": eager_dot,
    "compile": compiled,
    "compile-dot": compiled_dot,
    "compile-numba": compiled_by_numba,
    "compile-dot-numba": compiled_dot_by_numba,
}
