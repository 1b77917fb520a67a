"""``unroll``: a cell and a sequence become a feedforward graph, one copy of the cell for each time step.

S_t = cell(x_t, S_{t-1}). The cycle of the recurrent network is gone, because each step makes its own nodes; the weights
are single leaves with one use in each step. Backpropagation through time (Werbos 1990) is then ordinary reverse
mode over this graph, and truncating it means cutting edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import RECORDING, recording
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.nn.inputs import plain

Cell = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A network replicated over time. Index t runs over the steps 0 ... T-1.

    Attributes:
        inputs: x_t.
        outputs: y_t, or the (first part of the) state where the cell has no output of its own.
        states: the state after step t.
        previous_states: the state that step t was given; beyond a cut it is a detached copy.
        initial_state: the state before the first step.
        final_state: the state after the last step taken; the initial one when there is no step.
        scopes: the scope of each step, such as ``("layer 0", "t=3")``.
    """

    inputs: list[Any]
    outputs: list[Any]
    states: list[Any]
    previous_states: list[Any]
    initial_state: Any
    final_state: Any
    scopes: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.scopes)

    def __repr__(self) -> str:
        return f"<Unrolled over {len(self)} steps>"

    def each(self, fn: Callable[..., Any], *sequences: Any, name: str = "L") -> list[Any]:
        """Return ``fn(outputs[t], s[t], ...)`` for each step t, made inside that step and named ``name_t``.

        This is where readouts and the error at every step are made; ``tr.add_n`` of them is the total loss.

        Args:
            fn: called once for each step.
            sequences: further arguments, each with one item for each step.
            name: ``"L"`` for losses, ``"y"`` for readouts.

        Raises:
            ValueError: a sequence has another length than the network has steps.
        """
        for i, sequence in enumerate(sequences):
            if len(sequence) != len(self):
                raise ValueError(
                    f"each: sequence {i} has {len(sequence)} items, the network {len(self)} steps"
                )
        results = []
        for t, scope in enumerate(self.scopes):
            with recording(scope=scope):
                result = fn(self.outputs[t], *(s[t] for s in sequences))
                results.append(_named(result, f"{name}_{t}"))
        return results


def unroll(
    cell: Cell,
    inputs: Any,
    state: Any = None,
    lengths: Any = None,
    truncate: int | None = None,
    *,
    reverse: bool = False,
) -> Unrolled:
    """Return the network ``S_t, y_t = cell(x_t, S_{t-1})`` replicated for each time step.

    Args:
        cell: any callable ``(x_t, state) -> state`` or ``(x_t, state) -> (output, state)``, over Values or Tensors.
        inputs: T items, or an array or Tensor of shape (T, ...). A raw number or array becomes a constant x_t.
        state: the state before the first step: a node, a number or array (then a constant), or a nested
            tuple, list or dict of them; a list of Values is one vector. None asks ``cell.initial_state(x_0)``.
        lengths: (batch,) integers, 0 to T: how many steps each row of a ragged batch has. From there on the row's state
            stays and its output is 0, as in a packed sequence. Rows are the first axis of state and output.
        truncate: cut the gradient between blocks of this many steps (truncated BPTT, Williams and Peng 1990).
        reverse: walk from the last step to the first, as the second direction of a bidirectional network does.

    Raises:
        TypeError: the cell is not callable; there is no state and the cell offers none.
        ValueError: a state leaf changes its shape or dtype in step t; lengths or truncate are out of range.

    Example:
        >>> import tinygrad_rnn as tr
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 0.0, 0.0], state=0.0)
        >>> [f"{h:.3f}" for h in net.states]
        ['0.762', '0.363', '0.180']
    """
    if not callable(cell):
        raise TypeError(f"unroll: cell must be callable as cell(x_t, state), got {type(cell).__name__}")
    _check_truncate(truncate)
    items = _items(inputs)
    steps = len(items)
    state = _initial(cell, items) if state is None else state
    state = _as_nodes(state, lambda part: f"{part}_init", _parts(state))
    _require_nodes(state)
    alive = _alive(lengths, steps, state)
    outer, initial = RECORDING.get().scope, state
    scopes = [(*outer, f"t={t}") for t in range(steps)]
    made: list[Any] = [None] * steps
    for count, t in enumerate(reversed(range(steps)) if reverse else range(steps)):
        with recording(scope=scopes[t]):
            if truncate and count and count % truncate == 0:
                state = _cut(state)
            made[t] = _step(cell, t, items[t], state, alive(t))
        state = made[t][2]
    columns = [list(column) for column in zip(*made, strict=True)] if made else [[], [], [], []]
    inputs, outputs, states, previous = columns
    return Unrolled(inputs, outputs, states, previous, initial, state, scopes)


