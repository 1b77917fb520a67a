"""``Recurrences``: which values are computed step by step."""

from __future__ import annotations

from tinygrad_rnn.plan.scheduling.schedule import Order


class Recurrences:
    """For each item of a program the number of the recurrence that it belongs to, -1 where it belongs to none.

    Items that rewrites add are outside: each stands for what was found to be so.
    """

    def __init__(self, order: Order) -> None:
        own = [c if c in order.recurrent else -1 for c in order.component]
        self._of = [own[b] for b in order.base]

    def __len__(self) -> int:
        """Return the number of items of the program."""
        return len(self._of)

    def __getitem__(self, i: int) -> int:
        """Return the recurrence of item i."""
        return self._of[i] if i < len(self._of) else -1
