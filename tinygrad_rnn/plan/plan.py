"""``Plan``: a program, its batches, their instructions and the memory of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.codegen.layout import Layout
from tinygrad_rnn.plan.codegen.links import oriented
from tinygrad_rnn.plan.codegen.lowering import Lowering
from tinygrad_rnn.plan.codegen.memory import LINE, allocated
from tinygrad_rnn.plan.codegen.turning import turned
from tinygrad_rnn.plan.codegen.windows import mapped
from tinygrad_rnn.plan.executors.executor import binding
from tinygrad_rnn.plan.program import Item, Program, drawn
from tinygrad_rnn.plan.rewrites.hoist import hoisted
from tinygrad_rnn.plan.rewrites.simplify import simplified
from tinygrad_rnn.plan.saving.segments import Phased
from tinygrad_rnn.plan.scheduling.rows import aligned
from tinygrad_rnn.plan.scheduling.schedule import Order, scheduled

if TYPE_CHECKING:
    from tinygrad_rnn.plan.checking.cost import PlanCost
    from tinygrad_rnn.plan.checking.verify import Verification
    from tinygrad_rnn.plan.recording.example import Example


class Plan:
    """What to run, in which order, in which memory. Two runs at once use two arenas.

    Attributes:
        program: the values.
        batches: which of them are computed together, in the order of running.
        layout: the block of memory and the window of each value.
        instructions: what an executor does.
        ends: for each batch the number of instructions up to it.
        constants: windows with what stands in them for ever.
        starts: the first byte of each block in an arena.
        executor: ``"numpy"`` or ``"numba"``: who runs the instructions.
        bind: gives the calls that run them on the bytes of an arena.
        bytes: the memory of one run; values that are not needed at the same time share it.
        example: the call for which the plan was asked for; None where it was not (``Compiled.plan`` sets it).
    """

    example: Example | None = None

    def __init__(
        self,
        program: Program,
        held: frozenset[int] = frozenset(),
        executor: str = "numpy",
        phases: Phased | None = None,
    ) -> None:
        """``held``: the positions of inputs whose data never changes in place (nodes, numbers), so that the same object
        need not be copied again. ``phases``: what to run in place of ``program``, phase by phase.
        """
        self.executor = executor
        self.program = hoisted(simplified(program)) if phases is None else phases.program
        self.held = held
        order = Order(self.program, None if phases is None else phases.phase)
        batches = scheduled(order)
        if phases is None:
            self.program, batches = aligned(self.program, order, batches)
        self.batches, links = oriented(self.program, batches, order)
        self.layout = Layout(self.program, links, order.base)
        lowering = Lowering(self.program, self.layout)
        ends = []
        for batch in self.batches:
            lowering.lower(batch)
            ends.append(len(lowering.instructions))
        self.instructions, self.ends = turned(lowering.instructions, ends, self.layout.add)
        self.constants = lowering.constants
        self.starts, self.bytes = self._allocated()
        self.bind = binding(executor, self.instructions, self.starts)
        self._idle: list[Arena] = []

    def _allocated(self) -> tuple[list[int], int]:
        places, items = self.layout.places, self.program.items
        fixed = {places[i].block for i, item in enumerate(items) if self.stays(item)}
        given = {places[i].block for i, item in enumerate(items) if item.kind in ("input", "random")} - fixed
        fixed.update(place.block for place, _ in self.constants)
        fixed.update(self.layout.gaps)
        fixed.update(self.layout.shared.values())
        kept = {places[i].block for i in self.program.outputs}
        return allocated(self.layout.blocks, self.instructions, given, kept, fixed)

    def stays(self, item: Item) -> bool:
        """Return whether an item stands in an arena from run to run until it is another object."""
        return item.kind == "leaf" or (item.kind == "input" and item.source in self.held)

    def __repr__(self) -> str:
        return f"<Plan of {len(self.program.items)} values, {len(self.batches)} batches>"

    def __str__(self) -> str:
        """Return the plan as numbered lines in the order of running, each value assigned once; see ``listing``."""
        from tinygrad_rnn.plan.checking.listing import listing

        return listing(self)

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

    def cost(self, measure: bool = False) -> PlanCost:
        """Return what the plan costs; ``measure``: with its time on this machine, and the least that it could take.

        Raises:
            ValueError: there is no example to measure.
        """
        from tinygrad_rnn.plan.checking.cost import cost_of

        return cost_of(self, self._example().inputs() if measure else None)

    def verify(self, *args: Any, **kwargs: Any) -> Verification:
        """Return whether a replay gives what the function gives, and if not, where the two part.

        The function is run as it is, the recorded program and the plan value by value; random draws are made from the
        same state in each run, and not used up. Without arguments those count that the plan was asked for with.

        Raises:
            ValueError: the arguments are of another kind; or there are none, and no example.
        """
        from tinygrad_rnn.plan.checking.verify import verified_call

        example = self._example()
        return verified_call(self, example.of(args, kwargs) if args or kwargs else example)

    def _example(self) -> Example:
        if self.example is None:
            raise ValueError("plan: it was not made for a call of a function; see tr.compile(fn).plan(*args)")
        return self.example


class Arena:
    """The memory of one run, and the calls bound to it."""

    def __init__(self, plan: Plan) -> None:
        items, places = plan.program.items, plan.layout.places
        room = np.zeros(plan.bytes + LINE, np.uint8)
        first = -room.__array_interface__["data"][0] % LINE
        self.memory = room[first : first + plan.bytes]
        self._starts = plan.starts
        for place, data in plan.constants:
            self.window(place)[...] = data
        given = [(self.window(places[i]), item) for i, item in enumerate(items) if item.kind == "input"]
        self.inputs = [(slot, item.source) for slot, item in given if not plan.stays(item)]
        self.held: list[list[Any]] = [[slot, item.source, None] for slot, item in given if plan.stays(item)]
        self.leaves: list[list[Any]] = [
            [self.window(places[i]), item.source, None] for i, item in enumerate(items) if item.kind == "leaf"
        ]
        self.draws = [(self.window(places[i]), item) for i, item in enumerate(items) if item.kind == "random"]
        self.outputs = [self.window(places[i]) for i in plan.program.outputs]
        self.calls = plan.bind(self.memory)

    def window(self, place: Place) -> np.ndarray:
        """Return the array of a window of this memory."""
        return mapped(place, self.memory, self._starts)

    def run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return copies of the outputs."""
        for slot, position in self.inputs:
            slot[...] = inputs[position]
        for held in self.held:
            data = inputs[held[1]]
            if data is not held[2]:
                held[0][...] = held[2] = data
        for leaf in self.leaves:
            data = leaf[1]._data
            if data is not leaf[2]:  # arrays of leaves never change, they are replaced
                leaf[0][...] = leaf[2] = data
        for slot, item in self.draws:
            slot[...] = drawn(item, inputs)
        with np.errstate(all="ignore"):
            for f, args in self.calls:
                f(*args)
        return [y.copy() for y in self.outputs]
