"""A container's output, decoded from frames, and its stdin, with half-close.

The daemon responds to an attach with the status 101 and hands the connection over ("hijack"): it then carries the
container's streams.
"""

from typing import Protocol

from .frames import FrameDecoder, OutputPiece, PlainDecoder
from .upgraded import RawConnection

_SEND_BYTES = 256 * 1024


class ByteSource(Protocol):
    """A source of framed output."""

    async def receive_some(self) -> bytes:
        """Receive some bytes; empty at the end."""
        ...


class OutputStream:
    """Decoded output of a container, from its logs or from an attach."""

    def __init__(self, source: ByteSource, decoder: FrameDecoder | PlainDecoder | None = None) -> None:
        self._source = source
        self._decoder = decoder or FrameDecoder()

    async def receive(self) -> list[OutputPiece]:
        """Receive the next pieces of output, in order; an empty list at the end.

        Raises:
            EngineUnreachable: the connection was lost.
            EngineProtocolError: the stream ended inside a frame, has an invalid frame, or has an error from the daemon.
        """
        while data := await self._source.receive_some():
            # One read may have no more than a frame's header.
            if pieces := self._decoder.feed(data):
                return pieces
        self._decoder.close()
        return []


class AttachedStream(OutputStream):
    """The streams of a container, as `EngineClient.container_attach` yields them.

    One task may receive while another task sends.
    """

    def __init__(self, connection: RawConnection, decoder: FrameDecoder | PlainDecoder | None = None) -> None:
        super().__init__(connection, decoder)
        self._connection = connection

    async def send_all(self, data: bytes | memoryview) -> None:
        """Write to the container's stdin. Block while the container does not read.

        Raises:
            EngineUnreachable: nobody reads. While the output continues, this is no fault: the container has closed its
                stdin.
        """
        view = memoryview(data)
        for start in range(0, len(view), _SEND_BYTES):
            # In parts: the copy of a large input would be as large.
            await self._connection.send_all(bytes(view[start : start + _SEND_BYTES]))

    def is_readable(self) -> bool:
        """Return whether `receive` would find bytes, or the end of the stream, without waiting."""
        return self._connection.is_readable()

    def send_eof(self) -> None:
        """Close the container's stdin. Its output stays open (given StdinOnce and no terminal)."""
        self._connection.send_eof()
