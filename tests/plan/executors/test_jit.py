"""The numba executor: each kernel leaves in memory what numpy leaves, whatever way its operands lie."""

import math
import threading

import mpmath
import numpy as np
import pytest

pytest.importorskip("numba", reason="the numba executor needs the extra [jit]")
pytest.importorskip("scipy", reason="the numba executor takes BLAS from scipy")

import tinygrad_rnn as tr
from tests.plan.jitting import LAYOUTS, Memory, assert_agree, entries, instruction, run
from tinygrad_rnn import ops
from tinygrad_rnn.core.primitives.indexing import HERE, Slice, decode
from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.executors.jit.jitted import Jitted
from tinygrad_rnn.plan.executors.jit.source import BUILTIN, arity
from tinygrad_rnn.plan.executors.kernels import bind

SPECIAL = [0.0, -0.0, 5e-324, 1e-310, 1e-20, 0.5, -0.5, 1.0, -1.0, 19.5, 40.0, -40.0, 709.7, 710.0, -745.0, -800.0,
           800.0, 1e300, -1e300, np.inf, -np.inf, np.nan]  # fmt: skip
TRUTH = (ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal, ops.logical_and,
         ops.logical_or)  # fmt: skip
PARAMS = {ops.leaky_relu: {"slope": 0.07}}
DTYPES = ("f8", "f4")
by_name = pytest.mark.parametrize("op", BUILTIN, ids=lambda op: op.name)


def domain(op):
    return (
        (0.1, 2.0)
        if op in (ops.log, ops.power, ops.sqrt)
        else (-0.9, 2.0)
        if op is ops.log1p
        else (-2.0, 2.0)
    )


def operand_dtype(op, k, dtype):
    boolean = op in (ops.logical_and, ops.logical_or) or (op is ops.where and k == 0)
    return "?" if boolean else dtype


def mapped(memory, op, arrays, layouts, shape=None, dtype=None):
    """The instruction of a map; layouts of the arguments, then of the result."""
    args = [memory.operand(a, how) for a, how in zip(arrays, layouts, strict=False)]
    shape = np.broadcast_shapes(*[a.shape for a in arrays]) if shape is None else shape
    dtype = "?" if op in TRUTH else dtype or arrays[-1].dtype
    out = memory.operand(memory.noise(shape, dtype), layouts[-1])
    return instruction(memory, "map", out, args, op, PARAMS.get(op))


def test_every_elementwise_operation_of_fixed_arity_has_a_branch():
    missing = [op for op in ops.ALL if op.elementwise and op not in BUILTIN]
    assert missing == [ops.add_n, ops.sum_of_products, ops.astype] or missing == [
        ops.add_n,
        ops.sum_of_products,
    ]


@by_name
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_operation_agrees_with_numpy_however_its_operands_lie(op, dtype):
    memory = Memory()
    program = []
    count = arity(op)
    for shape in [(), (0,), (7,), (3, 5), (600,), (2, 3, 4)]:
        for turn in range(len(LAYOUTS)):
            layouts = [LAYOUTS[(turn + k) % len(LAYOUTS)] for k in range(count)] + [LAYOUTS[turn]]
            arrays = [entries(memory, shape, operand_dtype(op, k, dtype), *domain(op)) for k in range(count)]
            program += mapped(memory, op, arrays, layouts, dtype=dtype)
    assert_agree(memory, program)


@by_name
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_numbers_are_those_of_numpy(op, dtype):
    memory = Memory()
    x = np.array(SPECIAL).astype(dtype) if dtype == "f8" else np.clip(SPECIAL, -1e38, 1e38).astype(dtype)
    if dtype == "f4":
        x[-3:] = [np.inf, -np.inf, np.nan]
        x[x == np.float32(1e-20)] = 0  # of which the square is rounded away by some and not by others
    grids = np.meshgrid(*[x] * arity(op), indexing="ij")
    if arity(op) == 3:
        grids = [g[::3, ::2, ::2] for g in grids]
    arrays = [g.reshape(-1).astype(operand_dtype(op, k, dtype)) for k, g in enumerate(grids)]
    if op is ops.power:  # pow of a negative zero and its kin differ from one library to another in sign only
        arrays[0] = np.abs(arrays[0])
    assert_agree(memory, mapped(memory, op, arrays, ["contiguous"] * (len(arrays) + 1), dtype=dtype))


