"""``Links``: which value should lie behind which, so that what runs together or is joined lies side by side.

A batch, and a product of joined operands, want lists of values at a constant distance from each other; each such list
links its neighbors, and linked values are laid out one behind the other. Longer lists are asked first. A list whose
wish cannot be met is gathered when the plan runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Program, kind_of
from tinygrad_rnn.plan.scheduling.schedule import Batch, Order


class Links:
    """Which value lies behind which; each of those that are linked has the same phase, since they live together."""

    def __init__(self, phase: Sequence[int]) -> None:
        self.phase = phase
        self.next: dict[int, int] = {}
        self.previous: dict[int, int] = {}
        self._group: dict[int, int] = {}

    def fits(self, items: Sequence[int]) -> int:
        """Return how many neighbors in ``items`` are linked, less those that cannot be."""
        score = 0
        for a, b in pairwise(items):
            if self.next.get(a) == b:
                score += 1
            elif a in self.next or b in self.previous:
                score -= 1
        return score

    def add(self, items: Sequence[int]) -> None:
        """Link neighbors where both are free and no ring would close."""
        for a, b in pairwise(items):
            if a in self.next or b in self.previous or self.phase[a] != self.phase[b]:
                continue
            if self._root(a) == self._root(b):
                continue
            self.next[a], self.previous[b] = b, a
            self._group[self._root(a)] = self._root(b)

    def _root(self, i: int) -> int:
        while i in self._group:
            above = self._group[i]
            if above in self._group:
                self._group[i] = self._group[above]
            i = above
        return i

    def chains(self, items: Iterable[int]) -> list[list[int]]:
        """Return all items in chains, each in order."""
        result = []
        for i in items:
            if i in self.previous:
                continue
            chain = [i]
            while chain[-1] in self.next:
                chain.append(self.next[chain[-1]])
            result.append(chain)
        return result


def operands(program: Program, batch: Batch) -> list[list[int]]:
    """Return the lists of items that a batch reads side by side, one for each place of an argument."""
    first = program.items[batch.members[0]]
    if len(batch.members) == 1:
        if first.op is SUM_OF_MATMULS:
            half = len(first.args) // 2
            return [list(first.args[:half]), list(first.args[half:])]
        return [list(first.args)] if first.op is ops.add_n else []
    return [list(args) for args in zip(*[program.items[m].args for m in batch.members], strict=True)]


def homes(program: Program) -> dict[int, tuple[int, Any]]:
    """Return for each piece of an assembled value that value and the place in it."""
    inside: dict[int, tuple[int, Any]] = {}
    for i, item in enumerate(program.items):
        if item.op is ASSEMBLE:
            inside.update((a, (i, key)) for a, key in zip(item.args, item.params["keys"], strict=True))
    return inside


def oriented(program: Program, batches: list[Batch], order: Order) -> tuple[list[Batch], Links]:
    """Return the batches with their members in the order that suits the layout best, and the links."""
    base, inside = order.base, homes(program)
    links = Links(order.phase)
    wishes: list[tuple[int, int, list[list[int]]]] = []
    for n, batch in enumerate(batches):
        lists = operands(program, batch)
        if lists:
            size = sum(
                math.prod(program.items[items[0]].shape or (1,)) * len(items)
                for items in (batch.members, *lists)
            )
            wishes.append((-size, n, _requests(program, [list(batch.members), *lists], base, inside)))
    result = list(batches)
    for _, n, lists in sorted(wishes, key=lambda wish: wish[:2]):
        batch = batches[n]
        if len(batch.members) > 1:
            turned = [items[::-1] for items in lists]
            if sum(map(links.fits, turned)) > sum(map(links.fits, lists)):
                result[n], lists = Batch(batch.members[::-1]), turned
        for items in lists:
            links.add(items)
    return result, links


def _requests(
    program: Program, lists: list[list[int]], base: list[int], inside: dict[int, tuple[int, Any]]
) -> list[list[int]]:
    """Return the lists of distinct values of one shape that should lie side by side; a piece stands for its whole."""
    result = []
    for number, items in enumerate(lists):
        own = [base[i] for i in items] if number else items
        if not 1 < len(own) == len(set(own)) or not _uniform(program, own):
            continue
        wholes = [inside[i][0] if i in inside else i for i in own]
        wholes = [w for k, w in enumerate(wholes) if k == 0 or w != wholes[k - 1]]
        if 1 < len(wholes) == len(set(wholes)):
            result.append(wholes)
    return result


def _uniform(program: Program, items: list[int]) -> bool:
    first = kind_of(program.items[items[0]])
    return all(kind_of(program.items[i]) == first for i in items)
