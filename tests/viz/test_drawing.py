import graphviz
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tests.viz.pictures import program
from tinygrad_rnn.viz import Drawing, LayoutProgramNotFound, drawing


@pytest.fixture
def drawn() -> Drawing:
    program("graphviz-pure")
    return tr.draw(scalar_rnn())


def test_a_drawing_is_a_digraph_that_can_be_added_to(drawn):
    assert isinstance(drawn, graphviz.Digraph)
    drawn.node("mine", "a node of my own")
    assert "a node of my own" in drawn.pipe("svg", encoding="utf-8")
    assert drawn.copy().source == drawn.source


def test_render_with_a_suffix_writes_just_that_file(drawn, tmp_path):
    for kind, magic in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        path = drawn.render(tmp_path / "deep" / f"graph.{kind}")
        assert path == str(tmp_path / "deep" / f"graph.{kind}")
        assert (tmp_path / "deep" / f"graph.{kind}").read_bytes().startswith(magic)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["graph.png", "graph.svg"]


def test_render_otherwise_names_files_as_graphviz_does(drawn, tmp_path):
    assert drawn.render("graph", directory=tmp_path, format="png") == str(tmp_path / "graph.png")
    assert (tmp_path / "graph").read_text(encoding="utf-8") == drawn.source
    assert drawn.render(outfile="other.svg", directory=tmp_path) == str(tmp_path / "other.svg")
    assert (tmp_path / "other.gv").exists()
    assert drawn.render("third", directory=tmp_path, cleanup=True) == str(tmp_path / "third.svg")
    assert not (tmp_path / "third").exists()


def test_render_does_not_overwrite_what_it_should_not(drawn, tmp_path):
    drawn.render(tmp_path / "graph.svg")
    with pytest.raises(graphviz.FileExistsError, match=r"graph\.svg"):
        drawn.render(tmp_path / "graph.svg", raise_if_result_exists=True)
    with pytest.raises(ValueError, match="would overwrite the DOT text"):
        drawn.render("same.svg", outfile="same.svg", directory=tmp_path)


def test_save_does_not_write_dot_text_under_the_name_of_a_picture(drawn, tmp_path):
    with pytest.raises(ValueError, match=r"save: writes the DOT text.*use \.render\('graph\.svg'\)"):
        drawn.save("graph.svg", directory=tmp_path)
    assert drawn.save("graph.gv", directory=tmp_path) == str(tmp_path / "graph.gv")
    assert (tmp_path / "graph.gv").read_text(encoding="utf-8") == drawn.source


def test_view_renders_and_opens_the_picture(drawn, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(drawing.graphviz, "view", lambda path, quiet: opened.append(path))
    drawn.view("graph", directory=tmp_path)
    assert opened == [str(tmp_path / "graph.svg")]
    assert (tmp_path / "graph.svg").exists()


def test_a_notebook_gets_svg_and_a_line_of_text(drawn):
    bundle = drawn._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert "<svg" in bundle["image/svg+xml"]
    assert bundle["text/plain"] == repr(drawn)
    assert set(drawn._repr_mimebundle_(include=["image/png"])) == {"image/png"}
    assert set(drawn._repr_mimebundle_(exclude=["image/svg+xml"])) == {"text/plain"}


def test_a_notebook_scrolls_a_wide_picture_and_does_not_shrink_it(drawn):
    assert isinstance(drawn._repr_mimebundle_(), dict), "three steps fit"
    bundle, metadata = tr.draw(scalar_rnn(8))._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert metadata == {"image/svg+xml": {"unconfined": True}}
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    data, found = formatter.format(tr.draw(scalar_rnn(8)))
    assert found["image/svg+xml"] == {"unconfined": True}
    assert "<svg" in data["image/svg+xml"]


def test_a_notebook_without_a_program_gets_a_notice_and_the_dot_text(drawn, monkeypatch):
    def missing(*args, **kwargs):
        raise LayoutProgramNotFound("install <something>")

    monkeypatch.setattr(drawing, "find_program", missing)
    bundle = drawn._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "install &lt;something&gt;" in bundle["text/html"]
    assert "digraph" in bundle["text/plain"]
    assert len(bundle["text/html"]) < 12_000


def test_a_notebook_is_not_kept_waiting_for_a_huge_graph(drawn, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_BOXES", 5)
    bundle = drawn._repr_mimebundle_()
    assert "too many for a notebook" in bundle["text/plain"]
    assert "image/svg+xml" not in bundle
