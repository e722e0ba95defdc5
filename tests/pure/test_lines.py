"""`LineSplitter`.

Invariant: whatever the bytes and however they are cut, the pieces joined are the decoded text, with nothing lost and
nothing raised; no piece is longer than the limit, none ends inside a character, and no more than the limit is held.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.rules.limits import MAX_LINE_BYTES
from lightrunner.rules.lines import LineSplitter, Piece

from .feeding import Chunks, assert_decodes
from .strategies import chunked

LIMIT = 8
"""The smallest there may be: every place is near an end."""


def split(chunks: Chunks, limit: int = LIMIT) -> list[Piece]:
    splitter = LineSplitter(limit)
    pieces: list[Piece] = []
    for chunk in chunks:
        pieces += splitter.feed(chunk)
        held = splitter._rest  # pyright: ignore[reportPrivateUsage] - what is held is the point
        assert len(held) <= limit
    return pieces + splitter.close()


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text if piece.partial else f"{piece.text}\n" for piece in pieces)


def ended(text: str) -> str:
    """A last line without its newline is a line as well."""
    return text if not text or text.endswith("\n") else f"{text}\n"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\n\na\n\n", ["", "", "a", ""]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r", ["a\r", "b\r"]),
        ("a\u2028b\x0bc\x85\n".encode(), ["a\u2028b\x0bc\x85"]),
        ("é\n€\n😀".encode(), ["é", "€", "😀"]),
        (b"\xff\n\xe2\x82\n\xf0", ["\ufffd", "\ufffd", "\ufffd"]),
    ],
)
def test_lines_in_every_way(data: bytes, lines: list[str]) -> None:
    assert_decodes(lambda chunks: split(chunks, MAX_LINE_BYTES), data, [Piece(line) for line in lines])


@pytest.mark.parametrize("last", [[b"\n"], []])
@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("12345678", ["12345678"]),
        ("123456789", ["12345678", "9"]),
        ("12345678" * 2, ["12345678", "12345678"]),
        ("1234567é", ["1234567", "é"]),
        ("12345€", ["12345€"]),
        ("12345€€", ["12345€", "€"]),
        ("123456€€", ["123456", "€€"]),
        ("12345😀", ["12345", "😀"]),
        ("😀😀😀", ["😀😀", "😀"]),
    ],
)
def test_a_long_line_comes_in_pieces(line: str, parts: list[str], last: list[bytes]) -> None:
    pieces = [*(Piece(part, partial=True) for part in parts[:-1]), Piece(parts[-1])]
    assert_decodes(split, b"".join([line.encode(), *last]), pieces)


@pytest.mark.parametrize(
    "lengths",
    [(511, 3), (512, 0, 3), (513, 512, 511), (600, 0, 0, 2), (0, 600), (5000, 5000, 1, 5000), (3, MAX_LINE_BYTES, 3)],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_of_all_lengths(lengths: Sequence[int], end: str) -> None:
    """Lines behind a long one are looked for in another way than those behind a short one."""
    lines = ["x" * length for length in lengths]
    pieces = split([("\n".join(lines) + end).encode()], MAX_LINE_BYTES)
    assert pieces == [Piece(line) for line in lines]


def test_bytes_without_a_lead_are_cut_at_the_limit() -> None:
    assert_decodes(split, b"\x80" * 9, [Piece("\ufffd" * 8, partial=True), Piece("\ufffd")])


def test_a_long_line_does_not_wait_for_its_end() -> None:
    splitter = LineSplitter(LIMIT)
    assert splitter.feed(b"12345678") == []
    assert splitter.feed(b"9") == [Piece("12345678", partial=True)]


def test_the_default_limit() -> None:
    line = "x" * MAX_LINE_BYTES
    splitter = LineSplitter()
    assert splitter.feed(memoryview(line.encode() + b"\n")) == [Piece(line)]
    assert splitter.feed(line.encode() + b"yz\n") == [Piece(line, partial=True), Piece("yz")]


def test_a_limit_without_room_for_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 8"):
        LineSplitter(LIMIT - 1)


short_texts = st.text(st.sampled_from("\n\nab\ré€😀"), max_size=60)


@given(short_texts | st.text(max_size=60), st.integers(LIMIT, 24), st.data())
def test_text(text: str, limit: int, choice: st.DataObject) -> None:
    pieces = split(choice.draw(chunked(text.encode())), limit)
    assert text_of(pieces) == ended(text)
    assert pieces == split([text.encode()], limit), "where the bytes were cut makes no difference"
    for piece in pieces:
        length = len(piece.text.encode())
        assert length <= limit
        assert length > limit - 4 or not piece.partial, "cut earlier than a character needs"


broken_utf8 = st.lists(st.sampled_from([b"\n", b"a", b"\x80", b"\xbf", b"\xc3", b"\xe2", b"\xf0", b"\xff"])).map(
    b"".join
)


@given(st.binary(max_size=100) | broken_utf8, st.data())
def test_any_bytes(data: bytes, choice: st.DataObject) -> None:
    pieces = split(choice.draw(chunked(data)))
    assert text_of(pieces) == ended(data.decode(errors="replace"))
    assert all(len(piece.text) <= LIMIT for piece in pieces)
