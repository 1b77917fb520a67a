"""The widget: traits on Python's side; knobs, pictures and numbers on the page's side, in a browser."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.viz import experiment, widget
from tinygrad_rnn.viz.experiment import Experiment

FRONT = Path(widget.__file__).parent / "front"


# --- Python's side


@pytest.fixture
def knobs() -> Any:
    pytest.importorskip("anywidget")
    return tr.widget()


def test_it_begins_with_a_small_network(knobs: Any) -> None:
    assert {name: getattr(knobs, name) for name in widget.KNOBS} == {
        "kind": "rnn", "steps": 20, "radius": 0.9, "source": "impulse", "seed": 0, "level": "step",
    }  # fmt: skip
    assert knobs.payload == Experiment().payload()


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "lstm"), ("steps", 7), ("radius", 1.4), ("source", "noise"), ("seed", 3), ("level", "rolled")],
)
def test_a_knob_makes_a_new_payload(knobs: Any, name: str, value: Any) -> None:
    setattr(knobs, name, value)
    assert knobs.payload == Experiment(**{name: value}).payload() != Experiment().payload()


def test_knobs_add_up(knobs: Any) -> None:
    knobs.kind, knobs.steps = "gru", 5
    knobs.radius = 0.3
    assert knobs.payload == Experiment("gru", 5, 0.3).payload()


def test_what_is_set_to_what_it_was_computes_nothing(knobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Experiment, "payload", lambda self: pytest.fail("computed again"))
    knobs.steps = 20


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "mgu"), ("steps", 0), ("steps", 1000), ("radius", -1.0)]
)
def test_what_is_not_possible_is_refused_and_nothing_changes(knobs: Any, name: str, value: Any) -> None:
    import traitlets

    before = knobs.payload
    with pytest.raises(traitlets.TraitError):
        setattr(knobs, name, value)
    assert knobs.payload is before


def test_it_begins_with_a_network_that_is_given() -> None:
    pytest.importorskip("anywidget")
    net = tr.nn.LSTM(3, 6).unroll([[0.0, 1.0, 2.0]] * 4)
    made = tr.widget(net)
    assert (made.kind, made.steps) == ("lstm", 4)
    assert made.payload == Experiment.like(net).payload()
    made.steps = 5
    assert made.payload["flows"][0]["norms"][4][4] == 1.0
    with pytest.raises(TypeError, match=r"widget: needs what tr\.unroll"):
        tr.widget("net")


def test_without_anywidget_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    widget._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r'widget needs anywidget: pip install "tinygrad_rnn\[notebook\]"'):
        tr.widget()
    widget._widget_class.cache_clear()


# --- the page's side

MODEL = """
const values = JSON.parse(document.getElementById("values").textContent);
const heard = {};
window.saved = [];
window.model = {
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; },
  save_changes: () => { window.saved.push(structuredClone({ ...values, payload: 0 })); },
  on: (event, f) => { (heard[event] = heard[event] || []).push(f); },
  off: (event, f) => { heard[event] = (heard[event] || []).filter((g) => g !== f); },
};
window.fromPython = (name, value) => { values[name] = value; (heard["change:" + name] || []).forEach((f) => f()); };
window.listening = () => Object.values(heard).flat().length;
"""


def shown(page: Any, folder: Path, start: Experiment, background: str = "#ffffff") -> Any:
    """Open a page with the widget's own script and styles, and a model that is only a store of values."""
    values = {name: getattr(start, name) for name in widget.KNOBS} | {"payload": start.payload()}
    script = (FRONT / "widget.js").read_text(encoding="utf-8")
    assert script.endswith("export default { render };\n")
    script = script.replace(
        "export default { render };", "window.close_widget = render({ model, el: here });"
    )
    text = json.dumps(values).replace("<", "\\u003c")
    style = (FRONT / "widget.css").read_text(encoding="utf-8")
    path = folder / "widget.html"
    path.write_text(
        f"<!DOCTYPE html><meta charset='utf-8'><title>w</title><style>body{{background:{background}}}{style}</style>"
        f'<div id="here"></div><script type="application/json" id="values">{text}</script>'
        f"<script>{MODEL}\n{script}</script>",
        encoding="utf-8",
    )
    page.goto(path.as_uri())
    return page


def pressed(page: Any, knob: str, *keys: str, value: Any) -> dict[str, Any]:
    """Press keys on a knob and return what was sent to Python, once the knob's ``value`` was."""
    page.locator(f"[data-knob={knob}]").focus()
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function(f"saved.length && saved.at(-1).{knob} === {json.dumps(value)}", timeout=10_000)
    return dict(page.evaluate("saved.at(-1)"))


def test_sliders_are_moved_by_the_keyboard(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=6))
    pressed(page, "steps", "ArrowRight", "ArrowRight", value=8)
    pressed(page, "radius", "ArrowLeft", value=0.85)
    pressed(page, "seed", "End", value=100)
    pressed(page, "kind", "ArrowDown", value="lstm")
    assert pressed(page, "source", "ArrowDown", value="sine") == {
        "kind": "lstm", "steps": 8, "radius": 0.85, "source": "sine", "seed": 100, "level": "step", "payload": 0,
    }  # fmt: skip
    assert page.locator("[data-knob=steps] + output").inner_text() == "8"
    assert page.locator(".trw-status").inner_text() == "computing …"


