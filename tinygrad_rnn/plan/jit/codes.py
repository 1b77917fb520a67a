"""The numbers of the code table: what an instruction's row begins with, and what its other numbers can be."""

from __future__ import annotations

FLAT, MAP, PRODUCT, COPY, ZERO, REDUCE, INDEX = range(7)
"""What a row asks for."""
FLOAT64, FLOAT32, BOOL, INT64 = range(4)
"""What the entries of an operand are."""
DIRECT, STRIDED, SCATTERED = range(3)
"""How a map reads or writes an operand."""
ADD, MAXIMUM, MINIMUM = range(3)
"""What a reduction does."""
LOOPS, BY_GEMM, BY_GEMV = range(3)
"""What makes a product."""
DGEMM, SGEMM, DGEMV, SGEMV = range(4)
"""The routines of BLAS, in the order of their addresses."""
AXES = 4
"""The nested loops of a kernel."""
TILE = 512
"""Entries; three tiles and a result fit into the first cache."""
HEAD, OPERAND = 10, 7
"""The length of the head of a map's row, and of what tells of an operand: mode, kind, start, three outer strides in
bytes and the inner one in entries."""
