"""Ragged sequences, each unrolled on its own, in one plan: ``python -m tests.benchmarks.ragged``.

32 sequences of 5 to 50 steps. A user loops over them and adds up the losses: one graph of 32 nets. Can the plan find
again the batches that the loop took apart? The yardstick is hand-written numpy that pads the sequences to one length
and masks the losses. Prints everyone's time and its ratio to the yardstick.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.figures import conditions, lines
from tests.benchmarks.hand_bptt import Array, HandRNN
from tests.benchmarks.race import CLOCKS, Step, timed
from tests.benchmarks.train_steps import limit_threads


@dataclass(frozen=True, slots=True)
class Ragged:
    """B sequences with I inputs, H hidden units and C classes, of ``shortest`` to ``longest`` steps (both occur)."""

    shortest: int = 5
    longest: int = 50
    B: int = 32
    I: int = 32  # noqa: E741
    H: int = 32
    C: int = 10
    dtype: str = "float64"

    @property
    def name(self) -> str:
        """``ragged-RNN-32x5..50x32x32-float64``."""
        return f"ragged-RNN-{self.B}x{self.shortest}..{self.longest}x{self.I}x{self.H}-{self.dtype}"

    def lengths(self) -> Array:
        """Return the lengths, the same in each call."""
        lengths = np.random.default_rng(0).integers(self.shortest, self.longest + 1, self.B)
        lengths[:2] = self.shortest, self.longest
        return lengths

    def data(self) -> tuple[list[Array], list[Array]]:
        """Return the inputs, (T_b, I) each, and the targets, (T_b,) each."""
        draw = np.random.default_rng(1)
        xs = [draw.normal(size=(n, self.I)).astype(self.dtype) for n in self.lengths()]
        return xs, [draw.integers(self.C, size=n) for n in self.lengths()]

    def padded(self) -> tuple[Array, Array, Array]:
        """Return the inputs (T, B, I), the targets (T, B) and which of them count."""
        x, y = (
            np.zeros((self.longest, self.B, self.I), self.dtype),
            np.zeros((self.longest, self.B), np.int64),
        )
        for b, (own_x, own_y) in enumerate(zip(*self.data(), strict=True)):
            x[: len(own_x), b], y[: len(own_y), b] = own_x, own_y
        return x, y, np.arange(self.longest)[:, None] < self.lengths()

    def parameters(self) -> list[Array]:
        """Return weight_ih, weight_hh, bias_ih, bias_hh, and the head's weight and bias."""
        draw, bound = np.random.default_rng(2), self.H**-0.5
        shapes = [(self.H, self.I), (self.H, self.H), (self.H,), (self.H,), (self.C, self.H), (self.C,)]
        return [draw.uniform(-bound, bound, shape).astype(self.dtype) for shape in shapes]


class HandPadded(HandRNN):
    """The padded batch by hand: the padding is masked in the head, so that no gradient comes from it."""

    def __init__(self, ragged: Ragged) -> None:
        kind = np.dtype(ragged.dtype).type
        super().__init__(ragged.longest, ragged.B, ragged.I, ragged.H, ragged.C, kind)
        mask = ragged.padded()[2].reshape(-1)
        self.weight = (mask / mask.sum()).astype(ragged.dtype)
        self.weight_column = self.weight[:, None]
        self.terms = self._empty(self.N)

    def _head(self, targets: Array, V: Array, c: Array) -> float:
        h, p, norm, terms = self.h[1:].reshape(self.N, -1), self.logits, self.norm, self.terms
        np.dot(h, V.T, out=p)
        np.add(p, c, out=p)
        np.maximum.reduce(p, axis=1, keepdims=True, out=norm)
        np.subtract(p, norm, out=p)
        chosen = p[self.picked, targets]
        np.exp(p, out=p)
        np.dot(p, self.ones_of_classes, out=norm)
        np.log(norm[:, 0], out=terms)
        np.subtract(terms, chosen, out=terms)
        loss = float(np.dot(terms, self.weight))
        np.divide(self.weight_column, norm, out=norm)
        np.multiply(p, norm, out=p)
        p[self.picked, targets] -= self.weight
        np.dot(p, V, out=self.dh_head.reshape(self.N, -1))
        np.dot(p.T, h, out=self.grads[4])
        np.dot(self.ones, p, out=self.grads[5])
        return loss