def _step(cell: Cell, t: int, item: Any, state: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Return x_t, y_t, S_t and S_{t-1} of step t; where ``mask`` is false a row rests."""
    like = next((x for _, x in flatten(state) if isinstance(x, Carrier)), None)
    x = _input(item, like, f"x_{t}")
    output, new = _returned(cell(x, state), state, t)
    own_output = output is not None
    if mask is not None:
        output = tree_map(lambda y: _where(mask, y, 0.0), output if own_output else _first(new))
        new = _kept(mask, new, state)
        own_output = True
    new = _as_nodes(new, lambda part: f"{part}_{t}", _parts(state))
    _same_kind(new, state, t)
    return x, _named(output, f"y_{t}") if own_output else _first(new), new, state


def _items(inputs: Any) -> Any:
    """Return the inputs as something that has a length and an item for each step."""
    if isinstance(inputs, (Carrier, np.ndarray)):
        if not inputs.shape:  # type: ignore[union-attr]
            raise TypeError("unroll: inputs must be T items or have shape (T, ...), got a single number")
        return inputs
    if isinstance(inputs, (str, bytes, Mapping)):
        raise TypeError(f"unroll: inputs must be T items or an array (T, ...), got {type(inputs).__name__}")
    try:
        return list(inputs)
    except TypeError:
        raise TypeError(
            f"unroll: inputs must be T items or an array (T, ...), got {type(inputs).__name__}"
        ) from None


def _require_nodes(state: Any) -> None:
    for path, leaf in flatten(state):
        if not isinstance(leaf, Carrier):
            raise TypeError(
                f"unroll: state{path} must be a node, a number or an array, got {type(leaf).__name__}"
            )


def _constant(x: Any, name: str) -> Any:
    """Return the constant node that ``x`` becomes in the network under ``name``."""
    try:
        return constant(x, name=name)
    except (TypeError, ValueError, OverflowError) as error:
        raise type(error)(f"unroll: {name}: {error}") from None


def _check_truncate(truncate: Any) -> None:
    if truncate is None:
        return
    if isinstance(truncate, bool) or not isinstance(truncate, (int, np.integer)):
        raise TypeError(f"unroll: truncate must be a number of steps or None, got {truncate!r}")
    if truncate < 1:
        raise ValueError(f"unroll: truncate must be at least 1, got {truncate}")


def _initial(cell: Any, items: Any) -> Any:
    make = getattr(cell, "initial_state", None)
    if make is None:
        raise TypeError(
            "unroll: state is None and the cell has no initial_state(x); give the state before the first step"
        )
    if len(items):
        return make(items[0])
    if isinstance(items, list):
        raise ValueError(
            "unroll: no steps and no state: give the state, or inputs as an array of shape (0, ...)"
        )
    return make(np.zeros(items.shape[1:]))


def _parts(state: Any) -> list[str]:
    """Return a name for each leaf of the state: h, or h and c of a pair, dict keys, h[i] of a vector of Values."""
    paths = [path for path, _ in flatten(state)]
    if isinstance(state, tuple) and len(state) == 2:
        return [("h" if path.startswith("[0]") else "c") + path[3:] for path in paths]
    if isinstance(state, dict):
        return [path[2:].replace("']", "", 1) for path in paths]
    return [f"h{path}" for path in paths]


def _as_nodes(tree: Any, name: Callable[[str], str], parts: list[str]) -> Any:
    leaves = [x for _, x in flatten(tree)]
    if len(leaves) != len(parts):
        return tree  # another structure: _same_kind says so
    return unflatten(tree, iter([_named(x, name(part)) for x, part in zip(leaves, parts, strict=True)]))


def _named(x: Any, name: str) -> Any:
    """Return ``x`` as a node that has a name: its own, or ``name``."""
    if isinstance(x, (int, float, np.ndarray, np.number)) and not isinstance(x, bool):
        return _constant(x, name)
    if isinstance(x, Carrier) and not x.name:  # type: ignore[attr-defined]
        x.name = name  # type: ignore[attr-defined]
    return x


def _input(item: Any, like: Any, name: str) -> Any:
    """Return x_t as a node of the state's carrier; a vector for a state of Values is a list of them."""
    if isinstance(item, Carrier):
        return _named(item, name)
    if isinstance(item, (dict, list, tuple)) and any(isinstance(x, Carrier) for _, x in flatten(item)):
        return unflatten(item, iter([_named(x, f"{name}{path}") for path, x in flatten(item)]))
    if isinstance(like, Value):
        array = plain(f"unroll: {name}", item)
        if array.ndim == 0:
            return _constant(array.item(), name)
        return unflatten(
            array.tolist(), iter([constant(float(x), name=f"{name}{p}") for p, x in flatten(array.tolist())])
        )
    return _constant(plain(f"unroll: {name}", item), name)


def _returned(result: Any, state: Any, t: int) -> tuple[Any, Any]:
    """Return (output or None, new state) of what a cell returned."""
    if _structure(result) == _structure(state):
        return None, result
    if isinstance(result, tuple) and len(result) == 2 and _structure(result[1]) == _structure(state):
        return result
    raise ValueError(
        f"unroll: in step t={t} the cell returned the structure {_structure(result)}; it must return the state's, "
        f"{_structure(state)}, or the pair (output, state)"
    )


def _structure(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {_structure(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, (list, tuple)):
        inner = ", ".join(map(_structure, tree))
        return f"[{inner}]" if isinstance(tree, list) else f"({inner})"
    return "*"


def _same_kind(new: Any, state: Any, t: int) -> None:
    for (path, a), (_, b) in zip(flatten(new), flatten(state), strict=True):
        if not isinstance(a, Carrier):
            raise ValueError(
                f"unroll: in step t={t} state{path} became a {type(a).__name__}, not a node or number"
            )
        if (a.shape, a.dtype) != (b.shape, b.dtype):  # type: ignore[attr-defined]
            raise ValueError(
                f"unroll: in step t={t} state{path} changed from {_kind(b)} to {_kind(a)}; a state keeps its "
                "shape and dtype from step to step"
            )


def _kind(node: Any) -> str:
    return f"{node.dtype} of shape {node.shape}"


def _first(state: Any) -> Any:
    """Return the output of a cell that returns a state only: the state, or the first part of a tuple or dict."""
    if isinstance(state, tuple):
        return state[0]
    return next(iter(state.values())) if isinstance(state, dict) else state


def _cut(state: Any) -> Any:
    """Return the state behind a recorded cut, which a drawing can show, each node under the name that it had."""
    cut = tree_map(ops.detach, state)
    for (_, new), (_, old) in zip(flatten(cut), flatten(state), strict=True):
        new.name = old.name
    return cut


def _alive(lengths: Any, steps: int, state: Any) -> Callable[[int], Any]:
    """Return the function from t to the mask of the rows that still run, None where all do."""
    if lengths is None:
        return lambda t: None
    leaves = [x for _, x in flatten(state)]
    if any(isinstance(x, Value) or not x.shape for x in leaves):
        raise TypeError("unroll: lengths need states that are Tensors with the batch as first axis")
    batch = leaves[0].shape[0]
    if isinstance(lengths, Carrier):
        if lengths.shape != (batch,):  # type: ignore[attr-defined]
            raise ValueError(f"unroll: lengths must have shape ({batch},), got {lengths.shape}")  # type: ignore[attr-defined]
        return lambda t: ops.greater(lengths, t)
    array = plain("unroll: lengths", lengths)
    if array.dtype.kind not in "iu" or array.shape != (batch,):
        raise ValueError(
            f"unroll: lengths must be {batch} integers, got {array.dtype} of shape {array.shape}"
        )
    if array.size and not (array.min() >= 0 and array.max() <= steps):
        raise ValueError(
            f"unroll: lengths must lie between 0 and T={steps}, got {array.min()} to {array.max()}"
        )
    return lambda t: None if np.all(array > t) else constant(array > t, name=f"alive_{t}")


def _where(mask: Any, a: Any, b: Any) -> Any:
    return ops.where(ops.reshape(mask, (-1,) + (1,) * (len(a.shape) - 1)), a, b)


def _kept(mask: Any, new: Any, state: Any) -> Any:
    pairs: Iterator[tuple[Any, Any]] = zip(
        (x for _, x in flatten(new)), (x for _, x in flatten(state)), strict=True
    )
    return unflatten(state, iter([_where(mask, a, b) for a, b in pairs]))
