"""Output and stdin of a container: framed output decoded, stdin with half-close.

The daemon hands an attach's connection over ("hijacks" it) with a 101; from then on it carries the container's streams.
"""

from typing import Protocol

from .frames import FrameDecoder, OutputPiece
from .transport import RawConnection

_SEND_BYTES = 256 * 1024


class ByteSource(Protocol):
    """Where framed output comes from."""

    async def receive_some(self) -> bytes:
        """Some bytes; none at the end."""
        ...


class OutputStream:
    """Framed output, decoded: of the logs, and of an attached container."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._decoder = FrameDecoder()

    async def receive(self) -> list[OutputPiece]:
        """The next pieces of output, in order; an empty list at the end.

        Raises:
            EngineUnreachable: the connection was lost.
            EngineProtocolError: it ended inside a frame, or carried something that is none, or the daemon reported an
                error in it.
        """
        while data := await self._source.receive_some():
            # One read may bring nothing but a header.
            if pieces := self._decoder.feed(data):
                return pieces
        self._decoder.close()
        return []


class AttachedStream(OutputStream):
    """The streams of a container, as `EngineClient.container_attach` yields them.

    One task may receive while another one sends.
    """

    def __init__(self, connection: RawConnection) -> None:
        super().__init__(connection)
        self._connection = connection

    async def send_all(self, data: bytes | memoryview) -> None:
        """Write to the container's stdin. It waits while the container does not read.

        Raises:
            EngineUnreachable: the other side is gone. Where the output has not ended, that is the container having
                closed its stdin, which is no fault.
        """
        view = memoryview(data)
        for start in range(0, len(view), _SEND_BYTES):
            # In parts, so that a large input is not copied at once.
            await self._connection.send_all(bytes(view[start : start + _SEND_BYTES]))

    def is_readable(self) -> bool:
        """Whether something has arrived that was not received yet, the end included."""
        return self._connection.is_readable()

    def send_eof(self) -> None:
        """Close the container's stdin. Its output stays open (given StdinOnce and no terminal)."""
        self._connection.send_eof()
