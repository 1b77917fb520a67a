"""The numbers of the code table: what an instruction's row begins with, and what its other numbers can be."""

from __future__ import annotations

FLAT, MAP, PRODUCT, COPY, REDUCE, INDEX = range(6)
"""What a row asks for."""
FLOAT64, FLOAT32, BOOL, INT64 = range(4)
"""What entries are."""
LOOPS, BY_GEMM, BY_GEMV = range(3)
"""What makes a product."""
DGEMM, SGEMM, DGEMV, SGEMV, KERNELS = range(5)
"""The routines of BLAS in the order of their addresses; then come the kernels, that of the leaves first."""
AXES = 4
"""The nested loops of a row."""
TILE = 512
"""Entries; three tiles and a result fit into the first cache."""
HEAD, OPERAND = 10, 8
"""The length of the head of a map's row, and of what tells of an operand: a leaf (or ``DIRECT``), the inner stride in
bytes, the start, three outer strides in bytes, then the inner strides that the leaf asks for."""
DIRECT = -1
"""Instead of a leaf: a kernel reads or writes the operand in place."""

_SAME = [(k, k) for k in (FLOAT64, FLOAT32, BOOL)]
_FLOATS = _SAME[:2]
_FROM_BOOL, _TO_BOOL = [(FLOAT64, BOOL), (FLOAT32, BOOL)], [(BOOL, FLOAT64), (BOOL, FLOAT32)]
_FORMS = {
    "move": [*_SAME, *_FROM_BOOL, (FLOAT64, FLOAT32), (FLOAT32, FLOAT64), (FLOAT64, INT64)],
    "truth": _TO_BOOL,
    "collect": [*_FLOATS, *_FROM_BOOL],
    "spread": _FLOATS,
    "spread_truth": _TO_BOOL,
    "zeros": _SAME,
    "reduce_new": _FLOATS,
    "reduce_more": _FLOATS,
    "merge_add": _FLOATS,
    "merge_maximum": _FLOATS,
    "merge_minimum": _FLOATS,
    "multiply": _FLOATS,
}
LEAVES = [(form, to, kind) for form, pairs in _FORMS.items() for to, kind in pairs]
"""The innermost loops: the name of the function, what it writes, what it reads; a leaf's number is its place here.

What is not listed runs from numpy: each takes a quarter of a second to compile.
"""
LEAF = {leaf: number for number, leaf in enumerate(LEAVES)}
"""The number of each; integers of 8 bytes are moved as floats are."""
LEAF |= {(form, INT64, INT64): LEAF[form, FLOAT64, FLOAT64] for form in ("move", "zeros")}
