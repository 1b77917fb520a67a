"""What lights up on the page: a weight's uses, a state's reach, the heat map's cells; and the details of a node."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.explorer.reading import box, close, numbers, opened, press, settle, sweep
from tests.viz.networks import cell_loss, scalar_rnn, xor_loss

LIT = "#stage .node.lit"


def named(graph: tr.Graph, name: str) -> int:
    return next(i for i, node in enumerate(graph) if node.name == name)


def boxes(page: Any, selector: str) -> set[int]:
    return {
        int(name[1:]) for name in page.eval_on_selector_all(selector, "all => all.map(e => e.dataset.box)")
    }


def shares_by_step(loss: Any, leaf: int) -> dict[int, float]:
    """Return <share, total> / <total, total> of each time step, from the sweep."""
    graph, parts = tr.Graph.of(loss), {}
    for edge in sweep(loss):
        if edge["parent"] == leaf:
            step = int(graph[edge["child"]].scope[0].removeprefix("t="))
            parts[step] = parts.get(step, 0.0) + np.ravel(edge["downstream"])
    total = sum(parts.values())
    return {t: float(share @ total / (total @ total)) for t, share in parts.items()}


@pytest.mark.parametrize(
    ("make", "weight"),
    [
        (lambda: scalar_rnn(4), "w"),
        (lambda: scalar_rnn(3), "b"),
        (lambda: cell_loss("RNNCell", 3), "weight_hh"),
    ],
    ids=["w", "b", "weight_hh"],
)
def test_a_weight_lights_its_uses_and_their_shares(page: Any, tmp_path: Path, make: Any, weight: str) -> None:
    loss = make()
    payload = opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    leaf = named(graph, weight)
    page.hover(box(leaf))
    settle(page)
    users = {i for i, parents in enumerate(graph.parent_indices) if leaf in parents}
    members = next(view["members"] for view in payload["views"] if view["key"] == "unrolled")
    ghosts = {int(name[1:]) for name, nodes in members.items() if nodes == [leaf]}
    assert len(ghosts) == len(users) >= 3
    assert boxes(page, LIT) == users | ghosts | {leaf}
    expected = shares_by_step(loss, leaf)
    bars = page.eval_on_selector_all(
        "#details .bar", "all => all.map(e => [Number(e.dataset.step), Number(e.dataset.part)])"
    )
    assert {int(t): part for t, part in bars} == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert sum(part for _, part in bars) == pytest.approx(1.0, abs=1e-9)
    badges = page.eval_on_selector_all(".badge", "all => all.map(e => [e.dataset.of, e.textContent])")
    assert {int(name[1:]) for name, _ in badges} == ghosts
    for name, text in badges:
        (user,) = {u for u in users if page.query_selector(f"{box(u)}.lit") and _feeds(payload, name, u)}
        shown = float(text.replace("−", "-").removesuffix(" %"))
        assert shown == pytest.approx(100 * expected[int(graph[user].scope[0][2:])], abs=0.6)


def _feeds(payload: dict[str, Any], ghost: str, user: int) -> bool:
    svg = next(view["svg"] for view in payload["views"] if view["key"] == "unrolled")
    return f"<title>{ghost}&#45;&gt;n{user}</title>" in svg


def test_leaving_a_box_puts_the_lights_out(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    page.hover(box(0))
    settle(page)
    assert boxes(page, LIT)
    page.hover("#narration")
    settle(page)
    assert not boxes(page, LIT)
    assert not page.query_selector_all(".badge")


def test_the_keyboard_lights_what_the_mouse_lights(page: Any, tmp_path: Path) -> None:
    opened(page, tmp_path, scalar_rnn(3))
    page.hover(box(1))
    settle(page)
    by_mouse = boxes(page, LIT)
    page.hover("#narration")
    press(page, "j", "j")
    assert boxes(page, LIT) == by_mouse
    press(page, "Escape")
    assert not boxes(page, LIT)


def norms_of(steps: int) -> tuple[Any, dict[tuple[int, int], float], list[int], list[int]]:
    """Return a loss, |dL_t/dh_k| by a backward pass from each loss, and the indices of h_k and L_t."""
    loss = scalar_rnn(steps, backward=False)
    graph = tr.Graph.of(loss)
    states = [named(graph, f"h_{k}") for k in range(steps)]
    losses = [named(graph, f"L_{t}") for t in range(steps)]
    found = {}
    for t in range(steps):
        graph[losses[t]].backward()
        for k in range(t + 1):
            found[t, k] = abs(graph[states[k]].grad)
    return loss, found, states, losses


def rounded(x: float) -> Any:
    """Return a norm of the heat map, which is written in 4 digits, to compare with."""
    return pytest.approx(x, rel=6e-4)


def test_the_heat_map_holds_the_norms_and_lights_both_ends(page: Any, tmp_path: Path) -> None:
    loss, expected, states, losses = norms_of(4)
    opened(page, tmp_path, loss)
    page.focus("#flow .grid")
    page.keyboard.press("ArrowDown")  # puts the cursor on the last loss, the first state
    for k in range(4):
        settle(page)
        assert numbers(page, "#flowreadout b") == [rounded(expected[3, k])]
        assert boxes(page, f"{LIT}.chosen") >= {states[k]}
        assert boxes(page, f"{LIT}.loss") == {losses[3]}
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    settle(page)
    assert numbers(page, "#flowreadout b") == []  # above the diagonal there is nothing
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert numbers(page, "#flowreadout b") == [rounded(expected[2, 2])]
    page.keyboard.press("Enter")
    settle(page)
    assert page.text_content("#details h2") == "h_2"


def test_the_mouse_on_a_cell_does_the_same(page: Any, tmp_path: Path) -> None:
    loss, expected, states, losses = norms_of(3)
    opened(page, tmp_path, loss)
    area = page.query_selector("#flow canvas").bounding_box()
    page.mouse.move(area["x"] + area["width"] * 0.5, area["y"] + area["height"] * 0.83)
    settle(page)
    assert numbers(page, "#flowreadout b") == [rounded(expected[2, 1])]
    assert boxes(page, f"{LIT}.loss") == {losses[2]}
    assert states[1] in boxes(page, f"{LIT}.chosen")
    graph = tr.Graph.of(loss)
    way = boxes(page, LIT)
    assert named(graph, "h_2") in way
    assert not way & {named(graph, name) for name in ("h_0", "w", "x_2")}
    assert losses[1] not in way


def test_a_state_lights_its_reach_and_its_column(page: Any, tmp_path: Path) -> None:
    loss, expected, states, _ = norms_of(5)
    opened(page, tmp_path, loss)
    page.hover(box(states[4]))
    settle(page)
    lit = boxes(page, f"{LIT}:is(.reached, .faded)")
    assert lit & set(states) == set(states[:4])
    ratios = {k: expected[4, k] / expected[4, 4] for k in range(4)}
    reach = max((4 - k for k, ratio in ratios.items() if ratio >= 1e-3), default=0)
    assert page.get_attribute("#details [data-reach]", "data-reach") == str(reach)
    faded = {states[k] for k, ratio in ratios.items() if ratio < 1e-3}
    assert boxes(page, f"{LIT}.faded") & set(states) == faded
    left = page.evaluate("document.querySelector('#flow .mark.column').style.left")
    assert left == "80%"


def test_reach_is_told_by_the_first_loss_behind_the_state(page: Any, tmp_path: Path) -> None:
    loss = cell_loss("RNNCell", 5)
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    states = [named(graph, f"h_{k}") for k in range(3)]
    page.hover(box(states[2]))
    settle(page)
    badges = page.eval_on_selector_all(
        ".badge", "all => all.map(e => [e.dataset.of, e.textContent.slice(1)])"
    )
    ratios = {}
    for t in (2, 4):
        graph[named(graph, f"L_{t}")].backward()
        norms = [float(np.linalg.norm(graph[i].grad)) for i in states]
        ratios[t] = {f"n{i}": norm / norms[2] for i, norm in zip(states[:2], norms[:2], strict=True)}
    assert {name: float(text) for name, text in badges} == pytest.approx(ratios[2], rel=0.06)
    assert ratios[4] != pytest.approx(ratios[2], rel=0.2)  # another loss would tell something else


def test_a_state_that_no_longer_reaches_back_is_marked(page: Any, tmp_path: Path) -> None:
    w = tr.Value(1e-4, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [0.5] * 3, state=0.0)
    loss = net.final_state * 1.0
    loss.name = "L"
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    page.hover(box(named(graph, "h_2")))
    settle(page)
    assert page.get_attribute("#details [data-reach]", "data-reach") == "0"
    assert {named(graph, "h_0"), named(graph, "h_1")} <= boxes(page, f"{LIT}.faded")


def test_a_tensor_opens_its_heat_maps_and_its_scalar_graph(page: Any, tmp_path: Path) -> None:
    loss = xor_loss()
    payload = opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    y = named(graph, "y")
    page.click(box(y))
    settle(page)
    for kind, array in (("value", graph[y].data), ("grad", graph[y].grad)):
        figure = f"#details [data-kind={kind}] figure"
        assert page.get_attribute(figure, "data-entries") == str(array.size)
        page.focus(f"{figure} .grid")
        page.keyboard.press("ArrowUp")  # the cursor begins at the last row
        seen = []
        for _ in range(array.size):
            seen.append(float(page.get_attribute(f"{figure} .readout", "title")))
            page.keyboard.press("ArrowUp")
        assert seen == pytest.approx(list(np.ravel(array)[::-1]), rel=1e-7)
    (parent,) = graph.parent_indices[y]
    for kind, arrays in {
        "value": (graph[parent].data, graph[y].data),
        "gradient": (graph[parent].grad, graph[y].grad),
    }.items():
        expected = sorted(float(x) for array in arrays for x in np.ravel(array))
        assert sorted(numbers(page, f"#details .scalar .node text.{kind}")) == pytest.approx(
            expected, rel=1e-6
        )
    inside = payload["scalarOf"][str(y)]
    boxes = payload["scalar"][inside["pattern"]]["boxes"]
    shown = page.eval_on_selector_all(
        "#details .scalar .node[data-box]:has(text.value)",
        "all => all.map(g => [g.dataset.box, Number(g.querySelector('text.value').dataset.value)])",
    )
    assert len(shown) >= 2 * graph[y].data.size
    assert shown == [[box, inside["values"][boxes[box]]] for box, _ in shown]


def test_the_uses_of_a_node_multiply_and_lead_to_their_steps(page: Any, tmp_path: Path) -> None:
    loss = scalar_rnn(3)
    opened(page, tmp_path, loss)
    edges = [(e, edge) for e, edge in enumerate(sweep(loss)) if edge["parent"] == 0]
    page.click(box(0))
    settle(page)
    assert numbers(page, "#details .uses .upstream") == [close(edge["upstream"]) for _, edge in edges]
    assert numbers(page, "#details .uses .downstream") == [close(edge["downstream"]) for _, edge in edges]
    local = numbers(page, "#details .uses .local")
    assert local == pytest.approx([edge["downstream"] / edge["upstream"] for _, edge in edges], rel=1e-12)
    page.click("#details .uses tbody tr:nth-child(2) button")
    settle(page)
    assert f"Backward {edges[1][0] + 1} of" in page.text_content("#narration .phase")
    assert page.text_content("#details .uses tbody tr:nth-child(3)").endswith("···")


@pytest.mark.parametrize("view", ["rolled", "steps", "folded", "unrolled"])
def test_every_view_shows_the_same_nodes(page: Any, tmp_path: Path, view: str) -> None:
    loss = cell_loss("RNNCell", 12)
    opened(page, tmp_path, loss)
    page.click(f"#tab-{view}")
    settle(page)
    graph = tr.Graph.of(loss)
    press(page, "/")
    page.keyboard.type("h_6")
    page.keyboard.press("Enter")
    settle(page)
    assert page.text_content("#details h2") == "h_6"
    assert numbers(page, "#details [data-kind=grad] .stats b")[0] == close(graph[named(graph, "h_6")].grad)
    page.wait_for_selector(f"{LIT}.chosen")
    press(page, "Home")
    assert page.query_selector("#details [data-kind]") is None  # nothing of it is computed


CHOSEN = "e => e.selectedOptions[0].textContent"


def test_choosing_a_state_shows_its_own_flow(page: Any, tmp_path: Path) -> None:
    loss = cell_loss("LSTMCell", 3)
    opened(page, tmp_path, loss)
    graph = tr.Graph.of(loss)
    assert page.eval_on_selector("#flow select", CHOSEN) == "h"
    page.click(box(named(graph, "c_1")))
    settle(page)
    assert page.eval_on_selector("#flow select", CHOSEN) == "c"
    page.hover("#narration")
    press(page, "Escape")
    assert "within a step is not counted" in page.text_content("#flowreadout")
    page.select_option("#flow select", label="h")
    assert page.eval_on_selector("#flow select", CHOSEN) == "h"
    page.focus("#flow .grid")
    page.keyboard.press("ArrowDown")
    settle(page)
    graph[named(graph, "L_2")].backward()
    assert numbers(page, "#flowreadout b") == [
        rounded(float(np.linalg.norm(graph[named(graph, "h_0")].grad)))
    ]


def test_a_box_of_many_nodes_lets_choose_one(page: Any, tmp_path: Path) -> None:
    loss = cell_loss("RNNCell", 6)
    payload = opened(page, tmp_path, loss)
    press(page, "1")
    page.wait_for_selector("#tab-rolled[aria-selected=true]")
    graph = tr.Graph.of(loss)
    states = [named(graph, f"h_{t}") for t in range(6)]
    members = next(view["members"] for view in payload["views"] if view["key"] == "rolled")
    name = next(name for name, nodes in members.items() if sorted(nodes) == states)
    page.click(f"#stage [data-box={name}]")
    page.hover("#narration")
    page.select_option("#details .members select", value=str(states[2]))
    settle(page)
    assert page.text_content("#details h2") == "h_2"
    assert page.eval_on_selector_all("#details .members option", "all => all.length") == 6
    assert numbers(page, "#details [data-kind=grad] .stats b")[0] == close(graph[states[2]].grad)
