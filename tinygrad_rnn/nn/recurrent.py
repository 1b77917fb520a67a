"""``RNN``, ``LSTM``, ``GRU``: cells stacked in layers, in one or two directions, unrolled over a sequence.

Shapes: T steps, B examples, I inputs, H hidden units, L layers, D directions (1 or 2).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.draws import random
from tinygrad_rnn.core.graph import Node, scope
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.nn.cells import (
    PARAMETERS,
    Cell,
    GRUCell,
    LSTMCell,
    RNNCell,
    draw_parameters,
    known_nonlinearity,
    parameter_shapes,
)
from tinygrad_rnn.nn.inputs import (
    carry,
    float_dtype,
    generator,
    plain,
    positive,
    real,
    require_indices,
    require_shape,
    state_parts,
)
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.unroll import Unrolled, unroll


class Recurrent(Module):
    """What the three stacks share. Abstract: use RNN, LSTM or GRU.

    Args:
        input_size: I.
        hidden_size: H, of every layer.
        num_layers: L; layer l reads the outputs of layer l - 1.
        bidirectional: whether each layer also runs from the end to the start, with parameters
            ``..._reverse``; its outputs are then (..., 2H), forward first.
        dropout: the probability with which an output of a layer that feeds another is zeroed, in calls that
            are given a Generator; the rest is divided by 1 - dropout.
        bias: whether the cells have biases.
        rng: draws every parameter uniformly within 1/sqrt(H), as PyTorch does; None makes a fresh Generator.
        dtype: float64 or float32; inputs of another dtype are cast to it.
    """

    cell: ClassVar[type[Cell]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        *,
        bias: bool = True,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        who = type(self).__name__
        if not 0 <= dropout < 1:
            raise ValueError(f"{who}: dropout must lie in [0, 1), got {dropout}")
        self.input_size = positive(f"{who}: input_size", input_size)
        self.hidden_size = positive(f"{who}: hidden_size", hidden_size)
        self.num_layers = positive(f"{who}: num_layers", num_layers)
        self.bidirectional, self.dropout = bool(bidirectional), float(dropout)
        rng = generator(f"{who}: rng", rng)
        kind = float_dtype(f"{who}: dtype", dtype)
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.hidden_size * self.directions
            shapes = parameter_shapes(self.cell.gates, width, self.hidden_size, bias)
            for suffix in self._suffixes(layer):
                named = {f"{name}{suffix}": shape for name, shape in shapes.items()}
                vars(self).update(draw_parameters(named, 1 / math.sqrt(self.hidden_size), rng, kind))

    @property
    def directions(self) -> int:
        """D: 2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, and so of outputs and states."""
        dtype: np.dtype[Any] = vars(self)["weight_ih_l0"].dtype
        return dtype

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def _settings(self) -> dict[str, Any]:
        """What a cell of this stack has besides its parameters."""
        return {}

    def _cell(self, suffix: str) -> Cell:
        """The cell of one layer and direction, over this stack's own parameters."""
        named = {name: vars(self)[f"{name}{suffix}"] for name in PARAMETERS}
        return self.cell.sharing(named, **self._settings())

    def __call__(
        self, x: Any, state: Any = None, lengths: Any = None, rng: np.random.Generator | None = None
    ) -> tuple[Node, Any]:
        """Return the outputs of the last layer (T, B, D*H) and the final state, as PyTorch does.

        Args:
            x: Tensor or array (T, B, I), or (T, I) for one example; results then have no B either.
            state: h (L*D, B, H), for an LSTM the pair (h, c); layer by layer, forward before reverse. None is
                zeros.
            lengths: integers (B,), each from 0 to T: example b is its first lengths[b] steps. Its outputs past
                them are 0, its final state is that of its last step, and what lies there is never read.
            rng: draws the dropout masks; None drops nothing.

        Raises:
            ValueError, TypeError: an argument that does not fit; no node was made.
        """
        run = self.unroll(x, state, lengths, rng)
        finals = [run.final_state] if self.num_layers * self.directions == 1 else run.final_state
        parts = [ops.stack(list(part)) for part in zip(*map(_parts_of, finals), strict=True)]
        if run.outputs:
            outputs = ops.stack(run.outputs)
        else:
            width = (*parts[0].shape[1:-1], self.hidden_size * self.directions)
            outputs = constant(np.zeros((0, *width), parts[0].dtype))
        return outputs, parts[0] if len(parts) == 1 else tuple(parts)

    def unroll(
        self, x: Any, state: Any = None, lengths: Any = None, rng: np.random.Generator | None = None
    ) -> Unrolled:
        """Return the steps, for the same arguments; their nodes lie in scopes ("layer l", "t=...").

        ``outputs[t]`` is (B, D*H). A state is that of the cell, or with several layers or directions the
        tuple of those, layer by layer, forward before reverse. A reverse direction walks from the last step
        to the first in scope "layer l reverse": its part of ``states[t]`` is made from that of step t + 1.
        """
        x, parts, lengths = self._checked(x, state, lengths, rng)
        starts = self._starts(x, parts)
        inputs: Any = carry(x, self.dtype) if isinstance(x, Tensor) else x
        if self.bidirectional:
            inputs = _steps(inputs)
        walks: list[Unrolled] = []
        for layer in range(self.num_layers):
            if layer and rng is not None and self.dropout:
                inputs = self._dropped(inputs, rng, layer - 1)
            for suffix in self._suffixes(layer):
                with scope(_title(suffix)):
                    backwards = suffix.endswith("reverse")
                    start = starts[len(walks)]
                    walks.append(unroll(self._cell(suffix).step, inputs, start, lengths, reverse=backwards))
            inputs = self._joined(walks[-2:], layer) if self.bidirectional else walks[-1].outputs
        return Unrolled(
            inputs=walks[0].inputs,
            outputs=inputs,
            states=_across([walk.states for walk in walks]),
            previous_states=_across([walk.previous_states for walk in walks]),
            initial_state=_across([[walk.initial_state] for walk in walks])[0],
            final_state=_across([[walk.final_state] for walk in walks])[0],
            scopes=walks[-self.directions].scopes,
        )

    def _checked(self, x: Any, state: Any, lengths: Any, rng: Any) -> tuple[Any, Any, Any]:
        """The arguments as Tensors or arrays that fit; no node is made."""
        who, size, dtype = type(self).__name__, ("I", self.input_size), self.dtype
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"{who}: rng must be a numpy.random.Generator, got {type(rng).__name__}")
        x = real(f"{who}: x", x, dtype)
        require_shape(f"{who}: x", x.shape, ("T", "B", size), ("T", size))
        batch = tuple(("B", n) for n in x.shape[1:-1])
        rows = (("L*D", self.num_layers * self.directions), *batch, ("H", self.hidden_size))
        parts = None if state is None else state_parts(who, self.cell.parts, state, dtype, rows)
        return x, parts, self._checked_lengths(lengths, x.shape, batch)

    def _checked_lengths(self, lengths: Any, shape: tuple[int, ...], batch: tuple[Any, ...]) -> Any:
        if lengths is None:
            return None
        who = f"{type(self).__name__}: lengths"
        if not batch:
            raise ValueError(f"{who} need x of shape (T, B, I={self.input_size}), got {shape}")
        given = lengths if isinstance(lengths, Tensor) else plain(who, lengths)
        given = require_indices(who, given, shape[0] + 1, ValueError)
        require_shape(who, given.shape, batch)
        return given if isinstance(given, Tensor) else given.astype(np.intp)

    def _starts(self, x: Any, parts: Any) -> list[Any]:
        """The initial state of each layer and direction, as its cell has it."""
        count = self.num_layers * self.directions
        if parts is None:
            zeros = np.zeros((*x.shape[1:-1], self.hidden_size), self.dtype)
            rows = [[constant(zeros) for _ in self.cell.parts] for _ in range(count)]
        else:
            nodes = [carry(part, self.dtype) for part in parts]
            rows = [[node[k] for node in nodes] for k in range(count)]
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    def _dropped(self, outputs: list[Node], rng: np.random.Generator, layer: int) -> list[Node]:
        """The outputs of a layer with dropout: a share is 0, the rest is divided by 1 - dropout."""
        scale, zero = np.asarray(1 / (1 - self.dropout), self.dtype), np.zeros((), self.dtype)
        dropped = []
        for t, y in enumerate(outputs):
            with scope(f"layer {layer}"), scope(f"t={t}"):
                draw = random(rng, y.shape, self.dtype)
                dropped.append(y * ops.where(ops.greater_equal(draw, self.dropout), scale, zero))
        return dropped

    def _joined(self, walks: list[Unrolled], layer: int) -> list[Node]:
        """The outputs of both directions side by side, step by step."""
        joined = []
        for t, pair in enumerate(zip(*(walk.outputs for walk in walks), strict=True)):
            with scope(f"layer {layer}"), scope(f"t={t}"):
                joined.append(ops.concatenate(list(pair), axis=-1).named(f"y_{t}"))
        return joined


