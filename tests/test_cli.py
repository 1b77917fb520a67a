"""The command line: what each command does, and that whatever is wrong is one line and an exit code."""

import base64
import gzip
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import webbrowser

import pytest

from tinygrad_rnn.cli import main
from tinygrad_rnn.testing.culprits import RED
from tinygrad_rnn.train.checkpoint import load

COMMANDS = ("demo", "train", "sample", "draw", "explore", "check")
STORY = "The old man looked at the sea and the sea looked back. " * 40

FUNCTIONS = """
import numpy as np
import tinygrad_rnn as tr

def right(x=np.array([0.5]), W=np.array([[1.0, -2.0]])):
    return (tr.ops.tanh(W) * x).sum()

wrong_square = tr.Op(name="wrong_square", symbol="?", forward=lambda xp, x: x * x,
                     partials=(lambda xp, y, x: 3.0 * x,))

def wrong(x=np.array([1.0, 2.0])):
    return wrong_square(x).sum()

standing = tr.Op(name="standing", symbol="?", forward=lambda xp, x: x * x,
                 partials=(lambda xp, y, x: 2.0 * tr.detach(x),))

def wrong_twice(x=np.array([1.0, 2.0])):
    return standing(x).sum()

def needs_arguments(x, y):
    return x * y

needs_arguments_args = (2.0, 3.0)

def from_function(x):
    return x * x

def from_function_args():
    return [4.0]

def without_default(x, weight):
    return x * weight

def nothing():
    return 1.0

def not_a_node(x=1.0):
    return "text"

def broken(x=1.0):
    return x * undefined_name

number = 3
text_args = 5

def text(x):
    return x
"""


@pytest.fixture
def functions(tmp_path):
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    arguments = ["train", "--text", str(folder / "story.txt"), "--out", str(folder / "m.npz")]
    assert (
        main([*arguments, "--hidden-size", "12", "--length", "10", "--streams", "4", "--updates", "8"]) == 0
    )
    return str(folder / "m.npz")


