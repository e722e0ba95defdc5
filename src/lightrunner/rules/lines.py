"""Split bytes into log lines, incrementally.

`LineSplitter.feed` takes bytes of one stream and returns the lines that they complete. `close` returns the last line,
if it has no newline. Only a line feed ends a line; carriage returns are kept. A UTF-8 sequence may be split between two
chunks, and bytes that are not UTF-8 become U+FFFD. Nothing is lost, and nothing is raised.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, overload

from .limits import MAX_LINE_BYTES

P = TypeVar("P")


class Piece(NamedTuple):
    """A line without its newline, or a piece of an overlong line: `partial` means that more of the line follows."""

    text: str
    partial: bool = False


_MIN_LINE_BYTES = 8
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80  # RFC 3629: a byte inside a sequence is 10xxxxxx,
_LEAD = 0xC0  # and the one that leads a sequence is 11xxxxxx.

_LONG_LINE = 512
"""Characters from which on `str.find`, which compares 32 characters at a time, is faster than `str.split`, which
compares one."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Replaces a byte that is not UTF-8. It has three bytes itself, so decoding can make a line longer."""


class LineSplitter(Generic[P]):
    """Splits one stream. Between two calls it holds at most `max_line_bytes`, however long a line is.

    Args:
        max_line_bytes: the length from which on a line is returned in pieces.
        make: makes an item of the result. It is called with the text, and with ``partial=True`` for a piece of an
            overlong line that is not the last. (Making the caller's items directly saves a `Piece` per line: a program
            may print ten million lines.)
    """

    @overload
    def __init__(self: "LineSplitter[Piece]", max_line_bytes: int = MAX_LINE_BYTES) -> None: ...

    @overload
    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES, *, make: Callable[..., P]) -> None: ...

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES, *, make: Callable[..., Any] = Piece) -> None:
        if max_line_bytes < _MIN_LINE_BYTES:
            raise ValueError(f"max_line_bytes={max_line_bytes}: less than {_MIN_LINE_BYTES}, the minimum")
        self._max = max_line_bytes
        self._make: Callable[..., P] = make
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> list[P]:
        """Return the lines, and the pieces of overlong lines, that `data` completes."""
        block = self._rest + bytes(data) if self._rest else bytes(data)
        cut = block.rfind(b"\n") + 1
        self._rest = block[cut:]
        pieces: list[P] = []
        if cut:
            # Decode all lines of the block at once: decoding line by line takes four times as long. A newline is never
            # part of a longer UTF-8 sequence, so the text is the same.
            text = block[: cut - 1].decode(errors="replace")
            if cut <= self._max and _REPLACEMENT not in text:
                pieces.extend(map(self._make, _lines(text)))  # No line can be longer than the limit.
            else:
                self._split(text, pieces)
        if len(self._rest) > self._max:
            *parts, self._rest = self._cut(self._rest)
            pieces.extend(self._make(part.decode(errors="replace"), partial=True) for part in parts)
        return pieces

    def _split(self, text: str, pieces: list[P]) -> None:
        for line in _lines(text):
            # A character has at most 4 bytes, so a line with up to a quarter of the limit in characters is within it.
            if len(line) * 4 <= self._max:
                pieces.append(self._make(line))
            else:
                *parts, last = self._cut(line.encode())
                pieces.extend(self._make(part.decode(), partial=True) for part in parts)
                pieces.append(self._make(last.decode()))

    def close(self) -> list[P]:
        """Return the last line, if the stream does not end with a newline."""
        rest, self._rest = self._rest, b""
        return [self._make(rest.decode(errors="replace"))] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        """Cut `line` into parts of at most the limit. The last is not empty; none ends inside a UTF-8 sequence."""
        parts: list[bytes] = []
        start = 0
        while len(line) - start > self._max:
            end = start + self._max
            # If the next byte continues a character, cut before the character's first byte, at most 3 bytes back.
            back = end
            while back > end - 3 and line[back] & _CONTINUATION_MASK == _CONTINUATION:
                back -= 1
            if line[back] >= _LEAD:
                end = back
            parts.append(line[start:end])
            start = end
        parts.append(line[start:])
        return parts


def _lines(text: str) -> list[str]:
    """Split `text` at newlines. The first line's length decides how: others are likely to be about as long."""
    end = text.find("\n")
    if end < _LONG_LINE:
        return text.split("\n")
    lines: list[str] = []
    start = 0
    while end >= 0:
        lines.append(text[start:end])
        start = end + 1
        end = text.find("\n", start)
    lines.append(text[start:])
    return lines
