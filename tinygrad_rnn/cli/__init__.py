"""The command line: `tinygrad-rnn demo | train | sample | draw | explore | check`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

PROGRAM = "tinygrad-rnn"

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command; without arguments the help is shown.

    0: done; 1: it could not be done, or a check failed; 2: the command line is wrong; 130: interrupted.
    Whatever is wrong is one line on standard error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without "☕" shows \u2615 and goes on
            stream.reconfigure(errors="backslashreplace")
    if arguments is None:
        _use_one_thread(sys.argv[1:])
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


def _use_one_thread(given: Sequence[str]) -> None:
    """Begin a training command again with linear algebra in one thread, unless the user chose a number.

    The matrices of one time step are small: threads that wait for each other cost more than they bring, on a busy
    machine four times as much. The number is read when numpy is loaded, which importing this package has done.
    Windows cannot replace a process; there the variables are the user's to set.
    """
    trains = bool(given) and given[0] in ("demo", "train")
    if trains and os.name == "posix" and sys.executable and not any(name in os.environ for name in _THREADS):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **dict.fromkeys(_THREADS, "1")})


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
