"""The user's own line behind each recorded node, found by running the function once more under a profiler hook."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from typing import Any

from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.variable import Variable

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def lines_of(run: Callable[[], Any]) -> dict[int, str]:
    """Return ``file:line: text`` for each node that ``run()`` makes, by its age relative to the first one.

    A node is known by the moment at which some function returns it for the first time; the line is that of the
    innermost caller outside of this package. Nodes do not carry it: looking it up would slow every operation down.
    Under cProfile, which no Python code can take out and put back, there are no lines.
    """
    before = sys.getprofile()
    if before is not None and not callable(before):
        return {}
    made: dict[int, str] = {}

    def watch(frame: Any, event: str, result: Any) -> None:
        if event == "return" and isinstance(result, Variable) and result._stamp not in made:
            made[result._stamp] = _users_line(frame)

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    first = min(made, default=0)
    return {stamp - first: line for stamp, line in made.items()}


def age(node: Node, first: Node) -> int:
    """Return how many nodes were made since ``first``."""
    return int(node._stamp - first._stamp)


def _users_line(frame: Any) -> str:
    while frame is not None and _ours(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return ""
    name, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, line).strip()
    return f"{os.path.basename(name)}:{line}" + (f": {text}" if text else "")


def _ours(name: str) -> bool:
    return os.path.abspath(name).startswith(_HOME) or (name.startswith("<") and "printed from" in name)
