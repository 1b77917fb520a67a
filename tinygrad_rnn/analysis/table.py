"""``Table`` and ``Tabulated``: the numbers of a result in rows, as text and as HTML."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_ROWS = 20  # a longer table shows its first and last rows


@dataclass(frozen=True, slots=True)
class Table:
    """A small table: a caption, the columns' headings and rows of cells.

    Numbers are written in four significant digits; of many rows the middle ones are left out, which a row says.

    Example:
        >>> print(Table("norms", ("t", "norm"), [(0, 0.123456), (1, 1e-9)]))
        norms
          t    norm
          0  0.1235
          1   1e-09
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __str__(self) -> str:
        lines = [list(self.headings), *self._lines()]
        widths = [max(len(line[k]) for line in lines if len(line) > k) for k in range(len(self.headings))]
        texts = ("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=False)) for line in lines)
        return "\n".join([self.caption, *(f"  {text}".rstrip() for text in texts)])

    def html(self) -> str:
        """Return the table as HTML; every text in it is escaped."""
        head = _row("th", self.headings)
        body = "".join(_row("td", line, len(self.headings)) for line in self._lines())
        caption = f"<caption>{html.escape(self.caption)}</caption>"
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>"

    def _lines(self) -> list[list[str]]:
        rows = [[_text(cell) for cell in row] for row in self.rows]
        if len(rows) <= _MOST_ROWS:
            return rows
        half = _MOST_ROWS // 2
        return [*rows[:half], [f"… {len(rows) - 2 * half} more …"], *rows[-half:]]


def _text(cell: Any) -> str:
    if isinstance(cell, (str, bool, int)):
        return str(cell)
    return "" if cell is None else f"{float(cell):.4g}"


def _row(tag: str, cells: Iterable[str], columns: int = 0) -> str:
    texts = list(cells)
    span = f' colspan="{columns}"' if len(texts) == 1 and columns > 1 else ""
    return f"<tr>{''.join(f'<{tag}{span}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"


class Tabulated(ABC):
    """A result that shows itself as a table, as text and in a notebook."""

    __slots__ = ()

    @abstractmethod
    def _table(self) -> Table:
        """Return its numbers."""

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().html()
