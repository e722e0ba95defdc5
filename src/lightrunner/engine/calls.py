"""How a call is made: of the agreed API version, with its status checked.

Here a status becomes an error (that of an upgrade: in hijack.py), and a lost connection makes us ask for the version
again.
"""

import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urlencode

import trio

from . import wire
from .connection import Answer, Headers
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineResponseError, EngineUnreachable, response_error
from .exchange import Exchange, open_exchange
from .hijack import RawConnection, open_upgraded
from .progress import ProgressDecoder, ProgressMessage
from .roundtrip import RoundTrips
from .transport import RequestBody, Response, Transport

MIN_API_VERSION: Final = (1, 40)
"""Docker 19.03. Nothing older is still maintained by anybody."""

MAX_API_VERSION: Final = (1, 51)
"""The newest version whose changes were read (Docker 28.5)."""

PING_TIMEOUT = 5.0
"""Seconds; light-runner's deadline."""

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_DOT_SEGMENT = re.compile(r"(?<=/)\.{1,2}(?=[/?]|$)")
# 304: a start or a stop of what is already in that state.
_GOOD_STATUSES: Final = frozenset({200, 201, 204, 304})
_JSON = ((b"Content-Type", b"application/json"),)
TAR = ((b"Content-Type", b"application/x-tar"),)

Query = Mapping[str, str | int | bool | None]
Filters = Mapping[str, Sequence[str]]


