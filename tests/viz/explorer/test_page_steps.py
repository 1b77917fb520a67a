"""Stepping through the page, forward by nodes and backward by edges: its numbers are the engine's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.explorer.reading import box, classes, close, go, numbers, opened, press, settle, sweep
from tests.viz.networks import cell_loss, scalar_rnn, xor_loss
from tinygrad_rnn.viz.theme import THEMES, Palette, Scale

NETWORKS = {
    "numbers": lambda: scalar_rnn(3, backward=False),
    "RNN": lambda: cell_loss("RNNCell", 2),
    "LSTM": lambda: cell_loss("LSTMCell", 2),
    "XOR": xor_loss,
}


def operations(graph: tr.Graph) -> list[int]:
    return [i for i, node in enumerate(graph) if node.op is not None]


def said(page: Any, kind: str) -> list[float]:
    return numbers(page, f"#narration .formula .quantity.{kind}")


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_forward_steps_show_each_value_in_topological_order(page: Any, tmp_path: Path, make: Any) -> None:
    loss = make()
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    press(page, "Home")
    for i in operations(graph):
        if page.query_selector(box(i)):
            assert "later" in classes(page, box(i))
        press(page, "ArrowRight")
        assert said(page, "result") == [close(graph[i].data)]
        assert said(page, "given") == [close(graph[p].data) for p in graph.parent_indices[i][:5]]
        if page.query_selector(box(i)):
            assert "later" not in classes(page, box(i))
            assert "whole" not in classes(page, box(i))


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_backward_steps_multiply_and_add_up_as_the_engine_does(page: Any, tmp_path: Path, make: Any) -> None:
    loss = make()
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    press(page, "b")
    assert said(page, "downstream") == [1.0]
    for edge in sweep(loss):
        press(page, "ArrowRight")
        assert said(page, "upstream") == [close(edge["upstream"])]
        assert said(page, "downstream") == [close(edge["downstream"])]
        local = said(page, "local") if page.query_selector("#narration .local[data-value]") else []
        if local and graph[edge["child"]].shape == graph[edge["parent"]].shape == ():
            assert local[0] * edge["upstream"] == pytest.approx(float(edge["downstream"]), rel=1e-14)
        if edge["before"] is not None:
            assert numbers(page, "#narration .sum .quantity") == [
                close(edge[part]) for part in ("before", "downstream", "sum")
            ]
    assert page.is_disabled("#next")


def test_the_sums_end_at_the_gradient_of_the_weights(page: Any, tmp_path: Path) -> None:
    def total(w: Any, u: Any, b: Any) -> Any:
        h, sum_ = 0.0, 0.0
        for t in range(3):
            h = tr.ops.tanh(w * h + u * (0.25 * (t % 5) - 0.5) + b)
            sum_ = sum_ + (h - 0.5) ** 2
        return sum_

    expected = tr.grad(total, argnums=(0, 1, 2))(0.5, -0.3, 0.1)
    opened(page, tmp_path, scalar_rnn(3))
    for i, gradient in enumerate(expected):
        page.click(box(i))
        settle(page)
        assert numbers(page, "#details [data-kind=grad] .quantity") == [pytest.approx(gradient, rel=1e-13)]


def test_slider_and_keys_go_the_same_way(page: Any, tmp_path: Path) -> None:
    loss = scalar_rnn(3)
    opened(page, tmp_path, loss)
    forward, backward = len(operations(tr.Graph.of(loss))), len(sweep(loss))
    assert page.get_attribute("#slider", "max") == str(forward + 1 + backward)
    press(page, "Home", *["ArrowRight"] * (forward + 9))
    by_keys = page.inner_html("#narration")
    go(page, 0)
    go(page, forward + 9)
    assert page.inner_html("#narration") == by_keys
    page.focus("#slider")
    page.keyboard.press("ArrowRight")  # the slider's own key: one step, not two
    assert page.input_value("#slider") == str(forward + 10)
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#slider") == str(forward + 9)


def test_gradients_stay_hidden_until_the_sweep_has_come(page: Any, tmp_path: Path) -> None:
    loss = scalar_rnn(3)
    opened(page, tmp_path, loss)
    graph, edges = tr.Graph.of(loss), sweep(loss)
    seed = len(operations(graph)) + 1
    into = {i: [e for e, edge in enumerate(edges) if edge["parent"] == i] for i in range(3)}
    for position in range(seed, seed + 1 + len(edges)):
        go(page, position)
        for i, uses in into.items():
            taken = sum(seed + 1 + e <= position for e in uses)
            wanted = {0: set(), len(uses): {"whole"}}.get(taken, {"partial"})
            assert classes(page, box(i)) & {"whole", "partial"} == wanted


def test_playing_walks_on_and_stops(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, tr.Value(2.0, name="a") * tr.Value(3.0, name="b"))
    page.select_option("#speed", "30")
    press(page, "Space")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.wait_for_selector("#play[aria-label=Play]")
    assert page.input_value("#slider") == page.get_attribute("#slider", "max") == "4"


def test_colors_follow_the_scale_of_the_drawings(page: Any, tmp_path: Path) -> None:
    loss = scalar_rnn(4)
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    sizes = {i: abs(node.grad) for i, node in enumerate(graph) if node.has_grad and node.kind != "constant"}
    palette = Palette(Scale.of(sizes.values()))
    assert palette.scale.high > 0
    seen = 0
    for i, magnitude in sizes.items():
        if page.query_selector(box(i)) and magnitude:
            assert f"lv{palette.level(magnitude)}" in classes(page, box(i))
            seen += 1
    assert seen > 10


@pytest.mark.parametrize(
    ("context_settings", "theme"),
    [({"color_scheme": name}, THEMES[name]) for name in ("light", "dark")],
    ids=["light", "dark"],
)
def test_the_ramps_are_those_of_the_drawings(page: Any, tmp_path: Path, theme: Any) -> None:
    opened(page, tmp_path, tr.Value(2.0) * tr.Value(3.0))
    for name, ramp in (("lv", theme.ramp), ("edge", theme.edge_ramp)):
        found = page.evaluate(
            "name => [0, 1, 2, 3, 4, 5, 6].map(i =>"
            " getComputedStyle(document.documentElement).getPropertyValue(`--${name}${i}`).trim())",
            name,
        )
        assert tuple(found) == ramp


def test_arrays_are_told_entry_by_entry(page: Any, tmp_path: Path) -> None:
    x = tr.Tensor(np.array([0.5, -1.0]), name="x")
    opened(page, tmp_path, tr.ops.sum(x * x))
    press(page, "b", "ArrowRight", "ArrowRight", "ArrowRight")
    lists = page.eval_on_selector_all(
        "#narration [data-list]", "all => all.map(e => JSON.parse(e.dataset.list))"
    )
    assert lists == [[0.5, -1.0], [1.0, 1.0], [0.5, -1.0], [0.5, -1.0], [0.5, -1.0], [1.0, -2.0]]


def test_pages_of_the_keyboard_go_by_time_steps(page: Any, tmp_path: Path) -> None:
    payload = opened(page, tmp_path, scalar_rnn(4))
    nodes = payload["nodes"]
    order = [i for i, node in enumerate(nodes) if node["op"] is not None]
    press(page, "Home")
    for t in range(4):
        press(page, "PageDown")
        first = next(k for k, i in enumerate(order) if nodes[i]["step"] == t)
        assert page.input_value("#slider") == str(first + 1)
    press(page, "b", "PageDown")
    first = next(e for e, edge in enumerate(payload["edges"]) if nodes[edge["child"]]["step"] == 3)
    assert page.input_value("#slider") == str(len(order) + 2 + first)
    press(page, "PageUp", "PageUp", "PageUp")
    assert int(page.input_value("#slider")) < len(order)
