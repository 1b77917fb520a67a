"""What docs/checking.md shows is what happens; its PyTorch lines run where PyTorch is installed."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tr

PAGE = Path(__file__).parent.parent.parent / "docs" / "checking.md"


def test_the_examples() -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags, encoding="utf-8")
    assert tried >= 10
    assert failed == 0


def test_the_pytorch_lines() -> None:
    torch = pytest.importorskip("torch")
    blocks = re.findall(r"```torch\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    assert len(blocks[0].strip().splitlines()) == 4
    names = {"torch": torch, "np": np, "tr": tr}
    for block in blocks:
        exec(block, names)
    assert names["report"].ok, str(names["report"])
