"""A program under revision: uses are counted, order is kept, what is not needed goes."""

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.core.op import NO_PARAMS
from tinygrad_rnn.plan.program import Item, Program, operation
from tinygrad_rnn.plan.rewrites.draft import Draft

X = Item("input", None, NO_PARAMS, (), (2,), np.dtype(float), (), 0)


def program():
    """x, sin x, cos x, sin x + cos x, tanh of that; wanted is the sum."""
    items = [
        X,
        *(operation(op, args, X) for op, args in [(ops.sin, (0,)), (ops.cos, (0,)), (ops.add, (1, 2))]),
    ]
    return Program([*items, operation(ops.tanh, (3,), X)], (3,))


def names(program):
    return [item.op.name if item.op else item.kind for item in program.items]


def test_what_nothing_uses_is_left_out_from_the_start():
    draft = Draft(program())
    assert draft.uses == [2, 1, 1, 1, 0]
    assert names(draft.finished()) == ["input", "sin", "cos", "add"]


def test_a_replaced_item_lets_go_of_its_arguments_and_theirs():
    draft = Draft(program())
    draft.replace(3, operation(ops.exp, (2,), X))
    assert draft.uses == [1, 0, 1, 1, 0]
    finished = draft.finished()
    assert names(finished) == ["input", "cos", "exp"]
    assert [item.args for item in finished.items] == [(), (0,), (1,)]
    assert finished.outputs == (2,)


def test_new_items_stand_before_their_host_in_the_order_of_their_needs():
    draft = Draft(program())
    outer = draft.insert(3, operation(ops.negative, (2,), X))
    inner = draft.insert(outer, operation(ops.square, (2,), X))
    draft.replace(outer, operation(ops.negative, (inner,), X))
    last = draft.insert(3, operation(ops.abs, (outer,), X))
    assert draft.uses[outer] == draft.uses[inner] == 0  # nothing needs them yet
    draft.replace(3, operation(ops.add, (1, last), X))
    assert [draft.uses[k] for k in (outer, inner, last)] == [1, 1, 1]
    finished = draft.finished()
    assert names(finished) == ["input", "sin", "cos", "square", "negative", "abs", "add"]
    assert all(a < i for i, item in enumerate(finished.items) for a in item.args)


def test_an_item_that_is_kept_stays_without_readers():
    draft = Draft(program())
    kept = draft.insert(3, operation(ops.square, (1,), X))
    draft.insert(3, operation(ops.negative, (1,), X))
    draft.keep(kept)
    assert names(draft.finished()) == ["input", "sin", "cos", "square", "add"]
