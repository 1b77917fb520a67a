import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tests.viz.pictures import read
from tinygrad_rnn.viz.dot import Canvas, Vertex
from tinygrad_rnn.viz.escape import LONGEST_NAME, marked_up, quoted, shown, subscripted
from tinygrad_rnn.viz.theme import Palette, Scale

HOSTILE = [
    'a"b',
    "back\\slash\\",
    "\\N \\G \\l",
    "<b>bold</b>",
    '<<table><tr><td href="javascript:alert(1)">x</td></tr></table>>',
    "javascript:alert(1)",
    "&lt;&amp;&#65;",
    "two\nlines\r\n",
    "\x00\x01\x1b[31m\x7f\x85",
    "\ud800 lone",
    "\ufffe\uffff",
    "n0 -> n1",
    "a:b:c",
    "{a|<p>b}",
    "]; evil [label=x",
    "   ",
    "日本 \u202e right to left",
    "x" * 10_000,
]


def test_a_long_name_ends_in_an_ellipsis():
    assert shown("x" * 10_000) == "x" * (LONGEST_NAME - 1) + "…"
    assert shown("x" * LONGEST_NAME) == "x" * LONGEST_NAME


def test_control_characters_become_pictures():
    assert shown("\x00\n\x7f") == "␀␊␡"
    assert shown("\ud800\x85\uffff") == "\N{REPLACEMENT CHARACTER}" * 3


def test_quoting_leaves_no_way_out():
    assert quoted('\\" &') == '\\\\\\" &amp;'
    assert marked_up("<a href='x'>&\"") == "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h_3", ("h", "3", "")),
        ("h_12345", ("h", "12345", "")),
        ("W_hh", ("W", "hh", "")),
        ("weight_ih_l0", ("weight", "ih,l0", "")),
        ("h_init", ("h", "init", "")),
        ("h[2]_3", ("h[2]", "3", "")),
        ("W_hh[0, 1]", ("W", "hh", "[0, 1]")),
        ("h_(t-1)", ("h", "t-1", "")),
        ("h_t = tanh", ("h", "t", " = tanh")),
    ],
)
def test_names_are_written_as_in_formulas(name, expected):
    base, below, rest = expected
    assert subscripted(name) == f'{base}<font point-size="8"><sub>{below}</sub></font>{rest}'


def test_what_stands_around_a_subscript_is_escaped():
    small = '<font point-size="8"><sub>3</sub></font>'
    assert subscripted("h[<b>]_3[&] = <i>") == f"h[&lt;b&gt;]{small}[&amp;] = &lt;i&gt;"


@pytest.mark.parametrize(
    "name", ["h", "_3", "h_", "training_loss", "a__b", "h 1_2", "x_1 y", "<b>_3", "y = a_1", "h_3]"]
)
def test_other_names_stay_as_they_are(name):
    assert subscripted(name) == marked_up(name)


def assert_harmless_and_literal(drawing, text, program="graphviz-pure"):
    picture = read(drawing, program)
    ids = {element.get("id") for element in picture.root.iter()}
    for element in picture.root.iter():
        assert not element.tag.lower().endswith("script")
        for key, value in element.attrib.items():
            assert not key.lower().startswith("on"), key
            if key.lower().endswith("href"):
                assert re.fullmatch(r"#g[0-9a-f]{8}-n\d+", value), (
                    "links lead into the drawing, by its own numbers"
                )
                assert value[1:] in ids
    assert all(
        re.fullmatch(r"(a_)?(graph|node|edge|clust|g[0-9a-f]{8}-n)\d+", found) for found in ids if found
    )
    expected = shown(text).replace("\N{NO-BREAK SPACE}", " ")
    assert any(expected.strip() in line for line in picture.texts), (expected, picture.texts)
    assert {node.title for node in picture.nodes} <= {f"n{i}" for i in range(100)}
    return picture


def assert_told(picture, text):
    """Check that some tip holds the text, all 400 characters of it, and as text."""
    expected = shown(text, 400).replace("\N{NO-BREAK SPACE}", " ")
    tips = [item.tip.replace("\N{NO-BREAK SPACE}", " ") for item in (*picture.nodes, *picture.edges)]
    assert any(expected[:300].strip() in tip for tip in tips), (expected, tips)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("level", ["op", "step", "rolled"])
def test_hostile_names_of_nodes_are_drawn_literally(text, level):
    loss = scalar_rnn(2)
    weight = next(node for node in tr.Graph.of(loss) if node.name == "w")
    weight.name = text
    for program in ("graphviz-pure", "dot"):
        assert_told(assert_harmless_and_literal(tr.draw(loss, level=level), text, program), text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
def test_hostile_names_of_scopes_are_drawn_literally(text, program):
    x = tr.Value(2.0)
    with tr.scope(text):
        y = (x * x).named(text)
    assert_harmless_and_literal(tr.draw(y), text, program)


def test_a_hostile_symbol_of_a_users_operation_is_drawn_literally():
    text = '"<b>\\N</b>"'
    op = tr.Op(name="odd", symbol=text, forward=lambda xp, x: x * x, partials=(lambda xp, y, x: 2.0 * x,))
    assert_harmless_and_literal(tr.draw(op(tr.Value(2.0))), text)


@given(st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=30), st.booleans())
@example('"', False)
@example("\\", False)
@settings(max_examples=30)
def test_any_text_is_drawn_literally(text, rich):
    canvas = Canvas(Palette(Scale()), expected=1 if rich else 10_000)
    canvas.box(Vertex("n0", [text, "second line"], "op", tip=[text, "more"], named=True), frame=(text,))
    canvas.box(Vertex("n1", [text], "ghost", link="n0"))
    canvas.arrow("n0", "n1", tip=[text])
    drawing = tr.viz.Drawing(body=canvas.lines([], scaled=False))
    picture = assert_harmless_and_literal(drawing, text)
    if rich:
        assert_told(picture, text)
        ghost, own = sorted(picture.nodes, key=lambda node: node.title, reverse=True)
        assert ghost.link == f"#{own.id}"
