"""``Value``: a float in the graph. Its operators are printed functions (see ``printing``)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import array_pull
from tinygrad_rnn.core.effects import refuse_effect, refuse_gradient
from tinygrad_rnn.core.graph import RECORDING, next_stamp, refuse_reading
from tinygrad_rnn.core.namespaces import NUMPY, SCALAR
from tinygrad_rnn.core.op import CONSTANT, LEAF, NO_PARAMS, Call, Carrier, Op
from tinygrad_rnn.core.printing import compiled, param_names, print_pull, print_record
from tinygrad_rnn.core.promotion import array_beside
from tinygrad_rnn.core.variable import MIXED, OPERATORS, UNARY_METHODS, Variable, recorded


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
        refuse_reading(self, "reading .data")
        return self._data  # type: ignore[no-any-return]

    @data.setter
    def data(self, data: float) -> None:
        self._refuse_assignment()
        self._data = real_number("data", data)
        self._stamp = next_stamp()

    @property
    def grad(self) -> float:
        """dL/d(self) of the backward passes since the last reset; 0.0 when none was run (see ``has_grad``)."""
        refuse_gradient()
        return 0.0 if self._grad is None else self._grad

    @grad.setter
    def grad(self, grad: float | None) -> None:
        refuse_effect("assigning .grad")
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
        return self.item()

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
        if isinstance(other, (Carrier, np.ndarray)):
            return other.__class__ is Value or RECORDING.get().inputs is None
        return not isinstance(other, (str, bytes, list, tuple, dict, set, type(None)))

    def _apply(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        other = next((a for a in args if isinstance(a, Carrier) and a.__class__ is not Value), None)
        if other is not None and RECORDING.get().inputs is not None:
            return other._apply(op, args, params)  # a traced float beside an array
        if RECORDING.get().inputs is not None and any(isinstance(a, np.ndarray) for a in args):
            arrays = [array_beside(a, args) if a.__class__ is Value else a for a in args]
            return next(a for a in arrays if isinstance(a, Carrier))._apply(op, tuple(arrays), params)
        if other is not None:
            raise TypeError(f"{op.name}: {MIXED}")
        if params and op.bind is None and op in _OWN:
            raise TypeError(f"{op.name}: takes no keyword arguments, got {sorted(params)}")
        if op.result == "Tensor":
            return recorded(op, tuple(lift(a) for a in args), params)
        return recorder(op, len(args))(params, *[a if a.__class__ is Value else lift(a) for a in args])

    @classmethod
    def _record(cls, op: Op, nodes: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        try:
            y = op.forward(SCALAR, *[n._data for n in nodes], **params)
        except ArithmeticError:  # a user's 1 / x at 0: Python raises where IEEE gives inf
            with np.errstate(all="ignore"):
                y = op.forward(NUMPY, *[np.asarray(n._data) for n in nodes], **params)
        data = y if isinstance(y, (bool, np.bool_)) else float(y)
        state = RECORDING.get()
        if not state.on:
            node = cls._new(data, CONSTANT)
            if state.observer is not None:
                state.observer.made(node, op, nodes)
            return node
        active = op.differentiable and any(n._call.active for n in nodes)
        return cls._new(data, Call(op, params, active=active, pull=array_pull), nodes)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        op = getattr(ops, UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__), None)
        if method != "__call__" or kwargs or not isinstance(op, Op):
            raise TypeError(
                f"np.{ufunc.__name__} does not take a Value; use the operations in tr.ops, or float(x)"
            )
        traced = RECORDING.get().inputs is not None
        return op(*[x if traced and isinstance(x, np.ndarray) else lift(x) for x in inputs])

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
    refuse_reading(a, "comparing a Value")
    if isinstance(b, Value):
        return relation(a._data, b._data)
    if isinstance(b, (int, float, np.number)):
        return relation(a._data, float(b))
    return NotImplemented


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
    try:
        return float(data)
    except OverflowError:
        raise OverflowError(f"{what}: the integer is too large for a float") from None


def lift(data: Any) -> Value:
    """Return ``data``, a Value or a number, as a node; a number becomes a constant.

    Raises:
        TypeError: it is an array, or not a real number.
    """
    if data.__class__ is Value:
        return data
    if isinstance(data, Carrier):
        raise TypeError(f"operation: {MIXED}")
    if isinstance(data, np.ndarray):
        raise TypeError(
            f"a Value cannot be combined with an array of shape {data.shape}: make a Tensor of Values with "
            "tr.ops.stack([...]), or apply the operation to each entry"
        )
    if isinstance(data, (bool, np.bool_)):
        return Value._new(bool(data), CONSTANT)  # type: ignore[no-any-return]
    return Value._new(real_number("operand", data), CONSTANT)  # type: ignore[no-any-return]


MOST_PRINTED = 64  # arguments; a longer sum runs the rules as they are


def _call_names(op: Op, arity: int) -> dict[str, Any]:
    """Return what the printed recording function of an operation refers to."""
    pull = compiled(print_pull(op, arity), op, {}) if op.differentiable else None

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


def _arity(op: Op) -> int | None:
    """Return the number of arguments of an operation of one size, None of one of any size."""
    if op is ops.detach:
        return 1
    return len(op.partials) if isinstance(op.partials, tuple) else None


@functools.lru_cache(maxsize=256)
def _printed(op: Op, arity: int) -> Callable[..., Value]:
    """Return the recording function for ``arity`` arguments of one of our own elementwise operations."""
    return compiled(print_record(op, arity), op, _call_names(op, arity))


def recorder(op: Op, arity: int) -> Callable[..., Value]:
    """Return ``record(params, *values)`` for an operation on Values.

    Raises:
        TypeError: the operation acts on arrays.
    """
    own = op in _OWN
    if own and op.partials is not None and arity == (_arity(op) or arity) and arity <= MOST_PRINTED:
        return _printed(op, arity)
    if op.partials is None and op.vjp is None and op.differentiable:
        raise TypeError(
            f"{op.name} does not act on single Values: make a Tensor of them first with tr.ops.stack([...])"
        )
    return lambda params, *args: Value._record(op, args, params)


_OWN = frozenset(ops.ALL)


def _install_operators() -> None:
    """Give Value its operators and methods as printed functions, without a call in between."""
    for name, op in OPERATORS.items():
        names = _call_names(op, 2)
        for prefix, swap in (("", False), ("r", True)):
            method = compiled(print_record(op, 2, operator=True, swap=swap), op, names)
            setattr(Value, f"__{prefix}{name}__", method)
    for op in (ops.negative, *UNARY_METHODS):
        if not param_names(op) and _arity(op) == 1:
            method = compiled(print_record(op, 1, operator=True), op, _call_names(op, 1))
            method.__doc__, method.__qualname__ = f"Return {op.doc}.", f"Value.{op.name}"
            setattr(Value, "__neg__" if op is ops.negative else op.name, method)


_install_operators()