class RNN(Recurrent):
    """Layers of :class:`RNNCell`: ``h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``, or relu.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> net = tr.nn.RNN(3, 5, num_layers=2, rng=np.random.default_rng(0))
        >>> outputs, state = net(np.zeros((7, 2, 3)))
        >>> outputs.shape, state.shape
        ((7, 2, 5), (2, 2, 5))
    """

    cell = RNNCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        *,
        nonlinearity: str = "tanh",
        **common: Any,
    ) -> None:
        self.nonlinearity = known_nonlinearity("RNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dropout, **common)

    def _settings(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class LSTM(Recurrent):
    """Layers of :class:`LSTMCell`; the state is the pair (h, c).

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> net = tr.nn.LSTM(3, 5, bidirectional=True, rng=np.random.default_rng(0))
        >>> outputs, (h, c) = net(np.zeros((7, 2, 3)), lengths=[7, 4])
        >>> outputs.shape, h.shape, c.shape
        ((7, 2, 10), (2, 2, 5), (2, 2, 5))
    """

    cell = LSTMCell


class GRU(Recurrent):
    """Layers of :class:`GRUCell`, which explains ``reset_after``."""

    cell = GRUCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        *,
        reset_after: bool = True,
        **common: Any,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dropout, **common)

    def _settings(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after}


def _steps(x: Any) -> list[Node]:
    """The nodes x_t, each made once, in its step of the first layer: both directions read it."""
    steps = []
    for t in range(len(x)):
        with scope("layer 0"), scope(f"t={t}"):
            steps.append(x[t] if isinstance(x, Tensor) else constant(x[t]))
    return steps


def _title(suffix: str) -> str:
    """The scope of "_l0_reverse" is "layer 0 reverse"."""
    return suffix.replace("_l", "layer ").replace("_", " ")


def _parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def _across(columns: list[list[Any]]) -> list[Any]:
    """One entry for each step: that of the only column, or the tuple of all."""
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
