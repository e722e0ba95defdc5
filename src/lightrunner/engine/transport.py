"""HTTP for answers that last or flow: waits, logs, progress. The one module that knows httpx.

httpx's transport is used directly, without its client: no redirects, cookies or proxies from the environment happen to
a daemon's socket, and a call takes 0.2 ms less (seen on 20.10). Each has a transport and a connection of its own.
No httpx exception leaves this module.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from inspect import isasyncgen

import httpx
import trio

from .connection import CONNECT_TIMEOUT, HEADERS, Headers
from .endpoint import Endpoint
from .errors import EngineProtocolError, EngineUnreachable

RequestBody = bytes | AsyncIterable[bytes]

_CLOSE_TIMEOUT = 5.0
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=0)
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


class Response:
    """A response whose head has arrived. `receive_some` reads its body."""

    def __init__(self, response: httpx.Response, operation: str, endpoint: Endpoint) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._response = response
        self._operation = operation
        self._endpoint = endpoint
        self._body: AsyncIterator[bytes] | None = None
        self._stream = response.stream
        self.status = response.status_code

    async def receive_some(self) -> bytes:
        """The next bytes of the body, as they come; none at its end."""
        if self._body is None:
            self._body = aiter(self._stream)
        with _engine_errors(self._operation, self._endpoint):
            return await anext(self._body, b"")

    async def read_up_to(self, limit: int) -> bytes:
        """The body's first bytes, `limit` at most; the rest is not read."""
        body = b""
        while len(body) < limit and (part := await self.receive_some()):
            body += part
        return body[:limit]

    async def aclose(self) -> None:
        """Let go of it."""
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


class Transport:
    """Connections to one daemon, each for one request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # A transport for each: one for all looks at all of its connections twice a call, and polls each idle one.
        self._open: set[httpx.AsyncHTTPTransport] = set()

    async def aclose(self) -> None:
        """Close all connections, also those that are in use."""
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            for http in tuple(self._open):
                await http.aclose()

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
        http = httpx.AsyncHTTPTransport(
            uds=self._endpoint.socket or None, limits=_LIMITS, verify=_no_tls(), trust_env=False
        )
        self._open.add(http)
        response = None
        try:
            with _engine_errors(operation, self._endpoint):
                request = httpx.Request(
                    method,
                    self._endpoint.url + target,
                    headers=[*HEADERS, *headers, *([stream.header] if stream else ())],
                    stream=stream,
                    extensions=_EXTENSIONS,
                )
                try:
                    response = Response(await http.handle_async_request(request), operation, self._endpoint)
                finally:
                    if stream:
                        await stream.aclose()
            yield response
        finally:
            with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                try:
                    if response is not None:
                        await response.aclose()
                finally:
                    self._open.discard(http)
                    await http.aclose()


@cache
def _no_tls() -> ssl.SSLContext:
    """No TLS is spoken here. The default context would load the system's certificates, which takes 10 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
