"""What a wrong rule shrinks to, over all seeded ones: the promise is a median of at most 3 operations in 10 seconds."""

import statistics
from collections.abc import Callable

from tests.stress.conftest import NIGHTLY
from tests.testing.faults import WRONG_RULES, WRONG_TENSOR_RULES
from tests.testing.shrinking import SCALAR, SHAPED, reproduces, shrunk


def test_wrong_rules_shrink_to_few_operations(report: Callable[[str], None]) -> None:
    values = WRONG_RULES if NIGHTLY else dict(list(WRONG_RULES.items())[::3])
    tensors = WRONG_RULES | WRONG_TENSOR_RULES if NIGHTLY else dict(list(WRONG_TENSOR_RULES.items())[::2])
    runs = [(what, op, "Value", SCALAR) for what, op in values.items()]
    runs += [(what, op, "Tensor", SHAPED) for what, op in tensors.items()]
    lengths, seconds, lines = [], [], []
    for what, op, carrier, among in runs:
        left = shrunk(op, carrier, among)
        assert left.program is not None, f"{carrier}: {what}: not found"
        assert reproduces(left.program, op), f"{carrier}: {what}: right, when run:\n{left.program}"
        lengths.append(len(left.program))
        seconds.append(left.seconds)
        lines.append(
            f"  {what} ({carrier}): {left.program!r}, {left.seconds:.1f} s, {left.examples} examples after the first"
        )
    report(
        f"{len(runs)} wrong rules shrink to a median of {statistics.median(lengths):g} operations (at most "
        f"{max(lengths)}) in a median of {statistics.median(seconds):.1f} s (at most {max(seconds):.1f}) of CPU"
    )
    for line in lines:
        report(line)
    assert statistics.median(lengths) <= 3
    assert statistics.median(seconds) <= 10
