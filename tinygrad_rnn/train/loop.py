"""The training loop: loss, gradient, clipping, update; the numbers on a progress bar and in a History."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.nn.losses import cross_entropy
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.chunks import Chunk
from tinygrad_rnn.train.clip import clip_grad_norm
from tinygrad_rnn.train.gradient import Gradient
from tinygrad_rnn.train.history import History
from tinygrad_rnn.train.optim import Optimizer


class NonFiniteLossError(FloatingPointError):
    """The loss became inf or nan; the parameters are those before that update."""


class OneShotBatchesError(ValueError):
    """The batches are empty, or an iterator that ended before the updates did."""


@final
class Trainer:
    """Moves the parameters of a model down its loss, batch by batch.

    Args:
        model: whatever `loss` takes as its first argument, a Module as a rule.
        loss: `loss(model, batch)` -> a scalar node; with `carry`, `loss(model, batch, state)` -> (scalar
            node, state).
        optimizer: made for the parameters of the model.
        clip_norm: gradients of a larger norm are scaled down to it; infinity only measures.
        carry: hand the state of one batch, cut from its graph, to the next one: truncated backpropagation
            through time. It is None for the first batch of each pass.
        eager: record and differentiate the loss anew for each batch, instead of replaying a plan of it.

    Raises:
        ValueError: `clip_norm` is not above 0.
        TypeError: the optimizer is none.

    >>> import numpy as np
    >>> import tinygrad_rnn as tr
    >>> line = tr.nn.Linear(1, 1, rng=np.random.default_rng(0))
    >>> error = lambda model, pairs: tr.mean_squared_error(model(pairs[0]), pairs[1])
    >>> trainer = Trainer(line, error, tr.train.SGD(line, lr=0.3))
    >>> history = trainer.fit([(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))], 500, stop_below=1e-6)
    >>> history.converged, round(line.weight.item(), 2), round(line.bias.item(), 2)
    (True, 2.0, 1.0)
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[..., Any],
        optimizer: Optimizer,
        clip_norm: float = math.inf,
        carry: bool = False,
        eager: bool = False,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"Trainer: the optimizer must be an Optimizer, not {type(optimizer).__name__}")
        if not callable(loss):
            raise TypeError(f"Trainer: loss must be callable, got {type(loss).__name__}")
        check.truth("Trainer: carry", carry)
        check.truth("Trainer: eager", eager)
        if not check.number("Trainer: clip_norm", clip_norm, finite=False) > 0.0:
            raise ValueError(f"Trainer: clip_norm must be above 0; it is {clip_norm}")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.carry = carry
        self.history = History()
        self._gradient = Gradient(self._loss, list(optimizer.params.values()), eager)

    def fit(
        self,
        batches: Iterable[Any],
        updates: int,
        stop_below: float | None = None,
        seconds: float = math.inf,
        progress: bool | None = None,
        callback: Callable[[History], object] | None = None,
    ) -> History:
        """Return the history of up to `updates` updates; after an error or Ctrl-C it is in `self.history`.

        Args:
            batches: taken in order, again from the beginning when they end; a `Chunk` counts characters.
            updates: how many, at least 0.
            stop_below: stop at the first loss below this, before its update.
            seconds: start no update later than this after the start. Only a run that it does not end is
                reproducible.
            progress: a bar with loss, bits per character, gradient norm and speed: True always, False never,
                None in a terminal or a notebook with ipywidgets, if tqdm is installed.
            callback: called with the history after each update.

        Raises:
            ValueError: `updates` is negative or no integer; a limit is nan or negative.
            OneShotBatchesError: there are no batches, or an iterator (which cannot begin again) ended early.
            NonFiniteLossError: the loss is inf or nan.
            NonFiniteGradientError: a gradient is; its parameter is named. After both the parameters, the
                optimizer's state and the history are those before that update.
            ImportError: `progress` is True without tqdm.
        """
        _check_limits(updates, stop_below, seconds)
        self.history = history = History()
        start, state = time.perf_counter(), None
        with _Progress(updates, progress) as bar:
            for batch, first in _cycle(batches, updates):
                if time.perf_counter() - start > seconds:
                    break
                state = self._update(batch, None if first else state, start, stop_below)
                bar.show(history)
                if callback is not None:
                    callback(history)
                if history.converged:
                    break
        return history

    def _update(self, batch: Any, state: Any, start: float, stop_below: float | None) -> Any:
        """Make one update, note it in the history and return the state, cut from its graph."""
        number = len(self.history)
        value, state = self._gradient(batch, state)
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"the loss is {value} in update {number}; the parameters are those before it"
            )
        norm = clip_grad_norm(self.optimizer.params, self.clip_norm)
        converged = stop_below is not None and value < stop_below
        if not converged:
            self.optimizer.step()
        tokens = batch.tokens if isinstance(batch, Chunk) else 0
        self.history.add(value, norm, time.perf_counter() - start, tokens)
        self.history.converged = converged
        return state if self.carry else None

    def _loss(self, batch: Any, state: Any) -> tuple[Any, Any]:
        """Return (loss, state) of a batch; the state is None unless it is carried."""
        if not self.carry:
            return self.loss(self.model, batch), None
        result = self.loss(self.model, batch, state)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                "Trainer: with carry=True the loss must return (loss, state); "
                f"it returned a {type(result).__name__}"
            )
        return result


