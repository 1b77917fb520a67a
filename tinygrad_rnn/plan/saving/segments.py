"""``phased``: a program in phases, which keeps few values and computes the others again where they are needed.

Reverse mode reads the values of the way there in the opposite order, so that all of them must be kept, or computed
again. Cut the way there into K segments where little crosses, keep what crosses (the checkpoints), and compute the rest
of a segment again right before the part of the way back that reads it: that takes the memory of K checkpoints and one
segment, about the square root of the whole, for at most one more way there (Griewank 1992, "Achieving logarithmic
growth of temporal and spatial complexity in reverse automatic differentiation"; Gruslys et al. 2016, "Memory-efficient
backpropagation through time"). Nothing here knows of time: the turn is where the most is alive, and segments are pieces
of the order in which the program is best computed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import NO_PARAMS, Op
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program, with_args
from tinygrad_rnn.plan.saving.lifetimes import Lifetimes, crossing, cuts
from tinygrad_rnn.plan.saving.timeline import LONG, Timeline, terms

VIEWS = (ops.transpose, ops.reshape, ops.getitem, ASSEMBLE)
_NEVER = 2**60


@dataclass(frozen=True, slots=True)
class Phased:
    """A program whose items run phase by phase.

    Attributes:
        program: the items, those of a phase behind those of the phases before it.
        phase: the phase of each item; 0 for all that is there from the start.
        repeated: how many operations are computed a second time.
    """

    program: Program
    phase: list[int]
    repeated: int


def phased(timeline: Timeline, life: Lifetimes, segments: int, kept: int = 1) -> Phased:
    """Return the program in at most ``2 * segments - 1`` phases.

    Args:
        timeline: of the program.
        life: of the timeline; both serve any number of calls.
        segments: into how many pieces the way there is cut.
        kept: of how many segments, the last ones, all that the way back reads is kept; the last one always is.
    """
    return _Writer(Segmentation(timeline, life, segments, kept)).written()


class Segmentation:
    """How a program is cut, and what is computed again. Arguments are those of :func:`phased`.

    Attributes:
        phase: for each rank of the timeline its phase.
        again: for each operation that is computed again, the phase that begins with that.
    """

    def __init__(self, timeline: Timeline, life: Lifetimes, segments: int, kept: int = 1) -> None:
        self.timeline, self.life = timeline, life
        end, turn = len(timeline.order), life.turn
        ranks = np.arange(end)
        there = life.cuts_there(segments)
        segment = np.searchsorted(there, ranks, "left")
        self.segment = segment[life.born]
        lasting = life.wanted | (segment[life.last_there] > self.segment) | (life.complete > turn)
        self.spared = ~lasting & (self.segment > len(there) - kept)
        self.stays = lasting | self.spared
        self.again = self._again()
        back = [turn + 1 + c for c in self._cuts_back(len(there) + 1)]
        self.phase: list[int] = np.searchsorted([*there, *back], ranks, "left").tolist()
        self.again = {i: self.phase[r] for i, r in self.again.items()}
        self._straighten()

    def _straighten(self) -> None:
        """Move what belongs to the phase before into that: cuts by rank are not straight, as some ways are longer."""
        line, turn, phase = self.timeline, self.life.turn, self.phase
        ready = [-1] * len(
            phase
        )  # the first phase in which it can be computed, as far as the way back decides that
        firm = [True] * len(phase)
        there = self._turned()
        back = range(turn + 1, len(phase))
        for r in back:
            for a in line.program.items[line.order[r]].args:
                known = ready[line.rank[a]] if line.rank[a] > turn else there.get(a, -1)
                if known <= phase[r]:
                    ready[r] = max(ready[r], known)
            if ready[r] >= max(0, phase[r] - 1):
                phase[r] = ready[r]
            else:
                firm[r] = False
        first = list(phase)
        for r in reversed(back):
            if not firm[r]:
                phase[r] = max(ready[r], phase[r] - 1, first[r])
            for a in line.program.items[line.order[r]].args:
                if line.rank[a] > turn:
                    first[line.rank[a]] = min(first[line.rank[a]], phase[r])

        for r in back:
            args = line.program.items[line.order[r]].args
            known = max([phase[line.rank[a]] if line.rank[a] > turn else self.again.get(a, -1) for a in args])
            follows = line.view[line.order[r]] or line.order[r] in line.frames
            if known >= 0 and (follows or (not firm[r] and known == phase[r] - 1)):
                phase[r] = known

    def _turned(self) -> dict[int, int]:
        """Return for what is computed on the way there the phase of the way back that its segment belongs to."""
        life, block = self.life, self.life.block
        begin = [self.phase[r] if r < len(self.phase) else _NEVER for r in self.begin.tolist()]
        segment = self.segment.tolist()
        for i, p in self.again.items():
            begin[segment[block[i]]] = min(begin[segment[block[i]]], p)
        there = self.timeline.order[: life.turn + 1]
        return {i: begin[segment[block[i]]] for i in there if block[i] >= 0} | self.again

    def taken(self, term: tuple[int, ...], i: int) -> int:
        """Return the phase in which long sum ``i`` takes in a term."""
        rank, turn = self.timeline.rank, self.life.turn
        last = max([rank[a] for a in term])
        if last <= turn:
            return self.phase[last if last >= 0 else rank[i]]
        return max([self.phase[rank[a]] if rank[a] > turn else self.again.get(a, 0) for a in term])

    def _cuts_back(self, pieces: int) -> list[int]:
        life, end = self.life, len(self.timeline.order)
        first = np.where(life.born > life.turn, life.born, life.first_back)
        # what is spared weighs as if it were computed again: the pieces there and back shall match
        self.begin = np.full(self.segment.max(initial=0) + 1, end)
        np.minimum.at(self.begin, self.segment[self.spared], first[self.spared])
        first[self.spared] = self.begin[self.segment[self.spared]]
        for i, r in self.again.items():
            block = life.block[i]
            first[block] = min(first[block], r)
        weight = np.bincount(first, life.size, end + 1)[life.turn + 1 : end]
        moving = (life.born > life.turn) | ~self.stays
        start, stop = np.where(moving, first, end), np.where(life.wanted, 0, life.last)
        return cuts(weight, crossing(life.size, start, stop, end)[life.turn + 1 :], pieces)

    def _again(self) -> dict[int, int]:
        """Return what the way back reads of what does not stay, and what is needed to compute it."""
        line, turn, block = self.timeline, self.life.turn, self.life.block
        stays = self.stays.tolist()
        first: dict[int, int] = {}
        for a, r in line.reads():
            if r > turn >= line.rank[a] and block[a] >= 0 and not stays[block[a]]:
                first[a] = min(first.get(a, _NEVER), r)
        for i in line.order[turn::-1] if turn >= 0 else ():
            r = first.get(i, -1)
            if r >= 0:
                for a in line.program.items[i].args:
                    if block[a] >= 0 and not stays[block[a]]:
                        first[a] = min(first.get(a, _NEVER), r)
        return first


class _Writer:
    """Writes the items of a segmentation, phase by phase."""

    def __init__(self, plan: Segmentation) -> None:
        self.plan, self.line = plan, plan.timeline
        self.old = plan.timeline.program
        self.items: list[Item] = []
        self.phases: list[int] = []
        self.new: dict[int, int] = {}
        self.again: dict[int, int] = {}
        self.copies: dict[tuple[int, int], int] = {}
        self.checkpoints = self._checkpoints()

    def _checkpoints(self) -> set[int]:
        """Return the operations of the way there that stay because a later segment reads them, if few read them."""
        life, line = self.plan.life, self.line
        passing = self.plan.stays & ~self.plan.spared & ~life.wanted & (life.complete <= life.turn)
        found = {i for i in line.order[: life.turn + 1] if line.home[i] == i and passing[life.block[i]]}
        uses = Counter(a for i in line.order for a in self.old.items[i].args if a in found)
        return {i for i in found if uses[i] <= LONG and self.old.items[i].op is not ASSEMBLE}

    def written(self) -> Phased:
        """Return the program."""
        for i, item in enumerate(self.old.items):
            if item.kind != "op":
                self.new[i] = self._add(item, 0)
        repeats, shares = self._repeats(), self._shares()
        for p, members in enumerate(self._members()):
            for i in repeats.get(p, ()):
                item = self.old.items[i]
                args = [self.again[a] if a in self.again else self.new[a] for a in item.args]
                self.again[i] = self._add(with_args(item, tuple(args)), p)
            for i in members:
                if i in shares:
                    self._take_in(i, shares[i].pop(p, []), p)
                    continue
                item, r = self.old.items[i], self.line.rank[i]
                args = [self.new[a] if i in self.line.frames else self._read(a, r, p) for a in item.args]
                self.new[i] = self._add(with_args(item, tuple(args)), p)
            for i, share in shares.items():  # sums that themselves come later
                if p in share:
                    self._take_in(i, share[p], p)
        repeated = sum(self.items[i].op not in VIEWS for i in self.again.values())
        program = Program(self.items, tuple([self.new[i] for i in self.old.outputs]))
        return Phased(program, self.phases, repeated)

    def _members(self) -> list[list[int]]:
        """Return the operations of each phase, in recorded order: what lies side by side is decided by that."""
        members: list[list[int]] = [[] for _ in range(max(self.plan.phase, default=-1) + 1)]
        for i, r in enumerate(self.line.rank):
            if r >= 0:
                members[self.plan.phase[r]].append(i)
        return members

    def _add(self, item: Item, phase: int) -> int:
        self.items.append(item)
        self.phases.append(phase)
        return len(self.items) - 1

    def _read(self, a: int, r: int, p: int) -> int:
        """Return what stands for item ``a`` where it is read at rank ``r`` of phase ``p``.

        The way back reads a copy of a checkpoint, so that it can lie beside what was computed again.
        """
        if r <= self.plan.life.turn or a not in self.checkpoints:
            return self.new[a] if r <= self.plan.life.turn else self.again.get(a, self.new[a])
        if self.phases[self.new[a]] == p:
            return self.new[a]
        if (a, p) not in self.copies:
            self.copies[a, p] = self._add(_like(self.old.items[a], ops.alias, (self.new[a],)), p)
        return self.copies[a, p]

    def _repeats(self) -> dict[int, list[int]]:
        """Return for each phase the operations that are computed again before it, arguments first."""
        repeats: dict[int, list[int]] = {}
        again = self.plan.again
        for i in sorted(again.keys() | self.line.frames):
            phases = (
                {again.get(a, -1) for a in self.old.items[i].args} if i in self.line.frames else {again[i]}
            )
            if len(phases) == 1 and -1 not in phases:
                repeats.setdefault(phases.pop(), []).append(i)
        return repeats

    def _shares(self) -> dict[int, dict[int, list[tuple[int, ...]]]]:
        """Return for each long sum the terms that are taken in in each phase."""
        shares: dict[int, dict[int, list[tuple[int, ...]]]] = {}
        for i in self.line.sums:
            shares[i] = {}
            for term in terms(self.old.items[i]):
                shares[i].setdefault(self.plan.taken(term, i), []).append(term)
        return shares

    def _take_in(self, i: int, share: list[tuple[int, ...]], p: int) -> None:
        """Add terms, in phase ``p``, to what there is of sum ``i``."""
        item, last = self.old.items[i], self.line.rank[i]
        read = [tuple([self._read(a, self.line.taken(term, last), p) for a in term]) for term in share]
        parts = [self.new[i]] if i in self.new else []
        if read:
            whole = _product(item, read) if item.op is SUM_OF_MATMULS else None
            if whole is None and len(read) > 1:
                whole = _like(item, ops.add if len(read) == 2 else ops.add_n, tuple([a for (a,) in read]))
            parts.append(read[0][0] if whole is None else self._add(whole, p))
        self.new[i] = parts[0] if len(parts) == 1 else self._add(_like(item, ops.add, tuple(parts)), p)


def _product(item: Item, pairs: list[tuple[int, ...]]) -> Item:
    """Return the sum of the products of pairs."""
    if len(pairs) == 1:
        return _like(item, ops.matmul, pairs[0])
    return _like(item, SUM_OF_MATMULS, (*[a for a, _ in pairs], *[b for _, b in pairs]))


def _like(item: Item, op: Op, args: tuple[int, ...]) -> Item:
    return Item("op", op, NO_PARAMS, args, item.shape, item.dtype, item.scope, None, item.name)
