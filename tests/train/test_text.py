"""Reading text, numbering its characters, splitting it; and what each error says."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.train.text import Text, TextError, Vocabulary

LONG = "All work and no play makes a dull text. " * 40


def written(tmp_path, raw):
    path = tmp_path / "some text.txt"
    path.write_bytes(raw)
    return path


def test_read_gives_the_characters(tmp_path):
    text = Text.read(written(tmp_path, (LONG + "naïve café ☕ 𝄞").encode()))
    assert text.characters == LONG + "naïve café ☕ 𝄞"
    assert text.name.endswith("some text.txt")
    assert text.sha1 == hashlib.sha1(text.characters.encode()).hexdigest()


def test_line_ends_and_byte_order_mark_disappear(tmp_path):
    raw = b"\xef\xbb\xbfone\r\ntwo\rthree\n" + LONG.encode()
    assert Text.read(written(tmp_path, raw)).characters == "one\ntwo\nthree\n" + LONG


def test_a_wrong_byte_is_reported_with_its_offset(tmp_path):
    raw = LONG.encode() + "é".encode("latin-1") + b" more"
    with pytest.raises(TextError, match=rf"some text\.txt: not UTF-8 at byte {len(LONG)} \(0xe9"):
        Text.read(written(tmp_path, raw))


def test_a_text_cut_in_the_middle_of_a_character_is_reported(tmp_path):
    raw = LONG.encode() + "☕".encode()[:2]
    with pytest.raises(TextError, match=rf"not UTF-8 at byte {len(LONG)} \(0xe2, unexpected end of data"):
        Text.read(written(tmp_path, raw))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_other_unicode_encodings_are_named(tmp_path, encoding):
    raw = ("\ufeff" + LONG).encode(encoding)
    with pytest.raises(TextError, match=f"byte order mark of {encoding[:6].upper()}"):
        Text.read(written(tmp_path, raw))


@pytest.mark.parametrize("raw", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, raw):
    with pytest.raises(TextError, match="the file is empty"):
        Text.read(written(tmp_path, raw))


def test_a_short_file_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(TextError, match="too short: 999 characters, at least 1000 are needed"):
        Text.read(written(tmp_path, b"x" * 999))
    assert len(Text.read(written(tmp_path, b"x" * 1000))) == 1000


def test_a_directory_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(TextError, match=r"cannot be read: (Is a directory|Permission denied)"):
        Text.read(tmp_path)
    with pytest.raises(TextError, match=r"missing\.txt: cannot be read: No such file"):
        Text.read(tmp_path / "missing.txt")


def test_the_default_corpus_is_large_and_always_the_same():
    text = Text.python_topics()
    assert len(text) > 300_000
    assert text == Text.python_topics()
    assert text.characters.index("assert") < text.characters.index("yield from")


@given(st.text(min_size=1))
def test_decode_inverts_encode(characters):
    vocabulary = Vocabulary.of(characters)
    indices = vocabulary.encode(characters)
    assert vocabulary.decode(indices) == characters
    assert list(vocabulary.characters) == sorted(set(characters))
    assert sorted(set(indices.tolist())) == list(range(len(vocabulary)))


def test_an_unknown_character_is_named_with_its_place():
    with pytest.raises(TextError, match=r"'z' \(U\+007A\) at position 2 .*vocabulary of 2 characters: 'ab'"):
        Vocabulary("ab").encode("abz")


@pytest.mark.parametrize("indices", [[0, 2], [-1], np.array([1, 7])])
def test_an_index_outside_is_refused(indices):
    with pytest.raises(TextError, match=r"outside the vocabulary: legal are 0 \.\.\. 1"):
        Vocabulary("ab").decode(indices)


def test_a_vocabulary_needs_distinct_characters():
    with pytest.raises(TextError, match="'a' occurs again at index 2"):
        Vocabulary("aba")
    with pytest.raises(TextError, match="no characters"):
        Vocabulary("")


def test_membership_is_of_single_characters():
    vocabulary = Vocabulary("abc")
    assert "a" in vocabulary
    assert "ab" not in vocabulary
    assert "" not in vocabulary


@given(st.text(min_size=2), st.floats(0.01, 0.99))
def test_the_parts_of_a_split_make_the_text(characters, held_out):
    try:
        train, rest = Text(characters).split(held_out)
    except TextError:
        assert round(len(characters) * held_out) in (0, len(characters))
    else:
        assert train.characters + rest.characters == characters
        assert abs(len(rest) - held_out * len(characters)) <= 0.5 + 1e-9


@pytest.mark.parametrize("held_out", [0.0, 1.0, -0.1, float("nan")])
def test_a_wrong_share_is_refused(held_out):
    with pytest.raises(TextError, match="between 0 and 1"):
        Text(LONG).split(held_out)
