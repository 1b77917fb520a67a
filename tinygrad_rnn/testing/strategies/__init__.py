"""What to try it on: Hypothesis strategies for numbers, arrays, whole programs, recurrent cells and their batches.

Every strategy shrinks to something that can be read: a program to its fewest operations on the plainest numbers,
printed as the code that makes it. Hypothesis itself is needed: ``pip install "tinygrad_rnn[testing]"``.

Example:
    >>> from hypothesis import given, settings
    >>> import tinygrad_rnn as tr
    >>> from tinygrad_rnn.testing import strategies as some
    >>> @settings(max_examples=10, derandomize=True, database=None)
    ... @given(some.programs())
    ... def test_my_engine(program):
    ...     tr.testing.assert_gradients(program, *program.leaves)
    >>> test_my_engine()
"""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ImportError('tinygrad_rnn.testing.strategies needs Hypothesis: pip install "tinygrad_rnn[testing]"')

from tinygrad_rnn.testing.strategies.arrays import (
    arrays,
    broadcastable_tensors,
    index_keys,
    laid_out,
    memory_layouts,
    numbers,
)
from tinygrad_rnn.testing.strategies.networks import (
    RaggedBatch,
    cells,
    hyper_parameters,
    make_cell,
    ragged_batches,
    sequences,
    truncations,
)
from tinygrad_rnn.testing.strategies.program import Program, Step
from tinygrad_rnn.testing.strategies.programs import programs

__all__ = [
    "Program",
    "RaggedBatch",
    "Step",
    "arrays",
    "broadcastable_tensors",
    "cells",
    "hyper_parameters",
    "index_keys",
    "laid_out",
    "make_cell",
    "memory_layouts",
    "numbers",
    "programs",
    "ragged_batches",
    "sequences",
    "truncations",
]
