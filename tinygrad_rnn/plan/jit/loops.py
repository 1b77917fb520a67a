"""The compiled kernels that move and add entries; each reads its own row of the code table.

Pointers come first, as everywhere here: ``c`` to the row, ``base`` to the memory, ``index`` to the table of scattered
entries, ``work`` to the tiles into which operands are gathered that the elementwise kernels cannot read in place.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.jit.codes import BOOL, DIRECT, FLOAT32, FLOAT64, HEAD, OPERAND, SCATTERED, TILE
from tinygrad_rnn.plan.jit.machine import (
    OPTIONS,
    bytes_at,
    call_kernel,
    float32s,
    float64s,
    int32s,
    int64s,
)


@njit(**OPTIONS)
def _fill(out: Any, a: Any, mode: int, step: int, index: Any, n: int) -> None:
    """Copy entries that lie in steps, or anywhere, to where they lie one behind the other."""
    if mode == SCATTERED:
        for i in range(n):
            out[i] = a[index[i]]
    elif step == 0:
        first = a[0]
        for i in range(n):
            out[i] = first
    else:
        for i in range(n):
            out[i] = a[i * step]


@njit(**OPTIONS)
def _put(out: Any, a: Any, mode: int, step: int, index: Any, n: int) -> None:
    """Copy entries that lie one behind the other to where they lie in steps, or anywhere."""
    if mode == SCATTERED:
        for i in range(n):
            out[index[i]] = a[i]
    else:
        for i in range(n):
            out[i * step] = a[i]


@njit(**OPTIONS)
def _put_truth(out: Any, a: Any, mode: int, step: int, index: Any, n: int) -> None:
    for i in range(n):
        out[index[i] if mode == SCATTERED else i * step] = a[i] != 0


@njit(**OPTIONS)
def _store(tile: Any, double: bool, kind: int, mode: int, place: Any, step: int, index: Any, n: int) -> None:
    """Write a tile to where the result lies."""
    if double:
        a = float64s(tile, 0)
        if kind == FLOAT64:
            _put(float64s(place, 0), a, mode, step, index, n)
        elif kind == FLOAT32:
            _put(float32s(place, 0), a, mode, step, index, n)
        else:
            _put_truth(bytes_at(place, 0), a, mode, step, index, n)
    else:
        a4 = float32s(tile, 0)
        if kind == FLOAT32:
            _put(float32s(place, 0), a4, mode, step, index, n)
        elif kind == BOOL:
            _put_truth(bytes_at(place, 0), a4, mode, step, index, n)
        else:
            _put(float64s(place, 0), a4, mode, step, index, n)


@njit(**OPTIONS)
def _width(kind: int) -> int:
    return 1 if kind == BOOL else 4 if kind == FLOAT32 else 8


@njit(**OPTIONS)
def operand(c: Any, k: int) -> Any:
    """Return the numbers that tell of operand ``k`` of a map; the result is operand 0."""
    return int64s(c, 8 * (HEAD + OPERAND * k))


@njit(**OPTIONS)
def _place(o: Any, base: Any, i0: int, i1: int, i2: int, at: int) -> Any:
    """Return where entry ``at`` of a row of an operand lies; of a scattered one, where its numbers count from."""
    if o[0] == SCATTERED:
        return base
    inner = at * o[6] * _width(o[1])
    return bytes_at(base, o[2] + i0 * o[3] + i1 * o[4] + i2 * o[5] + inner)


@njit(**OPTIONS)
def _argument(
    o: Any, base: Any, index: Any, tile: Any, double: bool, i0: int, i1: int, i2: int, at: int, n: int
) -> Any:
    """Return where an argument can be read entry by entry: in place, or in a tile that is filled here."""
    place = _place(o, base, i0, i1, i2, at)
    if o[0] == DIRECT:
        return place
    mode, kind, step = o[0], o[1], o[6]
    if step == 0 and o[3] | o[4] | o[5] == 0 and at | i0 | i1 | i2 != 0:
        return tile  # what does not change from tile to tile, such as one number, is still there
    order = int32s(index, 4 * (o[2] + at))
    if not double:
        out = float32s(tile, 0)
        if kind == FLOAT32:
            _fill(out, float32s(place, 0), mode, step, order, n)
        else:
            _fill(out, bytes_at(place, 0), mode, step, order, n)
        return tile
    wide = float64s(tile, 0)
    if kind == FLOAT64:
        _fill(wide, float64s(place, 0), mode, step, order, n)
    elif kind == FLOAT32:
        _fill(wide, float32s(place, 0), mode, step, order, n)
    elif kind == BOOL:
        _fill(wide, bytes_at(place, 0), mode, step, order, n)
    else:
        _fill(wide, int64s(place, 0), mode, step, order, n)
    return tile


@njit(**OPTIONS)
def mapped(c: Any, base: Any, index: Any, work: Any, kernels: Any) -> None:
    """Row: kernel, branch, arguments, whether float64, four lengths, then the operands and the parameters."""
    count, double = c[4], c[5] == 1
    n = c[9]
    out = operand(c, 0)
    parameters = bytes_at(operand(c, count + 1), 0)
    address = kernels[c[2]]
    for i0 in range(c[6]):
        for i1 in range(c[7]):
            for i2 in range(c[8]):
                for at in range(0, n, TILE):
                    m = min(TILE, n - at)
                    x = y = z = work
                    for k in range(1, count + 1):
                        tile = bytes_at(work, 8 * TILE * k)
                        z = _argument(operand(c, k), base, index, tile, double, i0, i1, i2, at, m)
                        if k == 1:
                            x = z
                        elif k == 2:
                            y = z
                    place = _place(out, base, i0, i1, i2, at)
                    direct = out[0] == DIRECT
                    call_kernel(address, c[3], place if direct else work, x, y, z, parameters, m)
                    if not direct:
                        rest = int32s(index, 4 * (out[2] + at))
                        _store(work, double, out[1], out[0], place, out[6], rest, m)


@njit(**OPTIONS)
def flat(c: Any, base: Any, kernels: Any) -> None:
    """Row: kernel, branch, length, where the result and three arguments lie, the parameters: all read in place."""
    call_kernel(
        kernels[c[2]], c[3], bytes_at(base, c[5]), bytes_at(base, c[6]), bytes_at(base, c[7]),
        bytes_at(base, c[8]), bytes_at(c, 72), c[4],
    )  # fmt: skip
