"""``Watch``: one run of a plan, batch by batch, with a look at its memory in between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.plan.checking.reference import described, deviation, generators, restored, source_of
from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.executors.executor import binding
from tinygrad_rnn.plan.plan import Arena, Plan

POISON = 0xFF  # nan as a float, -1 as an integer, no truth value


class Watch:
    """One run by the plan's own executor on memory of its own, which holds nan where nothing was computed yet."""

    def __init__(
        self, plan: Plan, inputs: Sequence[Any], truth: Sequence[np.ndarray], limits: Sequence[float]
    ) -> None:
        self.plan, self.inputs, self.truth, self.limits = plan, inputs, truth, limits
        self._arena = arena = Arena(plan)
        self._windows = [arena.window(place) for place in plan.layout.places]
        self._steps = [
            binding(plan.executor, plan.instructions[a:b], plan.starts)(arena.memory)
            for a, b in pairwise([0, *plan.ends])
        ]
        self._start()

    def _start(self) -> None:
        """Fill memory with nan but for what stands in it for ever, and with the data that a run is given."""
        arena, plan = self._arena, self.plan
        arena.memory[...] = POISON
        for block in plan.layout.gaps:
            dtype, size = plan.layout.blocks[block]
            arena.memory[plan.starts[block] :][: size * dtype.itemsize] = 0
        for place, constant in plan.constants:
            arena.window(place)[...] = constant
        with restored(generators(plan.program, self.inputs)):
            for slot, item in zip(self._windows, plan.program.items, strict=True):
                data = source_of(item, self.inputs)
                if data is not None and item.kind != "constant":
                    slot[...] = data

    def value(self, i: int) -> np.ndarray:
        """Return what item i's memory holds now."""
        return np.array(self._windows[i])

    def wrong(self, i: int) -> bool:
        """Return whether that is not its value."""
        return deviation(self._windows[i], self.truth[i]) > self.limits[i]

    def arguments(self, k: int) -> list[int]:
        """Return the items that batch k reads."""
        members = self.plan.batches[k].members
        return list(dict.fromkeys(a for i in members for a in self.plan.program.items[i].args))

    def run(self, k: int) -> None:
        """Run batch k."""
        with np.errstate(all="ignore"):
            for f, args in self._steps[k]:
                f(*args)

    def clash(self, k: int) -> str:
        """Return which instruction of batch k writes over an operand that it still reads; "" where none does.

        numpy copies such an operand first, other executors do not. Entry by entry in place is legal.
        """
        start = self.plan.ends[k - 1] if k else 0
        for number in range(start, self.plan.ends[k]):
            kernel, out, args, *_ = self.plan.instructions[number]
            for operand in args:
                if not isinstance(out, Place) or not isinstance(operand, Place):
                    continue
                in_place = operand == out and kernel in ("map", "copy")
                if not in_place and self._overlap(operand, out):
                    return f"instruction {number} ({kernel}) writes {out} over its operand {operand}"
        return ""

    def _overlap(self, a: Place, b: Place) -> bool:
        first, second = self._arena.window(a), self._arena.window(b)
        if not np.may_share_memory(first, second):
            return False
        if a.block != b.block:
            return True  # two blocks in the same bytes
        return bool(np.isin(self._numbers(a), self._numbers(b)).any())

    def _numbers(self, place: Place) -> np.ndarray:
        """Return the entries of the block that a window consists of."""
        found = np.full(place.shape, place.offset)
        for axis, (length, stride) in enumerate(zip(place.shape, place.strides, strict=True)):
            found += (stride * np.arange(length)).reshape(-1, *(1,) * (len(place.shape) - axis - 1))
        return found.ravel()

    def overwritten(self, i: int, before: int) -> str:
        """Run once more from the start and say which batch made item i's memory wrong."""
        self._start()
        was_right = not self.wrong(i)
        computed = self.plan.program.items[i].kind == "op"
        found = f"it was never right: {'nothing computed it before' if computed else 'other data lies there'}"
        for k in range(before):
            self.run(k)
            right = not self.wrong(i)
            if was_right and not right:
                writer = described(self.plan.program, self.plan.batches[k].members[0])
                found = f"it was right until batch {k} wrote {writer}"
            was_right = right
        return found
