"""Every public function with arguments that fit: the table that hostile arguments are put into."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES
from tests.stress.hostile import Call
from tinygrad_rnn import ops
from tinygrad_rnn.core.tree import flatten, tree_map


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def x() -> tr.Tensor:
    return tr.Tensor(np.array([[0.5, 0.25, 0.75], [1.0, 1.5, 2.0]]))


def square(v: Any) -> Any:
    """The sum of squares of whatever is nested in v: a user's function that itself never fails."""
    leaves = [leaf for _, leaf in flatten(v) if hasattr(leaf, "shape")]
    return (
        tr.add_n(*[(leaf * leaf).sum() if leaf.shape else leaf * leaf for leaf in leaves]) if leaves else 0.0
    )


def cell(x: Any, h: Any) -> Any:
    """A cell for states of any structure."""
    return tree_map(lambda part: tr.ops.tanh(part), h)


DERIVED: dict[str, Callable[[], tuple[Any, ...]]] = {
    "dot": lambda: ([1.0, 2.0], [3.0, 4.0]), "expand_dims": lambda: (x(), 0), "hstack": lambda: ([x(), x()],),
    "inner": lambda: (x(), x()), "moveaxis": lambda: (x(), 0, 1), "outer": lambda: (x(), x()), "ravel": lambda: (x(),),
    "repeat": lambda: (x(), 2, 0), "split": lambda: (x(), 3, 1), "squeeze": lambda: (x(),), "std": lambda: (x(), 0),
    "swapaxes": lambda: (x(), 0, 1), "take": lambda: (x(), np.array([0, 1]), 1), "tensordot": lambda: (x(), x(), 2),
    "var": lambda: (x(), 0), "vstack": lambda: ([x(), x()],),
}  # fmt: skip
PARAMETERS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "sum": lambda: (x(), 0), "mean": lambda: (x(), 0), "max": lambda: (x(), 0), "softmax": lambda: (x(), 0),
    "logsumexp": lambda: (x(), 0), "norm": lambda: (x(), 0), "cumsum": lambda: (x(), 0), "cumprod": lambda: (x(), 0),
    "prod": lambda: (x(), 0), "min": lambda: (x(), 0), "log_softmax": lambda: (x(), 0),
    "reshape": lambda: (x(), (3, 2)), "transpose": lambda: (x(), (1, 0)), "broadcast_to": lambda: (x(), (2, 2, 3)),
    "concatenate": lambda: ([x(), x()], 0), "stack": lambda: ([x(), x()],), "flip": lambda: (x(), 0),
    "pad": lambda: (x(), ((0, 0), (1, 0))), "astype": lambda: (x(), np.float32), "getitem": lambda: (x(), 0),
    "einsum": lambda: ("ij,ij->i", x(), x()), "add_n": lambda: (x(), x()), "clip": lambda: (x(), 0.3, 1.2),
    "leaky_relu": lambda: (x(), 0.1), "matmul": lambda: (x(), tr.Tensor(np.ones((3, 2)))),
    "item": lambda: (tr.Tensor([2.0]),),
    "sum_to": lambda: (x(), (2, 1)), "linear_scan": lambda: (x(), x()),
    "where": lambda: (np.ones((2, 3), bool), x(), x()),
    "sum_of_products": lambda: (x(), x()), "alias": lambda: (x(),), "detach": lambda: (x(),),
}  # fmt: skip
INTERNAL = ("sum_to", "scatter_add", "weigh")  # of the rules among themselves: their arguments are made by us


def operations() -> list[Call]:
    """Every operation, by enumeration."""
    arity = {op.name: len(samples[0][1]) for op, samples in (SAMPLES | NOT_DIFFERENTIABLE).items()}
    found = []
    for name in sorted(set(ops.__all__) - {"ALL"} - set(INTERNAL)):
        if name in DERIVED or name in PARAMETERS:
            make = (DERIVED | PARAMETERS)[name]
        else:
            count = arity[getattr(ops, name).name]
            make = lambda count=count: tuple(x() for _ in range(count))  # noqa: E731
        function = getattr(ops, name)
        names = (
            (function.name,)
            if isinstance(function, tr.Op)
            else tuple(p for p in inspect.signature(function).parameters)
        )
        title = function.name if isinstance(function, tr.Op) else name
        found.append(Call(title, function, make, names if len(names) > 1 else ()))
    return found


def labels() -> np.ndarray:
    return np.array([0, 2])


