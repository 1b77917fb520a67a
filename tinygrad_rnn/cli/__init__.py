"""The command line: `tinygrad-rnn demo | train | sample | draw | check`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

PROGRAM = "tinygrad-rnn"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command; without arguments the help is shown.

    0: done; 1: it could not be done, or a check failed; 2: the command line is wrong; 130: interrupted.
    Whatever is wrong is one line on standard error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without "☕" shows \u2615 and goes on
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from tinygrad_rnn.cli.commands import command
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        missing = f'needs {package}: pip install "tinygrad_rnn[train]"'
        return _fail(str(error) if package in ("", "tinygrad_rnn") else missing, 1)
    try:
        code = command().main(given or ["--help"], prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        return _fail(_described(error), getattr(error, "exit_code", 1))


def _described(error: Exception) -> str:
    """Return the message of an error; the kind is added where the message alone says little."""
    message = getattr(error, "format_message", error.__str__)()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    plain = isinstance(error, ValueError | ImportError) or getattr(error, "exit_code", None)
    return message if plain and message else f"{type(error).__name__}: {message}"


def _fail(message: str, code: int) -> int:
    """Print the message as one line on standard error and return the code."""
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return code
