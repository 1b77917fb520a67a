"""The same program in twenty processes with twenty hash seeds gives the same bits."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stress.conftest import Size

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib
import numpy as np
import tinygrad_rnn as tr

found = hashlib.sha256()
rng = np.random.default_rng(0)
for kind in (tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU):
    net = kind(3, 4, num_layers=2, bidirectional=True, dropout=0.2, rng=rng)
    x, targets = rng.normal(size=(6, 2, 3)), rng.integers(0, 8, size=(6, 2))
    outputs, state = net(x, lengths=[6, 3], rng=np.random.default_rng(1))
    loss = tr.cross_entropy(outputs, targets)
    loss.backward()
    for leaf in net.parameters():
        found.update(leaf.grad.tobytes())
    found.update(str(tr.Graph.of(loss)).encode())
    step = tr.compile(tr.value_and_grad(lambda net, x: (net(x)[0] ** 2).sum()))
    value, gradient = step(net, x)
    for name in sorted(gradient):
        found.update(np.asarray(gradient[name]).tobytes())
w = tr.Value(0.5, name="w")
small = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, -1.0, 0.5], state=0.0)
total = tr.add_n(*small.each(lambda h: h * h))
total.backward()
found.update(tr.draw(total).source.encode())
found.update(repr(tr.hessian(lambda v: (v * v).tanh())(0.3)).encode())
print(found.hexdigest())
"""


def digest(seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, encoding="utf-8", check=True,
        env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout.strip()


def test_bitwise_equal_results(size: Size, report: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(digest, range(1, size.processes + 1)))
    assert len(found) == 1
    report(
        f"{size.processes} processes with hash seeds of their own: bitwise the same ({found.pop()[:12]}...)"
    )
