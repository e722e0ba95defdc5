"""An attached container: output out, stdin in, half-close.

The daemon hands the connection over ("hijacks" it) with a 101, and from then on it carries the container's streams. All
of that goes past httpx, where each run's attach took 1.4 ms more (seen on 20.10).
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

import trio

from .answers import SWITCHING_PROTOCOLS, AnswerDecoder
from .connection import RECEIVE_BYTES, connect, lost_connection, receive_answer, request_head, send_request
from .endpoint import Endpoint
from .errors import EngineProtocolError, response_error
from .frames import FrameDecoder, OutputPiece

_SEND_BYTES = 256 * 1024
_UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"tcp"), (b"Content-Length", b"0"))
_SUCCESS = range(200, 300)


class RawConnection:
    """A connection behind a 101: bytes both ways, with trio's names for them."""

    def __init__(self, stream: trio.SocketStream, received: bytes, operation: str, endpoint: Endpoint) -> None:
        self._stream = stream
        self._received = received  # What came in the same segment as the answer's head.
        self._operation = operation
        self._endpoint = endpoint

    async def receive_some(self) -> bytes:
        """Some bytes; none at the end."""
        if self._received:
            received, self._received = self._received, b""
            await trio.lowlevel.checkpoint()
            return received
        with self._lost_connection():
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))

    async def send_all(self, data: bytes) -> None:
        """Write all of it."""
        with self._lost_connection():
            await self._stream.send_all(data)

    def is_readable(self) -> bool:
        """Whether something has arrived that was not received yet, the end included."""
        return bool(self._received) or self._stream.socket.is_readable()

    def send_eof(self) -> None:
        """Close the sending half. (trio's `send_eof` is async for TLS' sake; a socket's shutdown does not wait.)"""
        try:
            self._stream.socket.shutdown(trio.socket.SHUT_WR)
        except OSError as error:
            raise lost_connection(self._operation, self._endpoint, error) from error

    def close(self) -> None:
        """Close it; who receives from it learns that it is lost."""
        self._stream.socket.close()

    @contextmanager
    def _lost_connection(self) -> Generator[None]:
        try:
            yield
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise lost_connection(self._operation, self._endpoint, error) from error


@asynccontextmanager
async def open_upgraded(endpoint: Endpoint, operation: str, target: str) -> AsyncGenerator[RawConnection]:
    """Ask for a connection to be handed over, and close it at the end of the block.

    Raises:
        EngineUnreachable: there is no connection, or it was lost.
        EngineProtocolError: what came back is not HTTP, or no switch of protocols.
        EngineResponseError: the daemon refused.
    """
    stream = await connect(endpoint, operation)
    try:
        await send_request(stream, request_head("POST", target, _UPGRADE))
        decoder = AnswerDecoder(may_upgrade=True)
        # Where a proxy has kept the wish to itself, the daemon answers 200, and the body ends when the container does.
        answer = await receive_answer(stream, decoder, operation, endpoint, wants_body=False)
        if answer.status in _SUCCESS:
            raise EngineProtocolError(f"{operation}: the daemon did not upgrade the connection ({answer.status})")
        if answer.status != SWITCHING_PROTOCOLS:
            raise response_error(operation, answer.status, answer.body)
        yield RawConnection(stream, decoder.rest, operation, endpoint)
    finally:
        stream.socket.close()


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
