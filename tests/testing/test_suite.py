"""`pytest --pyargs tinygrad_rnn.testing.suite` in a process of its own, against a small module."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.test_plugin import ROOT, run

MODULE = '''
import numpy as np
import tinygrad_rnn as tr

swish = tr.Op(name="swish", symbol="s", forward=lambda xp, x: x * xp.sigmoid(x),
              partials=(lambda xp, y, x: xp.sigmoid(x) + y * (1.0 - xp.sigmoid(x)),))

class Right(tr.nn.Module):
    """h' = tanh(x W + h U)."""

    def __init__(self, input_size, hidden_size, *, rng):
        self.w = tr.Tensor(rng.normal(size=(input_size, hidden_size)), name="w")
        self.u = tr.Tensor(rng.normal(size=(hidden_size, hidden_size)), name="u")

    def initial_state(self, x):
        return tr.constant(np.zeros((*np.shape(x)[:-1], self.u.shape[0]), self.u.dtype))

    def __call__(self, x, h):
        return tr.ops.tanh(x @ self.w + h @ self.u)

class Wrong(Right):
    """Forgets that the state depends on what came before."""

    def __call__(self, x, h):
        return super().__call__(x, tr.detach(h))

class Mine(tr.testing.OpContract):
    def make(self):
        return swish

class TestsNothing(tr.testing.CellContract):
    """Abstract: it has no make."""

class NotACell(tr.nn.Module):
    def __init__(self, sizes):
        self.sizes = sizes

class Reader(tr.nn.Linear):
    """Made in another way, but there is a contract for it."""

class TestReader(tr.testing.ModuleContract):
    def make(self, rng):
        return Reader(3, 2, rng=rng)

    def inputs(self, rng):
        return (rng.normal(size=(4, 3)),)

cube = tr.Op(name="cube", symbol="x", forward=lambda xp, x: x**3, vjp=lambda g, y, x: 3.0 * g * x * x)
square = tr.Op(name="square", symbol="x", forward=lambda xp, x: x**2, vjp=lambda g, y, x: 2.0 * g * x)

class TestSquare(tr.testing.OpContract):
    def make(self):
        return square

    def samples(self):
        return [(lambda op, x: op(x), (np.array([0.5, -1.5]),))]
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_cells.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


def suite(folder: Path, module: str) -> str:
    options = ("--pyargs", "tinygrad_rnn.testing.suite", "-rA", "--tb=line", "-q")
    return run(folder, *options, TINYGRAD_RNN_SUITE=module).stdout


def test_a_right_and_a_wrong_cell_of_someone_else(folder: Path) -> None:
    out = suite(folder, "my_cells")
    failed = [line.split("::", 1)[1] for line in out.splitlines() if line.startswith("FAILED")]
    assert {line.split("::")[0] for line in failed} == {"TestWrong"}
    assert any("test_gradient_reaches_every_step" in line for line in failed)
    passed = {line.split("::")[1] for line in out.splitlines() if line.startswith("PASSED")}
    assert passed == {"TestRight", "TestWrong", "Test_swish", "TestMine", "TestReader", "TestSquare"}
    assert sum("::TestRight::" in line for line in out.splitlines() if line.startswith("PASSED")) >= 15
    left = [line for line in out.splitlines() if line.startswith("SKIPPED") and "is not tested" in line]
    assert len(left) == 2
    assert "cube is not tested: it is not elementwise with partials. Subclass OpContract beside it" in out
    assert "NotACell is not tested: it is not made as Cell(input_size, hidden_size, rng=rng)" in out


def test_a_module_in_the_current_folder_is_found_by_the_script_too(folder: Path) -> None:
    script = "import sys; sys.path.remove(''); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "--pyargs", "tinygrad_rnn.testing.suite", "-q", "-k", "TestMine"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TINYGRAD_RNN_SUITE": "my_cells"}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=folder, env=environment, capture_output=True, text=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("", "TINYGRAD_RNN_SUITE is not set: TINYGRAD_RNN_SUITE=my_package.cells pytest --pyargs"),
        ("json", "json defines no operation, cell or contract"),
    ],
)
def test_nothing_to_test_is_a_failure_that_says_how(folder: Path, module: str, message: str) -> None:
    out = suite(folder, module)
    assert "1 failed" in out
    assert message in out
