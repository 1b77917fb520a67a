"""``Executor``: who runs a plan's instructions, numpy call by call or the compiled interpreter."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Instruction
from tinygrad_rnn.plan.executors.kernels import Call, bind

EXECUTORS = {"numpy": (), "numba": ("numba", "scipy")}  # and the packages that each needs
Binding = Callable[[np.ndarray], list[Call]]
"""Gives the calls that run a plan on the bytes of one arena."""


def require_executor(name: str) -> None:
    """Raise an error unless there is an executor of this name and what it needs is installed.

    Raises:
        ValueError: there is none.
        ImportError: a package is not installed.
    """
    if name not in EXECUTORS:
        raise ValueError(f"compile: executor must be one of {', '.join(map(repr, EXECUTORS))}, got {name!r}")
    for package in EXECUTORS[name]:
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f'compile: executor={name!r} needs {package}: pip install "tinygrad_rnn[jit]"', name=package
            )


def binding(name: str, instructions: Sequence[Instruction], starts: Sequence[int]) -> Binding:
    """Return what binds ``instructions`` to an arena in which block k begins at byte ``starts[k]``."""
    if name == "numpy":
        return lambda memory: bind(instructions, memory, starts)
    from tinygrad_rnn.plan.executors.jit.jitted import (
        Jitted,  # numba: only whoever asks for it pays for its import
    )

    return Jitted(instructions, starts).bind
