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


def test_a_frame_that_is_shown_later_fits_its_graph(page, tmp_path):
    frame = tr.explore(scalar_rnn(3))._repr_html_()
    (tmp_path / "later.html").write_text(
        f'<div id="cell" style="display:none">{frame}</div>', encoding="utf-8"
    )
    page.goto((tmp_path / "later.html").as_uri())
    inner = page.frames[1]
    for _ in range(500):  # what is not shown is never painted, so playwright's own waiting would not end
        if inner.evaluate("document.documentElement.dataset.ready") == "yes":
            break
        page.wait_for_timeout(20)
    page.evaluate("document.getElementById('cell').style.display = 'block'")
    inner.wait_for_function(
        """() => {
          const stage = document.getElementById("stage").getBoundingClientRect();
          const graph = document.querySelector("svg.picture g.camera").getBoundingClientRect();
          return stage.width > 300 && graph.width > 0.3 * stage.width && graph.left >= stage.left - 1
            && graph.right <= stage.right + 1 && graph.top >= stage.top - 1 && graph.bottom <= stage.bottom + 1;
        }"""
    )
