"""Deep graphs and long runs, each in a process of its own at the default recursion limit."""

import os
import subprocess
import sys
import textwrap

import pytest

START = """
import gc, sys, time, weakref
import numpy as np
import tinygrad_rnn as tr
assert sys.getrecursionlimit() == 1000
"""


def run(program: str, timeout: float = 60) -> list[str]:
    """Run the program in a fresh process, which must end well; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "error", "-c", START + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.slow
def test_a_chain_of_a_million_values_runs_forward_backward_and_is_freed() -> None:
    printed = run("""
        x = tr.Value(0.3)
        y = x
        for _ in range(500_000):
            y = -y.tanh()
        y.backward()
        n, slope = 0.3, 1.0
        for _ in range(500_000):
            n = -np.tanh(n).item()
            slope *= -(1 - n * n)
        assert abs(y.data - n) <= 1e-9 * abs(n)
        assert abs(x.grad - slope) <= 1e-9 * abs(slope) and slope
        assert len(tr.Graph.of(y)) == 1_000_001
        middle = weakref.ref(y.parents[0])
        del y
        assert middle() is None
        print("done")
    """)
    assert printed == ["done"]


@pytest.mark.slow
def test_two_million_values_deep_can_be_dropped_without_a_pass() -> None:
    assert run("""
        y = tr.Value(0.5)
        for _ in range(2_000_000):
            y = -y
        del y
        print("freed")
    """) == ["freed"]


@pytest.mark.slow
def test_twenty_thousand_steps_are_unrolled_differentiated_printed_and_freed() -> None:
    printed = run("""
        T = 20_000
        w, x = tr.Value(0.999, name="w"), tr.Value(1e-3, name="x")
        net = tr.unroll(lambda x, h: (w * h + x).tanh(), [x] * T, state=0.0)
        loss = tr.add_n(net.outputs)
        loss.backward()
        dw = tr.grad(lambda w: tr.add_n(tr.unroll(lambda x, h: (w * h + x).tanh(), [1e-3] * T, state=0.0).outputs))
        h, s, total = 0.0, 0.0, 0.0  # the same derivative by hand, forward in time
        for _ in range(T):
            a = 0.999 * h + 1e-3
            s = (1 - np.tanh(a) ** 2) * (h + 0.999 * s)
            h = float(np.tanh(a))
            total += s
        assert abs(w.grad - total) <= 1e-9 * total, (w.grad, total)
        assert dw(0.999) == w.grad
        lines = str(tr.Graph.of(loss)).splitlines()
        assert lines[-1].endswith(f"= {loss.data:.6g}")
        assert any("[t=19999]" in line for line in lines)
        print(len(lines) > 3 * T)
        ref = weakref.ref(net.states[10])
        del net, loss
        assert ref() is None
    """)
    assert printed == ["True"]


@pytest.mark.slow
def test_five_thousand_steps_of_a_tensor_cell() -> None:
    assert run("""
        cell = tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0))
        net = tr.unroll(cell, np.full((5_000, 2), 0.1))
        loss = tr.add_n(net.each(lambda h: (h * h).sum()))
        loss.backward()
        assert all(np.isfinite(p.grad).all() and np.abs(p.grad).max() > 0 for p in cell.parameters())
        assert str(tr.Graph.of(loss)).count("tanh(") == 5_000
        ref = weakref.ref(net.states[10])
        del net, loss
        assert ref() is None
        print("done")
    """) == ["done"]


def test_second_order_and_forward_mode_are_not_recursive_either() -> None:
    assert run("""
        def chain(x):
            y = x
            for _ in range(5_000):
                y = y.sin() + 0.5
            return y
        first = tr.grad(chain)(0.3)
        assert abs(tr.jvp(chain, 0.3, 1.0)[1] - first) <= 1e-12
        assert np.isfinite(tr.grad(tr.grad(chain))(0.3))
        x = tr.Tensor(np.full(2, 0.3))
        apart = tr.scalarize(chain(x).sum())
        apart.outputs[0].backward()
        assert abs(apart.of(x)[0].grad - first) <= 1e-12
        print("done")
    """) == ["done"]


STEPS = {
    "values": """
        ws = [tr.Value(0.01 * i) for i in range(20)]
        def step():
            h = tr.Value(0.1)
            for t in range(10):
                h = tr.ops.dot([h] * 20, ws).tanh() + 0.1
            loss = (h - 0.5) ** 2
            loss.backward()
            for w in ws:
                w.data -= 0.1 * w.grad
                w.grad = 0
            return loss
    """,
    "tensors": """
        cell = tr.nn.LSTMCell(8, 16, rng=np.random.default_rng(0))
        x = np.random.default_rng(1).normal(size=(6, 4, 8))
        def step():
            net = tr.unroll(cell, x)
            loss = tr.add_n(net.each(lambda h: tr.mean_squared_error(h, np.zeros(h.shape))))
            loss.backward()
            for p in cell.parameters():
                p.data -= 0.1 * p.grad
                p.grad = None
            return loss
    """,
    "functions": """
        w = np.random.default_rng(1).normal(size=(8, 8)) * 0.1
        def step():
            global w
            def loss(w):
                return tr.unroll(lambda x, h: (h @ w + x).tanh(), np.ones((4, 8)), np.zeros(8)).final_state.sum()
            w = w - 0.01 * tr.grad(loss)(w)
            tr.hvp(loss, w, w)
    """,
    "carried state": """
        cell = tr.nn.GRUCell(8, 16, rng=np.random.default_rng(0))
        h = np.zeros((4, 16))
        def step():
            global h
            net = tr.unroll(cell, np.ones((5, 4, 8)), tr.detach(h))
            h = net.final_state
            (h * h).sum().backward()
            cell.zero_grad()
    """,
}


@pytest.mark.parametrize("name", STEPS)
def test_three_hundred_steps_without_the_collector_leave_nothing(name: str) -> None:
    printed = run(
        textwrap.dedent(STEPS[name])
        + textwrap.dedent("""
        import psutil
        memory = psutil.Process().memory_info
        gc.disable()
        for _ in range(20):
            step()
        gc.collect()
        before = memory().rss
        for _ in range(300):
            step()
        grown, left = memory().rss - before, gc.collect()
        print(grown, left)
        """)
    )
    grown, left = map(int, printed)
    assert grown < 5 * 2**20
    assert left == 0


def test_an_intermediate_dies_with_its_last_reference() -> None:
    assert run("""
        gc.disable()
        w, x = tr.Tensor(np.ones((3, 3))), tr.Value(1.0)
        for root in (w, x):
            middle = root * 2.0
            ref = weakref.ref(middle)
            loss = (middle * middle).sum() if root is w else middle * middle
            middle.register_hook(lambda g: None)
            loss.backward()
            graph = tr.Graph.of(loss)
            del middle, graph
            assert ref() is not None
            del loss
            assert ref() is None
        print("done")
    """) == ["done"]


def test_an_error_keeps_no_graph_alive() -> None:
    assert run("""
        gc.disable()
        w = tr.Tensor(np.ones((3, 3)), name="w")
        y = w * 2.0
        ref = weakref.ref(y)
        w.data = np.zeros((3, 3))
        for wrong in (lambda: y.sum().backward(), lambda: y @ np.ones(2), lambda: y.backward(), lambda: y + "a"):
            try:
                wrong()
            except Exception:
                pass
        del y, wrong
        assert ref() is None
        print("done")
    """) == ["done"]
