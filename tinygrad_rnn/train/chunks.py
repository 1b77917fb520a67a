"""A long text cut for truncated backpropagation through time: parallel streams in consecutive chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.train.text import TextError

Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Chunk(NamedTuple):
    """One step of training: `inputs` and `targets`, both (time, batch); a target is the next input."""

    inputs: Indices
    targets: Indices

    @property
    def tokens(self) -> int:
        """How many characters this chunk predicts."""
        return int(self.targets.size)


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """The chunks of an indexed text, to be iterated as often as wanted.

    The text is cut into `streams` consecutive pieces of equal size, which become the columns of the batch.
    Chunk k holds the characters k*length ... (k+1)*length of each stream, so that chunk k+1 goes on where
    chunk k ended and the state of a recurrent network can be handed over (Williams and Peng 1990, BPTT(h;
    h')).

    Args:
        indices: the text, shape (n,).
        length: time steps of a chunk.
        streams: columns of a chunk.
        partial: also yield the shorter chunk at the end, so that every target of a stream is seen.

    Raises:
        TextError: the text is too short for one chunk.

    >>> chunks = Chunks(np.arange(14), length=3, streams=2)
    >>> len(chunks), [chunk.inputs.T.tolist() for chunk in chunks]
    (2, [[[0, 1, 2], [7, 8, 9]], [[3, 4, 5], [10, 11, 12]]])
    >>> next(iter(chunks)).targets.T.tolist()
    [[1, 2, 3], [8, 9, 10]]
    """

    indices: Indices
    length: int
    streams: int
    partial: bool = False

    def __post_init__(self) -> None:
        check.whole("Chunks: length", self.length, 1)
        check.whole("Chunks: streams", self.streams, 1)
        check.truth("Chunks: partial", self.partial)
        if not isinstance(self.indices, np.ndarray) or self.indices.dtype.kind not in "iu":
            raise TypeError("Chunks: indices must be an array of integers")
        if self.indices.ndim != 1:
            raise TextError(f"Chunks: indices must have one axis, their shape is {self.indices.shape}")
        needed = self.streams * ((1 if self.partial else self.length) + 1)
        if self.indices.size < needed:
            raise TextError(
                f"too short: {self.indices.size} characters; {self.streams} streams of chunks of "
                f"{self.length} need at least {needed}"
            )

    @property
    def _predictions(self) -> int:
        """Targets in one stream."""
        return self.indices.size // self.streams - 1

    def __len__(self) -> int:
        whole, rest = divmod(self._predictions, self.length)
        return whole + (1 if self.partial and rest else 0)

    def __iter__(self) -> Iterator[Chunk]:
        size = self._predictions + 1
        columns = self.indices[: size * self.streams].reshape(self.streams, size).T  # (time, batch)
        for number in range(len(self)):
            start = number * self.length
            stop = min(start + self.length, self._predictions)
            yield Chunk(columns[start:stop], columns[start + 1 : stop + 1])