class Calls:
    """Calls to one daemon."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._round_trips = RoundTrips(endpoint)
        self._transport = Transport(endpoint)
        self._upgraded: set[RawConnection] = set()
        self._version = ""

    async def aclose(self) -> None:
        """Close all connections but those of short calls that are under way, which close them when they end."""
        self._round_trips.close()
        for connection in self._upgraded:
            connection.close()
        await self._transport.aclose()

    async def ping(self) -> str:
        """The newest API version that the daemon speaks, asked for with a deadline."""
        try:
            with trio.fail_after(PING_TIMEOUT), self._noting_losses():
                answer = await self._round_trips.make("system_ping", "GET", "/_ping")
        except trio.TooSlowError:
            reason = f"system_ping: {self.endpoint} did not answer within {PING_TIMEOUT:g} s"
            raise EngineUnreachable(reason) from None
        # Before the status: a daemon says its version with a refusal as well, and a web server's 404 is no daemon's.
        version = answer.headers.get("api-version")
        if version is None or _VERSION.fullmatch(version) is None:
            raise EngineProtocolError(f"system_ping: {self.endpoint} is no Docker daemon: Api-Version is {version!r}")
        _check("system_ping", answer.status, answer.body)
        return version

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: wire.Wire | None = None,
        body: bytes | None = None,
        headers: Headers = (),
    ) -> bytes:
        """A short call of the agreed version, with its status checked; its answer's body."""
        if json is not None:
            body, headers = wire.encode(json), _JSON
        target = await self._target(path, query)
        return (await self._call(operation, method, target, body=body, headers=headers)).body

    async def head(self, operation: str, path: str, *, query: Query | None = None) -> Mapping[str, str]:
        """As `call`, with the method HEAD; the answer's headers by their names in lower case."""
        return (await self._call(operation, "HEAD", await self._target(path, query))).headers

    async def progress(
        self,
        operation: str,
        path: str,
        *,
        on_progress: Callable[[ProgressMessage], object] | None,
        query: Query | None = None,
        body: RequestBody | None = None,
        headers: Headers = (),
    ) -> ProgressMessage | None:
        """A call that answers with a progress stream; its last message, or the error that came inside it."""
        decoder = ProgressDecoder()
        last: ProgressMessage | None = None
        async with self.stream(operation, "POST", path, query=query, body=body, headers=headers) as response:
            while data := await response.receive_some():
                for last in decoder.feed(data):
                    detail = last.error_detail
                    if detail is not None or last.error:
                        message = (detail.message if detail else "") or last.error
                        raise EngineResponseError(operation, (detail and detail.code) or response.status, message)
                    if on_progress is not None:
                        on_progress(last)
            decoder.close()
        return last

    @asynccontextmanager
    async def stream(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: RequestBody | None = None,
        headers: Headers = (),
    ) -> AsyncGenerator[Response]:
        """A call of the agreed version whose answer lasts or flows, with its status checked."""
        target = await self._target(path, query)
        with self._noting_losses():
            async with self._transport.open(operation, method, target, body=body, headers=headers) as response:
                if response.status not in _GOOD_STATUSES:
                    raise response_error(operation, response.status, await response.read_up_to(MAX_ERROR_BODY_BYTES))
                yield response

    @asynccontextmanager
    async def exchange(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Headers = (),
        body: Iterator[bytes] | None = None,
        chunked: bool = True,
    ) -> AsyncGenerator[Exchange]:
        """A call of the agreed version with much data in its body or its answer, with its status checked."""
        target = await self._target(path, query)
        with self._noting_losses():
            async with open_exchange(
                self.endpoint, operation, method, target, headers=headers, body=body, chunked=chunked
            ) as exchange:
                if exchange.status not in _GOOD_STATUSES:
                    raise response_error(operation, exchange.status, await exchange.error_body())
                yield exchange

    @asynccontextmanager
    async def upgrade(self, operation: str, path: str, *, query: Query) -> AsyncGenerator[RawConnection]:
        """A call of the agreed version that hands its connection over."""
        target = await self._target(path, query)
        with self._noting_losses():
            async with open_upgraded(self.endpoint, operation, target) as connection:
                self._upgraded.add(connection)
                try:
                    yield connection
                finally:
                    self._upgraded.remove(connection)

    async def _target(self, path: str, query: Query | None) -> str:
        target = f"/v{self._version or await self._negotiate()}{_DOT_SEGMENT.sub(_encode_dots, path)}"
        arguments = _arguments(query) if query else ""
        return f"{target}?{arguments}" if arguments else target

    async def _call(
        self, operation: str, method: str, target: str, *, body: bytes | None = None, headers: Headers = ()
    ) -> Answer:
        with self._noting_losses():
            answer = await self._round_trips.make(operation, method, target, body=body, headers=headers)
        _check(operation, answer.status, answer.body)
        return answer

    @contextmanager
    def _noting_losses(self) -> Generator[None]:
        """Behind a lost connection another daemon may answer: its version is asked for again."""
        try:
            yield
        except EngineUnreachable:
            self._version = ""
            raise

    async def _negotiate(self) -> str:
        """Agree on a version: the daemon's newest, clamped to what this client knows.

        A daemon whose newest version is one that we know accepts it for sure. Only a newer daemon is asked which is
        the oldest that it accepts: /version takes some 50 ms, since the daemon runs three programs for it.
        """
        newest = _version(await self.ping())
        if newest < MIN_API_VERSION:
            raise EngineProtocolError(
                f"the daemon at {self.endpoint} speaks API {_text(newest)}; {_text(MIN_API_VERSION)} or newer is needed"
            )
        if newest > MAX_API_VERSION:
            answer = await self._call("system_version", "GET", "/version")
            reply = wire.decode(wire.SYSTEM_VERSION, "system_version", answer.body)
            newest = max(MAX_API_VERSION, _version(reply.min_api_version or _text(MAX_API_VERSION)))
        self._version = _text(newest)
        return self._version


def _check(operation: str, status: int, body: bytes) -> None:
    if status not in _GOOD_STATUSES:
        raise response_error(operation, status, body)


def _encode_dots(segment: re.Match[str]) -> str:
    """Names as they are: who resolves dots, such as httpx, would take an image ``../containers/x`` for a container."""
    return segment[0].replace(".", "%2E")


def _version(text: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise EngineProtocolError(f"{text!r} is not an API version")
    return int(match[1]), int(match[2])


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _arguments(query: Query) -> str:
    """A query string; what is None is left out, truth is a digit."""
    return urlencode(
        {name: int(value) if isinstance(value, bool) else value for name, value in query.items() if value is not None},
        errors="surrogateescape",
    )


def filters_text(filters: Filters | None) -> str | None:
    """Filters as a query has them: JSON."""
    return wire.encode(filters).decode() if filters else None
