"""An HTTP/1.1 answer, incrementally.

`AnswerDecoder.feed` takes the bytes of one connection and returns the pieces of the body, as views, so that nothing is
copied. `head` is there as soon as it has arrived whole, and `ended` is true as soon as the body has; with `until_close`
it ends where the connection does. `leaves_connection` is true then if the next request can have the connection. `feed`
raises `AnswerError` and nothing else, for what RFC 9112 does not allow, and for what no daemon sends: another transfer
coding than chunked, a line without an end, a switch of protocols that was not asked for.

Chunk extensions and trailers are skipped. What follows the answer is `rest`: the beginning of an upgraded connection's
bytes; otherwise the connection is of no more use.
"""

import re
from typing import Final, NamedTuple

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})( .*)?", re.DOTALL)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", re.DOTALL)
_MAX_HEAD_BYTES: Final = 64 * 1024
"""The daemon's own have 500 bytes. Go's client and h11 stop at 1 MiB and 100 KiB."""
_MAX_SIZE_LINE_BYTES: Final = 4096  # Go's reader takes as much (net/http/internal, maxLineLength).
SWITCHING_PROTOCOLS: Final = 101
_MAX_TRAILER_BYTES: Final = 4096
_NO_CONTENT: Final = frozenset({204, 304})
_INFORMATIONAL: Final = range(100, 200)


class AnswerError(ValueError):
    """The bytes are not an answer as HTTP/1.1 has them."""


class Head(NamedTuple):
    """Status and headers; the headers' names are in lower case."""

    status: int
    headers: dict[str, str]


class AnswerDecoder:
    """Decodes one answer. Between two calls it holds less than one line, and its head.

    Args:
        has_body: False: it is the answer to a HEAD, which has the length of what is not sent.
        may_upgrade: whether a switch of protocols was asked for.
    """

    def __init__(self, *, has_body: bool = True, may_upgrade: bool = False) -> None:
        self.head: Head | None = None
        self.ended = False
        self.until_close = False
        self.leaves_connection = False
        self.rest = b""
        self._has_body = has_body
        self._may_upgrade = may_upgrade
        self._is_persistent = False  # It does not say that the connection is closed behind it.
        self._line = b""  # One that has not arrived whole.
        self._budget = _MAX_HEAD_BYTES  # What lines may still have: of the head, or of one chunk.
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._chunked = False
        self._ends_chunk = False  # The next line is the empty one behind a chunk.
        self._in_trailer = False  # The last chunk was there; what follows it ends with an empty line.
        self._left = 0  # Bytes of the chunk, or of the body, that are still to come.

    def feed(self, data: bytes) -> list[memoryview]:
        """The pieces of the body in `data`, in order."""
        if self._line:
            data, self._line = self._line + data, b""
        view = memoryview(data)
        pieces: list[memoryview] = []
        at = 0
        while at < len(data) and not self.ended:
            if self.until_close:
                pieces.append(view[at:])
                break
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                self.ended = not (self._left or self._chunked)
                continue
            end = data.find(b"\n", at)
            if (len(data) if end < 0 else end) - at > self._budget:
                raise AnswerError("a head, or the line in front of a chunk, that is too long")
            if end < 0:
                self._line = data[at:]
                break
            self._take(data[at:end].removesuffix(b"\r"))
            at = end + 1
        if self.ended:
            self.rest = data[at:]
            self.leaves_connection = self._is_persistent and not self.rest
        return pieces

    def _take(self, line: bytes) -> None:
        """A whole line, of the head or around a chunk."""
        if self._in_trailer:
            self.ended = not line
            self._budget -= len(line) + 1
        elif self.head is not None:
            self._begin_chunk(line)
        elif self._status is None:
            self._begin_head(line)
        elif line:
            self._add_header(line)
        else:
            self._end_head(self._status)

    def _begin_head(self, line: bytes) -> None:
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise AnswerError(f"{line[:80]!r} is not a status line")
        self._is_persistent = match[1] == b"1"
        self._status = int(match[2])
        self._budget -= len(line)

    def _add_header(self, line: bytes) -> None:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise AnswerError(f"{line[:80]!r} is not a header")
        name, value = match[1].decode().lower(), match[2].decode("latin-1")
        said = self._headers.setdefault(name, value)
        if said != value:
            self._headers[name] = f"{said}, {value}"
        self._budget -= len(line)

    def _end_head(self, status: int) -> None:
        headers, self._headers = self._headers, {}
        if status == SWITCHING_PROTOCOLS:
            if not self._may_upgrade:
                raise AnswerError("a switch of protocols that nobody asked for")
            self.head = Head(status, headers)
            self.ended, self._is_persistent = True, False
            return
        if status in _INFORMATIONAL:
            self._status = None  # The answer itself is still to come.
            return
        self.head = Head(status, headers)
        self._budget = _MAX_SIZE_LINE_BYTES
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if "close" in headers.get("connection", "").lower() or (coding is not None and length is not None):
            self._is_persistent = False
        if status in _NO_CONTENT or not self._has_body:
            self.ended = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise AnswerError(f"the transfer coding {coding[:80]!r}")
            self._chunked = True
        elif length is not None:
            if _LENGTH.fullmatch(length.encode("latin-1")) is None:
                raise AnswerError(f"{length[:80]!r} is not a length")
            self._left = int(length)
            self.ended = not self._left
        else:
            self.until_close = True

    def _begin_chunk(self, line: bytes) -> None:
        if self._ends_chunk:
            if line:
                raise AnswerError("a chunk that is longer than its size")
            self._ends_chunk = False
            return
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise AnswerError(f"{line[:80]!r} is not a chunk's size")
        self._left = int(match[1], 16)
        self._ends_chunk = self._left > 0
        self._in_trailer = not self._left
        if self._in_trailer:
            self._budget = _MAX_TRAILER_BYTES
