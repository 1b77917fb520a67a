import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn, stack_loss
from tinygrad_rnn.viz.timeline import Fold, Timeline, fold_nodes, fold_steps


@pytest.mark.parametrize(
    ("steps", "fold", "expected"),
    [
        (8, "auto", Fold()),
        (9, "auto", Fold(2, 7, 5)),
        (50, "auto", Fold(2, 48, 46)),
        (10_000, "auto", Fold(2, 9_998, 9_996)),
        (4, True, Fold()),
        (5, True, Fold(2, 3, 1)),
        (10_000, False, Fold()),
        (10, 3, Fold(2, 9, 7)),
        (10, 1, Fold(1, 10, 9)),
        (10, 10, Fold()),
        (0, "auto", Fold()),
    ],
)
def test_which_steps_are_folded(steps, fold, expected):
    assert fold_steps(list(range(steps)), fold) == expected


def test_folding_hides_exactly_the_folded():
    fold = fold_steps(list(range(50)), 7)
    assert [t for t in range(50) if not fold.hides(t)] == [0, 1, 2, 3, 47, 48, 49]
    assert fold.count == 43


@pytest.mark.parametrize(
    ("fold", "error"), [(0, ValueError), (-3, ValueError), ("all", TypeError), (2.5, TypeError)]
)
def test_an_unknown_fold_is_refused(fold, error):
    with pytest.raises(error, match="draw: fold"):
        tr.draw(scalar_rnn(), fold=fold)


def test_a_large_graph_without_steps_folds_in_the_middle():
    assert fold_nodes(1_000, "auto", 2_000) == Fold()
    assert fold_nodes(10_000, False, 2_000) == Fold()
    assert fold_nodes(10_000, "auto", 2_000) == Fold(500, 9_500, 9_000)


def test_what_is_made_outside_of_a_step_follows_its_latest_argument():
    loss = scalar_rnn(3)
    timeline = Timeline(tr.Graph.of(loss))
    assert timeline.columns[-1] == 2
    assert timeline.columns[timeline.graph.index(next(n for n in timeline.graph if n.name == "w"))] == -1
    assert timeline.steps == [0, 1, 2]


def test_layers_that_share_the_time_axis_stand_inside_the_steps():
    timeline = Timeline(tr.Graph.of(stack_loss("RNN", 2)))
    assert timeline.drawn(("layer 1", "t=1")) == ("t=1", "layer 1")
    assert timeline.lane_frame(("layer 1",)) == ()


def test_a_decoder_that_reads_a_whole_encoder_keeps_its_own_frame():
    w = tr.Value(0.5, name="w")
    with tr.scope("encoder"):
        encoder = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 2.0, 3.0], state=0.0)
    with tr.scope("decoder"):
        decoder = tr.unroll(lambda x, h: (w * h + x + encoder.final_state).tanh(), [0.0, 0.0], state=0.0)
    timeline = Timeline(tr.Graph.of(decoder.final_state))
    assert timeline.drawn(("decoder", "t=0")) == ("decoder", "t=0")
    assert timeline.lane_frame(("decoder",)) == ("decoder",)
