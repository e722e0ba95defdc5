"""Receive an archive from a plain socket, in the thread that writes it to files.

Over httpx an archive takes the event loop 0.15 ms per piece. Even with the event loop and the writing thread
overlapping (`drain.py`), 200 MB took 1.4 times as long and three times the processor time, and both 200 MB and 3,000
small files were slower than with ``docker cp`` (dockerd 20.10). Here h11 parses only the head. The body is everything
after the head, to the end of the connection. `Download` has the interface of
`lightrunner.engine.transport.AnyResponse`.

One thread that both reads and writes matters as much: with the event loop reading and a thread writing, each piece and
the interpreter's lock change hands some thousand times, which takes a quarter of the time. A silent daemon occupies no
thread. A cancellation takes effect at the next piece.
"""

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import h11
import trio

from .drain import Consume
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable
from .threads import thread_limiter
from .tracing import trace_headers
from .transport import CONNECT_TIMEOUT, HEADERS
from .upgraded import RECEIVE_BYTES, lost_connection

_SILENCE: Final = 0.1
"""Seconds without data after which the thread is released, and the event loop waits instead."""


class Download:
    """A response whose head has arrived."""

    def __init__(self, sock: socket.socket, operation: str, endpoint: Endpoint) -> None:
        self._socket = sock
        self._operation = operation
        self._endpoint = endpoint
        self._http = h11.Connection(h11.CLIENT)
        self._headers: dict[bytes, bytes] = {}
        self._received: list[memoryview] = []
        self._is_raw = False  # All further bytes are the body: it has no framing.
        self._ended = False
        self.status = 0

    async def receive_head(self, request: h11.Request) -> None:
        """Receive the head of the response. `request` has been sent."""
        self._http.send(request)
        self._http.send(h11.EndOfMessage())
        while not self.status:
            await self._receive()

    def header(self, name: str) -> str | None:
        """Return a header's value; `None` without that header. `name` is in lower case."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def receive_some(self) -> bytes:
        """Receive the next bytes of the body; empty at its end."""
        while not self._received and not self._ended:
            await self._receive()
        return b"".join(self._take())

    async def drain(self, consume: Consume) -> None:
        """Call `consume` with the body's pieces, in the receiving thread, until the end or until it returns True."""
        received = self._take()
        while await trio.to_thread.run_sync(self._drain, received, consume, limiter=thread_limiter()):
            received = []
            await trio.lowlevel.wait_readable(self._socket)

    async def error_body(self) -> bytes:
        """Receive the body of an error response, up to `MAX_ERROR_BODY_BYTES`."""
        body = b""
        while len(body) < MAX_ERROR_BODY_BYTES and (data := await self.receive_some()):
            body += data
        return body[:MAX_ERROR_BODY_BYTES]

    async def _receive(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)
        data = self._read()
        if data is not None:
            self._decode(data)

    def _drain(self, received: Sequence[memoryview], consume: Consume) -> bool:
        """Read until the end, or until `consume` returns True. Return True if the daemon is silent before that."""
        while not (received and consume(received)) and not self._ended:
            trio.from_thread.check_cancelled()
            data = self._read()
            if data is None:
                return True
            self._decode(data)
            received = self._take()
        return False

    def _read(self) -> bytes | None:
        """Read some bytes, empty at the end; None after `_SILENCE` without data."""
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            return None
        except OSError as error:
            raise lost_connection(self._operation, self._endpoint, error) from error

    def _decode(self, data: bytes) -> None:
        if self._is_raw:
            self._ended = not data
            if data:
                self._received.append(memoryview(data))
            return
        try:
            self._http.receive_data(data)
            while not isinstance(event := self._http.next_event(), type) and not self._ended:
                self._handle(event)
        except h11.RemoteProtocolError as error:
            if not data:
                raise EngineUnreachable(
                    f"{self._operation}: the connection to {self._endpoint} was lost: it ended inside the response"
                ) from error
            message = f"{self._operation}: the response from {self._endpoint} is not valid HTTP: {error}"
            raise EngineProtocolError(message) from error

    def _handle(self, event: h11.Event) -> None:
        if isinstance(event, h11.Response):
            self.status = event.status_code
            self._headers = dict(event.headers)
            self._is_raw = not self._headers.keys() & {b"transfer-encoding", b"content-length"}
        elif isinstance(event, h11.Data):
            self._received.append(memoryview(bytes(event.data)))
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            self._ended = True

    def _take(self) -> list[memoryview]:
        received, self._received = self._received, []
        return received


@asynccontextmanager
async def open_download(endpoint: Endpoint, operation: str, target: str) -> AsyncGenerator[Download]:
    """Send a GET over HTTP/1.0, and yield the response as soon as its head has arrived.

    A response over HTTP/1.0 has no chunks. Go's server writes each chunk to the socket in three parts, each of which
    wakes the reader: without chunks an archive took a tenth less time. The end of the connection is the end of the
    body, so a body that was cut off looks complete. The caller has to check for the archive's own end mark.

    Args:
        endpoint: the daemon's address, without TLS.
        operation: the operation's name, for error messages.
        target: path and query, already encoded.

    Raises:
        EngineUnreachable: the connection cannot be made, or was lost.
        EngineProtocolError: the response is not HTTP.
    """
    try:
        request = h11.Request(
            method="GET", target=target, headers=[*HEADERS, *trace_headers(), (b"Connection", b"close")]
        )
    except h11.LocalProtocolError as error:
        raise EngineProtocolError(f"{operation}: the request's URL is invalid: {error}") from error
    lines = [b"GET %b HTTP/1.0" % request.target, *(b"%b: %b" % header for header in request.headers), b"\r\n"]
    stream = await _connect(endpoint, operation)
    try:
        try:
            await stream.send_all(b"\r\n".join(lines))
        except trio.BrokenResourceError as error:
            raise lost_connection(operation, endpoint, error) from error
        with socket.socket(fileno=stream.socket.detach()) as sock:
            sock.settimeout(_SILENCE)
            download = Download(sock, operation, endpoint)
            await download.receive_head(request)
            yield download
    finally:
        stream.socket.close()


async def _connect(endpoint: Endpoint, operation: str) -> trio.SocketStream:
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            if endpoint.socket:
                return await trio.open_unix_socket(endpoint.socket)
            return await trio.open_tcp_stream(endpoint.address, endpoint.port)
    except (OSError, trio.TooSlowError, UnicodeError) as error:  # UnicodeError: the host name is not valid IDNA.
        reason = str(error) or type(error).__name__
        raise EngineUnreachable(f"{operation}: cannot connect to {endpoint}: {reason}") from error
