"""``turned``: a matrix that many products read transposed is transposed once.

BLAS multiplies few rows with a matrix up to seven times faster if that is not transposed: it packs nothing then.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Instruction, Place
from tinygrad_rnn.plan.codegen.windows import contiguous_strides

OFTEN = 4  # products; a copy costs about as much as one of them
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
    counts = Counter(i.args[1] for i in instructions if _reads_transposed(i))
    often = {place for place, count in counts.items() if count >= OFTEN}
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
