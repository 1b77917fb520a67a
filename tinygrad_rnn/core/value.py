"""``Value``: a float in the graph, and the specialized functions printed for it from the operations' records.

A rule written as ``1.0 - y * y`` is run once in the namespace that prints source; the text becomes two plain Python
functions for each elementwise operation: one that records a node and one that pulls its cotangent back. So a graph
of Values costs a few attribute stores a node, and the rule is still written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import array_pull
from tinygrad_rnn.core.graph import RECORDING, next_stamp
from tinygrad_rnn.core.namespaces import SCALAR, Expr, Source
from tinygrad_rnn.core.op import CONSTANT, LEAF, NO_PARAMS, Call, Carrier, Op
from tinygrad_rnn.core.variable import OPERATORS, UNARY_METHODS, Variable, recorded


class Value(Variable):
    """A scalar node: a Python float that remembers how it was made.

    Args:
        data: a real number; an int becomes a float.
        name: what drawings and reports call it.

    Raises:
        TypeError: ``data`` is not a real number (a bool, text, complex or array is not).

    Example:
        >>> import tinygrad_rnn as tr
        >>> x = tr.Value(3.0, name="x")
        >>> y = x * x + 2 * x
        >>> y.backward()
        >>> y.data, x.grad
        (15.0, 8.0)
    """

    __slots__ = ()
    _carrier = "Value"
    _xp = SCALAR

    def __new__(cls, data: float, name: str = "") -> Value:
        """Return a new leaf."""
        if not isinstance(name, str):
            raise TypeError(f"Value: name must be a str, got {type(name).__name__}")
        node: Value = cls._new(real_number("Value", data), LEAF, name=name)
        return node

    @property
    def data(self) -> float:
        """The number. On a leaf it can be assigned at any time; graphs recorded before that go stale."""
        return self._data  # type: ignore[no-any-return]

    @data.setter
    def data(self, data: float) -> None:
        self._refuse_assignment()
        self._data = real_number("data", data)
        self._stamp = next_stamp()

    @property
    def grad(self) -> float:
        """dL/d(self) of the backward passes since the last reset; 0.0 when none was run (see ``has_grad``)."""
        return 0.0 if self._grad is None else self._grad

    @grad.setter
    def grad(self, grad: float | None) -> None:
        self._grad = (
            None
            if grad is None or (isinstance(grad, (int, float)) and grad == 0)
            else real_number("grad", grad)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Always ``()``."""
        return ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float64."""
        return FLOAT64

    def tolist(self) -> float:
        """Return the number."""
        return float(self._data)

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"Value({self._summary()}{name})"

    def _summary(self) -> str:
        return f"{self._data:.6g}"

    def _raw(self) -> float:
        return float(self._data)

    def _seed(self, cotangent: Any) -> float:
        return 1.0 if cotangent is None else real_number("cotangent", cotangent)

    def _admit(self, cotangent: Any) -> float:
        return float(cotangent)

    def _own(self, gradient: float) -> float:
        return gradient

    def _keep(self, gradient: float) -> float:
        return gradient

    def _leaf_like(self, data: Any) -> Value:
        return self._new(float(data), LEAF)  # type: ignore[no-any-return]

    def _constant_like(self, data: Any) -> Value:
        return self._new(float(data), CONSTANT)  # type: ignore[no-any-return]

    @staticmethod
    def _takes(other: Any) -> bool:
        return not isinstance(other, (str, bytes, list, tuple, dict, set, type(None)))

    def _apply(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        if any(isinstance(a, Carrier) and a.__class__ is not Value for a in args):
            raise TypeError(_mixed(op.name))
        if op.result == "Tensor":
            return recorded(op, tuple(lift(a) for a in args), params)
        function = _RECORDERS.get(op) or _recorder(op)
        return function(params, *[a if a.__class__ is Value else lift(a) for a in args])

    @classmethod
    def _record(cls, op: Op, nodes: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        y = op.forward(SCALAR, *[n._data for n in nodes], **params)
        data = y if isinstance(y, (bool, np.bool_)) else float(y)
        if not RECORDING.get().on:
            return cls._new(data, CONSTANT)
        active = op.differentiable and any(n._call.active for n in nodes)
        return cls._new(data, Call(op, params, active=active, pull=array_pull), nodes)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        op = getattr(ops, UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__), None)
        if method != "__call__" or kwargs or not isinstance(op, Op):
            raise TypeError(
                f"np.{ufunc.__name__} does not take a Value; use the operations in tr.ops, or float(x)"
            )
        return op(*[lift(x) for x in inputs])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.shape:
            return ()
        raise TypeError(
            f"np.{function.__name__} does not take a Value; make a Tensor with tr.ops.stack([...]) first"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self._refuse_reading_in_transform("np.asarray(value)")
        raise TypeError(
            "a Value is not an array: use float(x), or tr.ops.stack([x, ...]) to make a Tensor of Values"
        )

    def __eq__(self, other: object) -> Any:
        return self is other or _compare(self, other, lambda a, b: a == b)

    def __ne__(self, other: object) -> Any:
        return not self == other

    def __lt__(self, other: Any) -> Any:
        return _compare(self, other, lambda a, b: a < b)

    def __le__(self, other: Any) -> Any:
        return _compare(self, other, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> Any:
        return _compare(self, other, lambda a, b: a > b)

    def __ge__(self, other: Any) -> Any:
        return _compare(self, other, lambda a, b: a >= b)

    __hash__ = object.__hash__


FLOAT64 = np.dtype(np.float64)
UFUNC_NAMES = {
    "absolute": "abs", "true_divide": "divide", "fabs": "abs", "float_power": "power", "positive": "alias",
}  # fmt: skip


def _compare(a: Value, b: Any, relation: Callable[[float, float], bool]) -> Any:
    if isinstance(b, Value):
        return relation(a._data, b._data)
    if isinstance(b, (int, float, np.number)):
        return relation(a._data, float(b))
    return NotImplemented


def _mixed(name: str) -> str:
    return (
        f"{name}: a Value and a Tensor cannot be mixed: make a Tensor of Values with tr.ops.stack([...]), "
        "or Values of a Tensor with tr.scalarize(tensor)"
    )


def real_number(what: str, data: Any) -> float:
    """Return ``data`` as a float.

    Raises:
        TypeError: it is not a real number.
    """
    if data.__class__ is float:
        return data
    if isinstance(data, Carrier):
        raise TypeError(
            f"{what}: already a {type(data).__name__}; use it as it is, or its .item() for a new leaf"
        )
    if isinstance(data, np.ndarray):
        raise TypeError(
            f"{what}: got an array of shape {data.shape}; use tr.Tensor for arrays, tr.ops.stack for Values"
        )
    if isinstance(data, (bool, np.bool_)) or not isinstance(data, (int, float, np.integer, np.floating)):
        raise TypeError(f"{what} must be a real number, got {type(data).__name__}: {str(data)[:60]}")
    return float(data)


def lift(data: Any) -> Value:
    """Return ``data``, a Value or a number, as a node; a number becomes a constant.

    Raises:
        TypeError: it is an array, or not a real number.
    """
    if data.__class__ is Value:
        return data
    if isinstance(data, Carrier):
        raise TypeError(_mixed("operation"))
    if isinstance(data, np.ndarray):
        raise TypeError(
            f"a Value cannot be combined with an array of shape {data.shape}: make a Tensor of Values with "
            "tr.ops.stack([...]), or apply the operation to each entry"
        )
    if isinstance(data, (bool, np.bool_)):
        return Value._new(bool(data), CONSTANT)  # type: ignore[no-any-return]
    return Value._new(real_number("operand", data), CONSTANT)  # type: ignore[no-any-return]


# --- printing the specialized functions

_RECORD = """\
def record({signature}):
    state = recording()
{lift}{reads}{lines}
    node = new(Value)
    node._data = {result}
    node._scope = state.scope
    node._grad = node._note = None
    if state.on:
        node._parents = ({parents},)
        node._call = {call}
    else:
        node._parents = ()
        node._call = CONSTANT
    node._stamp = next_stamp()
    return node
