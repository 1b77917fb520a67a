import html
import json

import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn


def test_save_writes_the_page_and_returns_its_path(tmp_path):
    found = tr.explore(scalar_rnn(3))
    path = tmp_path / "deep" / "graph.html"
    assert found.save(path) == str(path)
    assert path.read_text(encoding="utf-8") == found.html()


def test_it_shows_itself_sandboxed():
    found = tr.explore(scalar_rnn(3))
    frame = found._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" ')
    assert f'srcdoc="{html.escape(found.html())}"' in frame
    assert "allow-same-origin" not in frame
    assert repr(found) == "<Explorer of 35 nodes; .save('graph.html') writes the page>"


def test_the_payload_is_plain_and_a_fresh_copy():
    found = tr.explore(scalar_rnn(3))
    payload = found.payload
    payload["nodes"].clear()
    assert len(found.payload["nodes"]) == 35
    assert found.payload["loss"] == 34
    assert json.loads(json.dumps(found.payload, allow_nan=False)) == found.payload


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (3.0, TypeError, "needs the loss, a Value or a Tensor of one entry, got float"),
        ([tr.Value(1.0)], TypeError, "tr.add_n"),
        (tr.Tensor([1.0, 2.0]), ValueError, "got shape \\(2,\\)"),
        (tr.Tensor([]), ValueError, "got shape \\(0,\\)"),
    ],
)
def test_what_is_no_loss_is_refused(loss, error, words):
    with pytest.raises(error, match=words):
        tr.explore(loss)


def test_a_stale_graph_is_refused():
    w = tr.Value(1.0, name="w")
    loss = w * w
    w.data = 2.0
    with pytest.raises(tr.GraphMutationError, match="'w'"):
        tr.explore(loss)


def test_nothing_differentiable_gives_a_page_with_a_notice():
    found = tr.explore(tr.constant(2.0) * tr.constant(3.0))
    assert found.edges == 0
    assert "no backward pass" in found.notices[0]
    assert all(node["grad"] is None for node in found.payload["nodes"])
