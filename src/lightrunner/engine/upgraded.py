"""An upgraded connection: the bytes behind a 101, in both directions, with an end of each.

Half of the work is TLS: its end of sending is a close_notify, and neither ssl nor trio has a half-close.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar, cast

import trio

from .connection import EXTRA_INFO, Connection
from .endpoint import Endpoint
from .errors import EngineUnreachable

E = TypeVar("E", bound=BaseException)

RECEIVE_BYTES: Final = 256 * 1024
"""Size of one read of an upgraded connection: what a Unix socket buffers. The daemon writes frames of up to 32 KiB. A
slower reader takes several of them at once, in a quarter less time than with reads of 64 KiB."""


class NetworkStream(Protocol):
    """httpcore's connection below HTTP: the methods that are used here."""

    async def read(self, max_bytes: int) -> bytes:
        """Receive at most `max_bytes`; empty at the end."""
        ...

    async def write(self, buffer: bytes) -> None:
        """Send all of `buffer`."""
        ...

    def get_extra_info(self, info: str) -> object:
        """Return what is below: the ``socket``, the ``ssl_object``, whether it ``is_readable``."""
        ...


class RawConnection:
    """An upgraded connection: a stream of bytes in both directions, with trio's method names."""

    def __init__(self, stream: NetworkStream, received: bytes, operation: str, endpoint: Endpoint) -> None:
        self._stream = stream
        self._received = received  # What arrived with the response's head.
        self._operation = operation
        self._endpoint = endpoint
        self._receiving = trio.CancelScope()
        self._must_close_tls = False

    async def receive_some(self) -> bytes:
        """Receive some bytes; empty at the end."""
        if self._received:
            received, self._received = self._received, b""
            await trio.lowlevel.checkpoint()
            return received
        while True:
            with self._lost_connection(), trio.CancelScope() as self._receiving:
                if self._must_close_tls:
                    # Return what has arrived, and do not wait: trio notices a deadline when a task blocks. (A cancelled
                    # scope would end the read before it looks.)
                    self._receiving.deadline = trio.current_time()
                return await self._receive()
            self._close_tls()

    async def _receive(self) -> bytes:
        try:
            return await self._stream.read(RECEIVE_BYTES)
        except Exception as error:
            # Python reports the end like this once both sides have sent their close_notify.
            if _cause_of(error, ssl.SSLZeroReturnError):
                return b""
            raise

    async def send_all(self, data: bytes) -> None:
        """Send all of `data`."""
        with self._lost_connection():
            await self._stream.write(data)

    def is_readable(self) -> bool:
        """Return whether bytes, or the end of the stream, have arrived and were not received yet."""
        return bool(self._received) or bool(self._stream.get_extra_info("is_readable"))

    def send_eof(self) -> None:
        """Close the sending half.

        Over TLS this is a close_notify, and the current or the next `receive_some` sends it. (trio's `send_eof` is
        async, and its SSLStream has none.)
        """
        if self._stream.get_extra_info("ssl_object") is not None:
            self._must_close_tls = True
            self._receiving.cancel()
            return
        try:
            if (connection := connection_of(self._stream)) is not None:
                connection.send_eof()
            else:
                socket_of(self._stream).shutdown(trio.socket.SHUT_WR)
        except (OSError, trio.BrokenResourceError) as error:
            raise lost_connection(self._operation, self._endpoint, error) from error

    def _close_tls(self) -> None:
        """Queue the close_notify, which the next read sends.

        Only while a read has nothing to return: OpenSSL drops whole records that it finds unread here, and trio's
        SSLStream drops what it has read if it is cancelled while it sends what is queued.
        """
        tls = self._stream.get_extra_info("ssl_object")
        assert isinstance(tls, ssl.SSLObject)
        self._must_close_tls = False
        # unwrap queues the close_notify, and would then wait for the daemon's, which follows the output.
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise lost_connection(self._operation, self._endpoint, error) from error

    @contextmanager
    def _lost_connection(self) -> Generator[None]:
        # httpx does not map the exceptions of an upgraded connection. It imported httpcore when it connected; importing
        # it with this module would cost every `import lightrunner` 20 ms.
        import httpcore  # noqa: PLC0415

        try:
            yield
        except httpcore.NetworkError as error:
            raise lost_connection(self._operation, self._endpoint, error) from error


def lost_connection(operation: str, endpoint: Endpoint, error: Exception) -> EngineUnreachable:
    """Return the error for a lost connection."""
    return EngineUnreachable(f"{operation}: the connection to {endpoint} was lost: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """Return the error's message, or the message of the TLS error that caused it, which httpcore drops."""
    return str(_cause_of(error, ssl.SSLError) or error) or type(error).__name__


def _cause_of(error: BaseException, kind: type[E]) -> E | None:
    """Return the error of a kind that caused an error, or is it; None if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause


def connection_of(stream: NetworkStream) -> Connection | None:
    """Return the connection that a `Connect` function opened; None for httpcore's own."""
    return cast("Connection | None", stream.get_extra_info(EXTRA_INFO))


def socket_of(stream: NetworkStream) -> trio.socket.SocketType:
    """Return the socket below a stream."""
    sock = stream.get_extra_info("socket")
    assert isinstance(sock, trio.socket.SocketType)
    return sock
