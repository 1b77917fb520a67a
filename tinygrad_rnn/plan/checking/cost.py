"""``PlanCost``: what a plan does in numbers, and how long this machine needs for it at the least."""

from __future__ import annotations

import functools
import html
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program
from tinygrad_rnn.plan.scheduling.schedule import Batch

if TYPE_CHECKING:
    from tinygrad_rnn.plan.plan import Plan

FUNCTIONS = frozenset({
    ops.exp, ops.expm1, ops.log, ops.log1p, ops.sin, ops.cos, ops.tan, ops.arctan, ops.sinh, ops.cosh, ops.tanh,
    ops.sigmoid, ops.softplus, ops.power, ops.softmax, ops.log_softmax, ops.logsumexp,
})  # fmt: skip
_MOVES = frozenset({
    ops.getitem, ops.scatter_add, ops.broadcast_to, ops.alias, ops.concatenate, ops.stack, ops.transpose, ops.reshape,
    ops.astype, ops.flip, ops.detach, ASSEMBLE,
})  # fmt: skip
_SHORTEST = 0.02  # seconds for which a measured call is repeated
_COPIED = (1 << 16, 1 << 26)  # bytes, at least and at most, that are copied to measure the memory
_MATTERS = 0.01  # of the flops: a size of product with less is not measured


@dataclass(frozen=True, slots=True)
class PlanCost:
    """The cost of one replay.

    Attributes:
        values: numbers and arrays that the rewritten program has: inputs, weights, constants, results.
        operations: those of them that are computed; a view of another value is not.
        batches: groups of operations that run as one.
        instructions: calls of the executor; a batch takes one or more.
        slots: runs of memory in which values lie side by side; those not needed at the same time share bytes.
        bytes: the memory of one replay.
        flops: additions and multiplications: 2mnk for a product of (m, k) and (k, n), one for each entry of another
            result, and for each entry that is summed up.
        functions: results of exp, tanh and the like, which take 5 to 50 times as long as an addition.
        bytes_moved: bytes of the operands and results of all batches, an operand that a batch shares once.
        floor_seconds: the larger of the time that the products take on this machine's BLAS, each size measured by
            itself, and ``bytes_moved`` over the speed at which memory is copied in pieces as large as a batch's; None
            where not measured. An executor of the same batches cannot be faster; calls and functions come on top.
        measured_seconds: the median time of a replay, None where not measured.
    """

    values: int
    operations: int
    batches: int
    instructions: int
    slots: int
    bytes: int
    flops: int
    functions: int
    bytes_moved: int
    floor_seconds: float | None = None
    measured_seconds: float | None = None

    def to_dict(self) -> dict[str, int | float | None]:
        """Return the figures by name, for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return what is counted, its figure and a remark, for each line of the table."""
        table = [
            ("values", f"{self.values:,}", f"{self.operations:,} of them are computed"),
            (
                "batches",
                f"{self.batches:,}",
                f"{self.operations / max(1, self.batches):.1f} operations in each",
            ),
            ("instructions", f"{self.instructions:,}", "calls of the executor"),
            ("memory", f"{self.bytes:,} bytes", f"in {self.slots:,} slots"),
            (
                "arithmetic",
                f"{self.flops:,} flops",
                f"and {self.functions:,} results of exp, tanh and the like",
            ),
            ("traffic", f"{self.bytes_moved:,} bytes", "read and written"),
        ]
        if self.floor_seconds is not None:
            table.append(("floor", _time(self.floor_seconds), "for the arithmetic or the traffic alone"))
        if self.measured_seconds is not None:
            times = (
                f"{self.measured_seconds / self.floor_seconds:.1f} times the floor"
                if self.floor_seconds
                else ""
            )
            table.append(("measured", _time(self.measured_seconds), times))
        return table

    def __str__(self) -> str:
        rows = self.rows()
        left, middle = (max(len(row[k]) for row in rows) for k in (0, 1))
        return "\n".join(f"{a.ljust(left)}  {b.rjust(middle)}  {c}".rstrip() for a, b, c in rows)

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td><td>{html.escape(c)}</td></tr>"
            for a, b, c in self.rows()
        )
        return f"<table>{lines}</table>"


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:,.3f} ms"


