"""Make calls of the negotiated API version, and check their status.

An error status raises here. After a lost connection, the next call negotiates the version anew.
"""

import re
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urlencode

import trio

from . import wire
from .connection import Connect
from .endpoint import Endpoint
from .errors import EngineProtocolError, EngineResponseError, EngineUnreachable, response_error
from .progress import ProgressDecoder, ProgressMessage
from .ssh import SshForward
from .transport import AnyResponse, Headers, RequestBody, Response, Transport
from .upgraded import RawConnection

MIN_API_VERSION: Final = (1, 40)
"""Docker 19.03. Nobody maintains anything older."""

MAX_API_VERSION: Final = (1, 56)
"""Docker 29: the newest version whose changes (moby's api/docs/CHANGELOG.md) have been read for this client."""

PING_TIMEOUT = 5.0
"""Seconds; light-runner's deadline."""

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_WRONG_VERSION = re.compile(r"client version \S+ is too (old|new)")
"""As dockerd says since 1.12; Docker 29 says it of all below 1.44."""
_DOT_SEGMENT = re.compile(r"(?<=/)\.{1,2}(?=[/?]|$)")
# 304: the container that is to start or stop already runs or has stopped.
_GOOD_STATUSES: Final = frozenset({200, 201, 204, 304})
_REFUSED: Final = 400
"""The first of HTTP's error statuses."""
_UPGRADE: Final = ((b"Connection", b"Upgrade"), (b"Upgrade", b"tcp"), (b"Content-Length", b"0"))
_JSON = ((b"Content-Type", b"application/json"),)
TAR = ((b"Content-Type", b"application/x-tar"),)

Query = Mapping[str, str | int | bool | None]
Filters = Mapping[str, Sequence[str]]


