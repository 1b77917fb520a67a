"""``replace_file``: a file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from typing import IO


def replace_file(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Write a new file beside ``path`` and rename it: a reader or a crash sees the old file or the new one.

    Args:
        path: the file; a symbolic link keeps pointing at the file that is replaced, which keeps its permissions.
        write: writes the content to the binary file that it is given.

    Raises:
        OSError: the file cannot be written; an existing file is then unchanged.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the renaming durable; Windows cannot open a folder and does not need it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