"""
_LIFT = """\
    if b.__class__ is not Value:
        if b.__class__ is float:
            number = b
            b = new(Value)
            b._data = number
            b._call = CONSTANT
            b._parents = ()
            b._scope = state.scope
            b._grad = b._note = None
            b._stamp = next_stamp()
        elif takes(b):
            b = lift(b)
        else:
            return NotImplemented
"""
_PULL = """\
def pull(node, g, found, ledger):
    {parents}, = node._parents
    y = node._data
{reads}{blocks}
"""
_BLOCK = """\
    if {arg}._call.active:
{lines}
        found[{arg}] = {c} if (old := found.get({arg})) is None else old + {c}
"""


def _indented(lines: list[str], by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in lines)


def _arity(op: Op) -> int | None:
    return (
        len(op.partials)
        if isinstance(op.partials, tuple)
        else 1
        if op.partials is None and op is ops.detach
        else None
    )


def print_pull(op: Op, arity: int) -> str:
    """Return the source of the function that adds a Value node's contributions to its parents."""
    names = "abcdefgh"[:arity]
    reads = [f"{n}_ = {n}._data" for n in names]
    blocks = []
    for i, n in enumerate(names):
        if op.rule(i) is None:
            continue
        source = Source(prefix=f"{n}t")
        args = tuple(source.name(f"{m}_") for m in names)
        params = {k: source.name(f"node._call.params[{k!r}]") for k in _param_names(op)}
        c = op.cotangent(i, source, source.name("g"), source.name("y"), args, params)
        text = c.text if isinstance(c, Expr) else repr(c)
        blocks.append(_BLOCK.format(arg=n, lines=_indented(source.lines, 8).rstrip("\n"), c=text))
    body = "".join(blocks) or "    return\n"
    return _PULL.format(parents=", ".join(names), reads=_indented(reads, 4), blocks=body)


