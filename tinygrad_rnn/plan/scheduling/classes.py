"""``Classes``: which operations of a program could run as one."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item

ALONE = (SUM_OF_MATMULS, ops.add_n)  # each reads its own arguments side by side
MOST_TERMS = 4  # of a sum that may be batched with others
SHARED = 4  # uses; a source with more is a weight, and products with different weights are not one batch
_DIGITS = re.compile(r"\d+")


class Classes:
    """Tells which operations could run as one: those of the same operation, kinds of arguments and neighborhood."""

    def __init__(self, items: list[Item], base: list[int], work: list[int]) -> None:
        self.items, self.base = items, base
        # of each reading: the steps of a sequence are readings of one array, each used little
        self._uses = [0] * len(items)
        for i in work:
            for a in items[i].args:
                self._uses[a] += 1
        kinds: dict[Hashable, int] = {}
        self._kinds = [kinds.setdefault((item.shape, item.dtype), len(kinds)) for item in items]
        self._statics: dict[int, Hashable] = {}
        self._scopes: dict[tuple[str, ...], Hashable] = {}
        self._given: dict[Hashable, int] = {}

    def numbers(self, made: list[int], phase: Sequence[int]) -> list[int]:
        """Return a number for each item that is made, the same for those that could run as one; -1 for others."""
        items = self.items
        forms: dict[Hashable, int] = {}
        first = [-1] * len(items)
        for i in made:
            first[i] = forms.setdefault(self._form(i), len(forms))
        homes = self._homes(made, first)
        near: list[int | None] = [None] * len(items)
        numbers: dict[Hashable, int] = {}
        result = [-1] * len(items)
        for i in made:
            key: Hashable = first[i]
            if items[i].shape:  # numbers are gathered anyway: the larger their batches, the better
                around = []
                for a in items[i].args:
                    if (n := near[a]) is None:
                        n = near[a] = self._neighbor(a, first, homes)
                    around.append(n)
                key = first[i], homes.get(i), tuple(around)
            result[i] = numbers.setdefault((phase[i], key), len(numbers))
        return result

    def _homes(self, made: list[int], first: list[int]) -> dict[int, Hashable]:
        """Return for each piece of a whole what the whole consists of: only the like can lie side by side."""
        homes: dict[int, Hashable] = {}
        for i in made:
            if self.items[i].op is ASSEMBLE:
                pieces = self.items[i].args
                homes.update(dict.fromkeys(pieces, frozenset([first[p] for p in pieces])))
        return homes

    def _form(self, i: int) -> Hashable:
        item = self.items[i]
        op, params, scope = item.op, item.params, item.scope
        if op is ASSEMBLE or (op in ALONE and item.shape and not _short(item)):
            return i
        stripped = self._scopes.get(scope)
        if stripped is None:
            stripped = self._scopes[scope] = tuple([_DIGITS.sub("#", part) for part in scope])
        static: Hashable = ()
        if params:
            found = self._statics.get(id(params))
            static = self._static(params) if found is None else found
        kinds = self._kinds
        return op, static, kinds[i], stripped, *[kinds[a] for a in item.args]

    def _static(self, params: Mapping[str, Any]) -> Hashable:
        found = self._statics[id(params)] = tuple(sorted(params.items()))
        return found

    def _neighbor(self, a: int, first: list[int], homes: Mapping[int, Hashable]) -> int:
        """Return a number for what an argument is; pieces of one whole are the same."""
        source, shape = self.base[a], self.items[a].shape
        item = self.items[source]
        key: Hashable
        if item.op is ASSEMBLE:
            key = ASSEMBLE, shape
        elif source in homes:
            key = homes[source]
        elif first[source] >= 0:
            return first[source]
        else:
            key = item.kind, shape, a if self._uses[a] > SHARED and shape else None
        return -1 - self._given.setdefault(key, len(self._given))


def _short(item: Item) -> bool:
    """Return whether a sum has so few terms that running it with others pays more than reading it in one go."""
    return item.op is ops.add_n and len(item.args) <= MOST_TERMS