class Separate(tr.nn.Module):
    """The model as a user writes it who has a list of sequences: a loop, and a net for each of them."""

    def __init__(self, ragged: Ragged) -> None:
        self.cell = tr.nn.RNNCell(ragged.I, ragged.H, dtype=ragged.dtype)
        self.head = tr.nn.Linear(ragged.H, ragged.C, dtype=ragged.dtype)
        self.load_state_dict(dict(zip(self.named_parameters(), ragged.parameters(), strict=True)))

    def loss(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        losses = []
        for x, y in zip(xs, ys, strict=True):
            net = tr.unroll(self.cell, x)
            losses += net.each(lambda h, target: tr.cross_entropy(self.head(h), target), y)
        return tr.add_n(losses) / len(losses)


class Batched(tr.nn.Module):
    """The model as a user writes it who pads first: one layer with the sequences' lengths."""

    def __init__(self, ragged: Ragged) -> None:
        self.rnn = tr.nn.RNN(ragged.I, ragged.H, dtype=ragged.dtype)
        self.head = tr.nn.Linear(ragged.H, ragged.C, dtype=ragged.dtype)
        self.load_state_dict(dict(zip(self.named_parameters(), ragged.parameters(), strict=True)))

    def loss(self, x: Any, y: Any, mask: Any, lengths: Any) -> Any:
        outputs, _ = self.rnn(x, lengths=lengths)
        return tr.cross_entropy(self.head(outputs), y, mask=mask)


def hand(ragged: Ragged) -> Step:
    """Hand-written numpy, padded and masked."""
    step, (x, y, _), parameters = HandPadded(ragged), ragged.padded(), ragged.parameters()
    return lambda: step(x, y, *parameters)


def separate(ragged: Ragged, transform: Callable[[Any], Any] = tr.compile) -> Step:
    """One graph of all the sequences' nets, compiled."""
    net, (xs, ys) = Separate(ragged), ragged.data()
    step = transform(tr.value_and_grad(lambda net, xs, ys: net.loss(xs, ys)))
    return lambda: as_list(*step(net, xs, ys))


def separate_eager(ragged: Ragged) -> Step:
    """The same, each node made anew."""
    return separate(ragged, lambda fn: fn)


def batched(ragged: Ragged) -> Step:
    """One padded batch with lengths, compiled."""
    net, (x, y, mask), lengths = Batched(ragged), ragged.padded(), ragged.lengths()
    step = tr.compile(tr.value_and_grad(lambda net, x, y, mask, lengths: net.loss(x, y, mask, lengths)))
    return lambda: as_list(*step(net, x, y, mask, lengths))


def as_list(loss: Any, gradients: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Return the gradients without their names."""
    return loss, list(gradients.values())


CONTESTANTS: dict[str, Callable[[Ragged], Step]] = {
    "hand": hand,
    "separate": separate,
    "batched": batched,
    "separate-eager": separate_eager,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--who", default="hand,separate,batched", help=f"among {','.join(CONTESTANTS)}")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for the rounds")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="cpu where the machine is busy"
    )
    options = parser.parse_args()
    limit_threads("1")
    print(", ".join(f"{name} {version}" for name, version in conditions(options.clock).items()))
    ragged = Ragged()
    steps = {who: CONTESTANTS[who](ragged) for who in options.who.split(",")}
    print(lines(timed(ragged, steps, options.seconds, options.clock)))


if __name__ == "__main__":
    main()
