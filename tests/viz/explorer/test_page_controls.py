"""The page's controls: zoom and pan, tabs, search, keys alone, light and dark, narrow windows."""

from pathlib import Path
from typing import Any

import pytest

from tests.viz.explorer.reading import box, go, opened, press, settle, still
from tests.viz.networks import cell_loss, scalar_rnn


def camera(page: Any) -> list[float]:
    still(page)
    text = page.get_attribute("#stage g.camera", "transform")
    return [
        float(part) for part in text.replace("translate(", "").replace(") scale(", " ").rstrip(")").split()
    ]


def test_keys_and_buttons_zoom_and_fit(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    x, y, k = camera(page)
    press(page, "+", "+")
    assert camera(page)[2] == pytest.approx(k * 1.25**2, rel=1e-3)
    press(page, "-")
    assert camera(page)[2] == pytest.approx(k * 1.25, rel=1e-3)
    press(page, "0")
    assert camera(page) == pytest.approx([x, y, k], abs=0.02)
    page.click("#zoomin")
    assert camera(page)[2] > k
    page.click("#zoomfit")
    assert camera(page) == pytest.approx([x, y, k], abs=0.02)


def test_the_wheel_zooms_at_the_mouse_and_a_drag_moves(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    before = page.query_selector(box(0)).bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.wheel(0, -200)
    camera(page)
    after = page.query_selector(box(0)).bounding_box()
    assert after["width"] > 1.2 * before["width"]
    middle = [area["x"] + area["width"] / 2 for area in (before, after)]
    assert middle[1] == pytest.approx(middle[0], abs=1.5)
    x, y, k = camera(page)
    stage = page.query_selector("#stage").bounding_box()
    page.mouse.move(stage["x"] + 20, stage["y"] + 20)
    page.mouse.down()
    page.mouse.move(stage["x"] + 60, stage["y"] + 50, steps=4)
    page.mouse.up()
    assert camera(page) == pytest.approx([x + 40, y + 30, k], abs=0.6)
    assert page.text_content("#details h2") != ""


def test_a_drag_chooses_nothing_and_lets_nothing_go(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    for chosen in (0, 1):  # before and after a click
        page.hover(box(0))
        page.mouse.down()
        page.mouse.move(400, 300, steps=4)
        page.mouse.up()
        page.hover("#narration")
        still(page)
        assert len(page.query_selector_all(f"{box(0)}.chosen")) == chosen
        page.click(box(0))
        page.hover("#narration")
        settle(page)
        assert len(page.query_selector_all(f"{box(0)}.chosen")) == 1


def test_tabs_change_the_view_and_keep_the_step(page: Any, tmp_path: Path) -> None:
    payload = opened(page, tmp_path, cell_loss("RNNCell", 12))
    keys = [view["key"] for view in payload["views"]]
    assert keys == ["rolled", "steps", "folded", "unrolled"]
    go(page, 20)
    seen = set()
    for number, key in enumerate(keys, start=1):
        press(page, str(number))
        page.wait_for_selector(f"#tab-{key}[aria-selected=true]")
        page.wait_for_selector("#stage g.node")
        seen.add(page.eval_on_selector("#stage g.graph", "e => e.getBoundingClientRect().width"))
        assert page.input_value("#slider") == "20"
    assert len(seen) == 4
    page.focus("#tab-unrolled")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-rolled"
    assert page.input_value("#slider") == "20"


def test_search_finds_by_name_operation_and_step(page: Any, tmp_path: Path) -> None:
    payload = opened(page, tmp_path, scalar_rnn(3))
    press(page, "/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type("tanh t=1")
    found = page.eval_on_selector_all("#hits [data-node]", "all => all.map(e => Number(e.dataset.node))")
    nodes = payload["nodes"]
    assert found == [i for i, node in enumerate(nodes) if node["op"] == "tanh" and node["step"] == 1] != []
    page.fill("#query", "h_")
    rows = page.eval_on_selector_all("#hits [data-node]", "all => all.map(e => Number(e.dataset.node))")
    assert [nodes[i]["name"] for i in rows] == ["h_init", "h_0", "h_1", "h_2"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settle(page)
    assert page.text_content("#details h2") == "h_1"
    page.fill("#query", "nowhere")
    assert page.text_content("#hits") == "no node of this name"


def test_the_keyboard_alone_reaches_everything(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, cell_loss("RNNCell", 3))
    press(page, "j")
    wanted = {
        "query",
        "theme",
        "help",
        "graph",
        "zoomin",
        "zoomout",
        "zoomfit",
        "back",
        "play",
        "slider",
        "speed",
    }
    grids, tabs, links = 0, 0, 0
    page.focus("#query")
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e), a = getComputedStyle(e, '::after');"
            " return [e.id, e.className, e.getAttribute('role'),"
            " s.outlineStyle !== 'none' || a.borderTopStyle === 'solid']; }"
        )
        if seen[0] == "" and seen[1] == "":
            continue  # the end of the page: the browser's own controls
        assert seen[3], f"focus is not seen on {seen}"
        wanted.discard(seen[0])
        grids += seen[1] == "grid"
        links += "link" in seen[1]
        tabs += seen[2] == "tab"
    assert wanted <= {"query"}
    assert grids >= 3  # where the gradient goes, the value, the gradient
    assert links
    assert tabs


def test_enter_goes_to_the_step_of_the_chosen_node(page: Any, tmp_path: Path) -> None:
    payload = opened(page, tmp_path, scalar_rnn(3))
    operations = [i for i, node in enumerate(payload["nodes"]) if node["op"] is not None]
    press(page, "/")
    page.keyboard.type("h_1")
    page.keyboard.press("Enter")
    press(page, "Enter")
    h = next(i for i, node in enumerate(payload["nodes"]) if node["name"] == "h_1")
    assert page.input_value("#slider") == str(operations.index(h) + 1)


def test_the_keys_are_listed(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    press(page, "?")
    assert page.is_visible("#keys")
    assert "backward sweep" in page.text_content("#keys")
    page.keyboard.press("ArrowLeft")  # goes nowhere behind the list
    assert page.input_value("#slider") == page.get_attribute("#slider", "max")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")


def paper(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.querySelector('#graph')).backgroundColor")


@pytest.mark.parametrize(
    ("context_settings", "before", "after"),
    [
        ({"color_scheme": "light"}, "rgb(255, 255, 255)", "rgb(22, 28, 34)"),
        ({"color_scheme": "dark"}, "rgb(22, 28, 34)", "rgb(255, 255, 255)"),
    ],
    ids=["light", "dark"],
)
def test_light_and_dark(page: Any, tmp_path: Path, before: str, after: str) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    pixel = "document.querySelector('#flow canvas').toDataURL()"
    fill = f"getComputedStyle(document.querySelector('{box(0)} polygon')).fill"
    assert paper(page) == before
    was = page.evaluate(f"[{pixel}, {fill}]")
    page.click("#theme")
    page.wait_for_timeout(250)
    assert paper(page) == after
    now = page.evaluate(f"[{pixel}, {fill}]")
    assert was[0] != now[0]
    assert was[1] != now[1]
    press(page, "t")
    assert paper(page) == before


@pytest.mark.parametrize(
    "context_settings",
    [{"viewport": {"width": w, "height": h}} for w, h in ((1400, 900), (1000, 700), (600, 900))],
    ids=["1400", "1000", "600"],
)
def test_nothing_is_wider_than_the_window(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, cell_loss("RNNCell", 12))
    press(page, "b", "ArrowRight", "j")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    for part in ("#graph", "#slider", "#narration", "#details"):
        area = page.query_selector(part).bounding_box()
        assert area["width"] > 150
        assert area["x"] >= 0
        assert area["x"] + area["width"] <= page.evaluate("innerWidth")


@pytest.mark.parametrize("context_settings", [{"reduced_motion": "reduce"}], ids=["still"])
def test_without_motion_the_graph_jumps(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    press(page, "+", "+", "+")
    page.evaluate("document.getElementById('zoomfit').click()")
    settle(page)
    at_once = page.get_attribute("#stage g.camera", "transform")
    page.wait_for_timeout(300)
    assert page.get_attribute("#stage g.camera", "transform") == at_once


def test_steps_are_spoken(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    press(page, "b", "ArrowRight")
    spoken = page.text_content("#spoken")
    assert spoken.startswith("Backward, edge 1 of ")
    assert "local derivative 1 times upstream 1 is downstream 1" in spoken
    assert page.get_attribute("#spoken", "aria-live") == "polite"


def test_a_long_sequence_keeps_the_step_in_sight(page: Any, tmp_path: Path) -> None:
    payload = opened(page, tmp_path, scalar_rnn(40))
    press(page, "4")
    page.wait_for_selector("#tab-unrolled[aria-selected=true]")
    everything = sum("<title>" in part for part in payload["views"][-1]["svg"].split('class="node')[1:])
    assert (
        0 < page.eval_on_selector_all("#stage g.node", "all => all.length") < everything
    )  # the rest is far away
    end = int(page.get_attribute("#slider", "max"))
    for position in (end, end // 2 + 5, end // 4, 3):
        go(page, position)
        still(page)
        area = page.query_selector("#stage g.node.now").bounding_box()
        stage = page.query_selector("#stage").bounding_box()
        assert stage["x"] <= area["x"] <= stage["x"] + stage["width"]
        assert stage["y"] <= area["y"] <= stage["y"] + stage["height"]
        lefts = page.eval_on_selector_all(
            "#stage g.node", "all => all.map(n => n.getBoundingClientRect().left)"
        )
        assert max(lefts) < stage["x"] + 1.5 * stage["width"]  # what was seen before has been taken out
