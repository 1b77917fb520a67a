"""Where in time a node stands: the time step that its scope names, and what its name means in every step.

``unroll`` puts what step 3 records into the scope ``"t=3"`` and calls its state ``h_3``; whoever reads a graph by
time (a drawing, an analysis) finds the steps again by these two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"t=(\d+)\Z")
_STEP_INDEX = re.compile(r"_\d+(?=\Z|\[)")
_INITIAL = re.compile(r"_init(?=\Z|\[)")

Lane = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: step ``step`` of the sequence ``lane``, such as ``("layer 0",)``; step -1 is no step.

    Attributes:
        path: the whole scope, a frame for each part of it.
        frame: the scope up to and with the step; ``()`` outside of all steps.
    """

    path: tuple[str, ...]
    frame: tuple[str, ...]
    lane: Lane
    step: int


def place_of(scope: tuple[str, ...]) -> Place:
    """Return the place that a scope stands for.

    Example:
        >>> place_of(("layer 0", "t=3", "gate")).step
        3
        >>> place_of(("layer 0",)).step
        -1
    """
    for i, part in enumerate(scope):
        found = _STEP.match(part)
        if found:
            return Place(scope, scope[: i + 1], scope[:i], int(found[1]))
    return Place(scope, (), (), -1)


def series(name: str) -> str:
    """Return what a name is called in every step: ``h_3`` and ``h_init`` belong to ``h``.

    Example:
        >>> series("h_3"), series("h_init"), series("x_12[0]"), series("W_hh")
        ('h', 'h', 'x[0]', 'W_hh')
    """
    return _INITIAL.sub("", _STEP_INDEX.sub("", name, count=1), count=1)


def is_initial(name: str) -> bool:
    """Return whether a name is that of a state before the first step, such as ``h_init``."""
    return _INITIAL.search(name) is not None