def next_character_loss(model: CharModel, chunk: Chunk, state: Any) -> tuple[Any, Any]:
    """Return (mean cross entropy in nats, the state after the chunk): a loss for `carry=True`."""
    if not isinstance(chunk, Chunk):
        raise TypeError(f"next_character_loss: chunk must be a Chunk, got {type(chunk).__name__}")
    if not callable(model):
        raise TypeError(f"next_character_loss: model must be a CharModel, got {type(model).__name__}")
    logits, state = model(chunk.inputs, state)
    return cross_entropy(logits, chunk.targets), state


def _check_limits(updates: int, stop_below: float | None, seconds: float) -> None:
    """Raise a ValueError for limits that no run could keep to."""
    if isinstance(updates, bool) or not isinstance(updates, int) or updates < 0:
        raise ValueError(f"fit: updates must be an integer of at least 0; it is {updates!r}")
    if stop_below is not None and math.isnan(stop_below):
        raise ValueError("fit: stop_below must be a number or None; it is nan")
    if not seconds >= 0.0:
        raise ValueError(f"fit: seconds must be at least 0; it is {seconds}")


def _cycle(batches: Iterable[Any], updates: int) -> Iterator[tuple[Any, bool]]:
    """Yield `updates` batches, each with whether it is the first of a pass."""
    done = 0
    while done < updates:
        before = done
        for batch in batches:
            yield batch, done == before
            done += 1
            if done == updates:
                return
        if done == before:
            raise OneShotBatchesError(
                f"fit: the batches ended after {done} of {updates} updates and cannot begin again; "
                "give a list or another iterable that can"
                if done
                else "fit: there are no batches"
            )


@final
class _Progress:
    """A tqdm bar, or nothing."""

    def __init__(self, updates: int, wanted: bool | None) -> None:
        self._bar: Any = None
        if wanted is False:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # without ipywidgets tqdm warns and shows a plain bar
                from tqdm.auto import tqdm
        except ImportError as error:
            if wanted:
                raise ImportError('the progress bar needs tqdm: pip install "tinygrad_rnn[train]"') from error
            return
        self._bar = tqdm(total=updates, unit="update", disable=None if wanted is None else False)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, history: History) -> None:
        """Show the last update's numbers; characters per second count from the start."""
        if self._bar is None:
            return
        numbers = {"loss": f"{history.loss[-1]:.4f}"}
        if history.tokens[-1]:
            numbers["bits/char"] = f"{history.bits[-1]:.3f}"
        numbers["|g|"] = f"{history.grad_norm[-1]:.3g}"
        if history.tokens[-1]:
            numbers["chars/s"] = f"{history.tokens_per_second:,.0f}"
        self._bar.set_postfix(numbers, refresh=False)
        self._bar.update()