def test_changes_in_quick_succession_are_sent_once(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=6))
    sent = page.evaluate("""() => {
        const slider = document.querySelector("[data-knob=steps]");
        for (let value = 7; value <= 16; value++) {
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
        }
        return saved.length;
    }""")
    assert sent == 0
    page.wait_for_function("saved.length > 0")
    page.wait_for_timeout(200)
    assert page.evaluate("saved.map((sent) => sent.steps)") == [16]


def test_what_is_moved_back_waits_for_no_answer(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=6))
    page.locator("[data-knob=steps]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".trw-status").inner_text() == "computing …"
    page.wait_for_function("document.querySelector('.trw-status').textContent === ''")
    assert page.evaluate("saved") == []


def test_the_picture_follows_python(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=3))
    assert page.locator(".trw-map").count() == 1
    assert page.locator(".trw-graph svg .cluster").filter(has_text="t=2").count() == 1
    pressed(page, "kind", "ArrowDown", value="lstm")
    assert page.locator(".trw-status").inner_text() == "computing …"
    page.evaluate("v => fromPython('payload', v)", Experiment("lstm", 5).payload())
    assert page.locator(".trw-map").count() == 2
    assert page.locator(".trw-graph svg .cluster").filter(has_text="t=4").count() == 1
    assert page.locator(".trw-lags polyline[data-state=c]").count() == 1
    assert page.locator(".trw-status").inner_text() == ""
    page.evaluate("fromPython('steps', 42)")
    assert page.locator("[data-knob=steps]").input_value() == "42"
    assert page.locator("[data-knob=steps] + output").inner_text() == "42"


def test_the_numbers_are_read_cell_by_cell(page: Any, tmp_path: Path) -> None:
    start = Experiment(steps=4, radius=1.2, source="noise")
    shown(page, tmp_path, start)
    norms = start.payload()["flows"][0]["norms"]
    canvas = page.locator("canvas")
    cell = canvas.bounding_box()["width"] / 4
    for t, k in [(0, 0), (3, 0), (2, 1)]:
        canvas.hover(position={"x": (k + 0.5) * cell, "y": (t + 0.5) * cell})
        text = page.locator(".trw-readout").inner_text()
        assert text.startswith(f"t={t}, k={k}: ")
        assert float(text.rpartition(" ")[2]) == pytest.approx(norms[t][k], rel=5e-3)
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".trw-readout").inner_text() == "t=2, k=3: 0 (the state comes after the loss)"


def test_the_chart_has_the_norms_by_lag(page: Any, tmp_path: Path) -> None:
    start = Experiment(steps=5, radius=0.5)
    shown(page, tmp_path, start)
    points = page.locator(".trw-lags polyline[data-state=h]").get_attribute("points").split()
    heights = [float(point.partition(",")[2]) for point in points]
    lags = start.payload()["flows"][0]["lags"]
    assert len(points) == 5
    slope = (heights[1] - heights[0]) / (
        math.log10(lags[0]) - math.log10(lags[1])
    )  # pixels for each power of ten
    for height, lag in zip(heights, lags, strict=True):
        assert height - heights[0] == pytest.approx(-slope * math.log10(lag), abs=0.2)
    theory = page.locator(".trw-theory").get_attribute("points").split()
    assert float(theory[2].partition(",")[2]) - heights[0] == pytest.approx(
        slope * 2 * math.log10(2), abs=0.2
    )


PAPERS = [("#ffffff", "light"), ("#111a22", "dark"), ("transparent", "light")]


@pytest.mark.parametrize(("background", "theme"), PAPERS)
def test_it_follows_the_color_of_the_paper(page: Any, tmp_path: Path, background: str, theme: str) -> None:
    shown(page, tmp_path, Experiment(steps=3), background)
    assert page.locator(".trw").get_attribute("data-theme") == theme
    pixel = page.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 1, 1).data]"
    )
    assert pixel == ([31, 71, 136, 255] if theme == "light" else [228, 239, 196, 255])


@pytest.mark.parametrize("context_settings", [{"color_scheme": "dark"}], ids=["dark"])
def test_it_follows_the_reader_where_there_is_no_paper(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=3), "transparent")
    assert page.locator(".trw").get_attribute("data-theme") == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.querySelector('.trw').dataset.theme === 'light'")


def test_extreme_numbers_are_shown(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=1))
    assert page.locator(".trw-readout").inner_text() == "point at a cell"
    overflowing = {"steps": 2, "svg": None, "notices": ["no <b>dot</b>"], "flows": [
        {"state": "h", "norms": [[1.0], ["inf", 0.0]], "lags": [1.0, "inf"]}]}  # fmt: skip
    page.evaluate("v => fromPython('payload', v)", overflowing)
    assert page.locator(".trw-notice").inner_text() == "no <b>dot</b>"
    page.locator("canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".trw-readout").inner_text() == "t=1, k=0: inf"
    page.evaluate("v => fromPython('payload', v)", Experiment("gru", 200, 0.0).payload())


def test_it_lets_go_of_its_model(page: Any, tmp_path: Path) -> None:
    shown(page, tmp_path, Experiment(steps=2))
    assert page.evaluate("listening()") > 0
    page.evaluate("close_widget()")
    assert page.evaluate("listening()") == 0
    page.evaluate("document.body.style.background = 'black'")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert page.locator(".trw").get_attribute("data-theme") == "light"
    assert int(page.locator("[data-knob=steps]").get_attribute("max")) == experiment.MOST_STEPS
    assert float(page.locator("[data-knob=radius]").get_attribute("max")) == experiment.LARGEST_RADIUS
