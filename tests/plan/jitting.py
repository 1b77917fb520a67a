"""One instruction on made-up memory, run by numpy and by the interpreter: both must leave the same bytes."""

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Instruction, Place, Scattered
from tinygrad_rnn.plan.codegen.windows import contiguous_strides
from tinygrad_rnn.plan.executors.jit.jitted import Jitted
from tinygrad_rnn.plan.executors.kernels import bind

LAYOUTS = ("contiguous", "turned", "spaced", "scattered")
RELATIVE = {"f8": 1e-12, "f4": 2e-5}
ABSOLUTE = {"f8": 1e-14, "f4": 2e-6}  # times the largest entry, of sums that may cancel
TINY = {"f8": 1e-307, "f4": 1e-37}  # near here one executor rounds to 0 and another does not


class Memory:
    """Blocks of an arena that is put together when all operands are known."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.blocks, self.starts, self.size = [], [], 0

    def block(self, data):
        self.starts.append(self.size)
        self.blocks.append(np.ascontiguousarray(data).reshape(-1))
        self.size += -(-self.blocks[-1].nbytes // 64) * 64 + 64
        return len(self.blocks) - 1

    def operand(self, array, layout="contiguous"):
        """A new operand that reads ``array``; what lies between its entries is noise."""
        array = np.asarray(array)
        if layout == "scattered" and array.ndim:
            return self._scattered(array)
        if layout == "spaced" and array.ndim:
            wide = self.noise((2 * array.size + 1,), array.dtype)
            wide[1::2][: array.size] = array.reshape(-1)
            strides = tuple(2 * s for s in contiguous_strides(array.shape))
            return Place(self.block(wide), 1, array.shape, strides, array.dtype)
        if layout == "turned" and array.ndim > 1:
            strides = contiguous_strides(array.shape[::-1])[::-1]
            return Place(self.block(array.T), 0, array.shape, strides, array.dtype)
        return Place(self.block(array), 0, array.shape, contiguous_strides(array.shape), array.dtype)

    def _scattered(self, array):
        """Each array of the first axis in a block of its own, its entries in any order."""
        blocks, offsets = [], np.empty(array.shape, np.intp)
        for k, one in enumerate(array):
            order = self.rng.permutation(one.size + 3)[: one.size]
            room = self.noise((one.size + 3,), array.dtype)
            room[order] = one.reshape(-1)
            blocks.append(self.block(room))
            offsets[k] = order.reshape(one.shape)
        return Scattered(np.array(blocks, np.intp), offsets, array.dtype)

    def noise(self, shape, dtype):
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            return self.rng.normal(size=shape).astype(dtype)
        return self.rng.integers(0, 2, size=shape).astype(dtype)

    def assembled(self):
        """The bytes of the arena, nan wherever nothing was put."""
        room = np.full(self.size + 64, 0xFF, np.uint8)
        first = -room.__array_interface__["data"][0] % 64
        memory = room[first : first + self.size]
        for start, data in zip(self.starts, self.blocks, strict=True):
            memory[start : start + data.nbytes] = data.view(np.uint8)
        return memory


def run(calls):
    with np.errstate(all="ignore"):
        for f, args in calls:
            f(*args)


def assert_agree(memory, instructions, compiled=True, sums=False):
    """numpy and the interpreter leave the same in every block; ``compiled``: and numpy ran nothing of the latter.

    ``sums``: entries may be what is left of larger numbers.
    """
    jitted = Jitted(instructions, memory.starts)
    if compiled is not None:
        assert all(isinstance(s, tuple) for s in jitted.stretches) is compiled, jitted.stretches
    expected, found = memory.assembled(), memory.assembled()
    run(bind(instructions, expected, memory.starts))
    run(jitted.bind(found))
    for start, data in zip(memory.starts, memory.blocks, strict=True):
        a, b = (m[start : start + data.nbytes].view(data.dtype) for m in (found, expected))
        if data.dtype.kind == "f":
            kind = data.dtype.str[1:]
            scale = np.abs(b[np.isfinite(b)]).max(initial=1.0) if sums else 0.0
            np.testing.assert_allclose(a, b, rtol=RELATIVE[kind], atol=ABSOLUTE[kind] * scale + TINY[kind])
            zero = (a == 0) & (b == 0)
            np.testing.assert_array_equal(np.signbit(a[zero]), np.signbit(b[zero]))
        else:
            np.testing.assert_array_equal(a, b)


def instruction(memory, kernel, out, args, op=None, params=None):
    return [Instruction(kernel, out, tuple(args), op, params or {})]


def entries(memory, shape, dtype, low=-2.0, high=2.0):
    """Numbers of a range, or truth values."""
    if np.dtype(dtype).kind == "b":
        return memory.rng.integers(0, 2, size=shape).astype(bool)
    return memory.rng.uniform(low, high, size=shape).astype(dtype)
