"""Text as indices: what is read from a file, which characters occur in it, and how they are numbered."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check

MINIMUM_CHARACTERS = 1_000
"""A file with fewer characters is refused by `Text.read`: nothing can be learned from it and held out."""

_BYTE_ORDER_MARKS = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32"),
                     (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))  # fmt: skip


class TextError(ValueError):
    """A text that cannot be read, is too short, or holds a character that the vocabulary does not."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The characters that a model knows; a character's index is its place in `characters`.

    Args:
        characters: distinct characters, in the order of their indices.

    Raises:
        TextError: there is no character, or one occurs twice.

    >>> vocabulary = Vocabulary.of("banana")
    >>> vocabulary
    Vocabulary(characters='abn')
    >>> vocabulary.encode("nab").tolist(), vocabulary.decode([1, 0, 2])
    ([2, 0, 1], 'ban')
    """

    characters: str

    def __post_init__(self) -> None:
        if not check.text("Vocabulary: characters", self.characters):
            raise TextError("Vocabulary: no characters; at least one is needed")
        seen: set[str] = set()
        for position, character in enumerate(self.characters):
            if character in seen:
                raise TextError(f"Vocabulary: character {character!r} occurs again at index {position}")
            seen.add(character)

    @classmethod
    def of(cls, characters: Iterable[str]) -> Vocabulary:
        """Return the vocabulary of a text: its distinct characters in the order of their code points."""
        return cls("".join(sorted(set(characters))))

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def encode(self, text: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the index of each character, shape (len(text),).

        Raises:
            TextError: a character is not in the vocabulary; the first such one is named with its position.
        """
        index = {character: number for number, character in enumerate(self.characters)}
        try:
            return np.fromiter((index[character] for character in text), np.int64, count=len(text))
        except KeyError as error:
            unknown: str = error.args[0]
        raise TextError(
            f"character {unknown!r} (U+{ord(unknown):04X}) at position {text.index(unknown)} is not in the "
            f"vocabulary of {len(self)} characters: {_shortened(self.characters)}"
        )

    def decode(self, indices: Iterable[Any]) -> str:
        """Return the text whose characters have the given indices, each in 0 ... len(self) - 1.

        Raises:
            TextError: an index lies outside the vocabulary.
        """
        array = np.fromiter((int(index) for index in indices), np.int64)
        outside = array[(array < 0) | (array >= len(self))]
        if outside.size:
            raise TextError(f"index {outside[0]} is outside the vocabulary: legal are 0 ... {len(self) - 1}")
        return "".join(self.characters[index] for index in array)


@dataclass(frozen=True, slots=True)
class Text:
    """A text to learn from, and a name that says where it came from.

    >>> text = Text("one fish two fish", name="rhyme")
    >>> text.vocabulary.characters, len(text)
    (' efhinostw', 17)
    >>> train, held_out = text.split(0.25)
    >>> train.characters, held_out.characters
    ('one fish two ', 'fish')
    """

    characters: str
    name: str = "text"

    def __post_init__(self) -> None:
        check.text("Text: characters", self.characters)
        check.text("Text: name", self.name)

    @classmethod
    def read(cls, path: str | os.PathLike[str], minimum: int = MINIMUM_CHARACTERS) -> Text:
        r"""Return the text of a UTF-8 file; "\r\n" and "\r" become "\n", a byte order mark is dropped.

        Raises:
            TextError: the file cannot be opened, is a directory, is empty, is not UTF-8 (the message gives
                the offset of the first wrong byte), or has fewer than `minimum` characters.
        """
        name = check.path("Text.read: path", path)
        try:
            with open(path, "rb") as file:
                raw = file.read()
        except OSError as error:
            raise TextError(f"{name}: cannot be read: {error.strerror or error}") from error
        characters = _decoded(raw, name).replace("\r\n", "\n").replace("\r", "\n")
        if not characters:
            raise TextError(f"{name}: the file is empty")
        if len(characters) < minimum:
            raise TextError(f"{name}: too short: {len(characters)} characters, at least {minimum} are needed")
        return cls(characters, name)

    @classmethod
    def python_topics(cls) -> Text:
        """Return the English prose that ships inside Python: the topics of `help()`, in alphabetical order.

        The words differ from one Python version to the next; `sha1` tells which ones were learned.

        Raises:
            TextError: this Python was installed without `pydoc_data`.
        """
        try:
            from pydoc_data.topics import topics
        except ImportError as error:
            raise TextError("this Python has no pydoc_data.topics: give a text file of your own") from error
        return cls("\n".join(topics[title] for title in sorted(topics)), "pydoc_data.topics")

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Text(name={self.name!r}, {len(self)} characters, sha1={self.sha1[:10]})"

    @property
    def sha1(self) -> str:
        """The SHA-1 of the text in UTF-8, in hexadecimal: the identity of a corpus, not a protection."""
        raw = self.characters.encode("utf-8", "surrogatepass")
        return hashlib.sha1(raw, usedforsecurity=False).hexdigest()

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters that occur in this text."""
        return Vocabulary.of(self.characters)

    def split(self, held_out: float = 0.1) -> tuple[Text, Text]:
        """Return (training part, held-out part): the last `held_out` of the characters is never trained on.

        One cut rather than many: a text repeats itself nearby, and scattered pieces would leak their
            neighbors.

        Raises:
            TextError: `held_out` is not between 0 and 1, or one of the parts would be empty.
        """
        if not 0.0 < held_out < 1.0:
            raise TextError(f"split: held_out must lie between 0 and 1, both excluded; it is {held_out}")
        cut = len(self) - int(len(self) * held_out + 0.5)
        if not 0 < cut < len(self):
            raise TextError(f"split: {len(self)} characters cannot be split with held_out={held_out}")
        train = Text(self.characters[:cut], f"{self.name} (training part)")
        return train, Text(self.characters[cut:], f"{self.name} (held-out part)")


def _decoded(raw: bytes, name: str) -> str:
    """Return the characters of UTF-8 bytes; a TextError gives the offset of the first wrong byte."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            raise TextError(f"{name}: begins with the byte order mark of {encoding}; save it as UTF-8")
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        message = f"{name}: not UTF-8 at byte {error.start} (0x{raw[error.start]:02x}, {error.reason})"
        raise TextError(f"{message}; save it as UTF-8") from None


def _shortened(characters: str, limit: int = 60) -> str:
    """Return the repr of the characters, cut at the limit."""
    return repr(characters if len(characters) <= limit else characters[:limit]) + (
        " ..." if len(characters) > limit else ""
    )