def cost_of(plan: Plan, inputs: Sequence[Any] | None = None) -> PlanCost:
    """Return the cost of a plan; given the leaves of the arguments, with its floor and its time on this machine."""
    program = plan.program
    leaders = [program.items[batch.members[0]] for batch in plan.batches]
    sizes = [len(batch.members) for batch in plan.batches]
    moved = sum(_traffic(program, batch) for batch in plan.batches)
    flops = sum(n * flops_of(item, program) for item, n in zip(leaders, sizes, strict=True))
    functions = sum(n * math.prod(x.shape) for x, n in zip(leaders, sizes, strict=True) if x.op in FUNCTIONS)
    floor, measured = None, None
    if inputs is not None:
        floor = max(_products_seconds(plan), moved / _speed_of_memory(moved // max(1, len(sizes))))
        measured = statistics.median(_times(lambda: plan(inputs)))
    return PlanCost(
        values=len(program.items),
        operations=sum(sizes),
        batches=len(sizes),
        instructions=len(plan.instructions),
        slots=sum(size > 0 for _, size in plan.layout.blocks),
        bytes=plan.bytes,
        flops=flops,
        functions=functions,
        bytes_moved=moved,
        floor_seconds=floor,
        measured_seconds=measured,
    )


def flops_of(item: Item, program: Program) -> int:
    """Return the additions and multiplications that an item takes; a result of exp counts as one."""
    arguments = [program.items[a] for a in item.args]
    if item.op is ops.matmul:
        return 2 * math.prod(item.shape) * arguments[0].shape[-1]
    if item.op is SUM_OF_MATMULS:
        return sum(2 * math.prod(item.shape) * a.shape[-1] for a in arguments[: len(arguments) // 2])
    if item.op in _MOVES:
        return 0
    assert item.op is not None
    entries = math.prod(item.shape)
    if item.op.elementwise:
        return entries * max(1, len(arguments) - 1)
    return max([entries, *(math.prod(a.shape) for a in arguments)])


def _traffic(program: Program, batch: Batch) -> int:
    """Return the bytes that a batch reads and writes; an operand that its members share counts once."""
    read = {a for i in batch.members for a in program.items[i].args}
    return sum(_bytes(program.items[i]) for i in (*read, *batch.members))


def _bytes(item: Item) -> int:
    return math.prod(item.shape) * item.dtype.itemsize


def _products(plan: Plan) -> dict[tuple[int, int, int, np.dtype[Any]], int]:
    """Return the flops of the products of each size (m, k, n) and dtype, those of a batch with one weight joined."""
    found: dict[tuple[int, int, int, np.dtype[Any]], int] = {}
    for batch in plan.batches:
        item = plan.program.items[batch.members[0]]
        if item.op not in (ops.matmul, SUM_OF_MATMULS):
            continue
        flops = len(batch.members) * flops_of(item, plan.program)
        lefts, rights = ({plan.program.items[i].args[p] for i in batch.members} for p in (0, -1))
        n = item.shape[-1] if item.shape else 1
        rows = math.prod(item.shape[:-1])
        together = len(batch.members) if len(rights) == 1 < len(lefts) else 1
        k = flops // max(1, 2 * len(batch.members) * rows * n)
        size = (rows * together, k, n, item.dtype)
        found[size] = found.get(size, 0) + flops
    return found


def _products_seconds(plan: Plan) -> float:
    """Return how long all products of the plan take on this machine's BLAS, operands in the cache."""
    products = _products(plan)
    total, counted, seconds = sum(products.values()), 0, 0.0
    for (m, k, n, dtype), flops in products.items():
        if flops < _MATTERS * total or not flops:
            continue
        a, b, out = np.ones((m, k), dtype), np.ones((k, n), dtype), np.empty((m, n), dtype)
        seconds += flops / (2 * m * k * n) * min(_times(functools.partial(np.dot, a, b, out)))
        counted += flops
    return seconds * total / counted if counted else 0.0


def _speed_of_memory(size: int) -> float:
    """Return the bytes a second, read and written, of copying about ``size`` bytes."""
    low, high = _COPIED
    source = np.ones(max(low, min(size, high)) // 2, np.uint8)
    target = np.empty_like(source)
    return 2 * source.size / min(_times(lambda: np.copyto(target, source)))


def _times(call: Callable[[], Any]) -> list[float]:
    """Return the seconds of each of several calls: at least five, and as many as take ``_SHORTEST``."""
    call()
    times: list[float] = []
    while len(times) < 5 or sum(times) < _SHORTEST:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
