"""HTTP to the daemon: the one module that knows httpx.

httpx's transport is used directly, without its client: no redirects, cookies or proxies from the environment happen to
a daemon's socket, and a call costs 0.53 ms where it cost 0.72 (both seen on 20.10). No httpx exception leaves this
module.
"""

import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from inspect import isasyncgen
from typing import NamedTuple, Protocol, Self

import httpx
import trio

from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting. Reads have no time-out: waits, pulls and builds may be silent for hours."""

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A response that is read whole: a daemon with ten thousand containers lists them in less."""

RECEIVE_BYTES = 256 * 1024
"""One read of an upgraded connection: what a Unix socket holds. The daemon writes frames of up to 32 KiB; a reader that
is slower than it takes several at once, for a quarter less time than with 64 KiB."""

RequestBody = bytes | AsyncIterable[bytes]
Headers = tuple[tuple[bytes, bytes], ...]

HEADERS: Headers = (
    (b"Host", b"docker"),
    # httpx would offer gzip, and the daemon would then compress archives: 50 MB/s where identity gives 300.
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"lightrunner"),
)

_SWITCHING_PROTOCOLS = 101
_CLOSE_TIMEOUT = 5.0
_MAX_IDLE_CONNECTIONS = 20
_MAX_IDLE = 30.0
"""Seconds."""
_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_MAX_IDLE)
_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}}
_CHUNKED = (b"Transfer-Encoding", b"chunked")

# httpx has one class for what is no HTTP and for HTTP that was cut off; these are httpcore's and h11's words for the
# latter. (A test holds them.)
_CUT_OFF = ("Server disconnected", "peer closed connection", "peer unexpectedly closed")


