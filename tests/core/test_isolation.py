import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr


def recorded() -> bool:
    """Whether operations are recorded here and now, by a Value and by a Tensor."""
    kinds = {(tr.Value(1.0) * 2.0).kind, (tr.Tensor([1.0]) * 2.0).kind}
    assert len(kinds) == 1
    return kinds == {"op"}


def in_thread(fn: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(fn).result(timeout=30)


# --- no_grad


def test_nothing_is_recorded_inside_and_everything_after() -> None:
    x, w = tr.Value(3.0), tr.Tensor([1.0, 2.0])
    with tr.no_grad():
        y, z = x * x, w.sum()
        assert not recorded()
    assert recorded()
    assert (y.data, z.item()) == (9.0, 3.0)
    for node in (y, z):
        assert (node.kind, node.parents, node.op) == ("constant", (), None)
    (x * y).backward()
    assert x.grad == 9.0


def test_leaves_made_inside_are_leaves() -> None:
    with tr.no_grad():
        x = tr.Value(3.0)
    (x * x).backward()
    assert x.grad == 6.0


def test_it_nests_and_can_be_used_again() -> None:
    off = tr.no_grad()
    with off:
        with off:
            assert not recorded()
        assert not recorded()
    assert recorded()
    with off, tr.no_grad():
        assert not recorded()
    assert recorded()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_error_leaves_it(error: type[BaseException]) -> None:
    with pytest.raises(error), tr.no_grad():
        raise error
    assert recorded()


def test_the_decorator_keeps_name_arguments_and_result() -> None:
    @tr.no_grad()
    def forward(x: tr.Value, *, times: float = 2.0) -> tuple[bool, tr.Value]:
        """Doc."""
        return recorded(), x * times

    inside, y = forward(tr.Value(3.0), times=5.0)
    assert (inside, y.data, y.kind, forward.__name__, forward.__doc__) == (
        False,
        15.0,
        "constant",
        "forward",
        "Doc.",
    )
    assert recorded()


def test_a_decorated_function_may_call_itself() -> None:
    @tr.no_grad()
    def down(n: int) -> list[bool]:
        return [recorded()] if n == 0 else [*down(n - 1), recorded()]

    assert down(5) == [False] * 6
    assert recorded()


def test_gradients_inside_are_taken_of_what_was_recorded_before() -> None:
    x = tr.Value(3.0)
    y = x * x
    with tr.no_grad():
        y.backward()
        x.data -= 0.5 * x.grad
    assert (x.grad, x.data) == (6.0, 0.0)


def test_transformations_record_inside_for_themselves() -> None:
    with tr.no_grad():
        assert tr.grad(lambda x: x**3)(2.0) == 12.0
        assert tr.grad(tr.grad(lambda x: x**3))(2.0) == 12.0
        assert tr.jvp(lambda x: x**3, 2.0, 1.0) == (8.0, 12.0)
        assert not recorded()


def test_what_a_transformed_function_computes_under_no_grad_is_a_constant() -> None:
    def loss(x: tr.Value) -> tr.Value:
        with tr.no_grad():
            frozen = x * x
        return x * frozen

    assert tr.grad(loss)(3.0) == 9.0
    assert tr.jvp(loss, 3.0, 1.0)[1] == 9.0
    assert tr.grad(tr.grad(loss))(3.0) == 0.0


# --- generators: a choice, and both sides of it


def test_a_with_inside_a_generator_holds_while_it_is_suspended() -> None:
    def steps() -> Iterator[bool]:
        with tr.no_grad():
            yield recorded()
        yield recorded()

    it = steps()
    assert next(it) is False
    assert not recorded()  # as for every ContextVar
    assert next(it) is True
    assert recorded()


def test_a_decorated_generator_hides_it_from_its_caller() -> None:
    seen = []

    @tr.no_grad()
    def steps(n: int) -> Iterator[bool]:
        try:
            for _ in range(n):
                seen.append((yield recorded()))
        except KeyError:
            yield recorded()
        finally:
            seen.append(recorded())
        return "done"

    it = steps(3)
    assert [next(it), recorded(), it.send("a"), recorded()] == [False, True, False, True]
    assert it.throw(KeyError) is False
    assert recorded()
    with pytest.raises(StopIteration) as stop:
        next(it)
    assert (stop.value.value, seen) == ("done", ["a", False])
    assert list(steps(2)) == [False, False]
    closed = steps(2)
    next(closed)
    closed.close()
    assert seen[-1] is False
    assert recorded()


def test_two_decorated_generators_interleave() -> None:
    @tr.no_grad()
    def steps() -> Iterator[bool]:
        for _ in range(3):
            yield recorded()

    def plain() -> Iterator[bool]:
        for _ in range(3):
            yield recorded()

    assert list(zip(steps(), plain(), steps(), strict=True)) == [(False, True, False)] * 3


# --- async


def test_tasks_do_not_see_each_others_no_grad_scope_or_grad() -> None:
    async def task(number: int, gates: list[asyncio.Event]) -> list[Any]:
        seen: list[Any] = []
        with tr.scope(f"task {number}"):
            if number % 2:
                with tr.no_grad():
                    gates[number].set()
                    await gates[(number + 1) % len(gates)].wait()
                    seen += [recorded(), tr.Value(1.0).scope]
            else:
                gates[number].set()
                await gates[(number + 1) % len(gates)].wait()
                seen += [recorded(), tr.Value(1.0).scope]
            await asyncio.sleep(0)
        return [*seen, recorded(), tr.Value(1.0).scope]

    async def main() -> list[list[Any]]:
        gates = [asyncio.Event() for _ in range(6)]
        return await asyncio.gather(*(task(i, gates) for i in range(6)))

    expected = [[i % 2 == 0, (f"task {i}",), True, ()] for i in range(6)]
    assert asyncio.run(main()) == expected


def test_a_decorated_coroutine_records_nothing_across_its_awaits() -> None:
    @tr.no_grad()
    async def forward() -> list[bool]:
        before = recorded()
        await asyncio.sleep(0)
        return [before, recorded()]

    async def main() -> list[bool]:
        other = asyncio.create_task(watch())
        return [*await forward(), recorded(), await other]

    async def watch() -> bool:
        await asyncio.sleep(0)
        return recorded()

    assert asyncio.run(main()) == [False, False, True, True]


def test_an_async_generator_cannot_be_decorated() -> None:
    with pytest.raises(TypeError, match=r"async generator steps: put `with no_grad\(\):` inside"):

        @tr.no_grad()
        async def steps() -> AsyncIterator[int]:
            yield 1


def test_one_no_grad_object_serves_many_tasks_at_once() -> None:
    off = tr.no_grad()

    async def task(steps: int, outer: bool) -> list[bool]:
        with tr.no_grad() if outer else tr.scope("on"):
            with off:
                for _ in range(steps):
                    await asyncio.sleep(0)
                inside = recorded()
            return [inside, recorded()]

    async def main() -> list[list[bool]]:
        return await asyncio.gather(*(task(1 + k % 3, k % 2 == 0) for k in range(6)))

    assert asyncio.run(main()) == [[False, False], [False, True]] * 3


# --- threads


def test_a_thread_starts_recording_without_scope_whatever_its_parent_does() -> None:
    with tr.no_grad(), tr.scope("here"):
        assert in_thread(lambda: (recorded(), tr.Value(1.0).scope)) == (True, ())

    def inner(x: tr.Value) -> tr.Value:
        assert in_thread(lambda: tr.grad(lambda y: y * y)(3.0)) == 6.0  # a number: not nested in this grad
        return x * x

    assert tr.grad(inner)(2.0) == 4.0


def test_threads_differentiate_at_once_and_rightly() -> None:
    start = threading.Barrier(4)

    def work(k: int) -> list[float]:
        start.wait(timeout=30)
        found = []
        for i in range(100):
            x = 0.1 * k + 0.001 * i
            with tr.scope(f"{k}"):
                if i % 3 == k % 3:
                    with tr.no_grad():
                        assert not recorded()
                w = tr.Value(x)
                y = (w * w).tanh()
                y.backward()
                assert y.scope == (f"{k}",)
                found += [w.grad, tr.grad(tr.grad(tr.ops.tanh))(x)]
        return found

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(4), timeout=60))
    start = threading.Barrier(1)
    assert together == [work(k) for k in range(4)]


