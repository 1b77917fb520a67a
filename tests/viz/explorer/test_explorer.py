import base64
import gzip
import hashlib
import html
import json
import re

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tinygrad_rnn.viz.escape import shown
from tinygrad_rnn.viz.explorer import document


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


def test_an_older_page_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    found = tr.explore(tr.Value(2.0) * 3.0)
    path = tmp_path / "page.html"
    path.write_text("old", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            found.save(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    found.save(path)
    assert path.read_text(encoding="utf-8") == found.html()


def test_a_replaced_gradient_has_a_notice():
    x = tr.Value(3.0, name="x")
    y = x * x
    y.name = "y"
    y.register_hook(lambda g: None)
    assert tr.explore(y + 1.0).notices == ()
    y.register_hook(lambda g: 10.0 * g)
    (notice,) = tr.explore(y + 1.0).notices
    assert notice == "A hook replaced the gradient of y: what is handed on is the replacement."


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\ud800 lone",
    "a\x00b\u2028c]]>&lt;",
    "x" * 10_000_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: name[:12].encode("unicode_escape").decode())
def test_no_name_can_leave_its_place(name):
    w = tr.Value(2.0, name=name)
    with tr.scope(name):
        loss = w * w
    loss.name = name
    found = tr.explore(loss)
    page = found.html()
    plain = tr.explore(tr.Value(2.0, name="w") * 1.0).html()
    assert page.count("<script") == plain.count("<script")
    assert page.count("</script") == plain.count("</script")
    assert "<img" not in page
    assert len(page) < len(plain) + 50_000
    payload = re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(payload) == found.payload
    assert found.payload["nodes"][0]["name"][:10] == shown(name)[:10]
    page.encode("utf-8")


def test_a_large_payload_is_compressed_and_comes_back(monkeypatch):
    found = tr.explore(scalar_rnn(3))
    plain = found.html()
    monkeypatch.setattr(document, "LARGEST_PLAIN", 1000)
    page = found.html()
    packed = re.search(r'<script type="application/gzip" id="payload">(.*?)</script>', page)[1]
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == found.payload
    assert len(page) < len(plain)
    assert found.html() == page


def test_the_policy_lets_only_the_page_s_own_script_run():
    page = tr.explore(scalar_rnn(3)).html()
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "//" not in "".join(re.findall(r"https?:(//(?!www\.w3\.org/)\S*)", page))


@pytest.mark.parametrize(
    "loss",
    [
        lambda: tr.ops.log(tr.Value(0.0)) * tr.Value(0.0),
        lambda: (tr.Tensor([np.nan, np.inf, 1.0]) + tr.Tensor([0.0, 0.0, 0.0])).sum(),
        lambda: tr.unroll(lambda x, h: x + h, [], state=tr.Value(1.0)).final_state * 2.0,
        lambda: (tr.Tensor(np.ones((600, 600))) * 2.0).sum(),
        lambda: tr.Value(1.0),
        lambda: tr.Tensor([[1.0]]),
    ],
    ids=["inf", "nan", "no steps", "huge", "leaf", "one entry"],
)
def test_unusual_losses_have_a_page(loss):
    found = tr.explore(loss())
    assert len(found.html()) < 1_000_000
    assert found.payload["views"][-1]["svg"]


def test_a_view_that_is_too_large_is_told_in_python_and_on_the_page(monkeypatch):
    monkeypatch.setattr("tinygrad_rnn.viz.explorer.views.MOST_BOXES", 90)
    found = tr.explore(scalar_rnn(12))
    (notice,) = found.notices
    assert notice.startswith("Unrolled: ")
    assert notice == f"Unrolled: {found.payload['views'][-1]['notice']}"
    assert found.payload["notices"] == []


def test_a_graph_of_too_many_nodes_is_refused(monkeypatch):
    monkeypatch.setattr("tinygrad_rnn.viz.explorer.explorer.MOST_NODES", 30)
    with pytest.raises(ValueError, match="the graph has 35 nodes, at most 30 are legal"):
        tr.explore(scalar_rnn(3))