@contextmanager
def _engine_errors(operation: str, endpoint: Endpoint) -> Generator[None]:
    """Turn what httpx raises into this package's errors."""
    try:
        yield
    except httpx.ProtocolError as error:
        if str(error).startswith(_CUT_OFF):
            raise EngineUnreachable(f"{operation}: the connection to {endpoint} was lost: {error}") from error
        raise EngineProtocolError(f"{operation}: {endpoint} does not speak HTTP as agreed: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise EngineUnreachable(f"{operation}: cannot connect to {endpoint}: {_reason(error)}") from error
    except httpx.TransportError as error:
        raise EngineUnreachable(f"{operation}: the connection to {endpoint} was lost: {_reason(error)}") from error
    except httpx.InvalidURL as error:
        raise EngineProtocolError(f"{operation}: not a request that can be made: {error}") from error


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


class _Whole(AsyncIterator[bytes]):
    """One piece of bytes."""

    def __init__(self, data: bytes) -> None:
        self._left = [data]

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _RequestStream(httpx.AsyncByteStream):
    """A request's body. (httpx's own are generators, which nobody closes where the daemon answers early.)"""

    def __init__(self, body: RequestBody) -> None:
        self._body = body
        self.header = (b"Content-Length", b"%d" % len(body)) if isinstance(body, bytes) else _CHUNKED

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Whole(self._body) if isinstance(self._body, bytes) else aiter(self._body)

    async def aclose(self) -> None:
        # A channel is its owner's to close; a generator that was given away has nobody else.
        body: object = self._body
        if isasyncgen(body):
            await body.aclose()


class _NetworkStream(Protocol):
    """What httpcore gives for a connection that was upgraded, as far as it is used."""

    async def read(self, max_bytes: int) -> bytes: ...

    async def write(self, buffer: bytes) -> None: ...

    def get_extra_info(self, info: str) -> object: ...


class RawConnection:
    """A connection behind a 101: bytes both ways, with trio's names for them."""

    def __init__(self, stream: _NetworkStream, operation: str, endpoint: Endpoint) -> None:
        self._stream = stream
        self._operation = operation
        self._endpoint = endpoint

    async def receive_some(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Bytes, at most so many; none at the end. What came behind the response's head comes first."""
        with self._lost_connection():
            return await self._stream.read(max_bytes)

    async def send_all(self, data: bytes) -> None:
        """Write all of it."""
        with self._lost_connection():
            await self._stream.write(data)

    def is_readable(self) -> bool:
        """Whether something has arrived that was not received yet, the end included."""
        return bool(self._stream.get_extra_info("is_readable"))

    def send_eof(self) -> None:
        """Close the sending half. (trio's `send_eof` is async for TLS' sake; a socket's shutdown does not wait.)"""
        sock = self._stream.get_extra_info("socket")
        assert isinstance(sock, trio.socket.SocketType)
        try:
            sock.shutdown(trio.socket.SHUT_WR)
        except OSError as error:
            raise EngineUnreachable(f"{self._operation}: the connection to {self._endpoint} was lost") from error

    @contextmanager
    def _lost_connection(self) -> Generator[None]:
        # httpx does not map what an upgraded connection raises. It has imported httpcore when it connected; importing
        # it with this module would cost every `import lightrunner` 20 ms.
        import httpcore  # noqa: PLC0415

        try:
            yield
        except httpcore.NetworkError as error:
            raise EngineUnreachable(f"{self._operation}: the connection to {self._endpoint} was lost") from error


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
        """A header's value; `None` where there is none."""
        value: str | None = self._response.headers.get(name)
        return value

    async def receive_some(self) -> bytes:
        """The next bytes of the body, as they come; none at its end."""
        if self._body is None:
            self._body = aiter(self._stream)
        with _engine_errors(self._operation, self._endpoint):
            data = await anext(self._body, b"")
        self._ended = not data
        return data

    async def read(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body.

        Raises:
            EngineProtocolError: where it is longer than `limit` bytes.
        """
        body = await self.read_up_to(limit + 1)
        if len(body) > limit:
            raise EngineProtocolError(f"{self._operation}: an answer of more than {limit} bytes")
        return body

    async def read_up_to(self, limit: int) -> bytes:
        """The body's first bytes, about `limit` at most; the rest is not read."""
        parts: list[bytes] = []
        size = 0
        while size < limit and (part := await self.receive_some()):
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def error_body(self) -> bytes:
        """The body of a refusal, capped."""
        return (await self.read_up_to(MAX_ERROR_BODY_BYTES))[:MAX_ERROR_BODY_BYTES]

    def upgraded(self) -> RawConnection:
        """The raw connection behind a 101."""
        stream: _NetworkStream | None = self._response.extensions.get("network_stream")
        if self.status != _SWITCHING_PROTOCOLS or stream is None:
            raise EngineProtocolError(f"{self._operation}: the daemon did not upgrade the connection ({self.status})")
        return RawConnection(stream, self._operation, self._endpoint)

    @property
    def leaves_connection(self) -> bool:
        """Whether the next request can have the connection: the body was read to its end."""
        return self._ended and self.status != _SWITCHING_PROTOCOLS

    async def aclose(self) -> None:
        """Let go of the connection; it is closed where the body was not read to its end."""
        with _engine_errors(self._operation, self._endpoint):
            await self._stream.aclose()
        if self._body is not None:
            # Async generators that are dropped half-way are finalized by the garbage collector, with a warning. The
            # connection is closed or done now: they run to their end on what is buffered, or into its error.
            try:
                while await anext(self._body, b""):
                    pass
            except (httpx.HTTPError, httpx.StreamError):
                return


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when on trio's clock."""

    http: httpx.AsyncHTTPTransport
    since: float


class Transport:
    """Connections to one daemon, as many as there are requests under way. Use as ``async with``.

    Each is an httpx transport of its own. Behind one transport for all, httpcore looks at every connection twice a
    call, polls each idle socket, and counts all for each idle one: with 8 runs at a time that was a sixth of
    our processor time.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # No TLS is spoken here. The default context would load the system's certificates, which takes 10 ms.
        self._no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._busy: set[httpx.AsyncHTTPTransport] = set()
        self._idle: deque[_Idle] = deque()  # The one at the right was used last, and is used next.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            for http in [*self._busy, *(idle.http for idle in self._idle)]:
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
    ) -> AsyncGenerator[Response]:
        """Send a request and yield the response as soon as its head is there.

        Args:
            operation: the operation's name, for errors.
            method: HTTP's.
            target: path and query, already encoded.
            body: bytes, sent with their length, or an async iterable, sent in chunks as it yields them. Where the
                daemon answers before it has read all of that, the rest is not sent.
            headers: more headers.

        Raises:
            EngineUnreachable: there is no connection, or it was lost.
            EngineProtocolError: what came back is not HTTP.
        """
        stream = None if body is None else _RequestStream(body)
        response = None
        http = self._connection()
        try:
            with _engine_errors(operation, self.endpoint):
                request = httpx.Request(
                    method,
                    self.endpoint.url + target,
                    headers=[*HEADERS, *headers, *([stream.header] if stream else ())],
                    stream=stream,
                    extensions=_EXTENSIONS,
                )
                try:
                    response = Response(await http.handle_async_request(request), operation, self.endpoint)
                finally:
                    if stream:
                        await stream.aclose()
            yield response
        finally:
            with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                await self._let_go(http, response)

    def _connection(self) -> httpx.AsyncHTTPTransport:
        """One that nobody uses; httpx connects where it is a new one, or was closed by the daemon meanwhile."""
        if self._idle:
            http = self._idle.pop().http
        else:
            http = httpx.AsyncHTTPTransport(
                uds=self.endpoint.socket or None, limits=_ONE_CONNECTION, verify=self._no_tls, trust_env=False
            )
        self._busy.add(http)
        return http

    async def _let_go(self, http: httpx.AsyncHTTPTransport, response: Response | None) -> None:
        """Keep the connection for the next request, or close it; and close what was kept in vain."""
        surplus = [http]
        try:
            if response is not None:
                await response.aclose()
                if response.leaves_connection and len(self._idle) < _MAX_IDLE_CONNECTIONS:
                    surplus.clear()
                    self._idle.append(_Idle(http, trio.current_time()))
        finally:
            self._busy.discard(http)
            while self._idle and self._idle[0].since < trio.current_time() - _MAX_IDLE:
                surplus.append(self._idle.popleft().http)
            for closing in surplus:
                await closing.aclose()