def print_record(op: Op, arity: int, *, operator: bool = False, swap: bool = False) -> str:
    """Return the source of the function that computes a value and records its node."""
    names = "abcdefgh"[:arity]
    order = names[::-1] if swap else names
    source = Source()
    args = tuple(source.name(f"{n}_") for n in order)
    known = {k: source.name(f"params[{k!r}]") for k in _param_names(op)}
    y = op.forward(source, *args, **known)
    active = " or ".join(f"{n}._call.active" for n in order)
    call = "IDLE" if not op.differentiable else f"CALL if {active} else IDLE"
    if known:
        call = f"make_call(params, {active})"
    return _RECORD.format(
        signature=", ".join(names) if operator else f"params, {', '.join(names)}",
        lift=_LIFT if operator and arity == 2 else "",
        reads=_indented([f"{n}_ = {n}._data" for n in names], 4),
        lines=_indented(source.lines, 4).rstrip("\n"),
        result=y.text if isinstance(y, Expr) else repr(y),
        parents=", ".join(order),
        call=call,
    )


def _param_names(op: Op) -> tuple[str, ...]:
    """Return the names of the static parameters: the keyword arguments that the operation's ``bind`` makes."""
    if op.bind is None or not isinstance(op.partials, tuple):
        return ()
    return tuple(op.bind(*[0.0] * len(op.partials))[1])


def _compiled(text: str, name: str, scope: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that ``text`` defines, able to see ``scope`` and the scalar functions."""
    world = {**vars(SCALAR), "inf": float("inf"), "nan": float("nan"), **scope}
    exec(compile(text, f"<{name} of a Value, printed from its Op>", "exec"), world)
    return world["record" if "def record" in text else "pull"]  # type: ignore[no-any-return]


def _world(op: Op, pull: Callable[..., None] | None) -> dict[str, Any]:
    def make_call(params: Mapping[str, Any], active: bool) -> Call:
        return Call(op, dict(params), active=active, pull=pull)

    return {
        "Value": Value,
        "new": object.__new__,
        "recording": RECORDING.get,
        "next_stamp": next_stamp,
        "takes": Value._takes,
        "lift": lift,
        "CONSTANT": CONSTANT,
        "CALL": Call(op, NO_PARAMS, active=True, pull=pull),
        "IDLE": Call(op, NO_PARAMS, active=False, pull=pull),
        "make_call": make_call,
    }


def _specialized(op: Op) -> tuple[Callable[..., Value], dict[str, Any]]:
    """Return the recording function of an elementwise operation, and the names that it was compiled with."""
    arity = _arity(op)
    if arity is None:
        return _variadic(op)
    pull = _compiled(print_pull(op, arity), op.name, {}) if op.differentiable else None
    world = _world(op, pull)
    return _compiled(print_record(op, arity), op.name, world), world


def _recorder(op: Op) -> Callable[..., Value]:
    """Return the recording function of a user's own operation, or of a comparison."""
    if op.partials is None and op.differentiable:
        raise TypeError(
            f"{op.name} does not act on single Values: make a Tensor of them first with tr.ops.stack([...])"
        )
    return _general(op)


def _general(op: Op) -> Callable[..., Value]:
    """Return a recording function that runs the rules as they are, for what is not worth printing."""

    return lambda params, *args: Value._record(op, args, params)


def _variadic(op: Op) -> tuple[Callable[..., Value], dict[str, Any]]:
    return _general(op), {}


_SPECIAL = {op: _specialized(op) for op in ops.ALL if op.elementwise or op is ops.detach}
_RECORDERS = {op: function for op, (function, _) in _SPECIAL.items()}


def _install_operators() -> None:
    """Give Value its operators and methods as printed functions, without a call in between."""
    for name, op in OPERATORS.items():
        world = _SPECIAL[op][1]
        for prefix, swap in (("", False), ("r", True)):
            method = _compiled(print_record(op, 2, operator=True, swap=swap), op.name, world)
            setattr(Value, f"__{prefix}{name}__", method)
    for op in (ops.negative, *UNARY_METHODS):
        if not _param_names(op) and _arity(op) == 1:
            method = _compiled(print_record(op, 1, operator=True), op.name, _SPECIAL[op][1])
            method.__doc__ = f"Return {op.doc}."
            setattr(Value, "__neg__" if op is ops.negative else op.name, method)


_install_operators()
