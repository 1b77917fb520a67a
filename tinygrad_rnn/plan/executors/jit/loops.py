"""The loops around kernels and leaves: each walks over the outer axes of its row of the code table.

``c`` points to the row, ``base`` to the memory, ``kernels`` to addresses, the first of which is that of the leaves.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.executors.jit.codes import DIRECT, HEAD, OPERAND, TILE
from tinygrad_rnn.plan.executors.jit.machine import OPTIONS, bytes_at, call_kernel, int64s


@njit(**OPTIONS)
def flat(c: Any, base: Any, kernels: Any) -> None:
    """Row: kernel, branch, length, where the result and three arguments lie, the parameters: all read in place."""
    call_kernel(
        kernels[c[2]], c[3], bytes_at(base, c[5]), bytes_at(base, c[6]), bytes_at(base, c[7]),
        bytes_at(base, c[8]), bytes_at(c, 72), c[4],
    )  # fmt: skip


@njit(**OPTIONS)
def _place(o: Any, base: Any, i0: int, i1: int, i2: int, at: int) -> Any:
    """Return where entry ``at`` of a row of an operand lies; the memory's beginning where it is scattered."""
    return bytes_at(base, o[2] + i0 * o[3] + i1 * o[4] + i2 * o[5] + at * o[1])


@njit(**OPTIONS)
def mapped(c: Any, base: Any, index: Any, work: Any, kernels: Any) -> None:
    """Row: kernel, branch, arguments, unused, four lengths, then the operands and the parameters.

    What the kernel cannot read in place is first copied to a tile of ``work``, where a number that does not change
    from tile to tile stays. Of a scattered operand the first outer stride is its place in ``index``.
    """
    count, n = c[4], c[9]
    out = int64s(c, 8 * HEAD)
    parameters = bytes_at(c, 8 * (HEAD + OPERAND * (count + 1)))
    for i0 in range(c[6]):
        for i1 in range(c[7]):
            for i2 in range(c[8]):
                for at in range(0, n, TILE):
                    m = min(TILE, n - at)
                    x = y = z = work
                    for k in range(1, count + 1):
                        o = int64s(c, 8 * (HEAD + OPERAND * k))
                        z = _place(o, base, i0, i1, i2, at)
                        if o[0] != DIRECT:
                            tile = bytes_at(work, 8 * TILE * k)
                            if o[7] != 0 or o[3] | o[4] | o[5] != 0 or at | i0 | i1 | i2 == 0:
                                order = bytes_at(index, 4 * (o[3] + at))
                                call_kernel(kernels[0], o[0], tile, z, order, z, bytes_at(o, 48), m)
                            z = tile
                        if k == 1:
                            x = z
                        elif k == 2:
                            y = z
                    place = _place(out, base, i0, i1, i2, at)
                    direct = out[0] == DIRECT
                    call_kernel(kernels[c[2]], c[3], place if direct else work, x, y, z, parameters, m)
                    if not direct:
                        order = bytes_at(index, 4 * (out[3] + at))
                        call_kernel(kernels[0], out[0], place, work, order, work, bytes_at(out, 48), m)


@njit(**OPTIONS)
def copied(c: Any, base: Any, kernels: Any) -> None:
    """Row: leaf, unused, four lengths, start and outer strides in bytes of result and source, inner in entries."""
    for i0 in range(c[4]):
        for i1 in range(c[5]):
            for i2 in range(c[6]):
                out = bytes_at(base, c[8] + i0 * c[9] + i1 * c[10] + i2 * c[11])
                a = bytes_at(base, c[12] + i0 * c[13] + i1 * c[14] + i2 * c[15])
                call_kernel(kernels[0], c[2], out, a, a, a, bytes_at(c, 128), c[7])


@njit(**OPTIONS)
def reduced(c: Any, base: Any, kernels: Any) -> None:
    """Row: leaves for the first row of entries and for more, then as of a copy, then which outer axes go (1 or 0)."""
    for i0 in range(c[4]):
        for i1 in range(c[5]):
            for i2 in range(c[6]):
                out = bytes_at(base, c[8] + i0 * c[9] + i1 * c[10] + i2 * c[11])
                a = bytes_at(base, c[12] + i0 * c[13] + i1 * c[14] + i2 * c[15])
                first = i0 * c[18] + i1 * c[19] + i2 * c[20] == 0
                call_kernel(kernels[0], c[2] if first else c[3], out, a, a, a, bytes_at(c, 128), c[7])


@njit(**OPTIONS)
def indexed(c: Any, base: Any, kernels: Any) -> bool:
    """Return whether each index is in range; take the entries, or add them where they come from.

    Row: 0 take or 1 scatter, leaf, index arrays, lengths of two index axes and two block axes, strides of the index
    axes in what is taken, of the outer block axis there and in the source, starts of source and of what is taken, inner
    strides as the leaf wants them, unused; then for each index array its start, two strides in entries, the length and
    the stride in bytes of the axis that it indexes.
    """
    for i in range(c[5]):
        for j in range(c[6]):
            there, here = c[13], c[14] + i * c[9] + j * c[10]
            for k in range(c[4]):
                row = int64s(c, 8 * (18 + 5 * k))
                number = int64s(base, row[0] + 8 * (i * row[1] + j * row[2]))[0]
                if number < 0:
                    number += row[3]
                if number < 0 or number >= row[3]:
                    return False
                there += number * row[4]
            for k in range(c[7]):
                source, part = bytes_at(base, there + k * c[12]), bytes_at(base, here + k * c[11])
                out, a = (source, part) if c[2] else (part, source)
                call_kernel(kernels[0], c[3], out, a, a, a, bytes_at(c, 120), c[8])
    return True
