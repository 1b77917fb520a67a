"""The page with hostile names, in a sandbox, without a backward pass, with nothing to compute, with NaN and inf."""

import json
from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn as tr
from tests.viz.explorer.reading import box, go, numbers, opened, press, ready, settle
from tests.viz.networks import scalar_rnn
from tinygrad_rnn.viz.explorer.document import document

HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "<!-- <b>&amp;&lt;\"' -->")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(page: Any, tmp_path: Path, name: str) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    with tr.scope(name):
        w = tr.Value(0.5, name=name)
        loss = (w * 2.0 + w).tanh()
    loss.name = name
    opened(page, tmp_path, loss)
    press(page, "Home", *["ArrowRight"] * 8)
    page.click(box(0))
    settle(page)
    assert page.text_content("#details h2") == name
    assert name in page.text_content("#narration")
    assert name in page.text_content("#title") or name[:8] in page.text_content("#title")
    assert page.query_selector_all("img, b b, #details script, #stage script") == []
    assert page.evaluate("document.scripts.length") == 2
    assert asked == []


def test_in_a_sandboxed_frame_it_works(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    frame = tr.explore(scalar_rnn(3))._repr_html_()
    path.write_text(f"<!doctype html><meta charset='utf-8'>{frame}", encoding="utf-8")
    page.goto(path.as_uri())
    inside = page.frames[1]
    ready(inside)
    inside.focus("#graph")
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    inside.wait_for_selector("#narration[data-position='24']")
    assert inside.eval_on_selector("#narration .downstream[data-value]", "e => e.dataset.value") == "1"
    inside.click("#theme")
    inside.click(box(0))
    assert inside.evaluate("origin") == "null"


def test_a_handler_in_the_page_could_not_run(page: Any, tmp_path: Path, problems: list[str]) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=p onclick=\"window.ran = 1\">x</p>')")
    page.evaluate("document.getElementById('p').click()")
    assert page.evaluate("window.ran") is None
    assert "Content Security Policy" in problems[0]
    problems.clear()


def test_forward_only(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, tr.constant(2.0, name="a") * tr.constant(3.0, name="b"))
    assert page.get_attribute("#slider", "max") == "1"
    assert "backward pass" in page.text_content("#notices")
    press(page, "Home", "ArrowRight", "ArrowRight", "b")
    assert numbers(page, "#narration .quantity.result") == [6.0]
    assert page.query_selector("#halves .backward") is None
    assert page.is_hidden("#flow")
    page.click(box(0))
    settle(page)
    assert "no gradients" in page.text_content("#details")


def test_a_loss_that_is_a_leaf(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, tr.Value(2.0, name="x"))
    press(page, "Home")
    assert "nothing to compute" in page.text_content("#narration")
    press(page, "ArrowRight")
    assert numbers(page, "#narration .quantity.downstream") == [1.0]
    press(page, "End", "ArrowRight", "Space")


def test_no_time_steps_at_all(page: Any, tmp_path: Path) -> None:
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [], state=tr.Value(0.25, name="h_init"))
    opened(page, tmp_path, net.final_state * w)
    assert page.is_hidden("#flow")
    assert page.is_hidden("#tabs")
    press(page, "End")
    assert page.query_selector("#stage .node.whole") is not None


def test_nan_and_inf_are_shown(page: Any, tmp_path: Path) -> None:
    x = tr.Value(0.0, name="x")
    loss = tr.ops.log(x) * x
    opened(page, tmp_path, loss)
    press(page, "Home", "ArrowRight")
    assert page.text_content("#narration .quantity.result") == "−∞"
    press(page, "ArrowRight")
    assert page.text_content("#narration .quantity.result") == "NaN"
    press(page, "End")
    assert page.query_selector("#stage .node.alarm") is not None


def test_a_view_that_was_not_drawn_says_so(page: Any, tmp_path: Path) -> None:
    found = tr.explore(scalar_rnn(3))
    payload = found.payload
    payload["views"][-1].update(svg=None, notice="1,234,567 boxes are too many to lay out")
    path = tmp_path / "explorer.html"
    path.write_text(document("x", json.dumps(payload)), encoding="utf-8")
    page.goto(path.as_uri())
    ready(page)
    assert page.text_content("#viewnotice") == "1,234,567 boxes are too many to lay out"
    go(page, 5)
    press(page, "1")
    page.wait_for_selector("#stage g.node")
    assert page.is_hidden("#viewnotice")
