"""What Hypothesis prints of a failing draw is code, and makes the same thing again."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy import array

import tinygrad_rnn as tr
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.testing import strategies as some

mine = tr.Op(name="mine", symbol="m", forward=lambda xp, x: x * x, partials=(lambda xp, y, x: 2.0 * x,))
SCOPE = vars(some) | {"np": np, "array": array, "tr": tr, "Tensor": tr.Tensor, "mine": mine}

DRAWN: dict[str, tuple[Any, Any]] = {
    "a Tensor": (some.broadcastable_tensors(min_side=1), lambda ts: ts[1].data.size > 2),
    "a layout": (some.memory_layouts(some.arrays((2, 3))), lambda a: not a.flags.c_contiguous),
    "an unaligned array": (some.memory_layouts(some.arrays((3,))), lambda a: not a.flags.aligned),
    "a cell": (some.cells(), lambda cell: type(cell).__name__ == "LSTMCell" and cell.hidden_size > 1),
    "a chaotic cell": (some.cells(gains=[2.5], dtype=np.float32), lambda cell: cell.hidden_size > 1),
    "a ragged batch": (some.ragged_batches(input_size=2), lambda batch: min(batch.lengths) > 1),
    "a key": (some.index_keys((3, 4)), lambda key: isinstance(key, np.ndarray) and key.size > 2),
    "settings": (some.hyper_parameters(of="lstm"), lambda settings: settings["num_layers"] > 1),
    "a program over one's own": (some.programs(operations=[mine, "add"]), lambda p: "mine" in p.operations),
    "a truncation": (some.truncations(steps=5), lambda k: k is not None and k > 5),
}


def printed(strategy: Any, fails: Any) -> tuple[Any, str]:
    """Return the last failing draw of a test, and the code that Hypothesis shows for it."""
    kept: list[Any] = []

    @settings(database=None, derandomize=True)
    @given(drawn=strategy)
    def test(drawn: Any) -> None:
        if fails(drawn):
            kept.append(drawn)
            raise AssertionError

    with pytest.raises(AssertionError) as caught:
        test()
    notes = "\n".join(caught.value.__notes__)
    found = re.search(r"test case: test\((.*?)^\)", notes, re.MULTILINE | re.DOTALL)
    assert found, notes
    return kept[-1], found[1]


def contents(drawn: Any) -> Any:
    """Return all that tells two draws apart."""
    if isinstance(drawn, some.Program):
        return repr(drawn), drawn(*drawn.leaves)
    if isinstance(drawn, np.ndarray):
        return (
            drawn.tolist(),
            drawn.dtype,
            drawn.flags.c_contiguous,
            drawn.flags.aligned,
            drawn.flags.writeable,
        )
    if isinstance(drawn, (tuple, dict, tr.nn.Module)):
        return type(drawn), [(path, contents(leaf)) for path, leaf in flatten(drawn)]
    return contents(drawn.data) if isinstance(drawn, tr.Tensor) else drawn


@pytest.mark.parametrize("what", DRAWN)
def test_a_failing_draw_is_printed_as_code_that_makes_it_again(what: str) -> None:
    drawn, code = printed(*DRAWN[what])
    again = eval(f"dict({code})", dict(SCOPE))["drawn"]
    assert contents(again) == contents(drawn)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: some.laid_out([1.0], "sideways"), "laid_out: kind must be one of 'C', 'Fortran', .*, got 'sideways'"),
        (lambda: some.make_cell("elman", (1, 1)), "make_cell: kind must be one of 'rnn', 'rnn relu', .*, got 'elman'"),
    ],
)  # fmt: skip
def test_a_wrong_kind_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