def transformations() -> list[Call]:
    """Carriers, transformations, unrolling, losses."""
    a = np.array([0.5, 1.0])
    return [
        Call("Value", tr.Value, lambda: (0.5,), ("data",)),
        Call("Tensor", tr.Tensor, lambda: ([0.5],), ("data",)),
        Call("constant", tr.constant, lambda: (0.5,), ("data",)),
        Call("detach", tr.detach, lambda: (x(),)),
        Call("grad", tr.grad, lambda: (square, 0), ("fn", "argnums")),
        Call("grad", tr.grad(square), lambda: (0.5,)),
        Call("value_and_grad", tr.value_and_grad, lambda: (square, 0), ("fn", "argnums")),
        Call("vjp", lambda *p: tr.vjp(square, *p), lambda: (a,)),
        Call("jvp", tr.jvp, lambda: (square, (a,), (a,)), ("fn", "primals", "tangents")),
        Call("hvp", tr.hvp, lambda: (square, (a,), (a,)), ("fn", "primals", "tangents"), by=("jvp", "grad")),
        Call("jacobian", tr.jacobian(square), lambda: (a,)),
        Call("hessian", tr.hessian(square), lambda: (a,), by=("jacobian", "grad")),
        Call("compile", tr.compile, lambda: (square,), ("fn",)),
        Call("compile", tr.compile(square), lambda: (a,)),
        Call("scalarize", tr.scalarize, lambda: (x(),), by=("Graph.of",)),
        Call("Graph.of", tr.Graph.of, lambda: (x(),)),
        Call("scope", lambda name: tr.scope(name).__enter__(), lambda: ("t",), ("name",)),
        Call("unroll", tr.unroll, lambda: (cell, np.ones((3, 2)), np.ones(2), None, 2),
             ("cell", "inputs", "state", "lengths", "truncate"), by=("tanh", "add")),
        Call("unroll", lambda lengths: tr.unroll(tr.nn.RNNCell(2, 2, rng=rng()), np.ones((3, 2, 2)), lengths=lengths),
             lambda: (np.array([1, 2]),), ("lengths",)),
        Call("cross_entropy", tr.cross_entropy, lambda: (x(), labels()), ("logits", "targets")),
        Call("mean_squared_error", tr.mean_squared_error, lambda: (x(), x()), ("a", "b")),
        Call("binary_cross_entropy", tr.binary_cross_entropy, lambda: (x(), np.ones((2, 3))), ("logits", "targets")),
        Call("functional_call", tr.functional_call,
             lambda: (tr.nn.Linear(3, 2, rng=rng()), tr.nn.Linear(3, 2, rng=rng()).state_dict(), x()),
             ("module", "named_parameters", "x"), (0,), ("Linear",)),
        Call("backward", lambda c: (x() * 2.0).backward(c), lambda: (np.ones((2, 3)),), ("cotangent",)),
    ]  # fmt: skip


def networks() -> list[Call]:
    """Cells, stacks and layers: made, called, loaded."""
    found = []
    for kind in (
        tr.nn.RNNCell,
        tr.nn.LSTMCell,
        tr.nn.GRUCell,
        tr.nn.Linear,
        tr.nn.Embedding,
        tr.nn.RNN,
        tr.nn.LSTM,
        tr.nn.GRU,
    ):
        name = kind.__name__
        sizes = (
            ("num_embeddings", "embedding_dim") if kind is tr.nn.Embedding else ("input_size", "hidden_size")
        )
        found.append(Call(name, kind, lambda: (3, 2), sizes))
        found.append(Call(name, lambda rng, kind=kind: kind(3, 2, rng=rng), lambda: (rng(),), ("rng",)))
        found.append(
            Call(name, lambda dtype, kind=kind: kind(3, 2, dtype=dtype), lambda: (np.float32,), ("dtype",))
        )
        made = kind(3, 2, rng=rng())
        found.append(Call("load_state_dict", made.load_state_dict, lambda made=made: (made.state_dict(),)))
    for kind in (tr.nn.RNNCell, tr.nn.GRUCell):
        found.append(
            Call(kind.__name__, kind(3, 2, rng=rng()), lambda: (x(), np.ones((2, 2))), ("x", "state"))
        )
    pair = lambda: (x(), (np.ones((2, 2)), np.ones((2, 2))))  # noqa: E731
    found.append(Call("LSTMCell", tr.nn.LSTMCell(3, 2, rng=rng()), pair, ("x", "state")))
    found.append(Call("Linear", tr.nn.Linear(3, 2, rng=rng()), lambda: (x(),), ("x",)))
    found.append(Call("Embedding", tr.nn.Embedding(3, 2, rng=rng()), lambda: (labels(),), ("indices",)))
    for kind in (tr.nn.RNN, tr.nn.GRU):
        found.append(
            Call(kind.__name__, kind(3, 2, rng=rng()), lambda: (np.ones((4, 2, 3)), np.ones((1, 2, 2)), labels()),
                 ("x", "state", "lengths"))
        )  # fmt: skip
    return found
