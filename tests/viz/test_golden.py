"""The DOT text of a few networks, kept as files: every change of it is seen and looked at.

To remake them after a wanted change, and then look at the difference:
``REMAKE_GOLDEN=1 python -m pytest tests/viz/test_golden.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def four_totals():
    """Four sums over all steps, so that four chains are drawn: their order must not hang on a hash."""
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 0.5, -0.5], state=0.0)
    squares = net.each(lambda h: h * h, name="L")
    totals = [tr.add_n(squares).named("energy"), tr.add_n(net.outputs).named("sum")]
    totals += [
        tr.add_n(net.each(f)).named(name) for name, f in (("cubes", lambda h: h**3), ("exps", tr.ops.exp))
    ]
    totals[0].backward()
    return totals


def recurrence_plan():
    """The plan of 12 steps of a recurrence with a readout; what planners do to gradients changes more often."""

    def outputs(w, u, v, xs):
        net = tr.unroll(lambda x, h: tr.ops.tanh(x @ w + h @ u), xs, state=np.zeros(4))
        return net.each(lambda h: h @ v, name="y")

    return tr.compile(outputs).plan(np.ones((3, 4)), np.ones((4, 4)), np.ones((4, 2)), np.ones((12, 3)))


DRAWINGS = {
    "four-chains-op": lambda: tr.draw(four_totals()),
    "scalar-rnn-op": lambda: tr.draw(scalar_rnn(3)),
    "scalar-rnn-before-backward": lambda: tr.draw(scalar_rnn(2, backward=False)),
    "scalar-rnn-truncated": lambda: tr.draw(scalar_rnn(4, truncate=2)),
    "scalar-rnn-folded": lambda: tr.draw(scalar_rnn(50)),
    "rnn-step": lambda: tr.draw(cell_loss("RNNCell", 3), level="step"),
    "rnn-scalar": lambda: tr.draw(cell_loss("RNNCell", 1, hidden=1), level="scalar"),
    "lstm-op": lambda: tr.draw(cell_loss("LSTMCell", 2)),
    "lstm-rolled": lambda: tr.draw(cell_loss("LSTMCell", 3), level="rolled"),
    "stack-step": lambda: tr.draw(stack_loss("GRU", 2), level="step"),
    "recurrence-plan": lambda: tr.draw(recurrence_plan()),
    "xor-op": lambda: tr.draw(xor_loss()),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_dot_text_is_as_it_was(name):
    path = GOLDEN / f"{name}.dot"
    text = DRAWINGS[name]().source
    if os.environ.get("REMAKE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_the_dot_text_does_not_depend_on_the_hash_seed():
    code = (
        "from tests.viz.test_golden import DRAWINGS\n"
        "import hashlib\n"
        "for make in DRAWINGS.values():\n"
        "    print(hashlib.sha256(make().source.encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    found = set()
    for seed in ("0", "1", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            cwd=root,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(next(iter(found)).split()) == len(DRAWINGS)
