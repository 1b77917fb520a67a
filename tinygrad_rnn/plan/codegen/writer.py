"""``Writer``: where instructions are appended, and where values in between and constant numbers get their room."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import NO_PARAMS, Op
from tinygrad_rnn.plan.codegen.instructions import Instruction, Operand, Place
from tinygrad_rnn.plan.codegen.layout import Layout
from tinygrad_rnn.plan.codegen.windows import collapsed, reshaped, window


class Writer:
    """Instructions in the making.

    Attributes:
        instructions: in the order of running.
        constants: windows with what must stand in them before the first run.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.instructions: list[Instruction] = []
        self.constants: list[tuple[Place, np.ndarray]] = []
        self._numbers: dict[tuple[float, np.dtype[Any]], Place] = {}

    def emit(
        self,
        kernel: str,
        out: Operand,
        args: Sequence[Operand],
        op: Op | None = None,
        params: Mapping[str, Any] = NO_PARAMS,
    ) -> None:
        """Append an instruction; maps and copies run on windows of as few axes as can be."""
        if kernel in ("map", "copy") and isinstance(out, Place):
            places = [a for a in args if isinstance(a, Place)]
            if len(places) == len(args):
                out, *args = collapsed(out, places)
        self.instructions.append(Instruction(kernel, out, tuple(args), op, params))

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Place:
        """Return a window of a new block, for a value in between."""
        return window(self._layout.add(dtype, math.prod(shape)), 0, shape, dtype)

    def number(self, value: float, dtype: np.dtype[Any]) -> Place:
        """Return the window of a constant number."""
        if (value, dtype) not in self._numbers:
            place = self._numbers[value, dtype] = self.room((), dtype)
            self.constants.append((place, np.asarray(value, dtype)))
        return self._numbers[value, dtype]

    def copied(self, x: Place, shape: tuple[int, ...]) -> Place:
        """Return the entries of a window, copied to lie one behind the other, in another shape."""
        room = self.room(x.shape, x.dtype)
        self.emit("copy", room, (x,))
        flat = reshaped(room, shape)
        assert flat is not None
        return flat

    def flat(self, x: Place, shape: tuple[int, ...]) -> Place:
        """Return the entries of a window in another shape, copied only where strides cannot say it."""
        found = reshaped(x, shape)
        return self.copied(x, shape) if found is None else found
