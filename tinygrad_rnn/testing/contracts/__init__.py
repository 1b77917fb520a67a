"""Test suites to inherit: subclass one in a test file, say how your thing is made, and pytest runs its tests.

Each test is one property that a right operation, cell or module has, and is named after it, so that the name of the
test that fails says what is wrong.

Example:
    >>> import tinygrad_rnn as tr
    >>> class TestMyCell(tr.testing.CellContract):
    ...     def make(self, rng):
    ...         return tr.nn.RNNCell(3, 4, rng=rng)
    >>> report = TestMyCell.check()  # what pytest does, in a notebook
    >>> report.ok, report.left_out
    (True, {'test_value_is_the_reference': 'override reference(named, x, state) to say in NumPy what one step is'})
"""

from tinygrad_rnn.testing.contracts.cell import CellContract
from tinygrad_rnn.testing.contracts.contract import ContractReport
from tinygrad_rnn.testing.contracts.module import ModuleContract
from tinygrad_rnn.testing.contracts.op import OpContract

__all__ = ["CellContract", "ContractReport", "ModuleContract", "OpContract"]