@pytest.mark.parametrize(
    ("shapes", "shape"),
    [
        (((4, 5), (5,)), (4, 5)),
        (((4, 5), (4, 1)), (4, 5)),
        (((), (4, 5)), (4, 5)),
        (((4, 1), (1, 5)), (4, 5)),
        (((1,), (1,)), (3, 2)),
        (((2, 1, 3, 1, 2), (5, 1, 1, 2)), (2, 5, 3, 1, 2)),
        (((700, 1), (1, 2)), (700, 2)),
        (((2, 700), (2, 1)), (2, 700)),
        (((0, 3), (3,)), (0, 3)),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_broadcast(shapes, shape, layout):
    memory = Memory()
    arrays = [entries(memory, s, "f8") for s in shapes]
    assert_agree(
        memory, mapped(memory, ops.subtract, arrays, [layout, "contiguous", layout], shape), compiled=None
    )


@pytest.mark.parametrize(
    "dtypes", [("f4", "f8", "f8"), ("f8", "f4", "f4"), ("?", "f4", "f4"), ("i8", "f8", "f8")]
)
def test_dtypes_mix_as_in_numpy(dtypes):
    memory = Memory()
    *given, result = dtypes
    for layout in LAYOUTS:
        arrays = [entries(memory, (6, 5), d) if d != "i8" else np.arange(30).reshape(6, 5) for d in given]
        program = mapped(memory, ops.multiply, arrays, [layout] * 3, dtype=result)
        assert_agree(memory, program, compiled=None if layout == "scattered" else True)


def test_integers_are_left_to_numpy():
    memory = Memory()
    arrays = [np.arange(4), np.arange(4) * 3]
    assert_agree(memory, mapped(memory, ops.add, arrays, ["contiguous"] * 3, dtype="i8"), compiled=False)


def test_a_result_may_be_written_over_an_argument():
    memory = Memory()
    for layout in LAYOUTS:
        a = memory.operand(entries(memory, (9, 70), "f8"), layout)
        b = memory.operand(entries(memory, (9, 70), "f8"))
        assert_agree(memory, instruction(memory, "map", a, (a, b), ops.add))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("to", "kind"),
    [("f8", "f8"), ("f4", "f8"), ("f8", "f4"), ("f8", "?"), ("f4", "?"), ("i8", "i8"), ("?", "?")],
)
def test_copies(layout, to, kind):
    memory = Memory()
    program = []
    shapes = [
        ((), ()),
        ((5,), (4, 5)),
        ((3, 4), (3, 4)),
        ((2, 3, 4, 5), (2, 3, 4, 5)),
        ((600,), (600,)),
        ((0,), (0,)),
    ]
    for shape, target in shapes:
        source = memory.operand(entries(memory, shape, kind, -9, 9), layout)
        out = memory.operand(memory.noise(target, to))
        program += instruction(memory, "copy", out, (source,))
        back = memory.operand(memory.noise(target, to), layout)
        program += instruction(memory, "copy", back, (out,))
    assert_agree(memory, program, compiled=None if layout == "scattered" else True)


@pytest.mark.parametrize("layout", LAYOUTS[:3])
@pytest.mark.parametrize("op", [ops.add, ops.maximum, ops.minimum], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions(layout, op, dtype):
    memory = Memory()
    program = []
    cases = [((7,), (0,)), ((13,), (0,)), ((2, 21), (1,)), ((3, 4), (0,)), ((3, 4), (1,)), ((3, 4), (0, 1))]
    cases += [((5, 5), (0,)), ((5, 5), (1,)), ((2, 3, 4), (0, 2)), ((2, 3, 4), (1,)), ((1, 3), (0,))]
    cases += [((2000,), (0,)), ((2000, 2), (0,)), ((2, 2000), (1,)), ((0, 3), (1,)), ((2, 3, 2, 3), (0, 3))]
    for shape, axes in cases:
        a = entries(memory, shape, dtype)
        if a.size:
            a.flat[a.size // 2] = a.flat[0] = {(3, 4): np.nan, (2000,): np.inf}.get(shape, 2.0)
        out = memory.operand(memory.noise(np.sum(a, axis=axes).shape, dtype))
        program += instruction(memory, "reduce", out, (memory.operand(a, layout),), op, {"axes": axes})
    if op is ops.add:
        empty = memory.operand(np.zeros((0, 3), dtype))
        out = memory.operand(memory.noise((3,), dtype))
        program += instruction(memory, "reduce", out, (empty,), op, {"axes": (0,)})
    assert_agree(memory, program, sums=True)


def test_long_sums_are_as_exact_as_numpys():
    memory = Memory()
    a = np.full(1_000_003, 0.1)
    out = memory.operand(np.zeros(()))
    program = instruction(memory, "reduce", out, (memory.operand(a),), ops.add, {"axes": (0,)})
    found = memory.assembled()
    run(Jitted(program, memory.starts).bind(found))
    value = found[memory.starts[out.block] :][:8].view("f8")[0]
    assert value == pytest.approx(math.fsum(a), rel=4e-16)


EXACT = {
    ops.exp: mpmath.exp,
    ops.expm1: mpmath.expm1,
    ops.tanh: mpmath.tanh,
    ops.sigmoid: lambda x: 1 / (1 + mpmath.exp(-x)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", EXACT, ids=lambda op: op.name)
def test_vectorized_functions_are_exact_to_four_units_in_the_last_place(op, dtype):
    memory = Memory()
    near = memory.rng.normal(size=150) * 10.0 ** memory.rng.uniform(-6, 1, size=150)
    x = np.concatenate([near, np.linspace(-25, 25, 100), np.linspace(-80, 80, 50)]).astype(dtype)
    program = mapped(memory, op, [x], ["contiguous"] * 2)
    found = memory.assembled()
    run(Jitted(program, memory.starts).bind(found))
    y = found[memory.starts[program[0].out.block] :][: x.nbytes].view(dtype)
    with mpmath.workdps(40):
        exact = np.array([float(EXACT[op](mpmath.mpf(float(v)))) for v in x])
    units = np.spacing(np.abs(exact).astype(dtype)).astype(float)
    np.testing.assert_array_less(np.abs(y.astype(float) - exact) / units, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products(dtype):
    memory = Memory()
    program = []
    rows = [(1, 1, 1), (1, 5, 4), (1, 7, 5), (1, 40, 33), (1, 70, 60), (1, 1, 900), (1, 900, 1)]
    sizes = [(5, 1, 4), (5, 4, 1), (3, 4, 5), (70, 1, 60), (40, 30, 20), (30, 40, 1), (2, 3, 0), (0, 3, 2)]
    for m, n, k in rows + sizes:
        for turn in range(27):
            hows = [LAYOUTS[turn // 3**j % 3] for j in range(3)]
            a, b = entries(memory, (m, k), dtype), entries(memory, (k, n), dtype)
            out = memory.operand(memory.noise((m, n), dtype), hows[2])
            operands = memory.operand(a, hows[0]), memory.operand(b, hows[1])
            program += instruction(memory, "gemm", out, operands)
    assert_agree(memory, program, compiled=None, sums=True)


def test_products_of_windows_that_lie_in_rows_need_no_copy():
    memory = Memory()
    program = []
    for turned in range(8):
        a, b, out = ((40, 30), (30, 20), (40, 20))
        places = []
        for k, shape in enumerate((a, b, out)):
            wide = memory.block(memory.noise((60 * 60,), "f8"))
            strides = (1, 60) if turned >> k & 1 else (60, 1)
            places.append(Place(wide, 7, shape, strides, np.dtype("f8")))
        program += instruction(memory, "gemm", places[2], places[:2])
    assert_agree(memory, program, sums=True)


@pytest.mark.parametrize("size", [3, 20])
def test_stacks_of_products(size):
    memory = Memory()
    a, b = entries(memory, (4, size, size), "f8"), entries(memory, (4, size, 2 * size), "f8")
    left, right = memory.operand(a), memory.operand(b)
    shared = left._replace(strides=(0, *left.strides[1:]))
    program = []
    for x in (left, shared):
        out = memory.operand(memory.noise((4, size, 2 * size), "f8"))
        program += instruction(memory, "bmm", out, (x, right))
        column = right._replace(shape=(4, size, 1))
        program += instruction(memory, "bmm", memory.operand(memory.noise((4, size, 1), "f8")), (x, column))
    assert_agree(memory, program, sums=True)


KEYS = [
    ((HERE,), [[0, 2, -1, 2]]),
    ((HERE,), [[[0, 1], [-6, 5]]]),
    ((HERE, HERE), [[0, 1, 1], [3, -4, 2]]),
    ((HERE, HERE), [[[0], [5]], [1, 2, 0]]),
    ((Slice(None, None, None), HERE), [[1, 1, 3]]),
    ((Slice(1, 5, 2), HERE), [[1, 1, 3]]),
    ((2, HERE), [[1, 1, 3]]),
    ((HERE, Slice(None, None, -1)), [[1, 1, 3]]),
    ((HERE, Ellipsis, HERE), [[1, 2], [0, 1]]),
    ((HERE, None, HERE), [[1, 2], [0, 1]]),
    ((Ellipsis, HERE), [-2]),
    ((HERE, 1), [[]]),
    ((Slice(1, 5, 2), HERE, None, HERE), [[1, 2], [0, 1]]),
    ((-2, HERE), [[1, 1, 3]]),
    ((2,), []),
    ((Ellipsis, Slice(0, 2, None)), []),
]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8"])
@pytest.mark.parametrize(("key", "indices"), KEYS)
def test_taking_and_scattering(key, indices, dtype):
    memory = Memory()
    whole = entries(memory, (6, 4, 3), dtype, 0, 9)
    arrays = [np.array(i, np.int64) for i in indices]
    part = whole[decode(key, tuple(arrays))]
    program = []
    for layout in LAYOUTS[:3]:
        places = [memory.operand(i) for i in arrays]
        out = memory.operand(memory.noise(part.shape, dtype), layout)
        program += instruction(
            memory, "take", out, [memory.operand(whole, layout), *places], None, {"key": key}
        )
        if dtype != "i8":
            back = memory.operand(memory.noise(whole.shape, dtype), layout)
            given = memory.operand(entries(memory, part.shape, dtype), layout)
            program += instruction(memory, "scatter", back, [given, *places], None, {"key": key})
    assert_agree(memory, program, sums=True)


@pytest.mark.parametrize("index", [6, -7])
def test_an_index_out_of_range_is_the_error_that_numpy_raises(index):
    memory = Memory()
    source, where = memory.operand(np.zeros((6, 2))), memory.operand(np.array([0, index]))
    program = instruction(
        memory, "take", memory.operand(np.zeros((2, 2))), [source, where], None, {"key": (HERE,)}
    )
    with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 6"):
        run(Jitted(program, memory.starts).bind(memory.assembled()))


def test_an_operation_of_a_user_is_compiled_if_its_rule_prints():
    own = tr.Op(
        name="tanh",  # its name is not what it is known by
        symbol="?",
        forward=lambda xp, x, a: a * x * x * x + xp.tanh(x),
        partials=(lambda xp, y, x, a: x,),
    )
    memory = Memory()
    program = []
    for layout in LAYOUTS:
        a = memory.operand(entries(memory, (5, 6), "f8"), layout)
        out = memory.operand(memory.noise((5, 6), "f8"), layout)
        program += instruction(memory, "map", out, [a], own, {"a": 0.3})
    assert_agree(memory, program)


@pytest.mark.parametrize(
    "forward",
    [lambda xp, x: np.sin(x), lambda xp, x: x**2, lambda xp, x: xp.array([1.0])],
    ids=["numpy", "operator", "unknown"],
)
def test_an_operation_whose_rule_does_not_print_runs_from_numpy(forward):
    own = tr.Op(name="own", symbol="?", forward=forward, partials=(lambda xp, y, x: x,))
    memory = Memory()
    a = memory.operand(entries(memory, (1,), "f8"))
    out = memory.operand(memory.noise((1,), "f8"))
    assert_agree(memory, instruction(memory, "map", out, [a], own), compiled=False)


def test_entries_too_far_away_to_be_numbered_are_left_to_numpy():
    memory = Memory()
    a = memory.operand(entries(memory, (2, 3), "f8"), "scattered")
    program = instruction(memory, "map", memory.operand(np.zeros((2, 3))), [a], ops.exp)
    far = [start + 2**35 for start in memory.starts]
    assert [type(s) for s in Jitted(program, memory.starts).stretches] == [tuple]
    assert [type(s) for s in Jitted(program, far).stretches] == [list]


def test_numpy_runs_between_stretches_of_the_interpreter():
    memory = Memory()
    a, b, c, d = (memory.operand(entries(memory, (4, 4), "f8")) for _ in range(4))
    program = [
        *instruction(memory, "map", b, [a], ops.exp),
        *instruction(memory, "call", c, [b], ops.cumsum, {"axis": 0}),
        *instruction(memory, "map", d, [c], ops.tanh),
    ]
    jitted = Jitted(program, memory.starts)
    assert [type(s) for s in jitted.stretches] == [tuple, list, tuple]
    assert_agree(memory, program, compiled=None)


def test_two_threads_run_one_table_on_two_arenas():
    memory = Memory()
    a, b = memory.operand(entries(memory, (200, 200), "f8")), memory.operand(entries(memory, (200,), "f8"))
    out, turned = (memory.operand(np.zeros((200, 200))) for _ in range(2))
    program = []
    for _ in range(20):
        program += instruction(memory, "map", turned, [a._replace(strides=(1, 200)), b], ops.multiply)
        program += instruction(memory, "map", out, [turned, a], ops.add)
    jitted = Jitted(program, memory.starts)
    arenas = [memory.assembled() for _ in range(2)]
    arenas[1][memory.starts[b.block] :][: 200 * 8] = np.full(200, 3.0).view(np.uint8)
    expected = [m.copy() for m in arenas]
    for m in expected:
        run(bind(program, m, memory.starts))
    calls = [jitted.bind(m) for m in arenas]
    threads = [threading.Thread(target=lambda c=c: [run(c) for _ in range(10)]) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for found, right in zip(arenas, expected, strict=True):
        np.testing.assert_array_equal(found, right)
