"""``turned``: a matrix that many products read transposed is transposed once.

BLAS multiplies few rows with a matrix up to seven times faster if that is not transposed: it packs nothing then. A
single row gains little (gemv reads the matrix in either order), and turning a matrix costs more than reading it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Instruction, Place
from tinygrad_rnn.plan.codegen.windows import contiguous_strides

OFTEN = 4  # products of several rows; a copy costs about as much as one of them
ROWS = {8: 50, 4: 15}  # products of a single row that gain as much as one of several, by bytes of an entry
FEW = 64  # rows; larger products pack anyway


def turned(
    instructions: Sequence[Instruction], ends: Sequence[int], block: Callable[[np.dtype[Any], int], int]
) -> tuple[list[Instruction], list[int]]:
    """Return the instructions with those copies, and where each batch ends now.

    Args:
        instructions: in the order of running; what one has written no later one changes.
        ends: for each batch the number of instructions up to it.
        block: makes a block of a dtype and a number of entries, and returns its number.
    """
    gains: dict[Any, float] = defaultdict(float)
    for instruction in instructions:
        if _reads_transposed(instruction):
            single = instruction.out.shape[0] == 1
            gains[instruction.args[1]] += 1 / ROWS.get(instruction.out.dtype.itemsize, 1) if single else 1
    often = {place for place, gain in gains.items() if gain >= OFTEN}
    if not often:
        return list(instructions), list(ends)
    copies: dict[Place, Place] = {}
    result: list[Instruction] = []
    before = [0]  # instructions now, for each number of instructions then
    for instruction in instructions:
        if _reads_transposed(instruction) and instruction.args[1] in often:
            a, b = instruction.args
            assert isinstance(b, Place)
            if b not in copies:
                strides = contiguous_strides(b.shape)
                copies[b] = Place(block(b.dtype, math.prod(b.shape)), 0, b.shape, strides, b.dtype)
                result.append(Instruction("copy", copies[b], (b,)))
            instruction = instruction._replace(args=(a, copies[b]))
        result.append(instruction)
        before.append(len(result))
    return result, [before[end] for end in ends]


def _reads_transposed(instruction: Instruction) -> bool:
    """Return whether few rows are multiplied with a matrix that lies column by column."""
    if instruction.kernel != "gemm":
        return False
    b = instruction.args[1]
    assert isinstance(b, Place)
    return b.strides[0] == 1 < b.strides[1] and min(b.shape) > 1 and instruction.out.shape[0] <= FEW
