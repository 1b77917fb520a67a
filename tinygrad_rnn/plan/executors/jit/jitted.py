"""``Jitted``: instructions encoded once as integers, run on any arena by one compiled interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.codegen.instructions import Instruction, Operand, Scattered
from tinygrad_rnn.plan.codegen.windows import grid
from tinygrad_rnn.plan.executors.jit.codes import TILE
from tinygrad_rnn.plan.executors.jit.library import library
from tinygrad_rnn.plan.executors.jit.maps import computed_in, map_rows, packed, scattered_row
from tinygrad_rnn.plan.executors.jit.rows import KINDS, Rows, copy_rows, index_rows, product_rows, reduce_rows
from tinygrad_rnn.plan.executors.kernels import Call, bind

FAR = 2**31  # bytes; entries that lie further off have no number of 32 bits
Stretch = tuple[int, int] | list[Instruction]
"""Where a part of the code table begins and ends, or instructions that numpy runs."""


class Jitted:
    """A code table for one plan; ``bind`` gives the calls that run it on one arena.

    Attributes:
        stretches: the parts of the plan in their order.
    """

    def __init__(self, instructions: Sequence[Instruction], starts: Sequence[int]) -> None:
        """Encode ``instructions``, whose block k begins at byte ``starts[k]`` of an arena."""
        self._library = library()
        self._starts = starts
        self._first = np.asarray(starts, np.int64)
        self._far = max(starts, default=0) >= FAR
        self._known: dict[Any, Rows] = {}
        self._orders: list[np.ndarray] = []
        self._order_size = 0
        self._failing: dict[
            int, Instruction
        ] = {}  # what may find an index out of range, by its place in the code
        self.stretches: list[Stretch] = []
        code: list[int] = []
        for instruction in instructions:
            self._append(instruction, code)
        self._code = np.array(code, np.int64)
        self._index = np.concatenate([np.zeros(1, np.int32), *self._orders])
        self._addresses = self._library.addresses()
        del self._known, self._orders

    def _append(self, instruction: Instruction, code: list[int]) -> None:
        rows = self._rows(instruction)
        last = self.stretches[-1] if self.stretches else None
        if rows is None:
            if isinstance(last, list):
                last.append(instruction)
            else:
                self.stretches.append([instruction])
            return
        begin = len(code)
        operands: tuple[Any, ...] = (instruction.out, *instruction.args)
        for row in rows:
            numbers = list(row.numbers)
            for k, slot in row.slots:
                place = operands[k]
                numbers[slot] += self._starts[place[0]] + place[1] * place[-1].itemsize
            if instruction.kernel in ("take", "scatter"):
                self._failing[len(code)] = instruction
            code += numbers
        if isinstance(last, tuple):
            self.stretches[-1] = last[0], len(code)
        else:
            self.stretches.append((begin, len(code)))

    # --- encoding

    def _rows(self, instruction: Instruction) -> Rows:
        """Return the rows of an instruction, the starts of windows left out; None where numpy must run it."""
        kernel, out, args, op, params = instruction
        operands = (out, *args)
        if kernel == "call" or any(x.dtype not in KINDS for x in operands):
            return None
        if any(isinstance(x, Scattered) for x in operands):
            return self._entrywise(instruction, operands)
        key = kernel, op, *params.items(), *[(x[2:]) for x in operands]
        if key not in self._known:
            self._known[key] = self._windowed(instruction, operands)
        return self._known[key]

    def _windowed(self, instruction: Instruction, operands: Sequence[Any]) -> Rows:
        kernel, _, _, op, params = instruction
        out, *args = operands
        if kernel == "copy":
            return copy_rows(out, args[0])
        if kernel == "reduce":
            return reduce_rows(out, args[0], op, params["axes"])
        if kernel in ("take", "scatter"):
            return index_rows(kernel, out, args, params["key"])
        if kernel in ("gemm", "bmm"):
            return product_rows(out, *args)
        found = self._kernel(instruction, operands)
        return None if found is None else map_rows(*found[:2], operands, found[2])

    def _kernel(
        self, instruction: Instruction, operands: Sequence[Operand]
    ) -> tuple[tuple[int, int], int, list[int]] | None:
        """Return what computes an elementwise instruction, the kind of its entries, and its parameters' bits."""
        op = ops.alias if instruction.kernel == "copy" else instruction.op
        kind = computed_in(operands)
        params = instruction.params
        if kind is None or op is None or not all(isinstance(p, (int, float)) for p in params.values()):
            return None
        kernel = self._library.kernel(op, len(operands) - 1, tuple(params), kind)
        return None if kernel is None else (kernel, kind, packed(params, kind))

    def _entrywise(self, instruction: Instruction, operands: Sequence[Operand]) -> Rows:
        found = self._kernel(instruction, operands)
        if found is None:
            return None
        if not np.prod(instruction.out.shape):
            return ()
        if self._far:
            return None
        kernel, kind, params = found
        row = scattered_row(kernel, kind, operands, params, self._numbered)
        return None if row is None else (row,)

    def _numbered(self, operand: Operand, shape: Sequence[int]) -> int:
        """Return where the table tells of the entries of an operand, in the order in which they are read."""
        size = operand.dtype.itemsize
        if isinstance(operand, Scattered):
            rank = operand.offsets.ndim
            entries = operand.offsets + (self._first[operand.blocks] // size).reshape(-1, *[1] * (rank - 1))
        else:
            entries = grid(operand) + (self._starts[operand.block] // size + operand.offset)
        self._orders.append(np.broadcast_to(entries, shape).reshape(-1).astype(np.int32))
        begin = self._order_size + 1
        self._order_size += self._orders[-1].size
        return begin

    # --- running

    def bind(self, memory: np.ndarray) -> list[Call]:
        """Return the calls that run the plan on the bytes of one arena; two threads need two arenas."""
        work = np.empty(4 * TILE * 8, np.uint8)
        calls: list[Call] = []
        for stretch in self.stretches:
            if isinstance(stretch, tuple):
                calls.append((self._run, (memory, work, *stretch)))
            else:
                calls += bind(stretch, memory, self._starts)
        return calls

    def _run(self, memory: np.ndarray, work: np.ndarray, start: int, stop: int) -> None:
        at = self._library.run(memory, self._code, start, stop, self._index, work, self._addresses)
        if at >= 0:
            for f, args in bind([self._failing[at]], memory, self._starts):
                f(*args)  # numpy says which index is out of range
            raise IndexError(f"an index is out of range in {self._failing[at]}")
