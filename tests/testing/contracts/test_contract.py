"""A contract that is run without pytest says what pytest says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.testing.contracts.faulty import CentersTheBatch
from tests.testing.test_plugin import run
from tinygrad_rnn.testing.contracts import CellContract, ContractReport, OpContract


class Good(OpContract):
    def make(self) -> Any:
        return tr.ops.tanh


class Bad(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        return CentersTheBatch(3, 4, rng=rng)


class Broken(CellContract):
    def make(self, rng: np.random.Generator) -> Any:
        raise OSError("no such\nfile")


def test_a_contract_that_is_kept() -> None:
    report = Good.check()
    assert report
    assert len(report.passed) == 15
    reason = "override reference(*arrays) to say what the value is"
    assert report.left_out == {"test_value_is_the_reference": reason}
    assert (
        str(report)
        == f"Good: 15 passed, 0 failed, 1 left out\n  left out: test_value_is_the_reference: {reason}"
    )


def test_a_contract_that_is_broken() -> None:
    report = Bad.check()
    assert not report.ok
    assert "test_batch_is_the_sum_of_its_examples" in report.failed
    assert report.failed["test_batch_is_the_sum_of_its_examples"].startswith("the loss of a batch: got")
    lines = str(report).splitlines()
    assert lines[0] == f"Bad: {len(report.passed)} passed, {len(report.failed)} failed, 1 left out"
    assert any(
        line.startswith("  test_batch_is_the_sum_of_its_examples: the loss of a batch: got") for line in lines
    )
    assert "<td>test_batch_is_the_sum_of_its_examples</td><td>failed</td>" in report._repr_html_()


def test_an_error_is_a_failure_that_names_its_type() -> None:
    report = Broken.check()
    assert set(report.failed.values()) == {"OSError: no such\nfile"}
    assert "OSError: no such\n" in str(report)
    assert "file" not in str(report)


def test_pytest_takes_the_exception_that_leaves_a_test_out(tmp_path: Path) -> None:
    lines = [
        "import tinygrad_rnn as tr",
        "class TestGood(tr.testing.OpContract):",
        "    make = lambda self: tr.ops.tanh",
    ]
    (tmp_path / "test_good.py").write_text("\n".join(lines), encoding="utf-8")
    done = run(tmp_path, "-q", "-rs")
    assert "15 passed, 1 skipped" in done.stdout
    assert "override reference(*arrays) to say what the value is" in done.stdout


def test_some_of_the_tests_can_be_asked_for() -> None:
    report = Good.check("test_both_modes_agree", "test_value_is_the_reference")
    assert (report.passed, list(report.left_out)) == (
        ("test_both_modes_agree",),
        ["test_value_is_the_reference"],
    )
    with pytest.raises(AttributeError, match="test_nothing"):
        Good.check("test_nothing")


def test_nothing_at_all_is_a_report_too() -> None:
    assert str(ContractReport("Mine", (), {}, {})) == "Mine: 0 passed, 0 failed"
