"""``Tensor``: an ndarray in the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.arrays import ReadOnlyArray, frozen, real_array, taken_in
from tinygrad_rnn.core.autodiff import array_pull
from tinygrad_rnn.core.effects import refuse_effect, refuse_gradient
from tinygrad_rnn.core.graph import RECORDING, next_stamp, refuse_reading
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.numpy_functions import FUNCTIONS, UFUNCS, refusal
from tinygrad_rnn.core.op import CONSTANT, LEAF, NO_PARAMS, Call, Carrier, Op
from tinygrad_rnn.core.promotion import array_beside, dtype_beside
from tinygrad_rnn.core.variable import MIXED, Variable, method_of, operator_of, recorded


class Tensor(Variable):
    """An array node: an ndarray that remembers how it was made. It follows numpy.

    Args:
        data: an array or nested lists of numbers; copied. float32 is kept, Python ints become float64.
        name: what drawings and reports call it.

    Raises:
        TypeError: the dtype is not float64 or float32 (an integer array is a constant: ``tr.constant``).

    Example:
        >>> import numpy as np
        >>> import tinygrad_rnn as tr
        >>> W = tr.Tensor(np.eye(2), name="W")
        >>> loss = (W @ np.array([1.0, 2.0])).sum()
        >>> loss.backward()
        >>> W.grad.tolist()
        [[1.0, 2.0], [1.0, 2.0]]
    """

    __slots__ = ()
    _carrier = "Tensor"
    _xp = NUMPY

    def __new__(cls, data: Any, name: str = "") -> Tensor:
        """Return a new leaf."""
        if not isinstance(name, str):
            raise TypeError(f"Tensor: name must be a str, got {type(name).__name__}")
        node: Tensor = cls._new(taken_in("Tensor", data, leaf=True), LEAF, name=name)
        return node

    # --- data and gradient

    @property
    def data(self) -> Any:
        """The array, read-only. On a leaf a new one can be assigned at any time (``p.data -= lr * p.grad``); graphs
        recorded before that go stale.
        """
        refuse_reading(self, "reading .data")
        return self._data.view(ReadOnlyArray)

    @data.setter
    def data(self, data: Any) -> None:
        self._refuse_assignment()
        array = taken_in("data", data, leaf=self._call is LEAF)
        if array.shape != self.shape:
            raise ValueError(f"data: {self._title()} has shape {self.shape}, the new array has {array.shape}")
        self._data = frozen(array.astype(self.dtype, copy=False))
        self._stamp = next_stamp()

    @property
    def grad(self) -> Any:
        """dL/d(self), of the same shape and dtype; zeros until a backward pass was run (see ``has_grad``)."""
        refuse_gradient()
        return np.zeros(self.shape, dtype=self.dtype) if self._grad is None else self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        refuse_effect("assigning .grad")
        if isinstance(grad, Carrier):
            raise TypeError(f"grad: needs an array, got a {type(grad).__name__}; use its .data")
        if grad is None or (np.ndim(grad) == 0 and grad == 0):
            self._grad = None
            return
        array = real_array("grad", grad, self.dtype)
        if array.shape != self.shape:
            raise ValueError(f"grad: {self._title()} has shape {self.shape}, the gradient has {array.shape}")
        self._grad = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array."""
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(self._data.size)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return ops.transpose(self)  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        """Return the entries as nested lists of Python numbers."""
        refuse_reading(self, "tolist()")
        return self._data.tolist()

    def item(self) -> float:
        """Return the only entry as a Python number.

        Raises:
            ValueError: there is not exactly one entry.
        """
        if self._data.size != 1:
            raise ValueError(
                f"item: {self._title()} of shape {self.shape} has {self._data.size} entries, not 1"
            )
        refuse_reading(self, "item(), float() or int()")
        return self._data.item()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({np.array2string(self._data, prefix='Tensor(', threshold=60)}{self._suffix()}{name})"

    def _suffix(self) -> str:
        return "" if self.dtype == np.float64 else f", dtype={self.dtype}"

    def _summary(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    def _raw(self) -> Any:
        return self._data

    # --- what the engine asks of a node

    def _seed(self, cotangent: Any) -> Any:
        if cotangent is None:
            if self._data.size != 1:
                raise ValueError(
                    f"backward: {self._title()} has shape {self.shape}; give a cotangent of that shape, "
                    "or reduce it to one number first (.sum())"
                )
            return np.ones(self.shape, dtype=self.dtype)
        data = cotangent._data if isinstance(cotangent, Variable) else cotangent
        array = real_array("cotangent", data, self.dtype)
        if array.shape != self.shape:
            raise ValueError(
                f"backward: {self._title()} has shape {self.shape}, the cotangent has {array.shape}"
            )
        return array

    def _admit(self, c: Any) -> Any:
        data = self._data
        if c.__class__ is not np.ndarray:
            c = np.asarray(c)
        if c.shape != data.shape:
            c = np.asarray(ops.sum_to(NUMPY, c, data.shape))
        return c if c.dtype == data.dtype else c.astype(data.dtype)

    def _own(self, gradient: Any) -> Any:
        return np.array(gradient)

    def _keep(self, gradient: Any) -> Any:
        return frozen(gradient)

    def _leaf_like(self, data: Any) -> Tensor:
        return self._new(frozen(np.array(data)), LEAF)  # type: ignore[no-any-return]

    def _constant_like(self, data: Any) -> Tensor:
        return self._new(frozen(np.array(data)), CONSTANT)  # type: ignore[no-any-return]

    @staticmethod
    def _takes(other: Any) -> bool:
        return not isinstance(other, (str, bytes, dict, set, type(None)))

    def _apply(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        nodes = tuple([a if a.__class__ is Tensor else lift(a, args) for a in args])
        return recorded(op, nodes, params) if op.result == "Value" else record(op, nodes, params)

    @classmethod
    def _record(cls, op: Op, nodes: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        return record(op, nodes, params)

    # --- numpy

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        op = UFUNCS.get(ufunc)
        if op is None or method != "__call__" or kwargs:
            raise TypeError(refusal(ufunc, method, kwargs))
        return op(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        ours = FUNCTIONS.get(function)
        if ours is None or kwargs.get("out") is not None:
            raise TypeError(refusal(function, "__call__", kwargs))
        return ours(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self._refuse_reading_in_transform("np.asarray(tensor)")
        array = np.array(self._data, dtype=dtype)
        array.flags.writeable = False
        return array

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be written into: build the new array with tr.ops.where, concatenate or stack; "
            "for a leaf assign p.data = new"
        )

    def __getitem__(self, key: Any) -> Tensor:
        if RECORDING.get().inputs is not None:
            refuse_masks(key)
        return ops.getitem(self, key)  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a Tensor of no axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.size != 1:
            raise TypeError(
                f"only an integer Tensor of one entry can be an index, not {self.dtype}{list(self.shape)}"
            )
        refuse_reading(self, "an index")
        return int(self._data.item())

    def __matmul__(self, other: Any) -> Any:
        return ops.matmul(self, other) if self._takes(other) else NotImplemented

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self) if self._takes(other) else NotImplemented

    if TYPE_CHECKING:  # set below from tr.ops
        sum: Callable[..., Any]
        mean: Callable[..., Any]
        prod: Callable[..., Any]
        max: Callable[..., Any]
        min: Callable[..., Any]
        cumsum: Callable[..., Any]
        cumprod: Callable[..., Any]
        reshape: Callable[..., Any]
        transpose: Callable[..., Any]
        swapaxes: Callable[..., Any]
        squeeze: Callable[..., Any]
        repeat: Callable[..., Any]
        take: Callable[..., Any]
        dot: Callable[..., Any]
        ravel: Callable[..., Any]
        flatten: Callable[..., Any]
        copy: Callable[..., Any]
        var: Callable[..., Any]
        std: Callable[..., Any]
        astype: Callable[..., Any]
        norm: Callable[..., Any]
        logsumexp: Callable[..., Any]
        softmax: Callable[..., Any]
        log_softmax: Callable[..., Any]

    __hash__ = object.__hash__


def refuse_masks(key: Any) -> None:
    """Refuse a traced boolean index: how many entries it takes is decided by its data.

    Raises:
        TraceError: a mask depends on an input, on a leaf or on a random draw.
    """
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, Tensor) and part.dtype.kind == "b":
            refuse_reading(part, "a boolean index (its size depends on data)")


def record(op: Op, nodes: tuple[Variable, ...], params: Mapping[str, Any]) -> Any:
    """Return the node of ``op`` applied to ``nodes``.

    Raises:
        ValueError, IndexError, TypeError: numpy's own complaint, with the operation and the shapes before it.
    """
    state = RECORDING.get()
    try:
        data = None if state.examples is None else state.examples.result(op, nodes, params)
        if data is None:
            data = op.forward(NUMPY, *[n._data for n in nodes], **params)
    except (ValueError, IndexError, TypeError) as error:
        text = str(error)
        shapes = ", ".join(str(n.shape) for n in nodes)
        raise type(error)(
            text if text.startswith(op.name) else f"{op.name} of shapes {shapes}: {text}"
        ) from None
    node = object.__new__(Tensor)
    if data.__class__ is not np.ndarray:
        data = np.asarray(data)
    if data.dtype.kind not in "fbiu":
        raise TypeError(f"{op.name}: its forward must give real numbers, got dtype {data.dtype}")
    data.flags.writeable = False
    node._data = data
    node._second = node._grad = node._note = None
    node._scope = state.scope
    if state.on:
        active = False
        for n in nodes:
            if n._call.active:
                active = op.differentiable
                break
        if active and op.partials is not None and data.dtype.kind == "f":
            for n in nodes:
                if n._data.dtype != data.dtype:
                    nodes = _in_one_dtype(op, nodes, data.dtype)
                    break
        node._first = nodes
        node._call = _call(op, params, active)
    else:
        node._first = ()
        node._call = CONSTANT
    node._stamp = next_stamp()
    if state.observer is not None:
        state.observer.made(node, op, nodes)
    return node


def _in_one_dtype(op: Op, nodes: tuple[Variable, ...], dtype: np.dtype[Any]) -> tuple[Variable, ...]:
    """Return the arguments in the dtype of the result, so that slopes such as 1/b are found with all its digits.

    numpy widens them itself to compute the value; a leaf or result that it widens gets a visible cast.
    """
    traced = RECORDING.get().inputs is not None
    result: list[Variable] = []
    for i, n in enumerate(nodes):
        if n.dtype == dtype or n.dtype.kind not in "fiu" or not op.differentiates(i):
            result.append(n)
        elif n._call is CONSTANT and not traced:
            result.append(Tensor._new(frozen(n._data.astype(dtype)), CONSTANT, name=n.name))
        else:
            result.append(ops.astype(n, dtype))
    return tuple(result)


def _call(op: Op, params: Mapping[str, Any], active: bool) -> Call:
    plain = _PLAIN.get(op)
    if plain is not None and not params:
        return plain[active]
    return Call(op, params, active=active, pull=array_pull)


_PLAIN = {
    op: tuple(Call(op, NO_PARAMS, active=active, pull=array_pull) for active in (False, True))
    for op in ops.ALL
}


def lift(data: Any, others: tuple[Any, ...] = ()) -> Variable:
    """Return ``data`` as a constant node; a Python number takes the dtype that numpy would give it beside ``others``.

    Raises:
        TypeError: it is a Value beside a Tensor, or nothing that numpy makes numbers of.
    """
    if isinstance(data, Carrier):
        if isinstance(data, Tensor):
            return data
        if RECORDING.get().inputs is not None:
            return array_beside(data, others)  # type: ignore[no-any-return]
        raise TypeError(MIXED)
    if data.__class__ in (float, int):
        dtype = dtype_beside(others)
        return Tensor._new(frozen(np.array(data, dtype=dtype)), CONSTANT)  # type: ignore[no-any-return]
    return Tensor._new(taken_in("operand", data, leaf=False), CONSTANT)  # type: ignore[no-any-return]


for _name, _op in {
    "lt": ops.less, "le": ops.less_equal, "gt": ops.greater, "ge": ops.greater_equal,
    "eq": ops.equal, "ne": ops.not_equal, "and": ops.logical_and, "or": ops.logical_or,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", operator_of(_op))


METHODS = {
    name: getattr(ops, name)
    for name in (
        "sum", "mean", "prod", "max", "min", "cumsum", "cumprod", "reshape", "transpose", "swapaxes", "squeeze",
        "repeat", "take", "dot", "ravel", "var", "std", "astype", "norm", "logsumexp", "softmax", "log_softmax",
    )
} | {"flatten": ops.ravel, "copy": ops.alias}  # fmt: skip
for _name, _function in METHODS.items():
    setattr(Tensor, _name, method_of(_function, _name))
