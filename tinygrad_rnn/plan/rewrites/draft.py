"""``Draft``: a program under revision, with the number of uses of each item kept up to date."""

from __future__ import annotations

from tinygrad_rnn.plan.program import Item, Program, with_args


class Draft:
    """The items of a program, which rewrites replace one by one, and new ones that stand before an old one.

    Attributes:
        items: those of the program, then the new ones in the order in which they were made.
        outputs: the indices of those that are wanted.
        uses: how often the items that are needed use each one; being an output is one use more, and so is being a
            random draw, which is made in any case.
    """

    def __init__(self, program: Program) -> None:
        self.items = list(program.items)
        self.outputs = program.outputs
        self.uses = _uses(program)
        self._before: dict[int, list[int]] = {}
        self._host: dict[int, int] = {}

    def insert(self, host: int, item: Item) -> int:
        """Return the index of a new item, which is computed just before item ``host``; nothing uses it yet."""
        new = len(self.items)
        self.items.append(item)
        self.uses.append(0)
        old = self._host.get(host, host)
        line = self._before.setdefault(old, [])
        line.insert(line.index(host) if host != old else len(line), new)
        self._host[new] = old
        return new

    def replace(self, i: int, item: Item) -> None:
        """Put ``item`` in the place of item i, whose users and name it keeps; what nothing uses any more is let go."""
        old = self.items[i]
        self.items[i] = item if item.name == old.name else item._replace(name=old.name)
        if self.uses[i]:
            for a in item.args:
                self._take(a)
            for a in old.args:
                self.release(a)

    def keep(self, i: int) -> None:
        """Count one use more, so that item i stays although no item reads it."""
        self._take(i)

    def _take(self, i: int) -> None:
        waiting = [i]
        while waiting:
            i = waiting.pop()
            self.uses[i] += 1
            if self.uses[i] == 1:
                waiting.extend(self.items[i].args)

    def release(self, i: int) -> None:
        """Count one use less."""
        waiting = [i]
        while waiting:
            i = waiting.pop()
            self.uses[i] -= 1
            if not self.uses[i]:
                waiting.extend(self.items[i].args)

    def finished(self) -> Program:
        """Return the program of what is used."""
        old, uses, before = self.items, self.uses, self._before
        new = [0] * len(old)
        items: list[Item] = []
        for i in range(len(old) - len(self._host)):
            if i in before:
                for k in before[i]:
                    if uses[k]:
                        new[k] = len(items)
                        items.append(with_args(old[k], tuple([new[a] for a in old[k].args])))
            if uses[i]:
                new[i] = len(items)
                item = old[i]
                items.append(with_args(item, tuple([new[a] for a in item.args])) if item.args else item)
        return Program(items, tuple([new[i] for i in self.outputs]))


def _uses(program: Program) -> list[int]:
    items = program.items
    uses = [0] * len(items)
    for i in program.outputs:
        uses[i] += 1
    for i in range(len(items) - 1, -1, -1):
        item = items[i]
        if item.kind == "random":
            uses[i] += 1
        if uses[i]:
            for a in item.args:
                uses[a] += 1
    return uses
