"""Many drawings laid out side by side, none for longer than a reader waits."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import graphviz

from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.engine import find_program

_NOISE = re.compile(r'<!--.*?-->\n?|<\?xml.*?\?>\n?|<!DOCTYPE[^>]*>\n?|(?<=<g) id="\w+"', re.DOTALL)
_GEOMETRY = re.compile(r' (?:points|d|x|y)="[-\d.,MC ]*"')
_DECIMAL = re.compile(r"(\.\d)\d+")
SECONDS = 20.0  # a layout that takes longer is given up


def layouts(drawings: Sequence[Drawing], seconds: float = SECONDS) -> list[str | None]:
    """Return the drawings as slim SVG, in their order; None for one whose layout takes too long or too much memory.

    Each is laid out by a program of its own, as many at once as there are processors.

    Raises:
        LayoutProgramNotFound: there is no such program.
    """
    for drawing in drawings[:1]:
        find_program("svg", drawing.source)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda drawing: _laid_out(drawing, seconds), drawings))


def _laid_out(drawing: Drawing, seconds: float) -> str | None:
    source = drawing.source
    try:
        picture = find_program("svg", source).run(source, "svg", ("-Kdot",), seconds)
    except (subprocess.TimeoutExpired, graphviz.CalledProcessError):
        return None
    return _slim(picture.decode("utf-8"))


def _slim(svg: str) -> str:
    """Return the picture without what nobody reads: comments, identifiers, the second decimal of a coordinate."""
    return _GEOMETRY.sub(lambda found: _DECIMAL.sub(r"\1", found[0]), _NOISE.sub("", svg))
