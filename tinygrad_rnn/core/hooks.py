"""``Note``: what a node has in the rare case that it has more than a name: hooks, or the line that made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Carrier

Hook = Callable[[Any], Any]


class Note:
    """What a node has beyond its data.

    Attributes:
        name: the node's name.
        hooks: what is called with its cotangent.
        line: the file and the line that made it, where an observer asked for it.
    """

    __slots__ = ("hooks", "line", "name")

    def __init__(self, name: str, line: tuple[str, int] | None = None) -> None:
        self.name = name
        self.hooks: list[Hook] = []
        self.line = line

    def twin(self) -> Note:
        """Return the note of another node that stands for the same one: its hooks are the same, it can be renamed."""
        note = Note(self.name, self.line)
        note.hooks = self.hooks
        return note

    def run(self, node: Any, cotangent: Any) -> Any:
        """Return the cotangent after each hook of ``node`` has seen it, or has put another in its place.

        Raises:
            ValueError: a replacement has another shape.
        """
        for hook in self.hooks:
            if isinstance(cotangent, np.ndarray):
                cotangent = cotangent.view()
                cotangent.flags.writeable = False
            replacement = hook(cotangent)
            if replacement is not None:
                cotangent = self._accepted(node, replacement, isinstance(cotangent, Carrier))
        return cotangent

    @staticmethod
    def _accepted(node: Any, replacement: Any, recorded: bool) -> Any:
        if np.shape(replacement) != node.shape:
            raise ValueError(
                f"a hook on {node._title()} of shape {node.shape} returned a cotangent of "
                f"shape {np.shape(replacement)}"
            )
        if isinstance(replacement, Carrier):
            return replacement if recorded else node._admit(replacement._data)  # type: ignore[attr-defined]
        return node._constant_like(replacement) if recorded else node._admit(replacement)


def twin(note: str | Note | None) -> str | Note | None:
    """Return what another node that stands for the same one keeps as its name or note."""
    return note.twin() if isinstance(note, Note) else note
