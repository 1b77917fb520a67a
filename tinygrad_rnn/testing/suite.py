"""Our tests, run against your module: operations, cells and modules are found in it and held to their contracts.

    TINYGRAD_RNN_SUITE=my_package.cells pytest --pyargs tinygrad_rnn.testing.suite

What is found, under names without a leading underscore: every elementwise ``tr.Op``, and every class defined there that
is made as ``Cell(input_size, hidden_size, rng=rng)`` and has an ``initial_state``. Where that does not fit, subclass
``OpContract``, ``CellContract`` or ``ModuleContract`` in the module: such subclasses are run as they are. The variable
may name several modules, separated by commas.
"""

from __future__ import annotations

import importlib
import inspect
import os
from typing import Any

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.testing.contracts import CellContract, ModuleContract, OpContract

VARIABLE = "TINYGRAD_RNN_SUITE"
CONTRACTS = (OpContract, CellContract, ModuleContract)
INPUTS, HIDDEN = 3, 4


def contracts_of(module: Any) -> dict[str, type]:
    """Return the test classes for what a module defines, by the names that pytest shows."""
    found: dict[str, type] = {}
    for name, item in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        if isinstance(item, type) and issubclass(item, CONTRACTS):
            if item not in CONTRACTS and not inspect.isabstract(item):
                found[name if name.startswith("Test") else f"Test{name}"] = item
        elif isinstance(item, type) and item.__module__ == module.__name__ and _is_cell(item):
            found[f"Test{name}"] = _for_cell(item)
        elif isinstance(item, Op) and item.elementwise and isinstance(item.partials, tuple):
            found[f"Test_{name}"] = _for_op(item)
    return found


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
