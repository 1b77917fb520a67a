"""Checks that can fail: is this gradient right, and if not, where is it wrong?

Example:
    >>> import numpy as np
    >>> import tinygrad_rnn as tr
    >>> report = tr.testing.gradcheck(lambda w, x: tr.ops.tanh(w @ x).sum(), np.eye(2), np.array([0.5, -0.2]))
    >>> report.ok
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.testing.diff import BackwardDiff, diff_backward
from tinygrad_rnn.testing.external import gradcheck_external
from tinygrad_rnn.testing.findings import Mismatch
from tinygrad_rnn.testing.gradcheck import assert_gradients, gradcheck
from tinygrad_rnn.testing.localise import Localisation, localise
from tinygrad_rnn.testing.report import GradientReport
from tinygrad_rnn.testing.verdicts import Verdict

if TYPE_CHECKING:
    from tinygrad_rnn.testing import contracts, strategies
    from tinygrad_rnn.testing.contracts import CellContract, ModuleContract, OpContract

__all__ = [
    "BackwardDiff",
    "CellContract",
    "GradientReport",
    "Localisation",
    "Mismatch",
    "ModuleContract",
    "OpContract",
    "Verdict",
    "assert_gradients",
    "contracts",
    "diff_backward",
    "gradcheck",
    "gradcheck_external",
    "localise",
    "strategies",
]


def __getattr__(name: str) -> Any:
    """Import on first use what needs Hypothesis, or the planner."""
    if name in ("contracts", "strategies"):
        return import_module(f"tinygrad_rnn.testing.{name}")
    if name in ("CellContract", "ModuleContract", "OpContract"):
        return getattr(import_module("tinygrad_rnn.testing.contracts"), name)
    raise AttributeError(f"module 'tinygrad_rnn.testing' has no attribute {name!r}")
