import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import graphviz
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tests.viz.pictures import program
from tinygrad_rnn.viz import LayoutProgramNotFound, engine

PYTHON = sys.executable  # the tests below hide it


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which graphviz-pure is not installed."""

    def files(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(engine.sysconfig, "get_path", lambda scheme: str(tmp_path / "no-scripts"))
    monkeypatch.setattr(engine.sys, "executable", str(tmp_path / "no-python" / "python"))
    monkeypatch.setattr(engine.metadata, "files", files)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def fake(folder: Path, name: str, says: str = "<svg/>", code: int = 0) -> Path:
    """Put a program into a folder that writes its own name, its arguments and ``says``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    lines = [
        f"#!{PYTHON}",
        "import sys",
        "text = sys.stdin.buffer.read().decode('utf-8')",
        f"sys.stdout.write({says!r} + ' '.join([{name!r}, *sys.argv[1:]]) + str(len(text)))",
        "sys.stderr.write('words of complaint')",
        f"sys.exit({code})",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o755)
    return path


needs_scripts = pytest.mark.skipif(os.name == "nt", reason="the stand-in programs are scripts with a #! line")


@needs_scripts
def test_the_wheel_is_found_beside_the_interpreter_with_an_empty_path(no_wheel, monkeypatch, tmp_path):
    path = fake(tmp_path / "bin", "graphviz-pure")
    monkeypatch.setattr(engine.sysconfig, "get_path", lambda scheme: str(path.parent))
    monkeypatch.setenv("PATH", "")
    assert engine.find_program("svg") == engine.Program("graphviz-pure", str(path))


@needs_scripts
def test_the_wheel_is_found_where_pip_recorded_it(no_wheel, monkeypatch, tmp_path):
    path = fake(tmp_path / "elsewhere", "graphviz-pure")

    class Recorded:
        name = "graphviz-pure"

        def locate(self) -> Path:
            return path

    monkeypatch.setattr(engine.metadata, "files", lambda name: [Recorded()])
    assert engine.find_program("png").path == str(path)


@needs_scripts
def test_the_wheel_is_found_on_path(no_wheel, monkeypatch, tmp_path):
    path = fake(tmp_path / "on-path", "graphviz-pure")
    monkeypatch.setenv("PATH", str(path.parent))
    assert engine.find_program("svg").name == "graphviz-pure"


@needs_scripts
def test_dot_alone_serves_every_format(no_wheel, monkeypatch, tmp_path):
    path = fake(tmp_path / "on-path", "dot")
    monkeypatch.setenv("PATH", str(path.parent))
    for kind in ("svg", "png", "pdf"):
        assert engine.find_program(kind) == engine.Program("dot", str(path))
    assert b"dot -q -Tpdf -Kdot" in tr.draw(scalar_rnn()).pipe("pdf")


@needs_scripts
def test_with_both_the_wheel_draws_and_dot_makes_the_pdf(no_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "both"))
    fake(tmp_path / "both", "dot")
    fake(tmp_path / "both", "graphviz-pure")
    assert engine.find_program("svg").name == "graphviz-pure"
    assert engine.find_program("pdf").name == "dot"
    assert engine.find_program("svg", plugin=True).name == "dot"


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_with_neither_the_error_says_what_to_install_and_keeps_the_text(no_wheel, monkeypatch, path):
    monkeypatch.setenv("PATH", path)
    drawing = tr.draw(scalar_rnn())
    with pytest.raises(
        LayoutProgramNotFound, match=r"pip install graphviz-pure.*apt install graphviz"
    ) as caught:
        drawing.pipe("svg")
    assert caught.value.source == drawing.source
    assert drawing.source.startswith("digraph")
    assert isinstance(caught.value, graphviz.ExecutableNotFound)


@needs_scripts
def test_a_pdf_without_dot_says_that_it_needs_dot(no_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(fake(tmp_path / "only", "graphviz-pure").parent))
    with pytest.raises(
        LayoutProgramNotFound, match=r"PDF needs Graphviz's own dot.*graphviz-pure writes svg, png"
    ):
        tr.draw(scalar_rnn()).render("graph.pdf", directory=tmp_path)
    assert not (tmp_path / "graph.pdf").exists()


@needs_scripts
def test_a_program_that_fails_is_quoted(no_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(fake(tmp_path / "bad", "dot", code=3).parent))
    with pytest.raises(graphviz.CalledProcessError, match="words of complaint"):
        tr.draw(scalar_rnn()).pipe("svg")


def test_the_real_wheel_draws_from_an_interpreter_without_any_path():
    program("graphviz-pure")
    code = (
        "import os; os.environ['PATH'] = ''\n"
        "import tinygrad_rnn as tr\n"
        "x = tr.Value(2.0, name='x')\n"
        "print(len(tr.draw(x * x).pipe('svg')), tr.draw(x * x).pipe('png')[:4])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert int(done.stdout.split()[0]) > 500
    assert "PNG" in done.stdout


@pytest.mark.parametrize("name", ["graphviz-pure", "dot"])
def test_both_programs_accept_every_level(name):
    chosen = program(name)
    for level in ("op", "step", "scalar", "rolled"):
        assert chosen.run(tr.draw(scalar_rnn(), level=level).source, "png")[:4] == b"\x89PNG"
