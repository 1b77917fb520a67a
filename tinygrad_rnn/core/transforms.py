"""Functions of functions: grad, value_and_grad, vjp, jvp, hvp, jacobian, hessian.

Each runs the function once on fresh nodes, and then :func:`~tinygrad_rnn.core.autodiff.pullback` or ``pushforward``
over what was recorded. At the outermost level results are floats and arrays; inside another transformation they
are nodes, so that they nest to any order. No ``.grad`` is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import pullback, pushforward
from tinygrad_rnn.core.carriers import copied, leaf, plain
from tinygrad_rnn.core.graph import RECORDING, ancestors, recording
from tinygrad_rnn.core.hooks import twin
from tinygrad_rnn.core.op import CONSTANT, NO_PARAMS, Call, Carrier
from tinygrad_rnn.core.tree import flatten, unflatten
from tinygrad_rnn.core.value import Value

Function = Callable[..., Any]


def _nested() -> bool:
    return bool(RECORDING.get().transforms)


def _fresh(name: str, tree: Any) -> tuple[list[Any], Any]:
    """Return new nodes for the leaves of an argument, and the argument rebuilt with them."""
    nodes = [_fresh_leaf(f"{name}{path}", x) for path, x in flatten(tree)]
    return nodes, unflatten(tree, iter(nodes), modules=True)


def _fresh_leaf(what: str, x: Any) -> Any:
    if not isinstance(x, Carrier):
        return leaf(what, x)
    if _nested() and x._call.active:  # type: ignore[attr-defined]
        with recording(on=True):
            node = ops.alias(x)
            node._note = twin(x._note)  # type: ignore[attr-defined]
            return node
    if x.dtype.kind != "f":  # type: ignore[attr-defined]
        raise TypeError(f"{what}: a node of dtype {x.dtype} cannot be differentiated")  # type: ignore[attr-defined]
    if RECORDING.get().inputs is not None and x._call.op is not None:  # type: ignore[attr-defined]
        return _reopened(x)
    return copied(x)  # type: ignore[arg-type]


def _reopened(x: Any) -> Any:
    """Return a detached but traced value as a node that is differentiated from here on."""
    node = x._new(x._data, Call(ops.alias, NO_PARAMS, active=True), (x,))
    node._note = twin(x._note)
    return node


def _run(label: str, fn: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
    with recording(on=True, transforms=(*RECORDING.get().transforms, label)):
        return fn(*args, **kwargs)


def _result(node: Any, nested: bool) -> Any:
    return node if nested else plain(node)


def _zeros(node: Any, nested: bool) -> Any:
    zero = node._constant_like(np.zeros(node.shape, dtype=node.dtype))
    return _result(zero, nested)


def _selected(argnums: Any, args: tuple[Any, ...], label: str) -> tuple[int, ...]:
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"{label}: argnums must be an int or a tuple of ints, got {argnums!r}")
        if not -len(args) <= n < len(args):
            raise ValueError(
                f"{label}: argnums {n} is out of range for a call with {len(args)} positional arguments"
            )
    selected = tuple(int(n) % len(args) for n in numbers)
    if len(set(selected)) < len(selected):
        raise ValueError(f"{label}: argnums must name each argument once, got {argnums!r}")
    return selected


def _traced(
    label: str, fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any], numbers: tuple[int, ...]
) -> tuple[list[list[Any]], Any]:
    """Return the fresh nodes of each differentiated argument, and what ``fn`` returns for them."""
    call = list(args)
    nodes = []
    for n in numbers:
        fresh, call[n] = _fresh(f"{label}: argument {n}", args[n])
        nodes.append(fresh)
    return nodes, _run(label, fn, call, kwargs)


def _scalar(label: str, out: Any) -> Any:
    if isinstance(out, (int, float, np.number)) and not isinstance(out, bool):
        return Value._new(float(out), CONSTANT)
    if not isinstance(out, Carrier):
        raise TypeError(
            f"{label}: the function must return a Value, a Tensor or a number, got {type(out).__name__}"
        )
    if out.shape != () and np.prod(out.shape) != 1:  # type: ignore[attr-defined]
        raise ValueError(
            f"{label}: the function must return one number, got shape {out.shape}; "  # type: ignore[attr-defined]
            "reduce it (.sum()), or use tr.jacobian or tr.vjp"
        )
    return out


def _one(node: Any, nested: bool) -> Any:
    if nested:
        return node._constant_like(np.ones(node.shape, dtype=node.dtype))
    return node._seed(None)


def _gathered(found: Any, nodes: list[Any], nested: bool) -> list[Any]:
    """Return the cotangent of each node as a result, zeros where nothing arrived."""
    results = []
    for node in nodes:
        g = found.get(node)
        if g is None:
            results.append(_zeros(node, nested))
        else:
            results.append(g if nested else node._own(g))
    return results


def value_and_grad(fn: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Return a function that computes ``fn`` and its gradient in one pass.

    Args:
        fn: returns one number, or with ``has_aux`` a pair of one number and anything else.
        argnums: which positional arguments to differentiate; a tuple gives a tuple of gradients.
        has_aux: whether ``fn`` returns ``(value, aux)``; the result is then ``((value, aux), gradient)``.

    Returns:
        A function of the same arguments. A gradient has its argument's structure (a Module counts as the dict of its
        named parameters), shapes and dtypes.

    Raises:
        ValueError: ``fn`` returns several numbers, or argnums is out of range.
        TypeError: an argument to be differentiated holds integers, texts or None.

    Example:
        >>> import tinygrad_rnn as tr
        >>> tr.value_and_grad(lambda p: p["w"] ** 2 * p["x"])({"w": 3.0, "x": 2.0})
        (18.0, {'w': 12.0, 'x': 9.0})
    """
    if not callable(fn):
        raise TypeError(f"grad: fn must be callable, got {type(fn).__name__}")

    @functools.wraps(fn, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        numbers = _selected(argnums, args, "grad")
        nested = _nested()
        nodes, out = _traced("grad", fn, args, kwargs, numbers)
        out, aux = _with_aux(out) if has_aux else (out, None)
        loss = _scalar("grad", out)
        flat = [node for group in nodes for node in group]
        found = pullback((loss,), (_one(loss, nested),), stop=frozenset(flat), record=nested)
        results = iter(_gathered(found, flat, nested))
        grads = tuple(unflatten(args[n], results) for n in numbers)
        value = _number(loss) if nested else float(loss.item())
        if has_aux:
            value = (value, aux if nested else unflatten(aux, (plain(x) for _, x in flatten(aux))))
        return value, grads if isinstance(argnums, tuple) else grads[0]

    return run


def _number(loss: Any) -> Any:
    """Return the traced loss as the float that it is outside; inside another transformation it stays what it is."""
    outermost = len(RECORDING.get().transforms) == 1 and RECORDING.get().inputs is not None
    return ops.item(loss) if outermost and not isinstance(loss, Value) else loss


def _with_aux(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            f"grad: with has_aux the function must return a pair (value, aux), got {type(out).__name__}"
        )
    return out


def grad(fn: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Return a function that computes the gradient of ``fn``; with ``has_aux``, the pair (gradient, aux).

    Arguments and errors are those of :func:`value_and_grad`.

    Example:
        >>> import tinygrad_rnn as tr
        >>> tr.grad(tr.grad(lambda x: x**3))(2.0)
        12.0
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(both)
    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """Return ``fn(*primals)`` and a function from a cotangent of that result to the tuple of cotangents of the primals.

    The cotangent has the structure and shapes of the result; the pullback may be called again and again.

    Raises:
        ValueError: a cotangent has another shape than its output.
    """
    if not primals:
        raise TypeError("vjp: needs at least one primal to differentiate, got none")
    nested = _nested()
    nodes, out = _traced("vjp", fn, primals, {}, tuple(range(len(primals))))
    flat = [node for group in nodes for node in group]
    outputs = [x for _, x in flatten(out)]

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given = [g for _, g in flatten(cotangent)]
        if len(given) != len(outputs):
            raise ValueError(f"vjp: the result has {len(outputs)} outputs, the cotangent {len(given)}")
        pairs = [
            (y, _like("vjp: cotangent", y, g, nested))
            for y, g in zip(outputs, given, strict=True)
            if _is_node(y)
        ]
        found = pullback([y for y, _ in pairs], [g for _, g in pairs], stop=frozenset(flat), record=nested)
        results = iter(_gathered(found, flat, nested))
        return tuple(unflatten(p, results) for p in primals)

    return unflatten(out, iter([_result(y, nested) for y in outputs])), pull


def _is_node(x: Any) -> bool:
    return isinstance(x, Carrier)


def _like(what: str, node: Any, x: Any, nested: bool) -> Any:
    """Return ``x`` as a cotangent or tangent of ``node``."""
    if np.shape(x if not _is_node(x) else np.empty(x.shape)) != node.shape:
        raise ValueError(f"{what}: needs shape {node.shape}, got {x.shape if _is_node(x) else np.shape(x)}")
    if nested:
        return x if _is_node(x) else node._constant_like(np.asarray(x, dtype=node.dtype))
    return node._seed(x.item() if isinstance(x, Value) else x)


def jvp(fn: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return ``fn(*primals)`` and its directional derivative along ``tangents``, in forward mode.

    Args:
        fn: any function of the primals.
        primals: a tuple of arguments, or one argument.
        tangents: the same structure and shapes.

    Raises:
        ValueError: structure or shape of a tangent differs from its primal's.
    """
    if not callable(fn):
        raise TypeError(f"jvp: fn must be callable, got {type(fn).__name__}")
    primals, tangents = _as_tuples("jvp", primals, tangents)
    nested = _nested()
    nodes, out = _traced("jvp", fn, primals, {}, tuple(range(len(primals))))
    flat = [node for group in nodes for node in group]
    given = [t for _, t in flatten(tangents)]
    if len(given) != len(flat):
        raise ValueError(f"jvp: the primals have {len(flat)} leaves, the tangents {len(given)}")
    start = {node: _like("jvp: tangent", node, t, nested) for node, t in zip(flat, given, strict=True)}
    outputs = [x for _, x in flatten(out)]
    wanted = [y for y in outputs if _is_node(y)]
    found = pushforward(ancestors(wanted, stop=frozenset(flat)), start, record=nested) if wanted else {}
    pushed = [_tangent(found, y, nested) for y in outputs]
    return unflatten(out, iter([_result(y, nested) for y in outputs])), unflatten(out, iter(pushed))


def _tangent(found: dict[Any, Any], y: Any, nested: bool) -> Any:
    if not _is_node(y):
        return 0.0 * np.asarray(y)
    t = found.get(y)
    if t is None:
        return _zeros(y, nested)
    return t if nested else y._own(t)


def _as_tuples(label: str, primals: Any, tangents: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    if not isinstance(primals, tuple):
        return (primals,), (tangents,)
    if not isinstance(tangents, tuple) or len(tangents) != len(primals):
        raise ValueError(
            f"{label}: primals are a tuple of {len(primals)}, so tangents must be one too, got {tangents!r:.80}"
        )
    return primals, tangents


def hvp(fn: Function, primals: Any, tangents: Any) -> Any:
    """Return the Hessian of ``fn`` times ``tangents``: forward mode over reverse mode (Pearlmutter 1994).

    Costs a small multiple of one gradient and never forms the Hessian.

    Args:
        fn: returns one number.
        primals: a tuple of arguments, or one argument; the result has its structure.
        tangents: the same structure and shapes.
    """
    single = not isinstance(primals, tuple)
    points, directions = _as_tuples("hvp", primals, tangents)
    gradient = grad(fn, argnums=tuple(range(len(points))))
    product = jvp(gradient, points, directions)[1]
    return product[0] if single else product


def jacobian(fn: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """Return a function that computes all first derivatives of ``fn``, one reverse pass for each output entry.

    For an output of shape O and an argument leaf of shape I the result has shape O + I; nested outputs and
    arguments give the output's structure filled with the argument's.

    Raises:
        ValueError: argnums is out of range.
    """

    @functools.wraps(fn, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        numbers = _selected(argnums, args, "jacobian")
        nested = _nested()
        nodes, out = _traced("jacobian", fn, args, kwargs, numbers)
        flat = [node for group in nodes for node in group]

        def block(y: Any) -> Any:
            rows = _rows(y, flat, nested)
            filled = iter(rows)
            blocks = tuple(unflatten(args[n], filled) for n in numbers)
            return blocks if isinstance(argnums, tuple) else blocks[0]

        return unflatten(out, iter([block(y) for _, y in flatten(out)]))

    return run


def _rows(y: Any, nodes: list[Any], nested: bool) -> list[Any]:
    """Return dy/dnode of shape y.shape + node.shape for each node."""
    if not _is_node(y):
        return [_zeros_of(np.shape(y), node, nested) for node in nodes]
    columns: list[list[Any]] = [[] for _ in nodes]
    for k in range(int(np.prod(y.shape))):
        unit = np.zeros(y.shape, dtype=y.dtype)
        unit.reshape(-1)[k] = 1.0
        seed = y._constant_like(unit) if nested else y._seed(unit if y.shape else 1.0)
        found = pullback((y,), (seed,), stop=frozenset(nodes), record=nested)
        for column, g in zip(columns, _gathered(found, nodes, nested), strict=True):
            column.append(g)
    return [_joined(column, y.shape, node, nested) for column, node in zip(columns, nodes, strict=True)]


def _zeros_of(shape: tuple[int, ...], node: Any, nested: bool) -> Any:
    zeros = np.zeros((*shape, *node.shape), dtype=node.dtype)
    if not zeros.shape:
        return _zeros(node, nested)
    return ops.stack([leaf("jacobian", zeros)])[0].detach() if nested else zeros


def _joined(column: list[Any], shape: tuple[int, ...], node: Any, nested: bool) -> Any:
    if shape == ():
        return column[0]
    if not column:
        return _zeros_of(shape, node, nested)
    full = (*shape, *node.shape)
    return ops.reshape(ops.stack(column), full) if nested else np.stack(column).reshape(full)


def hessian(fn: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """Return a function that computes all second derivatives of ``fn``, which returns one number.

    For argument leaves of shapes I and J the block has shape I + J, in the argument's structure twice over.
    """
    return jacobian(grad(fn, argnums), argnums)
