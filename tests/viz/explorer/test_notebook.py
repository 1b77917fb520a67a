"""The page inside the frame that a notebook shows: sandboxed, without an origin of its own."""

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn


def shown(page, tmp_path, loss):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>n</title>{tr.explore(loss)._repr_html_()}", encoding="utf-8")
    page.goto(path.as_uri())
    return page.frame_locator("iframe")


def test_the_explorer_runs_in_a_notebook_s_sandbox(page, tmp_path):
    frame = shown(page, tmp_path, scalar_rnn(3))
    frame.locator("g.node").first.wait_for()
    assert "35 nodes" in frame.locator("body").inner_text()


def test_so_does_a_large_one_whose_payload_is_compressed(page, tmp_path):
    loss = cell_loss("LSTMCell", 40)
    assert 'type="application/gzip"' in tr.explore(loss).html()
    frame = shown(page, tmp_path, loss)
    frame.locator("g.node").first.wait_for()
    assert f"{len(tr.Graph.of(loss)):,} nodes" in frame.locator("body").inner_text()
