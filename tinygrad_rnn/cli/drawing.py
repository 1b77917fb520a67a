"""What `tinygrad-rnn draw` and `explore` show: a model reading a text, or the graph that a function returns."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_rnn.cli.named import NamedFunctionError, call, is_function_name, load_function
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.train.checkpoint import load
from tinygrad_rnn.viz import draw, explore
from tinygrad_rnn.viz.drawing import Drawing

LEVELS = ("op", "step", "scalar", "rolled")
_FORMATS = ("svg", "png", "pdf", "dot")
_PAGES = ("html", "htm")
_SCALAR_WEIGHTS = 2_000  # a scalar graph has several nodes for each weight and step


def write_drawing(target: str, level: str, out: Path, prompt: str = "") -> None:
    """Write the drawing of a model file or of FILE.py:function; gradients are computed first.

    Raises:
        ValueError: an unknown level or format, a prompt that is too short, or a graph that is too large.
        CheckpointError, NamedFunctionError: the target cannot be used.
    """
    if level not in LEVELS:
        raise ValueError(f"--level {level!r} is unknown; legal: {', '.join(LEVELS)}")
    format_of(out)
    output = _function_output(target) if is_function_name(target) else _model_loss(target, level, prompt)
    if output.shape == () and not output.has_grad:
        output.backward()
    write(draw(output, level=level), out)


def write(drawing: Drawing, out: Path) -> None:
    """Write a drawing in the format that the name of the file asks for.

    Raises:
        ValueError: an unknown format.
    """
    suffix = format_of(out)
    if suffix == "dot":
        out.write_text(drawing.source, encoding="utf-8")
    else:
        out.write_bytes(drawing.pipe(format=suffix))


def write_explorer(target: str, out: Path, prompt: str = "") -> Path:
    """Write the explorer page of a model file or of FILE.py:function, and return its absolute path.

    Raises:
        ValueError: an unknown format, a prompt that is too short, or a function of several numbers.
        CheckpointError, NamedFunctionError: the target cannot be used.
    """
    format_of(out, _PAGES)
    output = _function_output(target) if is_function_name(target) else _model_loss(target, "op", prompt)
    return Path(explore(output).save(out)).absolute()


def format_of(out: Path, legal: tuple[str, ...] = _FORMATS) -> str:
    """Return the format that the name of a file asks for, one of ``legal``; those of drawings unless told otherwise.

    Raises:
        ValueError: it is none of them.
    """
    suffix = out.suffix.removeprefix(".").lower()
    if suffix not in legal:
        raise ValueError(f"--out {str(out)!r}: the format {suffix!r} is unknown; legal: {', '.join(legal)}")
    return suffix


def _model_loss(target: str, level: str, prompt: str) -> Any:
    """Return the loss of a model file that reads the prompt, or the first characters it knows."""
    model = load(target)
    weights = sum(array.size for array in model.state_dict().values())
    if level == "scalar" and weights > _SCALAR_WEIGHTS:
        raise ValueError(
            f"--level scalar: {weights:,} weights would be several times as many nodes for each step; "
            f"at most {_SCALAR_WEIGHTS:,} are drawn"
        )
    return model.unroll(prompt or (model.vocabulary.characters * 4)[:4]).loss


def _function_output(target: str) -> Any:
    """Return the node that the function returns."""
    function, arguments = load_function(target)
    names = list(inspect.signature(function).parameters)
    leaves = [_leaf(item, name) for item, name in zip(arguments, names, strict=False)]
    output = call(target, function, (*leaves, *arguments[len(leaves) :]))
    if not isinstance(output, Variable):
        raise NamedFunctionError(f"{target} must return a Value or a Tensor, not a {type(output).__name__}")
    return output


def _leaf(item: Any, name: str) -> Any:
    """Return a float as a Value and a real array as a Tensor, named; anything else as it is."""
    if isinstance(item, float):
        return Value(item, name=name)
    if isinstance(item, np.ndarray) and item.dtype.kind == "f":
        return Tensor(item, name=name)
    return item
