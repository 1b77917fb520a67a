"""A drawn plan shows what was batched with what, how often, and which recurrence it belongs to."""

import re
from html import unescape

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.viz.planlevel import places
from tinygrad_rnn.viz.theme import LIGHT


def plan_of(fn, *args):
    return compile(fn).plan(*args)


def train_step(steps):
    return plan_of(tr.value_and_grad(loss), network(), *data(steps))


SUBSCRIPT = re.compile(r'<font point-size="8"><sub>(.*?)</sub></font>')


def boxes(drawing):
    """Return the texts of each box by its identifier."""
    found = re.findall(r"^(n\w+) \[label=<<b>(.*?)</b>(.*?)>,shape", drawing.source, re.M)
    rows = {
        name: [head, *re.findall(r'<font point-size="9">(.*?)</font>', rest)] for name, head, rest in found
    }
    return {name: [unescape(SUBSCRIPT.sub(r"_\1", text)) for text in texts] for name, texts in rows.items()}


def edges(drawing):
    return re.findall(r"^(n\w+)->(n\w+) \[(.*)\]$", drawing.source, re.M)


def test_products_of_all_steps_are_one_box():
    rows = boxes(tr.draw(train_step(7))).values()
    assert ["@", "7 together", "(2, 4)", "t=0 … 6"] in rows  # x W
    assert ["@", "7 together", "(2, 5)", "t=0 … 6"] in rows  # the readout
    assert ["h_t = tanh", "1 at a time × 7", "(2, 4)", "t=0 … 6"] in rows


def test_a_recurrence_has_a_frame_and_an_edge_to_its_next_round():
    drawing = tr.draw(train_step(7))
    assert re.findall(r'label="(recurrence.*?)"', drawing.source) == [
        "recurrence 1: 7 times one after the other",
        "recurrence 2: 6 times one after the other",
    ]
    names = boxes(drawing)
    carried = [(names[a][0], names[b][0]) for a, b, style in edges(drawing) if 'label="next"' in style]
    assert carried == [("+", "h_t = tanh"), ("×", "@")]


def test_a_long_sequence_is_as_large_as_a_short_one():
    short, long = tr.draw(train_step(5)), tr.draw(train_step(60))
    assert short.boxes == long.boxes < 60
    assert len(edges(short)) == len(edges(long))


def test_every_edge_is_between_boxes_that_are_drawn():
    drawing = tr.draw(train_step(4))
    names = set(re.findall(r"^(n\d\w*) \[", drawing.source, re.M))
    assert len(names) == drawing.boxes
    assert {end for a, b, _ in edges(drawing) for end in (a, b)} <= names


def test_results_inputs_weights_and_constants_are_marked():
    w = tr.Tensor(np.ones((2, 2)), name="W")
    drawing = tr.draw(plan_of(lambda x: (ops.sin(x @ w), ops.cos(x) + np.ones(2) * 3.0), np.ones((3, 2))))
    rows = list(boxes(drawing).values())
    assert ["sin", "(3, 2)", "result 0"] in rows
    assert ["W", "(2, 2)"] in rows
    assert ["x", "(3, 2)"] in rows
    assert ["constant", "(2,)"] in rows


def test_a_weight_is_drawn_beside_each_of_its_users():
    drawing = tr.draw(train_step(3))
    ghosts = [texts for name, texts in boxes(drawing).items() if "_" in name]
    assert ["p['u']"] in ghosts  # U, used going back as well
    assert len([1 for name in boxes(drawing) if "_" in name]) == drawing.source.count('class="ghost"')


def test_numbers_stand_in_the_label_of_their_user():
    drawing = tr.draw(plan_of(lambda x: x * 3.0, np.ones(2)))
    assert [texts[0] for texts in boxes(drawing).values()] == ["× 3", "x"]


def test_the_color_is_the_arithmetic_of_all_members():
    """A product of 2·50·50·50 flops is darker than a sum of 50·50, and data has no color."""
    source = tr.draw(plan_of(lambda x: (x @ x) + 1.0, np.ones((50, 50)))).source
    fills = dict(re.findall(r'^(n\d+) \[.*fillcolor="(#\w+)"', source, re.M))
    assert fills == {"n0": LIGHT.ramp[-1], "n1": LIGHT.ramp[2], "n2": LIGHT.plain}
    assert "flops, from" in source


def test_separate_sequences_are_batched_across():
    rows = np.random.default_rng(0).normal(size=(4, 5, 3))

    def both(p, xs):
        return [
            tr.unroll(lambda x, h: ops.tanh(x @ p["w"] + h @ p["u"]), x, state=np.zeros(4)).final_state
            for x in xs
        ]

    drawing = tr.draw(plan_of(both, {k: network()[k] for k in "wu"}, list(rows)))
    states = [texts for texts in boxes(drawing).values() if texts[0] == "h_t = tanh"]
    assert {texts[1].split(" × ")[0] for texts in states} == {"4 together"}
    assert [texts[-1] for texts in states if "result" in texts[-1]] == ["result 0, 1, 2, 3"]


def test_a_plan_that_was_not_made_for_a_call_numbers_its_inputs():
    plan = train_step(2)
    plan.example = None
    assert ["input 4", "(2, 2, 3)"] in boxes(tr.draw(plan)).values()


def test_phases_of_a_plan_that_computes_again_share_their_boxes():
    args = network(), *data(200)
    plan = tr.compile(tr.value_and_grad(loss), memory="sqrt").plan(*args)
    drawing = tr.draw(plan)
    assert len(plan.batches) > tr.compile(tr.value_and_grad(loss)).plan(*args).cost().batches
    assert drawing.boxes < 100
    (times,) = [int(t[1].split(" × ")[1]) for t in boxes(drawing).values() if t[0] == "h_t = tanh"]
    assert 200 < times <= 400
    own = [style for a, b, style in edges(drawing) if a == b]
    assert own
    assert all('label="next"' in style for style in own)


def test_a_plan_without_operations():
    drawing = tr.draw(plan_of(lambda x: x, np.ones(2)))
    assert drawing.boxes == 0
    assert drawing.notices == ("Plan of 1 values, 0 batches",)


@pytest.mark.parametrize(
    ("scopes", "text"),
    [
        ([], ""),
        ([("backward", "t=7")], "backward, t=7"),
        ([("layer 0", "t=1"), ("layer 1", "t=12")], "layer 0 … 1, t=1 … 12"),
        ([("encoder",), ("decoder",)], "encoder, decoder"),
    ],
)
def test_places(scopes, text):
    assert places(scopes) == text
