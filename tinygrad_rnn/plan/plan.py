"""``Plan``: a program, its batches and their layout, replayed by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.arena import Layout, oriented
from tinygrad_rnn.plan.hoist import hoisted
from tinygrad_rnn.plan.kernels import Binder, Call
from tinygrad_rnn.plan.program import Program, simplified
from tinygrad_rnn.plan.schedule import Order, scheduled


class Plan:
    """What to call, in which order, on which arrays. Two runs at once use two arenas."""

    def __init__(self, program: Program) -> None:
        self.program = hoisted(simplified(program))
        order = Order(self.program)
        self.batches, links = oriented(self.program, scheduled(order), order.base)
        self.layout = Layout(self.program, links, order.base)
        self._idle: list[Arena] = []

    def __repr__(self) -> str:
        return f"<Plan of {len(self.program.items)} values, {len(self.batches)} batches>"

    def __str__(self) -> str:
        """Return the plan as numbered lines in the order of running; a batch of several is one line for each."""
        lines = []
        for batch in self.batches:
            together = f"  ({len(batch.members)} together)" if len(batch.members) > 1 else ""
            lines += [f"{self._line(i)}{together}" for i in batch.members]
        return "\n".join(lines)

    def _line(self, i: int) -> str:
        item = self.program.items[i]
        assert item.op is not None
        params = "".join(f", {key}={value}" for key, value in item.params.items())
        scope = f"  [{', '.join(item.scope)}]" if item.scope else ""
        args = ", ".join(f"%{a}" for a in item.args)
        return f"%{i} = {item.op.name}({args}{params}) {item.dtype}{list(item.shape)}{scope}"

    @property
    def bytes(self) -> int:
        """The memory of one run."""
        return sum(dtype.itemsize * size for dtype, size in self.layout.sizes.items())

    def __call__(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return fresh arrays of the outputs for the data of the inputs."""
        try:
            arena = self._idle.pop()
        except IndexError:  # not asked first: another thread may take it in between
            arena = Arena(self)
        try:
            return arena.run(inputs)
        finally:
            self._idle.append(arena)


class Arena:
    """The memory of one run, and the calls bound to it."""

    def __init__(self, plan: Plan) -> None:
        items = plan.program.items
        self.arrays = plan.layout.arrays()
        self.inputs = [(self.arrays[i], item.source) for i, item in enumerate(items) if item.kind == "input"]
        self.leaves = [
            [self.arrays[i], item.source, None] for i, item in enumerate(items) if item.kind == "leaf"
        ]
        self.draws = [(self.arrays[i], item) for i, item in enumerate(items) if item.kind == "random"]
        self.outputs = [self.arrays[i] for i in plan.program.outputs]
        for i, item in enumerate(items):
            if item.kind == "constant":
                self.arrays[i][...] = item.source
        binder = Binder(plan.program, self.arrays)
        for batch in plan.batches:
            binder.bind(batch)
        self.calls: list[Call] = binder.calls

    def run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return copies of the outputs."""
        for slot, position in self.inputs:
            slot[...] = inputs[position]
        for leaf in self.leaves:
            data = leaf[1]._data
            if data is not leaf[2]:  # arrays of leaves never change, they are replaced
                leaf[0][...] = leaf[2] = data
        for slot, item in self.draws:
            generator = item.params["generator"] if item.source is None else inputs[item.source]
            slot[...] = generator.random(item.shape, dtype=item.dtype.type)
        with np.errstate(all="ignore"):
            for f, args in self.calls:
                f(*args)
        return [np.array(y) for y in self.outputs]
