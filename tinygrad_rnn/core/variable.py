"""``Variable``: what Value and Tensor share: identity, gradient, hooks, operators, backward."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import local_vjp, pullback
from tinygrad_rnn.core.copying import reduced
from tinygrad_rnn.core.effects import refuse_effect, refuse_gradient
from tinygrad_rnn.core.errors import GraphCycleError, GraphMutationError, TraceError
from tinygrad_rnn.core.graph import RECORDING, next_stamp, refuse_reading
from tinygrad_rnn.core.hooks import Hook, Note
from tinygrad_rnn.core.op import CONSTANT, LEAF, Call, Carrier, Op

MIXED = (
    "a Value and a Tensor cannot be mixed: make a Tensor of Values with tr.ops.stack([...]), "
    "or Values of a Tensor with tr.scalarize(tensor)"
)
ADDING = threading.Lock()  # two threads may run backward over graphs that share a leaf


class Variable(Carrier):
    """A node of the recorded graph; abstract, see ``Value`` and ``Tensor``.

    A node is small: its data, its gradient, the operation that made it, the parents it was made from, its age, its
    scope, its name. It refers to its parents and never to its children, so a graph is freed as soon as its last
    node is.
    """

    __slots__ = ("__weakref__", "_call", "_data", "_first", "_grad", "_note", "_scope", "_second", "_stamp")

    _carrier: ClassVar[str]
    _xp: ClassVar[Any]
    _data: Any
    _grad: Any
    _call: Call
    _note: str | Note | None
    _first: Any
    _second: Variable | None
    _scope: tuple[str, ...]
    _stamp: int

    @classmethod
    def _new(cls, data: Any, call: Call, parents: tuple[Variable, ...] = (), name: str = "") -> Any:
        """Return a node without any check; ``data`` must already be a float or a read-only array."""
        node = object.__new__(cls)
        node._data = data
        node._grad = None
        node._call = call
        node._first = parents
        node._second = None
        state = RECORDING.get()
        node._scope = state.scope
        node._note = name or None
        node._stamp = next_stamp()
        if state.observer is not None:
            state.observer.made(node, call.op, parents)
        return node

    # --- what a node is

    @property
    def op(self) -> Op | None:
        """The operation that made this node; None for a leaf or a constant."""
        return self._call.op

    @property
    def params(self) -> Mapping[str, Any]:
        """The operation's static parameters, such as ``{"axis": 0}``."""
        return self._call.params

    @property
    def kind(self) -> str:
        """``"leaf"`` (differentiable, made by Value or Tensor), ``"constant"`` or ``"op"``."""
        return self._call.kind

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes that were open when the node was made, outermost first."""
        return self._scope

    @property
    def parents(self) -> tuple[Variable, ...]:
        """The arguments of the operation, in order and with multiplicity."""
        return self._parents

    @parents.setter
    def parents(self, nodes: tuple[Variable, ...]) -> None:
        if any(node._stamp >= self._stamp for node in nodes):
            raise GraphCycleError(
                f"{self!r} cannot feed on itself or on a node that is younger than it: that closes a cycle, and a "
                "cycle has no topological order. Unroll the recurrence over time instead (tr.unroll)"
            )
        raise AttributeError(
            "parents are fixed when a node is recorded; apply the operation again to new arguments"
        )

    @property
    def _parents(self) -> tuple[Any, ...]:
        """The parents, out of the two slots that hold them.

        One or two Values stand in the slots themselves: a tuple for each node would be one more object for the
        cyclic collector to visit, which costs more than all else while a graph is built. Any other number, and
        the parents of a Tensor, stand as a tuple in the first slot.
        """
        first = self._first
        if first.__class__ is tuple:
            return first
        return (first,) if self._second is None else (first, self._second)

    @property
    def name(self) -> str:
        """What the node is called in drawings and reports; ``""`` when unnamed. Does not change the graph."""
        note = self._note
        return note.name if isinstance(note, Note) else note or ""

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}")
        if isinstance(self._note, Note):
            self._note.name = name
        else:
            self._note = name or None

    label = name

    def named(self, name: str) -> Any:
        """Return this node itself, now called ``name``."""
        self.name = name
        return self

    # --- its gradient

    @property
    def has_grad(self) -> bool:
        """Whether a gradient was computed (or assigned) since the last reset."""
        refuse_gradient()
        return self._grad is not None

    def register_hook(self, hook: Hook) -> Hook:
        """Call ``hook(cotangent)`` once in each backward pass, when this node's cotangent is complete. Returns it.

        The cotangent is read-only. What the hook returns, unless None, takes its place for all that lies before;
        it must have the same shape.

        Raises:
            TypeError: ``hook`` cannot be called.
        """
        refuse_effect("register_hook")
        if not callable(hook):
            raise TypeError(f"register_hook: hook must be callable, got {type(hook).__name__}")
        if not isinstance(self._note, Note):
            self._note = Note(self.name)
        self._note.hooks.append(hook)
        return hook

    def _run_hooks(self, cotangent: Any) -> Any:
        return self._note.run(self, cotangent) if isinstance(self._note, Note) else cotangent

    def backward(self, cotangent: Any = None) -> None:
        """Add to the ``.grad`` of every leaf its part in the derivative of this node, and set it on interior nodes.

        dL/dx is the sum over all paths from x to L of the product of the local derivatives (reverse mode: Linnainmaa
        1970; through time: Werbos 1990). Leaves accumulate over calls: a second call adds exactly as much again.

        Args:
            cotangent: dL/d(self), of this node's shape; 1 when left out, which needs a node of one entry.

        Raises:
            ValueError: the cotangent has another shape, or is missing for a node of several entries, or the node
                depends on no leaf.
            GraphMutationError: a leaf was assigned after the graph had used it.
        """
        refuse_effect("backward(), which adds to .grad,")
        if not self._call.active:
            raise ValueError(
                f"backward: {self._title()} depends on no differentiable leaf (it is a constant, detached, or was made "
                "inside no_grad); nothing can be differentiated"
            )
        found = pullback((self,), (self._seed(cotangent),))
        with ADDING:
            for node, g in found.items():
                if node._call is LEAF:
                    node._grad = node._own(g) if node._grad is None else node._own(node._grad + g)
                else:
                    node._grad = g if g.__class__ is float else node._keep(g)

    def _local_vjp(self, cotangent: Any) -> list[Any]:
        with np.errstate(all="ignore"):
            return local_vjp(self, self._seed(cotangent))

    # --- reading it, copying it

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis; ``()`` of a scalar."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the data."""
        raise NotImplementedError

    def _title(self) -> str:
        return self.name or (self._call.op.name if self._call.op is not None else self.kind)

    def _refuse_assignment(self) -> None:
        refuse_effect("assigning .data")
        if self._call.op is not None:
            raise GraphMutationError(
                f"the result of operation {self._call.op.name!r} cannot be assigned: its graph relies on it. "
                "Assign to a leaf (p.data = new), or compute a new node"
            )
        if self._call is not LEAF:
            raise GraphMutationError(
                f"a constant cannot be assigned ({self._title()}): recorded graphs rely on it. Make a new one, "
                "or a leaf (tr.Value, tr.Tensor), which can be"
            )

    def _refuse_reading_in_transform(self, what: str) -> None:
        refuse_reading(self, what)
        transforms = RECORDING.get().transforms
        if transforms:
            raise TraceError(
                f"{what} inside {transforms[-1]}: the number would leave the graph and its derivative be lost. "
                "Use tr.ops or the node's own methods, or detach() it on purpose"
            )

    def detach(self) -> Any:
        """Return the same value as a constant: no gradient passes back through it, and it holds no history alive.

        Inside a transformation such as ``tr.grad`` it is a recorded node, so that the value can be followed.
        """
        if RECORDING.get().transforms:
            return ops.detach(self)
        return self._new(self._data, CONSTANT, name=self.name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return reduced(self)

    def __copy__(self) -> Any:
        kind, args = reduced(self)
        return kind(*args)

    def __bool__(self) -> bool:
        refuse_reading(self, "bool(), an if or a while")
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def item(self) -> float:
        """Return the only entry as a Python number."""
        refuse_reading(self, "item(), float() or int()")
        return float(self._data)

    # --- the parts that each carrier fills in

    @classmethod
    def _record(cls, op: Op, nodes: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _raw(self) -> Any:
        raise NotImplementedError

    def _seed(self, cotangent: Any) -> Any:
        raise NotImplementedError

    def _admit(self, cotangent: Any) -> Any:
        raise NotImplementedError

    def _own(self, gradient: Any) -> Any:
        raise NotImplementedError

    def _keep(self, gradient: Any) -> Any:
        raise NotImplementedError

    def _summary(self) -> str:
        raise NotImplementedError

    # --- operators

    if TYPE_CHECKING:  # set below, or printed, from the operations' records
        data: Any
        grad: Any

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...

        exp: Callable[..., Any]
        expm1: Callable[..., Any]
        log: Callable[..., Any]
        log1p: Callable[..., Any]
        sqrt: Callable[..., Any]
        square: Callable[..., Any]
        sin: Callable[..., Any]
        cos: Callable[..., Any]
        tan: Callable[..., Any]
        arctan: Callable[..., Any]
        sinh: Callable[..., Any]
        cosh: Callable[..., Any]
        tanh: Callable[..., Any]
        sigmoid: Callable[..., Any]
        softplus: Callable[..., Any]
        relu: Callable[..., Any]
        leaky_relu: Callable[..., Any]
        sign: Callable[..., Any]
        abs: Callable[..., Any]
        clip: Callable[..., Any]

    __hash__ = object.__hash__

    def __neg__(self) -> Any:
        return ops.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return ops.abs(self)


def recorded(op: Op, nodes: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    """Return the node of an operation whose result is of the other carrier than its arguments."""
    carrier = next(c for c in Variable.__subclasses__() if c._carrier == op.result)
    return carrier._record(op, nodes, params)


def operator_of(op: Op, swap: bool = False) -> Callable[[Any, Any], Any]:
    """Return the method behind an operator such as ``+``, or ``swap`` behind its reflected form."""

    def operator(self: Any, other: Any) -> Any:
        if not self._takes(other):
            return NotImplemented
        return self._apply(op, (other, self) if swap else (self, other), {})

    return operator


def method_of(function: Any, name: str) -> Callable[..., Any]:
    """Return the method that calls an operation, or a function over nodes, with the node itself in front."""

    def method(self: Any, *args: Any, **params: Any) -> Any:
        return function(self, *args, **params)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Return {function.doc}." if isinstance(function, Op) else function.__doc__
    return method


OPERATORS = {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.divide,
    "pow": ops.power,
}
UNARY_METHODS = (
    ops.exp, ops.expm1, ops.log, ops.log1p, ops.sqrt, ops.square, ops.sin, ops.cos, ops.tan, ops.arctan, ops.sinh,
    ops.cosh, ops.tanh, ops.sigmoid, ops.softplus, ops.relu, ops.leaky_relu, ops.sign, ops.abs, ops.clip,
)  # fmt: skip

for _name, _op in OPERATORS.items():
    setattr(Variable, f"__{_name}__", operator_of(_op))
    setattr(Variable, f"__r{_name}__", operator_of(_op, swap=True))
for _op in UNARY_METHODS:
    setattr(Variable, _op.name, method_of(_op, _op.name))
