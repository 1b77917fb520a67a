"""``simplified``: a program without dead, repeated and constant operations, its long sums in one go."""

from __future__ import annotations

from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.rewrites.assemble import assemble
from tinygrad_rnn.plan.rewrites.draft import Draft
from tinygrad_rnn.plan.rewrites.merge import merged
from tinygrad_rnn.plan.rewrites.slices import join_slices
from tinygrad_rnn.plan.rewrites.sums import add_small_first, flatten_sums, join_products, sum_outside

_REWRITES = (join_slices, add_small_first, flatten_sums, sum_outside, join_products, assemble)


def simplified(program: Program) -> Program:
    """Return the program after all rewrites that need not know what runs with what."""
    draft = Draft(merged(program))
    for rewrite in _REWRITES:
        rewrite(draft)
    return draft.finished()
