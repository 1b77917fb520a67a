"""Our tests, run against your module: operations, cells and modules are found in it and held to their contracts.

    TINYGRAD_RNN_SUITE=my_package.cells pytest --pyargs tinygrad_rnn.testing.suite

What is found, under names without a leading underscore: every elementwise ``tr.Op``, and every class defined there that
is made as ``Cell(input_size, hidden_size, rng=rng)`` and has an ``initial_state``. Where that does not fit, subclass
``OpContract``, ``CellContract`` or ``ModuleContract`` in the module: such subclasses are run as they are. What nothing
tests, of modules and operations, is skipped with a line that says so. The variable may name several modules, separated
by commas; they may lie in the current folder.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.testing.contracts import CellContract, ModuleContract, OpContract
from tinygrad_rnn.testing.contracts.comparing import skip

VARIABLE = "TINYGRAD_RNN_SUITE"
CONTRACTS = (OpContract, CellContract, ModuleContract)
INPUTS, HIDDEN = 3, 4


def contracts_of(module: Any) -> dict[str, Any]:
    """Return the tests for what a module defines, by the names that pytest shows."""
    found: dict[str, Any] = {}
    contracts = [item for item in _public(module).values() if _is_contract(item)]
    tested = [_subject(contract) for contract in contracts]
    for name, item in _public(module).items():
        if _is_contract(item):
            found[name if name.startswith("Test") else f"Test{name}"] = item
        elif isinstance(item, Op):
            if item.elementwise and isinstance(item.partials, tuple):
                found[f"Test_{name}"] = _for_op(item)
            elif not any(item is subject for subject in tested):
                found[f"test_{name}"] = _untested(name, "it is not elementwise with partials", "OpContract")
        elif isinstance(item, type) and item.__module__ == module.__name__:
            if _is_cell(item):
                found[f"Test{name}"] = _for_cell(item)
            elif issubclass(item, Module) and not any(type(subject) is item for subject in tested):
                why = "it is not made as Cell(input_size, hidden_size, rng=rng), or has no initial_state"
                found[f"test_{name}"] = _untested(name, why, "CellContract or ModuleContract")
    return found


def _public(module: Any) -> dict[str, Any]:
    return {name: item for name, item in sorted(vars(module).items()) if not name.startswith("_")}


def _is_contract(item: Any) -> bool:
    return (
        isinstance(item, type)
        and issubclass(item, CONTRACTS)
        and item not in CONTRACTS
        and not inspect.isabstract(item)
    )


def _subject(contract: Any) -> Any:
    """Return what a contract makes, None where it cannot be made: its own tests say so."""
    try:
        rng = () if issubclass(contract, OpContract) else (np.random.default_rng(0),)
        return contract().make(*rng)
    except Exception:
        return None


def _untested(name: str, why: str, contract: str) -> Callable[[], None]:
    return lambda: skip(f"{name} is not tested: {why}. Subclass {contract} beside it")


def _is_cell(item: type) -> bool:
    """Return whether a class is made and used as a cell of ours is."""
    if not (hasattr(item, "initial_state") and any("__call__" in vars(base) for base in item.__mro__)):
        return False
    try:
        inspect.signature(item).bind(INPUTS, HIDDEN, rng=None)
    except (TypeError, ValueError):
        return False
    return True


def _for_cell(kind: Any) -> type:
    def make(self: CellContract, rng: Any) -> Any:
        return kind(INPUTS, HIDDEN, rng=rng)

    return type(f"Test{kind.__name__}", (CellContract,), {"make": make, "input_size": INPUTS})


def _for_op(op: Op) -> type:
    return type(f"Test_{op.name}", (OpContract,), {"make": lambda self: op})


def _find() -> dict[str, Any]:
    if os.getcwd() not in sys.path:  # the script pytest leaves it out, unlike python -m
        sys.path.append(os.getcwd())
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    found: dict[str, Any] = {}
    for name in names:
        for title, contract in contracts_of(importlib.import_module(name)).items():
            found[title if len(names) == 1 else f"{title}_in_{name.replace('.', '_')}"] = contract
    return found or {"test_something_is_found": lambda: _nothing(names)}


def _nothing(names: list[str]) -> None:
    where = (
        f"{', '.join(names)} defines no operation, cell or contract" if names else f"{VARIABLE} is not set"
    )
    raise AssertionError(
        f"{where}: {VARIABLE}=my_package.cells pytest --pyargs tinygrad_rnn.testing.suite runs our tests against "
        "my_package/cells.py"
    )


globals().update(_find())
