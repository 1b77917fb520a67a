"""Reads an SVG back: what is drawn, whatever the layout program's taste in markup."""

import shutil
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from tinygrad_rnn.viz import engine
from tinygrad_rnn.viz.drawing import Drawing

_NS = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Item:
    """A node, edge or cluster of the picture: its title, SVG classes, texts and the x range of its shapes."""

    title: str
    classes: frozenset[str]
    texts: tuple[str, ...]
    left: float


@dataclass(frozen=True)
class Picture:
    """All items of a picture."""

    nodes: tuple[Item, ...]
    edges: tuple[Item, ...]
    frames: tuple[Item, ...]
    texts: tuple[str, ...]
    root: ElementTree.Element

    def classed(self, name: str) -> list[Item]:
        """Return the nodes with an SVG class."""
        return [node for node in self.nodes if name in node.classes]


def program(name: str) -> engine.Program:
    """Return a layout program, or skip the test and say why."""
    path = next(engine._wheel_paths(), None) if name == engine.WHEEL else shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: this test has not run")
    return engine.Program(name, path)


def read(drawing: Drawing, name: str = engine.WHEEL) -> Picture:
    """Lay the drawing out and read the SVG back; invisible helpers of the layout are left out."""
    root = ElementTree.fromstring(program(name).run(drawing.source, "svg"))
    found: dict[str, list[Item]] = {"node": [], "edge": [], "cluster": []}
    for group in root.iter(f"{_NS}g"):
        classes = frozenset(group.get("class", "").split())
        kind = next((k for k in found if k in classes), None)
        if kind and len(group) > 1:  # an invisible one has a title only
            found[kind].append(_item(group, classes))
    texts = tuple(_text(t) for t in root.iter(f"{_NS}text"))
    return Picture(tuple(found["node"]), tuple(found["edge"]), tuple(found["cluster"]), texts, root)


def _item(group: ElementTree.Element, classes: frozenset[str]) -> Item:
    title = group.findtext(f"{_NS}title") or ""
    texts = tuple(_text(t) for t in group.iter(f"{_NS}text"))
    lefts = [float(t.get("x", "nan")) for t in group.iter(f"{_NS}text")]
    return Item(title, classes, texts, min(lefts, default=float("nan")))


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").replace("\N{NO-BREAK SPACE}", " ")
