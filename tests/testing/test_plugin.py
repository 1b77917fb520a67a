"""`pytest --gradcheck` in processes of its own: silent and light without the flag, a check of everything with it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.testing.plugin import GradcheckEverything, WrongGradient, compare

ROOT = Path(__file__).parents[2]
TESTS = """
import numpy as np
import pytest
import tinygrad_rnn as tr

wrong = tr.Op(name="cube", symbol="x", forward=lambda xp, x: x * x * x, partials=(lambda xp, y, x: 3.0 * x,))

def test_values_only_with_a_wrong_rule():
    x = tr.Tensor([1.0, 2.0], name="x")
    y = wrong(x).sum()
    y.backward()
    assert y.item() == 9.0

def test_a_wrong_rule_under_grad():
    assert tr.grad(lambda x: wrong(x) * 2.0)(3.0) > 0

def test_a_wrong_rule_in_a_second_derivative():
    assert tr.hvp(lambda x: wrong(x), (3.0,), (1.0,))[0] > 0

def test_a_wrong_rule_in_a_compiled_function():
    rng = np.random.default_rng(0)
    step = tr.compile(tr.value_and_grad(lambda x, rng: wrong(x).sum()))
    step(np.array([1.0, 2.0]), rng)

@pytest.fixture
def trained():
    wrong(tr.Value(2.0)).backward()

def test_a_wrong_rule_in_a_fixture(trained):
    pass

@pytest.mark.no_gradcheck
def test_wrong_on_purpose():
    wrong(tr.Value(2.0)).backward()

def test_right():
    cell = tr.nn.GRUCell(2, 3, rng=np.random.default_rng(0))
    net = tr.unroll(cell, np.ones((5, 2, 2)))
    tr.add_n(*net.each(lambda h: (h * h).sum())).backward()
    tr.grad(tr.grad(lambda x: tr.ops.tanh(x) ** 3))(0.5)
    noisy = tr.compile(tr.value_and_grad(lambda x, rng: tr.ops.tanh(x).sum()))
    rng = np.random.default_rng(0)
    noisy(np.ones(2), rng)
    assert rng.random() == np.random.default_rng(0).random()

def test_a_hook_that_clips_on_purpose():
    x = tr.Tensor([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: np.clip(g, -0.1, 0.1))
    y.sum().backward()
"""


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"} | environment,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_theirs.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def test_without_the_flag_everything_passes(folder: Path) -> None:
    done = run(folder, "-p", "tinygrad_rnn_pytest", "-q", "--strict-markers")
    assert "8 passed" in done.stdout
    assert "gradcheck" not in done.stdout


def test_with_the_flag_a_wrong_rule_fails_whatever_the_test_looked_at(folder: Path) -> None:
    done = run(folder, "-p", "tinygrad_rnn_pytest", "-q", "--gradcheck")
    assert "4 failed, 3 passed" in done.stdout
    assert "gradcheck: leaf 'x' of shape (2,): along a direction its gradient gives" in done.stdout
    assert (
        "wrong rule: cube (node 1): d result[1] / d argument 0[1]: expected 12, got 6 (ratio 0.5)"
        in done.stdout
    )
    for name in ("under_grad", "in_a_second_derivative", "in_a_compiled_function"):
        assert f"FAILED test_theirs.py::test_a_wrong_rule_{name}" in done.stdout
    assert "ERROR test_theirs.py::test_a_wrong_rule_in_a_fixture" in done.stdout
    assert "backward passes compared, 1 left out (more than 20000 nodes, hooks, inf or nan)" in done.stdout


def test_processes_of_xdist_are_added_up() -> None:
    worker, main = GradcheckEverything(), GradcheckEverything()
    worker.checked, worker.left_out, main.checked = 5, 1, 2
    config = SimpleNamespace(workeroutput={})
    worker.pytest_sessionfinish(SimpleNamespace(config=config))  # type: ignore[arg-type]
    main.pytest_testnodedown(config)
    main.pytest_testnodedown(SimpleNamespace())  # one that died
    main.pytest_sessionfinish(SimpleNamespace(config=SimpleNamespace()))  # type: ignore[arg-type]
    assert (main.checked, main.left_out) == (7, 1)


def test_without_the_flag_nothing_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(
        "import sys\ndef test_light():\n    assert 'tinygrad_rnn_pytest' in sys.modules\n"
        "    assert not {'numpy', 'tinygrad_rnn'} & set(sys.modules)\n", encoding="utf-8",
    )  # fmt: skip
    others = ["-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:benchmark"]
    done = run(tmp_path, "-p", "tinygrad_rnn_pytest", *others, "-q")
    assert "1 passed" in done.stdout, done.stdout


def test_it_is_an_entry_point_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {"tinygrad_rnn_pytest": "tinygrad_rnn_pytest"}
    assert project["tool"]["setuptools"]["py-modules"] == ["tinygrad_rnn_pytest"]


def test_a_gradient_that_is_not_the_sum_of_its_parts_is_told_from_a_wrong_rule() -> None:
    x = tr.Tensor([0.5, -1.0], name="x")
    y = (x * x + x).sum()
    found = pullback((y,), (1.0,))
    compare([(y, np.ones(()))], found, [x])
    found[x] = 2 * x.data  # the second use overwrites the first
    with pytest.raises(WrongGradient, match="the gradient of x is not the sum of what its uses send back"):
        compare([(y, np.ones(()))], found, [x])


@pytest.mark.parametrize("size", [40.0, 700.0])
def test_a_gradient_below_the_rounding_of_its_tangents_is_right(size: float) -> None:
    """A sure classifier: 1 - p of the right class is 1e-18 to the rule and 0 to a sum of terms of the size of 1."""
    x = tr.Tensor([size, 0.0])
    y = tr.cross_entropy(x, 0)
    compare([(y, np.ones(()))], pullback((y,), (1.0,)), [x])


@pytest.mark.parametrize("entry", [0.0, np.nan])
def test_of_an_output_that_is_not_finite_nothing_is_said(entry: float) -> None:
    x, plugin = tr.Tensor([1.0, entry]), GradcheckEverything()
    with np.errstate(divide="ignore"):
        y = tr.ops.log(x).sum()
    plugin.pullback((y,), (1.0,))
    assert (plugin.checked, plugin.left_out) == (0, 1)
