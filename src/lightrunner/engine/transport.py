"""HTTP to the daemon, over httpx's transport: the one module that imports httpx.

The transport is used directly, without httpx's client: no redirects, cookies or proxies from the environment apply to a
daemon's socket, and a call takes 0.53 ms instead of 0.72 (dockerd 20.10). No httpx exception leaves this module.
"""

import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from inspect import isasyncgen
from typing import Final, NamedTuple, Protocol, cast

import httpx
import trio

from .connection import Connect
from .drain import Consume, drain_in_thread
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable
from .tracing import trace_headers
from .upgraded import RECEIVE_BYTES, NetworkStream, RawConnection, connection_of, lost_connection, reason_of, socket_of
from .upload import open_bare_nursery, open_prefetched

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for connecting. Reads have no time-out: waits, pulls and builds may be silent for hours."""

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Limit of a body that is read whole. A list of ten thousand containers has less."""


RequestBody = bytes | AsyncIterable[bytes] | Iterator[bytes]
Headers = tuple[tuple[bytes, bytes], ...]

HEADERS: Final[Headers] = (
    (b"Host", b"docker"),
    # httpx would offer gzip, and the daemon would then compress archives: 50 MB/s instead of 300.
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"lightrunner"),
)

_SWITCHING_PROTOCOLS: Final = 101
_CLOSE_TIMEOUT: Final = 5.0
_UNIX_REFUSAL_GRACE: Final = 1.0
"""Seconds that a daemon has to read on after an early response, before the upload is cut off."""

_TCP_REFUSAL_GRACE: Final = 0.1
"""The same over TCP. 0.5 s after such a response Go's server closes the connection (net/http, rstAvoidanceDelay);
data that arrives later makes it send a reset, which discards the unread response."""

_MAX_IDLE_CONNECTIONS: Final = 20
_MAX_IDLE: Final = 30.0
"""Seconds that an idle connection is kept. A firewall on the way may drop it silently after longer."""

_UPLOAD_OPTIONS: Final = ((socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024),)
"""Send buffer of a Unix socket for an upload: one piece. With the default of 208 KiB the event loop wakes five times as
often, and 200 MiB take a seventh longer. Linux caps it at twice ``net.core.wmem_max``, by default 416 KiB, which is as
good. TCP sizes its own buffers."""

_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_MAX_IDLE)
_TIMEOUTS: Final = {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}
_CHUNKED: Final = (b"Transfer-Encoding", b"chunked")

# httpx raises the same class for malformed HTTP and for a connection that was cut off. These are the beginnings of
# httpcore's and h11's messages for the latter. (A test checks them.)
_CUT_OFF = ("Server disconnected", "peer closed connection", "peer unexpectedly closed")


