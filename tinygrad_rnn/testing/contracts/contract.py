"""What the three contracts share: they can be run without pytest, and then say what they found."""

from __future__ import annotations

import unittest
from dataclasses import dataclass

from tinygrad_rnn.analysis.table import Table


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What the tests of a contract found; true when none failed.

    Attributes:
        contract: the name of the class.
        passed: the names of the tests that passed.
        failed: what each test that failed says, by its name.
        left_out: why a test does not apply, by its name.
    """

    contract: str
    passed: tuple[str, ...]
    failed: dict[str, str]
    left_out: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether no test failed."""
        return not self.failed

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        left = f", {len(self.left_out)} left out" if self.left_out else ""
        lines = [f"{self.contract}: {len(self.passed)} passed, {len(self.failed)} failed{left}"]
        lines += [f"  {name}: {said.splitlines()[0]}" for name, said in self.failed.items()]
        lines += [f"  left out: {name}: {why}" for name, why in self.left_out.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(name, "failed", said.splitlines()[0]) for name, said in self.failed.items()]
        rows += [(name, "left out", why) for name, why in self.left_out.items()]
        rows += [(name, "passed", "") for name in self.passed]
        return Table(self.contract, ("test", "", "what it says"), rows).html()


class Contract:
    """Tests to inherit: pytest collects a subclass whose name begins with Test, ``check`` runs one anywhere."""

    @classmethod
    def check(cls, *names: str) -> ContractReport:
        """Return what the tests say, run here and now.

        Args:
            names: of the tests to run; all if there are none.

        Example:
            >>> import tinygrad_rnn as tr
            >>> class TestMine(tr.testing.OpContract):
            ...     def make(self):
            ...         return tr.ops.tanh
            >>> print(TestMine.check())
            TestMine: 15 passed, 0 failed, 1 left out
              left out: test_value_is_the_reference: override reference(*arrays) to say what the value is
        """
        passed, failed, left_out, test = [], {}, {}, cls()
        for name in names or [name for name in dir(cls) if name.startswith("test_")]:
            run = getattr(test, name)
            try:
                run()
            except unittest.SkipTest as why:
                left_out[name] = str(why)
            except Exception as error:  # of anyone's code
                plain = isinstance(error, AssertionError)
                failed[name] = str(error) if plain and str(error) else f"{type(error).__name__}: {error}"
            else:
                passed.append(name)
        return ContractReport(cls.__name__, tuple(passed), failed, left_out)
