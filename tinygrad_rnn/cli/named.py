"""`FILE.py:function` on the command line: the function, and arguments to call it with."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULE = "__tinygrad_rnn_cli__"


class NamedFunctionError(ValueError):
    """The file cannot be run, has no such function, or offers no arguments for it."""


def is_function_name(target: str) -> bool:
    """Return whether a target reads as FILE.py:function, as opposed to the path of a model file."""
    file, colon, name = target.rpartition(":")
    return bool(colon) and file.endswith(".py") and name.isidentifier()


def load_function(target: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return (function, arguments) of FILE.py:function, having run the file.

    The arguments are `FUNCTION_args` of the same file, a tuple or a function that returns one; without it
    they are the function's own defaults, and every parameter must have one.

    Raises:
        NamedFunctionError: see the class.
    """
    file, _, name = target.rpartition(":")
    if not is_function_name(target):
        raise NamedFunctionError(f"{target!r} is not FILE.py:function")
    with _running(file):
        module = _run(Path(file))
        function = vars(module).get(name)
        if not callable(function):
            known = [key for key, item in vars(module).items() if inspect.isfunction(item)]
            raise NamedFunctionError(f"{file} has no function {name!r}; it has: {', '.join(known) or 'none'}")
        return function, _arguments(function, name, vars(module).get(f"{name}_args"), file)


def call(target: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return function(*arguments); an error in it becomes a NamedFunctionError that names the line."""
    with _running(target.rpartition(":")[0]):
        return function(*arguments)


def _run(path: Path) -> ModuleType:
    """Return the module of a file."""
    if not path.is_file():
        raise NamedFunctionError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise NamedFunctionError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def _arguments(function: Callable[..., Any], name: str, offered: Any, file: str) -> tuple[Any, ...]:
    """Return the arguments that the file offers, or else the defaults."""
    if offered is not None:
        arguments = offered() if callable(offered) else offered
        if not isinstance(arguments, tuple | list):
            raise NamedFunctionError(f"{file}: {name}_args must be a tuple, not a {type(arguments).__name__}")
        return tuple(arguments)
    arguments = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        if parameter.default is parameter.empty:
            raise NamedFunctionError(
                f"{file}: parameter {parameter.name!r} of {name} has no default: give it one, "
                f"or define {name}_args = (...) in the file"
            )
        arguments.append(parameter.default)
    return tuple(arguments)


@contextmanager
def _running(file: str) -> Iterator[None]:
    """Let the file import from its own folder; turn whatever it raises into one line that names the place."""
    before = list(sys.path)
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    try:
        yield
    except NamedFunctionError:
        raise
    except SyntaxError as error:
        raise NamedFunctionError(f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}") from error
    except (Exception, SystemExit) as error:
        path = os.path.abspath(file)  # as importlib names it in a traceback
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path
        ]
        where = f"{file}:{lines[-1]}" if lines else file
        raise NamedFunctionError(f"{where}: {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before