def failed(capsys, arguments, code):
    """Run a command that fails and return its one line."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("tinygrad-rnn: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def run(*arguments, **settings):
    command = [sys.executable, "-m", "tinygrad_rnn", *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, check=False, **settings
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_lists_the_commands(capsys, arguments):
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_with_every_option_explained(capsys, command):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: tinygrad-rnn {command}")
    options = [line for line in shown.splitlines() if line.strip().startswith("--")]
    assert len(options) >= 1
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "fly"),
        (["train", "--fast"], "--fast"),
        (["train", "--updates", "many"], "--updates"),
        (["train", "--updates", "0"], "--updates"),
        (["sample"], "Missing argument"),
        (["sample", "m.npz", "--temperature", "-1"], "--temperature"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(capsys, arguments, message):
    assert message in failed(capsys, arguments, 2)


def test_training_writes_a_model_and_reports(tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    out, plot = tmp_path / "m.npz", tmp_path / "loss.png"
    arguments = ["train", "--text", str(tmp_path / "story.txt"), "--out", str(out), "--plot", str(plot)]
    settings = ["--cell", "lstm", "--layers", "2", "--hidden-size", "8", "--length", "5", "--updates", "3"]
    assert main(arguments + settings) == 0
    shown = capsys.readouterr().out
    assert "3 updates; held-out bits per character: " in shown
    assert "(a bigram model: " in shown
    made = load(out)
    assert (made.cell, made.num_layers, made.hidden_size) == ("lstm", 2, 8)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_training_learns(tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    arguments = [
        "train",
        "--text",
        str(tmp_path / "story.txt"),
        "--out",
        str(tmp_path / "m.npz"),
        "--lr",
        "0.02",
    ]
    assert (
        main([*arguments, "--hidden-size", "24", "--length", "20", "--streams", "8", "--updates", "80"]) == 0
    )
    shown = capsys.readouterr().out
    bits, bigram = (
        float(shown.split(key)[1].split()[0].rstrip(");")) for key in ("character: ", "bigram model: ")
    )
    assert bits < bigram - 0.3


def test_the_same_seed_trains_the_same_model(tmp_path):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = [
            "train",
            "--text",
            str(tmp_path / "story.txt"),
            "--out",
            str(tmp_path / name),
            "--seed",
            seed,
        ]
        assert main([*arguments, "--hidden-size", "4", "--updates", "2"]) == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "the file is empty"),
        (b"short", "too short: 5 characters"),
        (b"\xff" * 5000, "not UTF-8 at byte 0"),
        (b"x" * 5000, "nothing can be learned"),
    ],
)
def test_an_unusable_text_is_one_line(tmp_path, capsys, raw, message):
    path = tmp_path / "t.txt"
    if raw is not None:
        path.write_bytes(raw)
    assert message in failed(capsys, ["train", "--text", str(path), "--out", str(tmp_path / "m.npz")], 1)
    assert not (tmp_path / "m.npz").exists()


def test_training_names_an_unknown_cell(tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    line = failed(capsys, ["train", "--text", str(tmp_path / "story.txt"), "--cell", "mgu"], 1)
    assert "CharModel: cell must be one of 'lstm', 'gru', 'rnn', got 'mgu'" in line


def test_a_model_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    arguments = ["train", "--text", str(tmp_path / "story.txt"), "--out", str(tmp_path / "no" / "m.npz")]
    line = failed(capsys, [*arguments, "--hidden-size", "4", "--updates", "1"], 1)
    assert "No such file or directory" in line


def test_a_sample_goes_on_from_the_prompt(model, capsys):
    shown = []
    for seed in ("1", "1", "2"):
        assert main(["sample", model, "--prompt", "The sea", "--length", "60", "--seed", seed]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].startswith("The sea")
    assert len(shown[0]) == len("The sea") + 60 + 1
    assert shown[0] == shown[1] != shown[2]


def test_temperature_zero_needs_no_seed(model, capsys):
    shown = []
    for _ in range(2):
        assert main(["sample", model, "--prompt", "The", "--length", "20", "--temperature", "0"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_a_prompt_that_the_model_cannot_read_is_one_line(model, capsys):
    assert "character '☕' (U+2615) at position 1" in failed(capsys, ["sample", model, "--prompt", "T☕"], 1)


def test_a_file_that_is_no_model_is_one_line(tmp_path, capsys):
    (tmp_path / "m.npz").write_bytes(b"nothing")
    assert "not a model file" in failed(capsys, ["sample", str(tmp_path / "m.npz")], 1)
    assert "cannot be read" in failed(capsys, ["sample", str(tmp_path / "missing")], 1)


@pytest.mark.parametrize("level", ["op", "step", "rolled"])
def test_a_model_is_drawn(model, tmp_path, level):
    out = tmp_path / "graph.svg"
    assert main(["draw", model, "--level", level, "--out", str(out), "--prompt", "The"]) == 0
    drawing = out.read_text(encoding="utf-8")
    assert "<svg" in drawing
    assert "not computed" not in drawing


def test_a_function_is_drawn_with_its_gradients(functions, tmp_path):
    out = tmp_path / "graph.dot"
    assert main(["draw", f"{functions}:right", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "digraph" in text
    assert "tanh" in text
    assert "W" in text
    assert "not computed" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "middle"], "--level 'middle' is unknown; legal: op, step, scalar, rolled"),
        (["--out", "graph.jpeg"], "the format 'jpeg' is unknown; legal: svg, png, pdf, dot"),
        (["--out", "graph"], "the format '' is unknown"),
        (["--prompt", "T"], "at least 2 characters"),
    ],
)
def test_a_wrong_drawing_is_one_line(model, capsys, arguments, message):
    assert message in failed(capsys, ["draw", model, *arguments], 1)


def payload(path):
    """Return what an explorer page knows: the payload element, plain or compressed."""
    kind, text = re.search(
        r'<script type="application/(json|gzip)" id="payload">(.*?)</script>',
        path.read_text(encoding="utf-8"),
    ).groups()
    return json.loads(text if kind == "json" else gzip.decompress(base64.b64decode(text)))


def test_a_model_is_explored(model, tmp_path, capsys):
    out = tmp_path / "made" / "page.html"
    assert main(["explore", model, "--out", str(out), "--prompt", "The sea"]) == 0
    assert capsys.readouterr().out == f"written: {out}\n"
    expected = load(model).unroll("The sea").loss
    found = payload(out)
    assert found["nodes"][found["loss"]]["value"] == pytest.approx(float(expected), rel=1e-6)
    assert {node["step"] for node in found["nodes"]} == {-1, 0, 1, 2, 3, 4, 5}


def test_a_function_is_explored(functions, tmp_path):
    out = tmp_path / "page.htm"
    assert main(["explore", f"{functions}:right", "--out", str(out)]) == 0
    found = payload(out)
    assert {"x", "W"} <= {node["name"] for node in found["nodes"]}
    assert found["nodes"][found["loss"]]["value"] == pytest.approx(0.5 * (math.tanh(1.0) - math.tanh(2.0)))


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_page_is_opened(model, tmp_path, monkeypatch, capsys, there_is_one):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or there_is_one)
    monkeypatch.chdir(tmp_path)
    assert main(["explore", model, "--open"]) == (0 if there_is_one else 1)
    assert opened == [(tmp_path / "explorer.html").as_uri()]
    assert (tmp_path / "explorer.html").is_file()
    error = capsys.readouterr().err
    assert error == (
        "" if there_is_one else "tinygrad-rnn: OSError: no web browser was found: open explorer.html in one\n"
    )
    assert main(["explore", model]) == 0
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "page.svg"], "--out 'page.svg': the format 'svg' is unknown; legal: html, htm"),
        (["--prompt", "T"], "at least 2 characters"),
        (["--out", "/dev/null/page.html"], "File exists"),
    ],
)
def test_a_wrong_page_is_one_line(model, capsys, arguments, message):
    assert message in failed(capsys, ["explore", model, *arguments], 1)


def test_a_function_of_several_numbers_is_not_explored(tmp_path, capsys):
    (tmp_path / "f.py").write_text(
        "import numpy as np\ndef f(x=np.ones(3)):\n    return x * 2.0\n", encoding="utf-8"
    )
    line = failed(capsys, ["explore", f"{tmp_path / 'f.py'}:f", "--out", str(tmp_path / "p.html")], 1)
    assert "explore: needs a loss of one entry, got shape (3,)" in line


def test_a_large_scalar_drawing_is_refused(tmp_path, capsys, model):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    large = tmp_path / "large.npz"
    arguments = ["train", "--text", str(tmp_path / "story.txt"), "--out", str(large), "--hidden-size", "64"]
    assert main([*arguments, "--updates", "1"]) == 0
    capsys.readouterr()
    line = failed(capsys, ["draw", str(large), "--level", "scalar", "--out", str(tmp_path / "g.svg")], 1)
    assert "at most 2,000 are drawn" in line


@pytest.mark.parametrize("name", ["right", "needs_arguments", "from_function"])
def test_right_gradients_pass_the_check(functions, capsys, name):
    assert main(["check", f"{functions}:{name}"]) == 0
    assert capsys.readouterr().out.strip()


def test_wrong_gradients_fail_the_check(functions, capsys):
    assert main(["check", f"{functions}:wrong"]) == 1
    assert capsys.readouterr().out.startswith("gradcheck FAILED")


def test_the_check_draws_the_culprits(functions, capsys, tmp_path):
    out = tmp_path / "culprits.dot"
    assert main(["check", f"{functions}:right", "--out", str(out)]) == 0
    assert not out.exists()
    assert main(["check", f"{functions}:wrong", "--out", str(out)]) == 1
    assert f"written: {out}" in capsys.readouterr().out
    assert RED in out.read_text(encoding="utf-8")


def test_the_check_of_second_derivatives_is_an_option(functions, capsys):
    assert main(["check", f"{functions}:wrong_twice"]) == 0
    assert main(["check", f"{functions}:wrong_twice", "--order", "2"]) == 1
    assert "second order" in capsys.readouterr().out
    assert "--order" in failed(capsys, ["check", f"{functions}:right", "--order", "3"], 2)


def test_a_wrong_format_is_told_before_the_check(capsys):
    line = failed(capsys, ["check", "missing.py:f", "--out", "culprits.txt"], 1)
    assert "the format 'txt' is unknown; legal: svg, png, pdf, dot" in line


@pytest.mark.parametrize("command", ["check", "draw", "explore"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "has no function 'absent'; it has: right, wrong, "),
        ("number", "has no function 'number'"),
        ("without_default", "parameter 'x' of without_default has no default"),
        ("broken", "functions.py:41: NameError: name 'undefined_name' is not defined"),
        ("text", "text_args must be a tuple, not a int"),
    ],
)
def test_an_unusable_function_is_one_line(functions, capsys, command, name, message):
    assert message in failed(capsys, [command, f"{functions}:{name}"], 1)


def test_a_function_without_arguments_has_no_gradient(functions, capsys):
    assert "there is no gradient to check" in failed(capsys, ["check", f"{functions}:nothing"], 1)


def test_only_nodes_are_drawn(functions, capsys):
    assert "must return a Value or a Tensor, not a str" in failed(
        capsys, ["draw", f"{functions}:not_a_node"], 1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n    pass\n", "bad.py:1: SyntaxError: "),
        ("x = 1\nraise RuntimeError('on\\nimport')\n", "bad.py:2: RuntimeError: on import"),
        ("import sys\nsys.exit(3)\n", "bad.py:2: SystemExit: 3"),
        ("import no_such_module_anywhere\n", "bad.py:1: ModuleNotFoundError: No module named"),
    ],
)
def test_a_file_that_does_not_run_is_one_line(tmp_path, capsys, text, message):
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    assert message in failed(capsys, ["check", f"{tmp_path / 'bad.py'}:f"], 1)


def test_a_target_that_names_no_function_is_one_line(tmp_path, capsys):
    assert "is not FILE.py:function" in failed(capsys, ["check", "file.py"], 1)
    assert "no such file" in failed(capsys, ["check", f"{tmp_path / 'missing.py'}:f"], 1)


def test_a_file_imports_from_its_own_folder(tmp_path):
    (tmp_path / "neighbor_of_the_file.py").write_text("factor = 3.0\n", encoding="utf-8")
    text = "from neighbor_of_the_file import factor\n\ndef f(x=2.0):\n    return factor * x\n"
    (tmp_path / "file.py").write_text(text, encoding="utf-8")
    before = list(sys.path)
    assert main(["check", f"{tmp_path / 'file.py'}:f"]) == 0
    assert sys.path == before


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot replace a process")
@pytest.mark.parametrize(
    ("arguments", "chosen", "again"),
    [
        (["train", "--text", "missing.txt"], None, True),
        (["train", "--text", "missing.txt"], "4", False),
        (["sample", "missing.npz"], None, False),
    ],
)
def test_training_begins_again_with_one_thread(monkeypatch, arguments, chosen, again):
    calls = []
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    monkeypatch.setattr(os, "execve", lambda program, command, environment: calls.append(environment))
    monkeypatch.setattr(sys, "argv", ["tinygrad-rnn", *arguments])
    assert main() == 1
    assert [environment["OPENBLAS_NUM_THREADS"] for environment in calls] == (["1"] if again else [])


def test_without_typer_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "tinygrad_rnn.cli.commands", raising=False)
    assert 'needs typer: pip install "tinygrad_rnn[train]"' in failed(capsys, ["--help"], 1)


def test_as_a_program():
    shown = run("--help")
    assert shown.returncode == 0
    assert "Usage: tinygrad-rnn" in shown.stdout
    wrong = run("sample", "missing.npz")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "tinygrad-rnn: missing.npz: cannot be read: No such file or directory\n"
    assert run("sample").returncode == 2


def test_the_library_needs_none_of_the_extras():
    code = "import sys, json, tinygrad_rnn; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert not {"typer", "tqdm", "matplotlib", "graphviz"} & set(json.loads(shown.stdout))


def test_a_terminal_without_the_characters_shows_their_numbers(tmp_path, model):
    (tmp_path / "story.txt").write_text(STORY.replace("sea", "☕"), encoding="utf-8")
    arguments = ["train", "--text", str(tmp_path / "story.txt"), "--out", str(tmp_path / "m.npz")]
    assert main([*arguments, "--hidden-size", "4", "--updates", "1"]) == 0
    command = [sys.executable, "-X", "utf8=0", "-m", "tinygrad_rnn", "sample", str(tmp_path / "m.npz")]
    shown = subprocess.run(
        [*command, "--prompt", "☕", "--length", "1"],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "latin-1", "PYTHONPATH": ".", "PATH": ""},
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(rb"\u2615")


def test_nobody_reading_on_is_silent(model):
    command = [sys.executable, "-m", "tinygrad_rnn", "sample", model, "--length", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_an_interrupted_training_keeps_what_it_learned(tmp_path):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    arguments = ["train", "--text", str(tmp_path / "story.txt"), "--out", str(tmp_path / "m.npz")]
    command = [sys.executable, "-u", "-m", "tinygrad_rnn", *arguments, "--updates", "1000000"]
    environment = {name: text for name, text in os.environ.items() if not name.endswith("_NUM_THREADS")}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        # what a shell starts in the background ignores the signal, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        process.stdout.readline()  # the corpus: training begins
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "interrupted: keeping what was learned so far" in rest
    assert len(load(tmp_path / "m.npz").sample("The", 5)) == 5