def test_one_no_grad_object_serves_many_threads_at_once() -> None:
    off, both, one_out = tr.no_grad(), threading.Barrier(2), threading.Event()

    def first() -> list[bool]:
        with off:
            both.wait(timeout=30)
            inside = recorded()
        one_out.set()
        return [inside, recorded()]

    def second() -> list[bool]:
        with off:
            both.wait(timeout=30)
            one_out.wait(timeout=30)
            inside = recorded()
        return [inside, recorded()]

    with ThreadPoolExecutor(2) as pool:
        found = [future.result(timeout=60) for future in (pool.submit(first), pool.submit(second))]
    assert found == [[False, True]] * 2


def test_threads_add_to_a_shared_leaf_without_loss() -> None:
    w = tr.Tensor(np.zeros(2))

    def work(k: int) -> None:
        for _ in range(200):
            (w * float(k)).sum().backward()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4), timeout=60))
    assert w.grad.tolist() == [200.0 * (1 + 2 + 3)] * 2


# --- scopes and transformations under errors

TRANSFORMS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "grad": lambda fn: tr.grad(fn)(1.0),
    "value_and_grad": lambda fn: tr.value_and_grad(fn)(1.0),
    "vjp": lambda fn: tr.vjp(fn, 1.0),
    "jvp": lambda fn: tr.jvp(fn, 1.0, 1.0),
    "hvp": lambda fn: tr.hvp(fn, 1.0, 1.0),
    "jacobian": lambda fn: tr.jacobian(fn)(1.0),
    "hessian": lambda fn: tr.hessian(fn)(1.0),
    "nested": lambda fn: tr.grad(lambda x: tr.grad(fn)(x))(1.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_error_inside_a_transformation_leaves_nothing_behind(name: str) -> None:
    def fails(x: Any) -> Any:
        with tr.scope("inside"):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        TRANSFORMS[name](fails)
    assert recorded()
    assert tr.Value(1.0).scope == ()
    assert type(tr.grad(lambda x: x * x)(1.0)) is float  # not a node: no transformation is still open


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transformation_inside_a_transformation_of_another_kind_gives_nodes(name: str) -> None:
    seen = []

    def outer(x: tr.Value) -> tr.Value:
        inner = tr.grad(lambda y: y * y * x)(2.0)
        seen.append(type(inner))
        return x * inner

    TRANSFORMS[name](outer)
    assert set(seen) == {tr.Value}


def test_a_transformation_inside_a_suspended_generator_does_not_reach_its_caller() -> None:
    def losses(x: tr.Value) -> Iterator[tr.Value]:
        yield x * 1.0
        yield x * x

    def loss(x: tr.Value) -> tr.Value:
        return tr.add_n(*losses(x))

    assert tr.grad(loss)(3.0) == 7.0
    assert type(tr.grad(loss)(3.0)) is float


def test_an_observer_sees_what_is_made_without_recording() -> None:
    own = tr.Op(
        name="own_log", symbol="l", forward=lambda xp, x: xp.log(x), partials=(lambda xp, y, x: 1.0 / x,)
    )
    for op in (tr.ops.log, own):
        for one, zero in ((tr.Value(1.0), tr.Value(0.0)), (tr.Tensor([1.0]), tr.Tensor([0.0]))):
            with tr.no_grad():
                assert float(op(one)) == 0.0
            with (
                np.errstate(all="ignore"),
                pytest.raises(tr.AnomalyError, match="log"),
                tr.detect_anomaly(),
                tr.no_grad(),
            ):
                op(zero)
