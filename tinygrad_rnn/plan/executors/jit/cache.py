"""``load``: a generated module, kept as a file in a cache folder so that numba can keep what it compiles beside it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from numba.core.errors import NumbaError

FOLDER = "TINYGRAD_RNN_CACHE"


def folders() -> Iterator[Path]:
    """Yield where generated source may be kept, the best place first.

    The environment variable ``TINYGRAD_RNN_CACHE`` names the folder; else it is ``tinygrad_rnn`` in the user's cache
    folder (``XDG_CACHE_HOME``, by default ``~/.cache``). The last resort is a new temporary folder.
    """
    if os.environ.get(FOLDER):
        yield Path(os.environ[FOLDER])
    else:
        home = os.environ.get("XDG_CACHE_HOME")
        with contextlib.suppress(RuntimeError):  # there is no home
            yield (Path(home) if home else Path.home() / ".cache") / "tinygrad_rnn"
    yield Path(tempfile.mkdtemp(prefix="tinygrad_rnn-"))


def fingerprint(text: str, versions: str) -> str:
    """Return a name for source and all that it is compiled by: a cache never holds what another source made."""
    return hashlib.sha256(f"{versions}\n{text}".encode()).hexdigest()[:20]


def load(name: str, text: str, versions: str) -> ModuleType:
    """Return the module that ``text`` defines, from the first folder in which it can be written and run.

    Args:
        name: what the module is called; a fingerprint is added.
        text: its source.
        versions: of all that it imports and is compiled by.
    """
    full = f"{name}_{fingerprint(text, versions)}"
    error: Exception | None = None
    for folder in folders():
        for fresh in (False, True):
            try:
                return _imported(full, _written(folder, full, text, fresh))
            except NumbaError:
                raise  # the source itself: no cache is to blame
            except OSError as e:
                error = e
                break  # the next folder
            except Exception as e:  # what numba kept may be broken: once more, without it
                error = e
    assert error is not None
    raise error


def _written(folder: Path, name: str, text: str, fresh: bool) -> Path:
    """Return the file that holds ``text``; ``fresh`` throws away what was compiled from it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    if fresh:
        for compiled in (folder / "__pycache__").glob(f"{name}.*"):
            compiled.unlink(missing_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=name, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)  # a process that reads sees the old file or the new one, never a part
    return path


def _imported(name: str, path: Path) -> ModuleType:
    """Return the module in ``path``, compiled now if numba finds nothing that it kept."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks there for what it unpickles
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, about what it cannot keep
        spec.loader.exec_module(module)
    return module
