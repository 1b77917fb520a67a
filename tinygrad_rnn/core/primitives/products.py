"""Sums of products: matmul and einsum, whose transposes are products again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives.shaping import sum_to


def _matmul(xp: Any, a: Any, b: Any) -> Any:
    if len(a.shape) == 0 or len(b.shape) == 0:
        raise ValueError(f"matmul: needs arrays of at least one axis: {a.shape} @ {b.shape}")
    if a.shape[-1] != b.shape[-2 if len(b.shape) > 1 else 0]:
        raise ValueError(f"matmul: inner sizes differ: {a.shape} @ {b.shape}")
    return xp.matmul(a, b)


def _flipped(xp: Any, x: Any) -> Any:
    """Return the last two axes of x swapped."""
    return xp.swapaxes(x, -1, -2)


def _matrices(xp: Any, g: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return cotangent and arguments as (stacks of) matrices: a vector is a row on the left, a column on the right."""
    rows, columns = len(a.shape) > 1, len(b.shape) > 1
    batch = g.shape[: len(g.shape) - rows - columns]
    shape = (*batch, a.shape[-2] if rows else 1, b.shape[-1] if columns else 1)
    return (
        g if g.shape == shape else xp.reshape(g, shape),
        a if rows else xp.reshape(a, (1, -1)) if a.shape[0] else xp.reshape(a, (1, 0)),
        b if columns else xp.reshape(b, (b.shape[0], 1)),
    )


def _rows(xp: Any, x: Any) -> Any:
    """Return a stack of matrices as one matrix with all their rows."""
    return x if len(x.shape) == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _left(xp: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if len(a.shape) > 1 and len(b.shape) == 2:
        return xp.matmul(g, b.T)
    g2, a2, b2 = _matrices(xp, g, a, b)
    return xp.reshape(sum_to(xp, xp.matmul(g2, _flipped(xp, b2)), a2.shape), a.shape)


def _right(xp: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if len(a.shape) > 1 and len(b.shape) == 2:  # all rows of a stack of matrices are the rows of one
        return xp.matmul(_rows(xp, a).T, _rows(xp, g))
    g2, a2, b2 = _matrices(xp, g, a, b)
    return xp.reshape(sum_to(xp, xp.matmul(_flipped(xp, a2), g2), b2.shape), b.shape)


matmul = Op(
    name="matmul",
    symbol="@",
    forward=_matmul,
    transpose=(_left, _right),
    linear="each",
    doc="a @ b for vectors, matrices and stacks of them; da = g bᵀ, db = aᵀ g",
)


def _einsum_rule(i: int, xp: Any, g: Any, y: Any, args: Any, subscripts: str) -> Any:
    """The same contraction with g in the place of argument i; axes that only i had are spread out again."""
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    others = [t for k, t in enumerate(terms) if k != i]
    operands = [a for k, a in enumerate(args) if k != i]
    known = set("".join(others) + output)
    reachable = "".join(c for c in terms[i] if c in known)
    c = xp.einsum(",".join([output, *others]) + "->" + reachable, g, *operands)
    shape = args[i].shape
    kept = iter(c.shape)
    spread = tuple(next(kept) if letter in known else 1 for letter in terms[i])
    full = tuple(
        np.broadcast_shapes(spread, shape)
    )  # also an axis of length 1 beside a longer one of its letter
    if c.shape != full:
        c = xp.broadcast_to(c if c.shape == spread else xp.reshape(c, spread), full)
    return c if full == shape else sum_to(xp, c, shape)


def _bind_einsum(subscripts: str, *operands: Any) -> Any:
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum: subscripts must be a text such as 'ij,jk->ik', got {type(subscripts).__name__}"
        )
    terms, output = _explicit(subscripts.replace(" ", ""), operands)
    parts = [_diagonal(term, operand) for term, operand in zip(terms, operands, strict=True)]
    return tuple(x for _, x in parts), {"subscripts": ",".join(t for t, _ in parts) + "->" + output}


def _explicit(subscripts: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """Return the terms and the output with ellipses and the implicit output written out in letters."""
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(operands)}")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
    ranks = [
        len(x.shape) - len(t.replace("...", "")) if "..." in t else 0
        for t, x in zip(terms, operands, strict=True)
    ]
    batch = "".join(free[: max(ranks, default=0)])
    terms = [t.replace("...", batch[len(batch) - n :]) for t, n in zip(terms, ranks, strict=True)]
    for term, x in zip(terms, operands, strict=True):
        if len(term) != len(x.shape):
            raise ValueError(f"einsum: {subscripts!r}: term {term!r} does not fit shape {x.shape}")
    if arrow:
        return terms, output.replace("...", batch)
    letters = "".join(terms)
    return terms, batch + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in batch))


def _diagonal(term: str, x: Any) -> tuple[str, Any]:
    """Return term and operand with each repeated letter replaced by the diagonal that it means."""
    while len(set(term)) < len(term):
        first = next(i for i, c in enumerate(term) if term.count(c) > 1)
        second = term.index(term[first], first + 1)
        n = x.shape[first]
        if x.shape[second] != n:
            raise ValueError(f"einsum: letter {term[first]!r} has lengths {n} and {x.shape[second]}")
        order = (first, second, *(k for k in range(len(term)) if k not in (first, second)))
        x = x.transpose(order)[np.arange(n), np.arange(n)]
        term = "".join(term[k] for k in (first, *order[2:]))
    return term, x


einsum = Op(
    name="einsum",
    symbol="einsum",
    forward=lambda xp, *args, subscripts: np.einsum(subscripts, *args),
    transpose=_einsum_rule,
    packed=True,
    linear="each",
    bind=_bind_einsum,
    doc="Einstein summation; the cotangent of an operand is the einsum of g with the other operands",
)
