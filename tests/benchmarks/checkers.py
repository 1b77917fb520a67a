"""The checkers that are compared, each as a function from (forward, backward, arguments) to "is it called right?".

The peers are given the same numpy functions through their own way to define a derivative: ``torch.autograd.Function``,
``jax.custom_vjp``, autograd's ``defvjp``. All run in float64 with their default steps and tolerances.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tr

Checker = Callable[[Callable[..., Any], Callable[..., Any], tuple[Any, ...]], bool]


def engine(forward: Callable[..., Any], backward: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    op = tr.Op(
        name="seeded",
        symbol="?",
        forward=lambda xp, *a: forward(*a),
        vjp=lambda g, y, *a: backward(g, *a),
    )
    return tr.testing.gradcheck(lambda *a: op(*a), *args).ok


def external(forward: Callable[..., Any], backward: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    return tr.testing.gradcheck_external(forward, lambda g, *a: tuple(backward(g, *a)), *args).ok


def torch_checker(fast: bool) -> Checker:
    import torch

    def check(forward: Callable[..., Any], backward: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        class Seeded(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *tensors: Any) -> Any:
                ctx.save_for_backward(*tensors)
                return torch.tensor(np.asarray(forward(*(t.detach().numpy() for t in tensors))))

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                arrays = [t.detach().numpy() for t in ctx.saved_tensors]
                found = backward(g.numpy(), *arrays)
                return tuple(
                    torch.tensor(np.broadcast_to(c, a.shape).copy())
                    for c, a in zip(found, arrays, strict=True)
                )

        tensors = tuple(torch.tensor(a, requires_grad=True) for a in args)
        return bool(torch.autograd.gradcheck(Seeded.apply, tensors, fast_mode=fast, raise_exception=False))

    return check


def jax_checker() -> Checker:
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)

    def check(forward: Callable[..., Any], backward: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        shape = np.asarray(forward(*args)).shape

        @jax.custom_vjp
        def seeded(*arrays: Any) -> Any:
            result = jax.ShapeDtypeStruct(shape, np.float64)
            return jax.pure_callback(lambda *a: np.asarray(forward(*map(np.asarray, a))), result, *arrays)

        def back(saved: Any, g: Any) -> Any:
            results = tuple(jax.ShapeDtypeStruct(a.shape, np.float64) for a in saved)

            def run(g: Any, *arrays: Any) -> Any:
                arrays = tuple(map(np.asarray, arrays))
                found = backward(np.asarray(g), *arrays)
                return tuple(
                    np.broadcast_to(c, a.shape).astype(float) for c, a in zip(found, arrays, strict=True)
                )

            return jax.pure_callback(run, results, g, *saved)

        seeded.defvjp(lambda *arrays: (seeded(*arrays), arrays), back)
        try:
            check_grads(seeded, args, order=1, modes=["rev"])
        except AssertionError:
            return False
        return True

    return check


def autograd_checker() -> Checker:
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    np.random.seed(0)  # from there it takes its directions; the table is to be the same every time

    def check(forward: Callable[..., Any], backward: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        seeded = primitive(lambda *arrays: forward(*arrays))

        def rule(i: int) -> Callable[..., Any]:
            def of(y: Any, *arrays: Any) -> Any:
                return lambda g: np.broadcast_to(
                    backward(np.asarray(g), *arrays)[i], np.shape(arrays[i])
                ).copy()

            return of

        defvjp(seeded, *(rule(i) for i in range(len(args))))
        try:
            check_grads(seeded, tuple(range(len(args))), modes=["rev"], order=1)(*args)
        except AssertionError:
            return False
        return True

    return check


def checkers() -> dict[str, Checker]:
    """Return the checkers whose packages are installed; ours come first."""
    found: dict[str, Checker] = {"gradcheck": engine, "external": external}
    if importlib.util.find_spec("torch"):
        found |= {"torch": torch_checker(fast=False), "torch fast": torch_checker(fast=True)}
    if importlib.util.find_spec("jax"):
        found["jax"] = jax_checker()
    if importlib.util.find_spec("autograd"):
        found["autograd"] = autograd_checker()
    return found
