"""What numba does not offer by itself: typed pointers into a memory, bit patterns, calls by address.

A pointer is made from an array and an offset at run time, so nothing of one process is baked into compiled code, which
can therefore be cached on disk; and reading through it costs no check of a negative index.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

intrinsic: Any = extending.intrinsic
pointer_to: Any = types.CPointer
slot_of: Any = cgutils.alloca_once

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": {"contract"}}
SUMMING: dict[str, Any] = OPTIONS | {"fastmath": {"contract", "reassoc", "nsz"}}  # products only
BYTES = pointer_to(types.uint8)


@intrinsic
def bytes_of(context: Any, memory: Any) -> Any:
    """Return a pointer to the first byte of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.bitcast(array.data, ir.IntType(8).as_pointer())

    return BYTES(memory), generate


def _reader(element: Any) -> Any:
    @intrinsic
    def at(context: Any, pointer: Any, offset: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = builder.bitcast(args[0], ir.IntType(8).as_pointer())
            place = builder.gep(first, [args[1]])
            return builder.bitcast(place, context.get_value_type(signature.return_type))

        return pointer_to(element)(pointer, offset), generate

    return at


float64s, float32s, int64s, int32s, bytes_at = (
    _reader(element) for element in (types.float64, types.float32, types.int64, types.int32, types.uint8)
)
"""Functions of any pointer and an offset in bytes: the entries that lie there."""


@intrinsic
def shifted(context: Any, pointer: Any, count: Any) -> Any:
    """Return the pointer to the entry ``count`` entries on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, count), generate


@intrinsic
def bits(context: Any, x: Any) -> Any:
    """Return the bit pattern of a float as an integer of its size."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return (types.int64 if x == types.float64 else types.int32)(x), generate


@intrinsic
def real(context: Any, pattern: Any) -> Any:
    """Return the float of a bit pattern."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return (types.float64 if pattern == types.int64 else types.float32)(pattern), generate


def _call(builder: Any, address: Any, args: Any) -> None:
    function = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
    builder.call(builder.inttoptr(address, function.as_pointer()), args)


@intrinsic
def call_kernel(
    context: Any, address: Any, branch: Any, out: Any, a: Any, b: Any, c: Any, q: Any, n: Any
) -> Any:
    """Run the elementwise kernel at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, args[0], args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, BYTES, BYTES, BYTES, BYTES, BYTES, types.int64), generate


def _fortran(pattern: str, element: Any) -> Any:
    """Return a function of an address and of the arguments that ``pattern`` names, each passed on by reference.

    C is a character, I a 32-bit integer, P an array of ``element``; A and B stand for alpha = 1 and beta = 0, which the
    caller leaves out.
    """
    kinds = {"C": types.int64, "I": types.int64, "P": BYTES}
    result = types.void(types.int64, *(kinds[part] for part in pattern if part in kinds))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar = context.get_value_type(element)
        given = iter(args[1:])
        passed = []
        for part in pattern:
            if part == "P":
                passed.append(next(given))
                continue
            number = part in "CI"
            kind = scalar if not number else ir.IntType(8 if part == "C" else 32)
            value = builder.trunc(next(given), kind) if number else ir.Constant(kind, float(part == "A"))
            slot = slot_of(builder, kind)
            builder.store(value, slot)
            passed.append(slot)
        _call(builder, args[0], passed)
        return context.get_dummy_value()

    return result, generate


GEMM, GEMV = "CCIIIAPIPIBPI", "CIIAPIPIBPI"


@intrinsic
def dgemm(
    context: Any, address: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any,
    c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """C = op(A) op(B), column by column, by the BLAS routine at ``address``."""
    return _fortran(GEMM, types.float64)


@intrinsic
def sgemm(
    context: Any, address: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any,
    c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """The same in float32."""
    return _fortran(GEMM, types.float32)


@intrinsic
def dgemv(
    context: Any, address: Any, t: Any, m: Any, n: Any, a: Any, lda: Any, x: Any, dx: Any, y: Any, dy: Any
) -> Any:
    """Y = op(A) x, A column by column, by the BLAS routine at ``address``."""
    return _fortran(GEMV, types.float64)


@intrinsic
def sgemv(
    context: Any, address: Any, t: Any, m: Any, n: Any, a: Any, lda: Any, x: Any, dx: Any, y: Any, dy: Any
) -> Any:
    """The same in float32."""
    return _fortran(GEMV, types.float32)
