from tinygrad_rnn.viz.dot import Canvas, Vertex
from tinygrad_rnn.viz.theme import Palette, Scale


def canvas(expected=1):
    return Canvas(Palette(Scale()), expected)


def text(drawn, notices=(), scaled=False):
    return "".join(drawn.lines(notices, scaled))


def test_frames_are_nested_and_closed():
    drawn = canvas()
    drawn.box(Vertex("n0", ["a"], "op"), frame=("outer", "inner"))
    drawn.box(Vertex("n1", ["b"], "op"), frame=("outer",))
    drawn.box(Vertex("n2", ["c"], "op"))
    lines = text(drawn).splitlines()
    opened = [i for i, line in enumerate(lines) if line.startswith("subgraph")]
    closed = [i for i, line in enumerate(lines) if line == "}"]
    place = {
        name: next(i for i, line in enumerate(lines) if line.startswith(name)) for name in ("n0", "n1", "n2")
    }
    assert len(opened) == len(closed) == 2
    assert place["n2"] < opened[0] < place["n1"] < opened[1] < place["n0"] < closed[0] < closed[1]
    assert lines[opened[0]] == "subgraph cluster_0 {"
    assert drawn.boxes == 3


def test_a_large_drawing_gets_plain_labels_and_short_cuts():
    small, large = canvas(1), canvas(10_000)
    for drawn in (small, large):
        drawn.box(Vertex("n0", ["head", "tail"], "op"))
    assert "<b>head</b><br/>" in text(small)
    assert '"head\\ntail"' in text(large)
    assert "nslimit" in text(large)
    assert "nslimit" not in text(small)


def test_notices_stand_in_the_caption():
    assert "5 steps are folded &amp; so on" in text(canvas(), ["5 steps are folded & so on"])
    assert "label=<<table" not in text(canvas())
