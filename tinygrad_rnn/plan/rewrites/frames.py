"""Factors that scale the pieces of an array lie as the pieces do: one product then makes all pieces."""

from __future__ import annotations

from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import ASSEMBLE, kind_of
from tinygrad_rnn.plan.rewrites.assemble import Assembler
from tinygrad_rnn.plan.rewrites.draft import Draft
from tinygrad_rnn.plan.rewrites.recurrences import Recurrences


def frame_factors(draft: Draft, inside: Recurrences) -> None:
    """Give the factors of the pieces of each array that a recurrence assembles homes in an array of the same kind.

    Nobody reads that array. In one step its pieces are neighbors, as those of the array are; and the same piece of all
    steps lies at a constant distance.
    """
    assembler = Assembler(draft)
    for i in range(len(draft.items)):
        item = draft.items[i]
        if item.op is not ASSEMBLE or not draft.uses[i] or inside[i] < 0:
            continue
        found: dict[int, Any] = {}
        for piece, key in zip(item.args, item.params["keys"], strict=True):
            factor = _factor(draft, piece, inside)
            if factor is not None and assembler.homeless(factor):
                found[factor] = key
        if len(found) > 1:
            whole = assembler.put(i, None, list(found), list(found.values()))
            draft.keep(draft.insert(i, whole))


def _factor(draft: Draft, piece: int, inside: Recurrences) -> int | None:
    """Return what a piece of a recurrence is multiplied with from outside, if it is a product of such a kind."""
    item = draft.items[piece]
    if item.op is not ops.multiply or inside[piece] < 0:
        return None
    for u, v in (item.args, item.args[::-1]):
        if inside[u] == inside[piece] != inside[v] and kind_of(draft.items[v]) == kind_of(item):
            return v
    return None
