"""Decode multiplexed output incrementally: what attach and logs send for a container without a terminal. Pure.

`FrameDecoder.feed` takes bytes and returns pieces of output, each with its stream; `close` ends the stream. Both raise
`EngineProtocolError` and nothing else: for an unknown frame, for the daemon's error frame, and for a stream that ends
inside a frame.

A frame is an 8-byte header (stream, three zeros, length as a big-endian uint32) and its payload (Engine API,
"ContainerAttach", stream format). The decoder returns a payload in the pieces in which it arrives, so that a length of
4 GiB costs no memory. The pieces are views, so that nothing is copied.
"""

import struct
from typing import Final, Literal, NamedTuple

from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError

_HEADER = struct.Struct(">B3sL")
_HEADER_SIZE = _HEADER.size
_SYSTEM_ERROR = 3  # moby, pkg/stdcopy: Systemerr, an error of the daemon in the middle of the output.

StreamName = Literal["stdout", "stderr"]
_STREAMS: Final[dict[int, StreamName]] = {1: "stdout", 2: "stderr"}


class OutputPiece(NamedTuple):
    """Some bytes of one stream."""

    stream: StreamName
    data: memoryview


class FrameDecoder:
    """Decodes one stream. Between two calls it holds less than one header."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0  # Bytes of the current payload that have not arrived.
        self._stream: StreamName = "stdout"
        self._error: bytearray | None = None  # The text of a system error, while it arrives.

    def feed(self, data: bytes) -> list[OutputPiece]:
        """Return the output in `data`, in order. The views keep `data` alive."""
        if self._head:
            data = self._head + data
            self._head = b""
        view = memoryview(data)
        end = len(view)
        at = 0
        pieces: list[OutputPiece] = []
        while at < end:
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                if self._error is None:
                    pieces.append(OutputPiece(self._stream, piece))
                else:
                    self._collect_error(self._error, piece)
            elif end - at < _HEADER_SIZE:
                self._head = bytes(view[at:])
                break
            else:
                self._open_frame(*_HEADER.unpack_from(view, at))
                at += _HEADER_SIZE
        return pieces

    def close(self) -> None:
        """End the stream. Raise if it ends inside a frame."""
        if self._error is not None:
            self._raise_error(self._error)
        if self._head or self._left:
            missing = self._left or _HEADER_SIZE - len(self._head)
            raise EngineProtocolError(f"the output ended inside a frame: {missing} bytes are missing")

    def _open_frame(self, kind: int, zeros: bytes, length: int) -> None:
        if any(zeros):
            raise EngineProtocolError(f"invalid frame: the header has {zeros!r} in place of three zeros")
        if kind == _SYSTEM_ERROR:
            self._error = bytearray()
            if not length:
                self._raise_error(self._error)
        elif kind in _STREAMS:
            self._stream = _STREAMS[kind]
        else:
            raise EngineProtocolError(f"invalid frame: unknown stream {kind}")
        self._left = length

    def _collect_error(self, text: bytearray, piece: memoryview) -> None:
        text += piece[: MAX_ERROR_BODY_BYTES - len(text)]
        if not self._left or len(text) == MAX_ERROR_BODY_BYTES:
            self._raise_error(text)

    def _raise_error(self, text: bytearray) -> None:
        shown = text.decode(errors="replace").strip()
        raise EngineProtocolError(f"the daemon reported an error in the output: {shown or 'no reason given'}")


class PlainDecoder:
    """Decodes the output of a terminal, which has no frames and one stream."""

    def feed(self, data: bytes) -> list[OutputPiece]:
        """Return all of it, as stdout."""
        return [OutputPiece("stdout", memoryview(data))] if data else []

    def close(self) -> None:
        """Note the end, which may come anywhere."""
