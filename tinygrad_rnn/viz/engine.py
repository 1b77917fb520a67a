"""The programs that lay a drawing out: ``graphviz-pure`` from PyPI, else Graphviz's own ``dot``.

The wheel graphviz-pure installs one command, in the scripts directory of the Python that runs us, which need not be on
PATH (a notebook's kernel seldom has it there). It writes SVG, PNG and JPEG; everything else, PDF above all, needs
``dot``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import graphviz

WHEEL = "graphviz-pure"
WHEEL_FORMATS = (
    "svg", "png", "jpeg", "jpg", "jpe", "json", "json0", "dot_json", "xdot_json",
    "dot", "gv", "canon", "xdot", "xdot1.2", "xdot1.4", "plain", "plain-ext",
)  # fmt: skip
_INSTALL_DOT = "apt install graphviz, dnf install graphviz, brew install graphviz or winget install graphviz"


class LayoutProgramNotFound(graphviz.ExecutableNotFound):  # type: ignore[misc]
    """No program was found that can lay the drawing out in this format.

    Attributes:
        source: the DOT text, which any Graphviz elsewhere can draw.
    """

    def __init__(self, message: str, source: str = "") -> None:
        RuntimeError.__init__(self, message)
        self.source = source


@dataclass(frozen=True, slots=True)
class Program:
    """A layout program: ``name`` as people know it, and the ``path`` that starts it."""

    name: str
    path: str

    def run(
        self, source: str, format: str, arguments: tuple[str, ...] = (), seconds: float | None = None
    ) -> bytes:
        """Return what the program writes for the DOT text ``source``.

        Args:
            source: the DOT text.
            format: such as ``"svg"``.
            arguments: more of them for the program.
            seconds: how long it may take; None: as long as it needs.

        Raises:
            graphviz.CalledProcessError: it refused; its own words are in ``stderr``.
            subprocess.TimeoutExpired: it took longer; it was ended.
        """
        # -q: the wheel warns once for every character outside ASCII that its metrics do not know
        command = [self.path, "-q", f"-T{format}", *arguments]
        text = source.encode("utf-8")
        done = subprocess.run(command, input=text, capture_output=True, check=False, timeout=seconds)
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace")
            raise graphviz.CalledProcessError(done.returncode, command, done.stdout, words)
        return done.stdout


def find_program(format: str, source: str = "", plugin: bool = False) -> Program:
    """Return the program that writes ``format``: graphviz-pure where it can, else ``dot``.

    Args:
        format: such as ``"svg"``, ``"png"`` or ``"pdf"``.
        source: the DOT text, handed on by the error.
        plugin: whether a renderer or formatter of Graphviz's own is asked for, which only ``dot`` has.

    Raises:
        LayoutProgramNotFound: there is none; the message says what to install.
    """
    wheel = next(_wheel_paths(), None)
    if wheel and format in WHEEL_FORMATS and not plugin:
        return Program(WHEEL, wheel)
    dot = shutil.which("dot")
    if dot:
        return Program("dot", dot)
    raise LayoutProgramNotFound(_missing(format, has_wheel=wheel is not None), source)


def _missing(format: str, has_wheel: bool) -> str:
    still = "The DOT text is still there: the drawing's .source"
    if format in WHEEL_FORMATS and not has_wheel:
        return (
            f"no program was found to draw {format}: install graphviz-pure (pip install graphviz-pure) "
            f"or Graphviz, whose command is dot ({_INSTALL_DOT}). {still}"
        )
    return (
        f"{format.upper()} needs Graphviz's own dot, which was not found: install Graphviz ({_INSTALL_DOT}). "
        f"graphviz-pure writes {', '.join(WHEEL_FORMATS[:4])} and DOT, but no {format}. {still}"
    )


def _wheel_paths() -> Iterator[str]:
    """Yield where the wheel's command is: beside this Python, where pip recorded it, on PATH."""
    command = f"{WHEEL}.exe" if sys.platform == "win32" else WHEEL
    beside = [Path(sysconfig.get_path("scripts")), Path(sys.executable or os.devnull).parent]
    for path in (*(folder / command for folder in beside), *_recorded(command)):
        if path.is_file() and os.access(path, os.X_OK):
            yield str(path)
    found = shutil.which(WHEEL)
    if found:
        yield found


def _recorded(command: str) -> Iterator[Path]:
    """Yield the files of the installed distribution that are its command; none when it is not installed."""
    try:
        files = metadata.files(WHEEL) or ()
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == command:
            yield Path(str(file.locate()))