@contextmanager
def _engine_errors(operation: str, endpoint: Endpoint) -> Generator[None]:
    """Turn httpx's exceptions into `EngineError`."""
    try:
        yield
    except httpx.ProtocolError as error:
        if str(error).startswith(_CUT_OFF):
            raise lost_connection(operation, endpoint, error) from error
        raise EngineProtocolError(f"{operation}: the response from {endpoint} is not valid HTTP: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise EngineUnreachable(f"{operation}: cannot connect to {endpoint}: {reason_of(error)}") from error
    except httpx.TransportError as error:
        raise lost_connection(operation, endpoint, error) from error
    except httpx.InvalidURL as error:
        raise EngineProtocolError(f"{operation}: the request's URL is invalid: {error}") from error


class AnyResponse(Protocol):
    """A response whose head has arrived: a `Response`, or a `lightrunner.engine.download.Download`."""

    status: int

    def header(self, name: str) -> str | None:
        """Return a header's value; `None` without that header. `name` is in lower case."""
        ...

    async def receive_some(self) -> bytes:
        """Receive the next bytes of the body; empty at its end."""
        ...

    async def drain(self, consume: Consume) -> None:
        """Call `consume` with the body's pieces, in a thread, until the body ends or `consume` returns True."""
        ...

    async def error_body(self) -> bytes:
        """Receive the body of an error response, up to `MAX_ERROR_BODY_BYTES`."""
        ...


class _Whole(AsyncIterator[bytes]):
    """A body in one piece."""

    def __init__(self, data: bytes) -> None:
        self._left = [data]

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Pieces(AsyncIterator[bytes]):
    """A body in pieces, which may be cut off."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.is_cut_off = False

    async def __anext__(self) -> bytes:
        if self.is_cut_off:
            # httpcore takes this for a daemon that has stopped reading, and reads its response. It does not send the
            # body's end mark, which could make the daemon take a part of an archive for the whole.
            import httpcore  # noqa: PLC0415 - see `_lost_connection`

            raise httpcore.WriteError
        return await anext(self._pieces)


class _RequestStream(httpx.AsyncByteStream):
    """A request's body. (httpx's own streams are generators, which nobody closes after an early response.)"""

    def __init__(self, body: bytes | AsyncIterable[bytes]) -> None:
        self._body = body
        self._pieces: _Pieces | None = None
        self.header = (b"Content-Length", b"%d" % len(body)) if isinstance(body, bytes) else _CHUNKED

    def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._body, bytes):
            return _Whole(self._body)
        self._pieces = _Pieces(aiter(self._body))
        return self._pieces

    def cut_off(self) -> None:
        """Send no further pieces."""
        if self._pieces is not None:
            self._pieces.is_cut_off = True

    async def aclose(self) -> None:
        # A channel has an owner that closes it. A generator that was passed in has not.
        body: object = self._body
        if isasyncgen(body):
            await body.aclose()


class Response:
    """A response whose head has arrived. `receive_some` reads its body."""

    def __init__(self, response: httpx.Response, operation: str, endpoint: Endpoint) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._response = response
        self._operation = operation
        self._endpoint = endpoint
        self._body: AsyncIterator[bytes] | None = None
        self._stream = response.stream
        self._ended = False
        self.status = response.status_code

    def header(self, name: str) -> str | None:
        """Return a header's value; `None` without that header."""
        value: str | None = self._response.headers.get(name)
        return value

    async def receive_some(self) -> bytes:
        """Receive the next bytes of the body; empty at its end."""
        if self._body is None:
            self._body = aiter(self._stream)
        with _engine_errors(self._operation, self._endpoint):
            data = await anext(self._body, b"")
        self._ended = not data
        return data

    async def read(self) -> bytes:
        """Receive the whole body.

        Raises:
            EngineProtocolError: the body has more than `MAX_BODY_BYTES`.
        """
        body = await self.read_up_to(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise EngineProtocolError(f"{self._operation}: the response has more than {MAX_BODY_BYTES} bytes")
        return body

    async def read_up_to(self, limit: int) -> bytes:
        """Receive at most `limit` bytes of the body, and leave the rest unread."""
        parts: list[bytes] = []
        size = 0
        while size < limit and (part := await self.receive_some()):
            parts.append(part)
            size += len(part)
        return b"".join(parts)[:limit]

    async def error_body(self) -> bytes:
        """Receive the body of an error response, up to `MAX_ERROR_BODY_BYTES`."""
        return await self.read_up_to(MAX_ERROR_BODY_BYTES)

    async def drain(self, consume: Consume) -> None:
        """Call `consume` with the body's pieces, in a thread, until the body ends or `consume` returns True."""
        await drain_in_thread(self.receive_some, consume)

    async def upgraded(self) -> RawConnection:
        """Return the raw connection after a response with the status 101.

        Raises:
            EngineProtocolError: the response has another status.
        """
        stream: NetworkStream | None = self._response.extensions.get("network_stream")
        if self.status != _SWITCHING_PROTOCOLS or stream is None:
            raise EngineProtocolError(
                f"{self._operation}: {self._endpoint} did not upgrade the connection (HTTP {self.status}); "
                "a proxy on the way may drop the Upgrade header"
            )
        # httpcore returns bytes that arrived with the head without waiting. If there are none, the scope ends its wait.
        received = b""
        with trio.move_on_after(0):
            received = await stream.read(RECEIVE_BYTES)
        return RawConnection(stream, received, self._operation, self._endpoint)

    @property
    def leaves_connection(self) -> bool:
        """Whether the next request can use the connection: the body was read to its end."""
        return self._ended and self.status != _SWITCHING_PROTOCOLS

    async def aclose(self) -> None:
        """Release the connection. It is closed unless the body was read to its end."""
        with _engine_errors(self._operation, self._endpoint):
            await self._stream.aclose()
        if self._body is not None and not self._ended:
            # The garbage collector warns about async generators that were dropped half-way. The connection is closed,
            # so this ends after what is buffered, or with an error.
            try:
                while await anext(self._body, b""):
                    pass
            except (httpx.HTTPError, httpx.StreamError):
                return


class _Idle(NamedTuple):
    """An idle connection. `since` is on trio's clock."""

    http: httpx.AsyncHTTPTransport
    since: float


class Transport:
    """The connections to one daemon: as many as there are requests in progress.

    Each connection is an httpx transport of its own. In a shared transport, httpcore looks at every connection twice
    per call and polls each idle socket: with 8 concurrent runs that was a sixth of the processor time.
    """

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None = None, connect: Connect | None = None) -> None:
        self._endpoint = endpoint
        self._tls = tls or _no_tls()
        self._connect = connect
        self._closed = False
        self._lasting: set[httpx.AsyncHTTPTransport] = set()
        self._idle: deque[_Idle] = deque()  # The rightmost was used last, and is used next.

    async def aclose(self) -> None:
        """Close all connections, except those of short calls, which end by themselves and then close theirs."""
        self._closed = True
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            for http in [*self._lasting, *(idle.http for idle in self._idle)]:
                await http.aclose()
        self._idle.clear()

    @asynccontextmanager
    async def open(
        self,
        operation: str,
        method: str,
        target: str,
        *,
        body: RequestBody | None = None,
        headers: Headers = (),
        is_short: bool = False,
    ) -> AsyncGenerator[Response]:
        """Send a request, and yield the response as soon as its head has arrived.

        Args:
            operation: the operation's name, for error messages.
            method: the HTTP method.
            target: path and query, already encoded.
            body: bytes, sent with their length; or an iterator or async iterable, sent in chunks. A thread advances an
                iterator, some MiB ahead of the daemon. After an early response, the rest is not sent.
            headers: more headers.
            is_short: the call ends by itself, and `aclose` leaves it alone.

        Raises:
            EngineUnreachable: the connection cannot be made, or was lost.
            EngineProtocolError: the response is not HTTP.
        """
        is_upload = not (body is None or isinstance(body, bytes))
        http = self._connection(may_be_idle=not is_upload)
        if not is_short:
            self._lasting.add(http)
        response = None
        try:
            with _engine_errors(operation, self._endpoint):
                sock = await self._connect_tls(http) if is_upload and self._endpoint.tls is not None else None
                if isinstance(body, Iterator):
                    async with open_prefetched(body) as pieces:
                        http_response = await _send(http, method, self._endpoint.url + target, headers, pieces, sock)
                else:
                    http_response = await _send(http, method, self._endpoint.url + target, headers, body, sock)
            response = Response(http_response, operation, self._endpoint)
            yield response
        finally:
            with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                await self._release(http, response)

    async def _connect_tls(self, http: httpx.AsyncHTTPTransport) -> trio.socket.SocketType:
        """Connect with TLS, and read the session tickets that follow the handshake. Return the socket.

        Unread tickets would make the socket readable, which is the sign of an early response. The response to a ping
        comes after them, so reading it reads them.
        """
        async with _closing(await _send(http, "GET", f"{self._endpoint.url}/_ping", (), None)) as ping:
            assert isinstance(ping.stream, httpx.AsyncByteStream)
            async for _ in ping.stream:
                pass
            return socket_of(ping.extensions["network_stream"])

    def _connection(self, *, may_be_idle: bool) -> httpx.AsyncHTTPTransport:
        """Return an idle connection, or a new one. httpx connects if it is new, or if the daemon has closed it."""
        if may_be_idle and self._idle and self._idle[-1].since >= trio.current_time() - _MAX_IDLE:
            return self._idle.pop().http
        is_upload = not may_be_idle
        http = httpx.AsyncHTTPTransport(
            uds=self._endpoint.socket or None,
            limits=_ONE_CONNECTION,
            verify=self._tls,
            trust_env=False,
            socket_options=_UPLOAD_OPTIONS if is_upload and self._endpoint.socket else (),
        )
        if self._connect is not None:
            from .backend import connection_pool  # noqa: PLC0415 - as httpcore in `RawConnection`

            # httpx has no argument for httpcore's network backend.
            http._pool = connection_pool(self._connect)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return http

    async def _release(self, http: httpx.AsyncHTTPTransport, response: Response | None) -> None:
        """Keep the connection for the next request, or close it. Close connections that were idle for too long."""
        surplus = [http]
        try:
            if response is not None:
                await response.aclose()
                if response.leaves_connection and not self._closed and len(self._idle) < _MAX_IDLE_CONNECTIONS:
                    surplus.clear()
                    self._idle.append(_Idle(http, trio.current_time()))
        finally:
            self._lasting.discard(http)
            while self._idle and self._idle[0].since < trio.current_time() - _MAX_IDLE:
                surplus.append(self._idle.popleft().http)
            for closing in surplus:
                await closing.aclose()


