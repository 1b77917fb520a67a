"""What the tests read off the explorer's page, and what the engine says to compare it with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr


def opened(page: Any, folder: Path, loss: Any) -> dict[str, Any]:
    """Open the page of a loss, made and saved as a user does, and return its payload."""
    found = tr.explore(loss)
    path = folder / "explorer.html"
    found.save(path)
    page.goto(path.as_uri())
    ready(page)
    payload: dict[str, Any] = found.payload
    return payload


def ready(page: Any) -> None:
    """Wait until the page shows its graph."""
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.wait_for_selector("#stage g.node, #viewnotice:not([hidden])", state="attached")


def settle(page: Any) -> None:
    """Wait until what was asked for is painted: two frames."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def still(page: Any) -> None:
    """Wait until the graph has stopped moving: the same place in four frames after each other."""
    page.evaluate(
        "() => new Promise(done => { let was = '', same = 0; const look = () => {"
        " const now = document.querySelector('#stage g.camera').getAttribute('transform');"
        " same = now === was ? same + 1 : 0; was = now;"
        " if (same > 3) done(); else requestAnimationFrame(look); }; requestAnimationFrame(look); })"
    )


def press(page: Any, *keys: str) -> None:
    """Press keys one after the other, with the graph in focus."""
    page.focus("#graph")
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def go(page: Any, position: int) -> None:
    """Move the slider to a position, as a mouse does."""
    page.evaluate(
        "p => { const s = document.getElementById('slider'); s.value = p; s.dispatchEvent(new Event('input')); }",
        position,
    )
    settle(page)


def numbers(page: Any, selector: str) -> list[float]:
    """Return the exact numbers behind the quantities that the selector finds."""
    return [
        float(text) for text in page.eval_on_selector_all(selector, "all => all.map(e => e.dataset.value)")
    ]


def box(index: int) -> str:
    """Return the selector of the box with this number."""
    return f'#stage g.node[data-box="n{index}"]'


def classes(page: Any, selector: str) -> set[str]:
    """Return the classes of the element, among them how far the sweep has come there."""
    return set(page.get_attribute(selector, "class").split())


def sweep(loss: Any) -> list[dict[str, Any]]:
    """Return the backward sweep from ``Graph.local_vjp`` alone: child, parent, upstream, downstream, running sum."""
    graph = tr.Graph.of(loss)
    totals: dict[int, Any] = {graph.index(loss): np.ones(loss.shape) if loss.shape else 1.0}
    found = []
    for child in reversed(range(len(graph))):
        if child not in totals or graph[child].op is None:
            continue
        shares = graph.local_vjp(graph[child], totals[child])
        for parent, share in zip(graph.parent_indices[child], shares, strict=True):
            if share is None:
                continue
            before = totals.get(parent)
            totals[parent] = share if before is None else before + share
            entry = {"child": child, "parent": parent, "upstream": totals[child], "downstream": share}
            found.append({**entry, "before": before, "sum": totals[parent]})
    return found


def close(x: Any) -> Any:
    """Return what the page shows for a number or an array (its norm, written in 9 digits), to compare with."""
    if np.ndim(x) == 0:
        return pytest.approx(float(x), rel=1e-13, abs=1e-300)
    return pytest.approx(float(np.linalg.norm(np.ravel(x))), rel=1e-8, abs=1e-300)
