"""Bytes -> log lines, incrementally.

`LineSplitter.feed` takes bytes of one stream and returns the lines that they complete; `close` returns what was left
without a newline. A line ends at a line feed alone: a carriage return stays. UTF-8 split between two chunks
stays intact, and what is not UTF-8 becomes U+FFFD. Nothing is lost and nothing is raised.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, overload

from .limits import MAX_LINE_BYTES

P = TypeVar("P")


class Piece(NamedTuple):
    """A line without its newline, or a piece of one: `partial` where the rest of the line is still to come."""

    text: str
    partial: bool = False


_MIN_LINE_BYTES = 8
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80  # RFC 3629: a byte inside a sequence is 10xxxxxx,
_LEAD = 0xC0  # and the one that leads a sequence is 11xxxxxx.

_LONG_LINE = 512
"""Characters. `str.split` compares one after the other, `str.find` 32 at a time: from here on that is the faster."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Stands for a byte that is not UTF-8, and has three itself: a line with some is longer than its bytes were."""


class LineSplitter(Generic[P]):
    """Splits one stream. It holds at most `max_line_bytes` between two calls, however long a line is.

    `make` is called with a piece's text, and for a part of an overlong line with ``partial=True``. (What a caller would
    make of each `Piece` is better made at once: a program may print ten million lines.)
    """

    @overload
    def __init__(self: "LineSplitter[Piece]", max_line_bytes: int = MAX_LINE_BYTES) -> None: ...

    @overload
    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES, *, make: Callable[..., P]) -> None: ...

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES, *, make: Callable[..., Any] = Piece) -> None:
        if max_line_bytes < _MIN_LINE_BYTES:
            raise ValueError(f"a piece needs room for one character of UTF-8 and some more: {_MIN_LINE_BYTES} bytes")
        self._max = max_line_bytes
        self._make: Callable[..., P] = make
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> list[P]:
        """The lines, and the pieces of overlong lines, that `data` completes."""
        block = self._rest + bytes(data) if self._rest else bytes(data)
        cut = block.rfind(b"\n") + 1
        self._rest = block[cut:]
        pieces: list[P] = []
        if cut:
            # All lines of the block at once: decoding line by line costs four times as much. A newline is never part
            # of a longer UTF-8 sequence, so this yields the same text.
            text = block[: cut - 1].decode(errors="replace")
            if cut <= self._max and _REPLACEMENT not in text:
                pieces.extend(map(self._make, _lines(text)))  # None can be over the limit.
            else:
                self._split(text, pieces)
        if len(self._rest) > self._max:
            *parts, self._rest = self._cut(self._rest)
            pieces.extend(self._make(part.decode(errors="replace"), partial=True) for part in parts)
        return pieces

    def _split(self, text: str, pieces: list[P]) -> None:
        for line in _lines(text):
            # A character has at most 4 bytes: only a line with a quarter of the limit can be over it.
            if len(line) * 4 <= self._max:
                pieces.append(self._make(line))
            else:
                *parts, last = self._cut(line.encode())
                pieces.extend(self._make(part.decode(), partial=True) for part in parts)
                pieces.append(self._make(last.decode()))

    def close(self) -> list[P]:
        """The last line, where the stream did not end with a newline."""
        rest, self._rest = self._rest, b""
        return [self._make(rest.decode(errors="replace"))] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        """`line` in parts of at most the limit, the last one not empty, none ending inside a UTF-8 sequence."""
        parts: list[bytes] = []
        start = 0
        while len(line) - start > self._max:
            end = start + self._max
            # Where the next byte goes on with a character, cut in front of the byte that leads it, 3 back at most.
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
    """`text` without its newlines. Lines are taken to be about as long as the first one."""
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