@asynccontextmanager
async def _closing(response: httpx.Response) -> AsyncGenerator[httpx.Response]:
    try:
        yield response
    finally:
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await response.aclose()


async def _send(  # noqa: PLR0917
    http: httpx.AsyncHTTPTransport,
    method: str,
    url: str,
    headers: Headers,
    body: bytes | AsyncIterable[bytes] | None,
    sock: trio.socket.SocketType | None = None,
) -> httpx.Response:
    """Send a request, and return its response as soon as the head has arrived. `sock` is as for `_upload`."""
    stream = None if body is None else _RequestStream(body)
    request = httpx.Request(
        method,
        url,
        headers=[*HEADERS, *trace_headers(), *headers, *([stream.header] if stream else ())],
        stream=stream,
        extensions={"timeout": _TIMEOUTS},
    )
    if stream is None or isinstance(body, bytes):
        return await http.handle_async_request(request)
    try:
        return await _upload(http, request, stream, sock)
    finally:
        await stream.aclose()


async def _upload(
    http: httpx.AsyncHTTPTransport, request: httpx.Request, body: _RequestStream, sock: trio.socket.SocketType | None
) -> httpx.Response:
    """Send a body in pieces, and cut it off if the daemon has responded and has stopped reading.

    Args:
        http: the connection.
        request: the request.
        body: the request's body.
        sock: the socket of a TLS connection, with nothing to read; None: connect without TLS.
    """
    watch = trio.CancelScope()

    async def cut_off_when_answered(sock: trio.socket.SocketType) -> None:
        is_unix = sock.family == trio.socket.AF_UNIX
        # The socket is closed after a failed request, and may be after a response.
        with watch, suppress(trio.ClosedResourceError, OSError):
            await trio.lowlevel.wait_readable(sock)
            if request.url.scheme == "https":
                # trio's SSLStream cannot be read after a failed write. If the current write is blocked, it fails when
                # the daemon closes the connection, and the response is lost.
                body.cut_off()
                return
            await trio.sleep(_UNIX_REFUSAL_GRACE if is_unix else _TCP_REFUSAL_GRACE)
            # httpcore ignores the failed write, and reads the response. A write that is blocked on a full Unix socket
            # wakes only if both halves are shut down; bytes that have arrived can still be read.
            sock.shutdown(trio.socket.SHUT_RDWR if is_unix else trio.socket.SHUT_WR)

    async def trace(event: str, info: dict[str, object]) -> None:
        if sock is None and event.startswith("connection.connect_") and event.endswith(".complete"):
            stream = cast("NetworkStream", info["return_value"])
            if connection_of(stream) is None:  # Else its other side breaks it where it reads no more.
                nursery.start_soon(cut_off_when_answered, socket_of(stream))
        elif event == "http11.receive_response_headers.started":
            watch.cancel()  # Two tasks cannot wait for one socket.

    request.extensions["trace"] = trace
    async with open_bare_nursery() as nursery:
        if sock is not None:
            nursery.start_soon(cut_off_when_answered, sock)
        response = await http.handle_async_request(request)
        watch.cancel()
    return response


@cache
def _no_tls() -> ssl.SSLContext:
    """Return a context for plain sockets. httpx's default loads the system's certificates, which takes 10 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
