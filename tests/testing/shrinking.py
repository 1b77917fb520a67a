"""What a failing draw shrinks to: one fault among right operations, a property that fails, the program that is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

from tinygrad_rnn import ops
from tinygrad_rnn.testing import gradcheck
from tinygrad_rnn.testing.strategies import Program, programs

SCALAR = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "abs",
    "exp",
    "log",
    "sin",
    "tanh",
    "sigmoid",
    "relu",
)
SHAPED = (*SCALAR, "matmul", "sum", "mean", "softmax", "transpose", "getitem", "concatenate", "cumsum")
quiet = settings(
    max_examples=500, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left of a failing draw.

    Attributes:
        program: the smallest failing one, None if none failed.
        seconds: of CPU, from the first example to the last.
        examples: how many were tried after the first one that failed.
    """

    program: Program | None
    seconds: float
    examples: int


def shrunk(faulty: Any, carrier: str, among: Sequence[str]) -> Shrunk:
    """Return what is left of the first failing draw when one operation among others is faulty."""
    failing: list[Program] = []
    after = 0

    @quiet
    @given(programs(carrier=carrier, operations=[*(name for name in among if name != faulty.name), faulty]))
    def property_holds(program: Program) -> None:
        nonlocal after
        after += bool(failing)
        if not gradcheck(program, *program.leaves).ok:
            failing.append(program)
            raise AssertionError("wrong gradient")

    start = time.process_time()
    try:
        property_holds()
    except AssertionError:
        return Shrunk(failing[-1], time.process_time() - start, after)
    return Shrunk(None, time.process_time() - start, 0)


def reproduces(program: Program, faulty: Any) -> bool:
    """Return whether the code that a program prints gives other gradients with the faulty operation than with ours."""
    found = []
    for operation in (faulty, getattr(ops, faulty.name)):
        names: dict[str, Any] = {faulty.name: operation}
        exec(str(program), names)
        found.append([np.asarray(names[f"x{i}"].grad) for i in range(len(program.leaves))])
    return any(not np.array_equal(wrong, right) for wrong, right in zip(*found, strict=True))
