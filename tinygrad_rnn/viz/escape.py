r"""Text as DOT may hold it: nothing that a name contains can become markup, a link or a second statement.

DOT reads ``\`` and ``"`` in a quoted string, HTML entities in a label, ``\N`` as the node's own name, and anything
between ``<`` and ``>`` as markup. Names are the user's, so each is cleaned, shortened and escaped here; identifiers
are made by the drawing (``n0``, ``n1``, ...) and never from a name.
"""

from __future__ import annotations

import re
from html import escape as _entities

LONGEST_NAME = 48  # characters; a longer name ends in an ellipsis
_INDEX = r"(?:\d+|[^\W_]{1,3}|init)"
# a letter or word, its index in brackets; subscripts; an index in brackets
_SUBSCRIPTED = re.compile(rf"([^\W_]+(?:\[[^\]]*\])?)_({_INDEX}(?:_{_INDEX})*|\(t[-+]\d+\))(\[[^\]]*\])?\Z")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _pictured() -> dict[int, str]:
    """Return what stands for each character that XML 1.0 forbids or a terminal obeys."""
    table = {code: chr(0x2400 + code) for code in range(0x20)}  # ␀ ␁ ... ␊: Unicode's control pictures
    table |= dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT) | {0x7F: "\N{SYMBOL FOR DELETE}"}
    table |= dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT)  # lone surrogates have no UTF-8
    return table | {0xFFFE: _REPLACEMENT, 0xFFFF: _REPLACEMENT}


_TABLE = _pictured()


def shown(text: str, longest: int = LONGEST_NAME) -> str:
    """Return ``text`` on one line of at most ``longest`` characters, without control characters.

    A control character becomes its picture, a lone surrogate the replacement character.

    Example:
        >>> shown("two\\nlines")
        'two␊lines'
        >>> shown("a" * 10_000, longest=5)
        'aaaa…'
    """
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return text if text.isprintable() else text.translate(_TABLE)


def quoted(text: str) -> str:
    r"""Return ``text`` as the inside of a quoted DOT string: shown literally, never as markup.

    Example:
        >>> quoted(r'say "\N" & <b>')
        'say \\"\\\\N\\" &amp; <b>'
    """
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def marked_up(text: str) -> str:
    """Return ``text`` as character data of an HTML-like label.

    Example:
        >>> marked_up("<b>")
        '&lt;b&gt;'
    """
    return _entities(text)


def subscripted(heading: str, size: float = 8.0) -> str:
    """Return a heading as character data of an HTML-like label, the name in it written as in a formula.

    ``h_3``, ``W_hh`` and ``h_init`` have a subscript, ``size`` points high: a number, at most three letters or
    ``init``. ``training_loss`` is a word.

    Example:
        >>> subscripted("h_3 = tanh")
        'h<font point-size="8"><sub>3</sub></font> = tanh'
        >>> subscripted("training_loss")
        'training_loss'
    """
    name, equals, rest = heading.partition(" = ")
    found = _SUBSCRIPTED.match(name)
    if found is None:
        return marked_up(heading)
    base, below, at = found.groups()
    lower = marked_up(below.replace("_", ",").strip("()"))
    small = f'<font point-size="{size:g}"><sub>{lower}</sub></font>'
    return f"{marked_up(base)}{small}{marked_up((at or '') + equals + rest)}"