class Calls:
    """Calls to one daemon."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None = None, connect: Connect | None = None) -> None:
        self._forward = SshForward(endpoint.ssh) if endpoint.ssh is not None else None
        self.endpoint = endpoint if self._forward is None else self._forward.endpoint
        self._is_plain_socket = endpoint.tls is None and connect is None
        self._transport = Transport(self.endpoint, tls, connect)
        self._version = ""
        self._is_podman = False

    async def aclose(self) -> None:
        """Close all connections, except those of short calls, which end by themselves and then close theirs."""
        await self._transport.aclose()
        if self._forward is not None:
            await self._forward.aclose()

    async def ping(self) -> str:
        """Return the newest API version that the daemon speaks. It has `PING_TIMEOUT` to respond."""
        try:
            with self._renegotiate_if_lost():
                await self._ensure_forward()
            with trio.fail_after(PING_TIMEOUT), self._renegotiate_if_lost():
                async with self._transport.open("system_ping", "GET", "/_ping", is_short=True) as response:
                    # Before the status: a daemon sends its version with an error too, and without a version a 404 comes
                    # from some web server.
                    version = response.header("api-version")
                    if version is None or _VERSION.fullmatch(version) is None:
                        reason = f"{self.endpoint} is not a Docker daemon: its Api-Version header is {version!r}"
                        raise EngineProtocolError(f"system_ping: {reason}")
                    await _check("system_ping", response)
                    self._is_podman = response.header("libpod-api-version") is not None
                    await response.read()
        except trio.TooSlowError:
            reason = f"system_ping: {self.endpoint} did not respond within {PING_TIMEOUT:g} s"
            raise EngineUnreachable(reason) from None
        return version

    async def api_version(self) -> tuple[int, int]:
        """Return the version that calls use, such as (1, 41)."""
        return _version(self._version or await self._negotiate())

    async def is_podman(self) -> bool:
        """Return whether podman responds in the place of a Docker daemon."""
        await self.api_version()
        return self._is_podman

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
        """Make a short call, check its status, and return the body of the response."""
        if json is not None:
            body, headers = wire.encode(json), (*headers, *_JSON)
        if body is None and method != "GET":
            headers = (*headers, (b"Content-Length", b"0"))
        target = await self._target(path, query)
        async with self._stream(operation, method, target, body=body, headers=headers, is_short=True) as response:
            return await response.read()

    async def head(self, operation: str, path: str, header: str, *, query: Query | None = None) -> str | None:
        """Make a HEAD call, check its status, and return the value of one header. `header` is in lower case."""
        async with self._stream(operation, "HEAD", await self._target(path, query), is_short=True) as response:
            await response.read()
            return response.header(header)

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
        """Make a call whose response is a progress stream. Return its last message; None if there was none.

        Raises:
            EngineResponseError: also for an error message inside the stream.
        """
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
        """Make a call whose response may take long or be large. Yield the response, with its status checked."""
        target = await self._target(path, query)
        async with self._stream(operation, method, target, body=body, headers=headers) as response:
            yield response

    @asynccontextmanager
    async def download(self, operation: str, path: str, *, query: Query | None = None) -> AsyncGenerator[AnyResponse]:
        """Make a GET whose response has much data. Yield the response, with its status checked."""
        # Imported here, since h11 would add 7 ms to `import lightrunner`; httpx imports it when it first connects.
        from .download import open_download  # noqa: PLC0415

        target = await self._target(path, query)
        if not self._is_plain_socket:
            async with self._stream(operation, "GET", target) as response:
                yield response
            return
        with self._renegotiate_if_lost():
            async with open_download(self.endpoint, operation, target) as download:
                await _check(operation, download)
                yield download

    @asynccontextmanager
    async def upgrade(self, operation: str, path: str, *, query: Query) -> AsyncGenerator[RawConnection]:
        """Make a call that upgrades its connection. Yield the connection."""
        target = await self._target(path, query)
        with self._renegotiate_if_lost():
            async with self._transport.open(operation, "POST", target, headers=_UPGRADE) as response:
                # Behind a proxy that drops the Upgrade header, the daemon responds 200 with a body that lasts as long
                # as the run. `upgraded` refuses it without reading that body.
                if response.status >= _REFUSED:
                    raise response_error(operation, response.status, await response.error_body())
                yield await response.upgraded()

    async def _ensure_forward(self) -> None:
        if self._forward is not None:
            await self._forward.ensure()

    async def _target(self, path: str, query: Query | None) -> str:
        with self._renegotiate_if_lost():
            await self._ensure_forward()
        target = f"/v{self._version or await self._negotiate()}{_DOT_SEGMENT.sub(_encode_dots, path)}"
        arguments = _arguments(query) if query else ""
        return f"{target}?{arguments}" if arguments else target

    @asynccontextmanager
    async def _stream(
        self,
        operation: str,
        method: str,
        target: str,
        *,
        body: RequestBody | None = None,
        headers: Headers = (),
        is_short: bool = False,
    ) -> AsyncGenerator[Response]:
        with self._renegotiate_if_lost():
            async with self._transport.open(
                operation, method, target, body=body, headers=headers, is_short=is_short
            ) as response:
                await _check(operation, response)
                yield response

    @contextmanager
    def _renegotiate_if_lost(self) -> Generator[None]:
        """Forget the version if the connection is lost: another daemon may respond to the next call.

        A daemon that was replaced while no connection was open shows it by refusing the version.
        """
        try:
            yield
        except EngineUnreachable:
            self._version = ""
            raise
        except EngineResponseError as error:
            if error.status == _REFUSED and _WRONG_VERSION.search(error.message):
                self._version = ""
            raise

    async def _negotiate(self) -> str:
        """Choose and return the version for calls: the daemon's newest, but not above `MAX_API_VERSION`.

        Only a daemon newer than `MAX_API_VERSION` may refuse the chosen version. Only there is /version asked for the
        oldest one that the daemon accepts: it takes some 50 ms, since the daemon runs three programs for it.
        """
        newest = _version(await self.ping())
        if newest < MIN_API_VERSION:
            raise EngineProtocolError(
                f"the daemon at {self.endpoint} is too old: it speaks API {_text(newest)}, and lightrunner needs "
                f"{_text(MIN_API_VERSION)} (Docker 19.03) or newer"
            )
        if newest > MAX_API_VERSION:
            async with self._stream("system_version", "GET", "/version", is_short=True) as response:
                reply = wire.decode(wire.SYSTEM_VERSION, "system_version", await response.read())
            newest = max(MAX_API_VERSION, _version(reply.min_api_version or _text(MAX_API_VERSION)))
        self._version = _text(newest)
        return self._version


async def _check(operation: str, response: AnyResponse) -> None:
    if response.status not in _GOOD_STATUSES:
        raise response_error(operation, response.status, await response.error_body())


def _encode_dots(segment: re.Match[str]) -> str:
    """Encode dots: httpx and the daemon resolve ``..``, and would take an image ``../containers/x`` for a container."""
    return segment[0].replace(".", "%2E")


def _version(text: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise EngineProtocolError(f"the daemon's API version {text!r} is not <major>.<minor>")
    return int(match[1]), int(match[2])


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _arguments(query: Query) -> str:
    """Encode a query string. None is left out, True is 1 and False is 0."""
    return urlencode(
        {name: int(value) if isinstance(value, bool) else value for name, value in query.items() if value is not None},
        errors="surrogateescape",
    )


def filters_text(filters: Filters | None) -> str | None:
    """Encode filters as JSON, the form that a query has them in; None without filters."""
    return wire.encode(filters).decode() if filters else None
