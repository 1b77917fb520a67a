"""What a training run leaves behind: one number of each kind for each update."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(slots=True)
class History:
    """The course of a training run; entry k of each list belongs to update k.

    Attributes:
        loss: before the update, in nats for a cross entropy.
        grad_norm: of all gradients together, before clipping.
        seconds: since the run began, at the end of the update.
        tokens: characters predicted in the update, 0 where the batches are not chunks of text.
        converged: whether a loss fell below `stop_below`; that loss is then the last entry and no update
            followed it.
    """

    loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    converged: bool = False

    def add(self, loss: float, grad_norm: float, seconds: float, tokens: int) -> None:
        """Append the numbers of one update."""
        self.loss.append(loss)
        self.grad_norm.append(grad_norm)
        self.seconds.append(seconds)
        self.tokens.append(tokens)

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def updates(self) -> int:
        """How often the parameters were changed."""
        return len(self.loss) - (1 if self.converged else 0)

    @property
    def bits(self) -> list[float]:
        """The losses in bits, loss / ln 2: bits per character for a mean cross entropy over characters."""
        return [loss / math.log(2.0) for loss in self.loss]

    @property
    def tokens_per_second(self) -> float:
        """Characters predicted per second over the whole run; 0 where there were none."""
        return sum(self.tokens) / self.seconds[-1] if self.seconds and self.seconds[-1] > 0.0 else 0.0

    def __repr__(self) -> str:
        if not self.loss:
            return "History(0 updates)"
        text = f"History({self.updates} updates, loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}"
        return text + (", converged)" if self.converged else ")")

    def to_dict(self) -> dict[str, Any]:
        """Return the lists by name, as plain Python numbers that `json.dumps` takes."""
        return {
            "loss": list(self.loss),
            "grad_norm": list(self.grad_norm),
            "seconds": list(self.seconds),
            "tokens": list(self.tokens),
            "converged": self.converged,
        }

    def plot(self, title: str = "") -> Figure:
        """Return a matplotlib Figure: the loss above the gradient norm (logarithmic), over the updates.

        A figure, not a window: in a notebook it shows itself, elsewhere `.savefig(path)` writes it. The loss
        is given in bits per character where the batches were chunks of text.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: there is no update to plot.
        """
        if not self.loss:
            raise ValueError("plot: the history is empty")
        text = any(self.tokens)
        figure = _figure()
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.set_title(title)
        _curve(upper, self.bits if text else self.loss, "bits per character" if text else "loss")
        _curve(lower, self.grad_norm, "gradient norm")
        if any(norm > 0.0 for norm in self.grad_norm):
            lower.set_yscale("log")
        lower.set_xlabel("update")
        return figure


def _figure() -> Figure:
    """Return an empty figure."""
    try:
        from tinygrad_rnn.train.figure import ShownFigure
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install "tinygrad_rnn[train]"') from error
    return ShownFigure()


def _curve(axes: Any, values: list[float], label: str) -> None:
    """Draw the values faintly and their running mean over 2 % of the run strongly."""
    axes.plot(values, linewidth=0.8, alpha=0.35, color="tab:blue")
    axes.plot(_running_mean(values, max(len(values) // 50, 1)), color="tab:blue")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)


def _running_mean(values: list[float], width: int) -> list[float]:
    """Return the mean of each value with the up to width - 1 values before it."""
    means, total = [], 0.0
    for number, value in enumerate(values):
        total += value - (values[number - width] if number >= width else 0.0)
        means.append(total / min(number + 1, width))
    return means
