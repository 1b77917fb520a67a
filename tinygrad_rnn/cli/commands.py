"""The commands as typer reads them: each turns options into one call and prints what came back."""

from __future__ import annotations

import math
import webbrowser
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tqdm import tqdm

from tinygrad_rnn.cli.drawing import format_of, write, write_drawing, write_explorer
from tinygrad_rnn.cli.named import NamedFunctionError, call, load_function
from tinygrad_rnn.testing import gradcheck
from tinygrad_rnn.train.charmodel import CELLS, CharModel
from tinygrad_rnn.train.checkpoint import load, save
from tinygrad_rnn.train.corpus import Corpus
from tinygrad_rnn.train.demo import UPDATES, run_demo
from tinygrad_rnn.train.loop import Trainer, next_character_loss
from tinygrad_rnn.train.optim import Adam
from tinygrad_rnn.train.text import Text

_TARGET = "A model file, or FILE.py:function."
Eager = Annotated[bool, typer.Option("--eager", help="Record the graph anew for each update; slower.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)]


def command() -> Any:
    """Return the whole command line as one click command."""
    app = typer.Typer(
        help="Recurrent networks unrolled into one graph: train, sample, draw, explore and check them.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for function in (demo, train, sample, draw, explore, check):
        app.command()(function)
    return typer.main.get_command(app)


def demo(
    out: Annotated[
        Path, typer.Option(help="The folder for the model, the loss plot, the drawings and the page.")
    ] = Path("demo"),
    seconds: Annotated[float, typer.Option(help="Train for at most this long.", min=0.0)] = 60.0,
    updates: Annotated[int, typer.Option(help="Train for at most so many updates.", min=1)] = UPDATES,
    seed: Seed = 0,
    eager: Eager = False,
) -> None:
    """Watch a network learn to write for a minute.

    It learns the texts of Python's own help, prints what it writes on the way, and leaves the model, a plot of the
    loss, drawings of its rolled and unrolled graph, with gradients, and a page to explore it, in a folder.
    """
    run_demo(out, seconds, updates, seed, eager=eager, report=tqdm.write)  # which prints above the bar


def train(
    text: Annotated[
        Path | None, typer.Option(help="A UTF-8 text file; Python's help topics if not given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.npz"),
    plot: Annotated[
        Path | None, typer.Option(help="Also write a plot of loss and gradient norm (.png, .svg).")
    ] = None,
    cell: Annotated[str, typer.Option(help=f"One of {', '.join(CELLS)}.")] = "gru",
    hidden_size: Annotated[int, typer.Option(help="Hidden units of a layer.", min=1)] = 128,
    layers: Annotated[int, typer.Option(help="Recurrent layers above each other.", min=1)] = 1,
    length: Annotated[int, typer.Option(help="Steps through which gradients flow.", min=1)] = 32,
    streams: Annotated[int, typer.Option(help="Places of the text read side by side.", min=1)] = 64,
    lr: Annotated[float, typer.Option(help="Learning rate of Adam.", min=0.0)] = 5e-3,
    updates: Annotated[int, typer.Option(help="How many updates.", min=1)] = UPDATES,
    seconds: Annotated[
        float, typer.Option(help="Stop after so many seconds.", min=0.0, show_default="no limit")
    ] = math.inf,
    seed: Seed = 0,
    eager: Eager = False,
) -> None:
    """Train a character model on a text.

    Ctrl-C ends the training, not the command: what was learned until then is written.
    """
    corpus = Corpus.of(Text.python_topics() if text is None else Text.read(text), length, streams)
    typer.echo(f"{corpus.text.name}: {len(corpus.text):,} characters, SHA-1 {corpus.text.sha1}")
    rng = np.random.default_rng(seed)
    model = CharModel(corpus.vocabulary, cell, hidden_size, layers, dtype=np.float32, rng=rng)
    trainer = Trainer(model, next_character_loss, Adam(model, lr=lr), clip_norm=1.0, carry=True, eager=eager)
    try:
        trainer.fit(corpus.chunks, updates, seconds=seconds)
    except KeyboardInterrupt:
        typer.echo("interrupted: keeping what was learned so far")
    save(out, model)
    if plot is not None and len(trainer.history):
        trainer.history.plot(corpus.text.name).savefig(plot)
    typer.echo(
        f"{trainer.history.updates} updates; held-out bits per character: {corpus.held_out_bits(model):.3f} "
        f"(a bigram model: {corpus.bigram_bits:.3f}); written: {out}"
    )


def sample(
    model: Annotated[
        Path,
        typer.Argument(help="A model file that train or demo wrote.", metavar="MODEL", show_default=False),
    ],
    prompt: Annotated[str, typer.Option(help="The text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="How many characters to write.", min=0)] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1 more careful, above 1 bolder.", min=0.0)] = 0.8,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text.", min=0)] = None,
) -> None:
    """Let a trained model write, after the prompt."""
    written = load(model).sample(prompt, length, temperature, np.random.default_rng(seed))
    typer.echo(prompt + written)


def draw(
    target: Annotated[str, typer.Argument(help=_TARGET, metavar="TARGET", show_default=False)],
    level: Annotated[str, typer.Option(help="One of op, step, scalar, rolled.")] = "op",
    out: Annotated[Path, typer.Option(help="The drawing: .svg, .png, .pdf, or .dot for its text.")] = Path(
        "graph.svg"
    ),
    prompt: Annotated[
        str, typer.Option(help="For a model: the text it reads, one step for each character.")
    ] = "",
) -> None:
    """Draw the graph of a model or a function.

    A model is drawn reading the prompt, a function with the node that it returns; both with their gradients.
    The function is called with FUNCTION_args of its file (a tuple), or with its defaults; floats become
    Values and arrays Tensors, named as its parameters are.
    """
    write_drawing(target, level, out, prompt)
    typer.echo(f"written: {out}")


def explore(
    target: Annotated[str, typer.Argument(help=_TARGET, metavar="TARGET", show_default=False)],
    out: Annotated[Path, typer.Option(help="The page: one .html file.")] = Path("explorer.html"),
    prompt: Annotated[
        str, typer.Option(help="For a model: the text it reads, one step for each character.")
    ] = "",
    show: Annotated[bool, typer.Option("--open", help="Open the page in the web browser.")] = False,
) -> None:
    """Make a page on which a graph is stepped through, forward and backward.

    The page is one file that needs no network. A model is shown reading the prompt, a function with the
    node that it returns, which must be one number; its arguments are found as those of `draw` are.
    """
    path = write_explorer(target, out, prompt)
    typer.echo(f"written: {out}")
    if show and not webbrowser.open(path.as_uri()):
        raise OSError(f"no web browser was found: open {out} in one")


def check(
    target: Annotated[str, typer.Argument(help="FILE.py:function.", metavar="TARGET", show_default=False)],
    order: Annotated[int, typer.Option(help="2 checks second derivatives, too.", min=1, max=2)] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A drawing of a graph that is wrong, the culprits in red: .svg, .png, .pdf or .dot."
        ),
    ] = None,
) -> None:
    """Check the gradients of a function.

    They are compared with derivatives that are found without their rules; the exit code is 1 if they
    differ, or if that cannot be told. The function is called with FUNCTION_args of its file (a tuple of
    floats, arrays, lists, dicts or modules), or with its defaults.
    """
    if out is not None:
        format_of(out)
    function, arguments = load_function(target)
    if not arguments:
        raise NamedFunctionError(f"{target} has no arguments: there is no gradient to check")
    report = call(target, partial(gradcheck, order=order), (function, *arguments))
    typer.echo(str(report))
    if report.ok:
        return
    if out is not None and report.graph is not None:
        write(report.draw(), out)
        typer.echo(f"written: {out}")
    raise typer.Exit(1)
