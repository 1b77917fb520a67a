"""What a failing draw shrinks to: one fault among right operations, a property that fails, the program that is left."""

import time
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings

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


def shrunk(faulty: Any, carrier: str, among: Sequence[str]) -> tuple[Program | None, float]:
    """Return the smallest failing program when one operation is faulty, and the CPU seconds that finding it took."""
    failing: list[Program] = []

    @quiet
    @given(programs(carrier=carrier, operations=[*(name for name in among if name != faulty.name), faulty]))
    def property_holds(program: Program) -> None:
        if not gradcheck(program, *program.leaves).ok:
            failing.append(program)
            raise AssertionError("wrong gradient")

    start = time.process_time()
    try:
        property_holds()
    except AssertionError:
        return failing[-1], time.process_time() - start
    return None, time.process_time() - start
