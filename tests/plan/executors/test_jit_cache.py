"""Where generated source and compiled code are kept, and that nothing kept there can do harm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the numba executor needs the extra [jit]")

from numba.core.errors import NumbaError

from tinygrad_rnn.plan.executors.jit import cache
from tinygrad_rnn.plan.executors.jit.codes import FLOAT32, FLOAT64
from tinygrad_rnn.plan.executors.jit.library import library
from tinygrad_rnn.plan.executors.jit.source import BUILTIN, arity

TEXT = """\
from numba import njit, types


@njit(types.int64(types.int64), cache=True)
def double(x):
    return 2 * x
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


def load(text=TEXT):
    return cache.load("twice", text, "versions")


def compiled(folder, suffix):
    return sorted((folder / "__pycache__").glob(f"*.{suffix}"))


def test_what_is_compiled_is_kept_and_used_again(folder):
    assert load().double(4) == 8
    kept = {path: path.stat().st_mtime_ns for path in compiled(folder, "nb?")}
    assert len(kept) == 2  # an index and the code
    again = load()
    assert again.double(4) == 8
    assert sum(again.double.stats.cache_hits.values()) == 1
    assert {path: path.stat().st_mtime_ns for path in compiled(folder, "nb?")} == kept


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"no pickle at all", None], ids=["empty", "text", "half"])
def test_broken_compiled_code_is_thrown_away(folder, suffix, damage):
    load()
    (path,) = compiled(folder, suffix)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert load().double(4) == 8
    again = load()
    assert again.double(5) == 10
    assert sum(again.double.stats.cache_hits.values()) == 1


def test_source_that_was_changed_by_hand_is_written_again(folder):
    load()
    (path,) = folder.glob("*.py")
    path.write_text(TEXT.replace("2 * x", "3 * x"), encoding="utf-8")
    assert load().double(4) == 8
    assert path.read_text(encoding="utf-8") == TEXT


def test_other_source_or_other_versions_have_another_file(folder):
    load()
    load(TEXT.replace("2 * x", "x * 2"))
    cache.load("twice", TEXT, "others")
    assert len(list(folder.glob("twice_*.py"))) == 3
    assert not list(folder.glob("*.tmp"))


def test_a_folder_that_cannot_be_written_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "file" / "kept"))
    module = load()
    assert module.double(4) == 8
    assert not Path(module.__file__).is_relative_to(tmp_path)


def test_source_that_does_not_compile_says_so_at_once(folder, monkeypatch):
    monkeypatch.setattr(cache.tempfile, "mkdtemp", lambda **_: pytest.fail("tried another folder"))
    with pytest.raises(NumbaError):
        load(TEXT.replace("2 * x", "x.nothing"))


def test_the_users_cache_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert next(cache.folders()) == tmp_path / "tinygrad_rnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert next(cache.folders()) == Path.home() / ".cache" / "tinygrad_rnn"


SECOND = """\
from numba.core import event

recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import numpy as np
import tinygrad_rnn as tr

for dtype in ("f8", "f4"):
    step = tr.compile(tr.value_and_grad(lambda w, x: tr.ops.tanh(x @ w).sum()), executor="numba")
    step(np.ones((3, 2), dtype), np.ones((4, 3), dtype))
print(len(recorder.buffer))
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing():
    for kind in (FLOAT64, FLOAT32):
        library().kernel(BUILTIN[0], arity(BUILTIN[0]), (), kind)
    path = os.pathsep.join(sys.path)
    run = subprocess.run(
        [sys.executable, "-c", SECOND],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "0"
