"""Requests and responses over ASGI, as small as this server needs them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec
import trio

from lightrunner.nurseries import open_bare_nursery

from .problems import Problem

T = TypeVar("T")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Write = Callable[[bytes], Awaitable[None]]

BODY_TIMEOUT = 60.0
"""Seconds between two pieces of a request's body."""

LINGER_TIMEOUT = 1.0
"""Seconds to read on from a client whose request was refused before its end, so that it reads the refusal."""


class Request:
    """A request.

    Attributes:
        method: in capitals.
        parts: the parts of the path, decoded one by one: an encoded slash stays in its part.
        query: the last value of each parameter.
        headers: by name in small letters; the last value of each.
    """

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.method: str = scope["method"]
        raw_path: bytes = scope["raw_path"]
        self.parts = tuple(_decoded(part) for part in raw_path.removeprefix(b"/").split(b"/"))
        query: bytes = scope["query_string"]
        pairs = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        self.query = {name: values[-1] for name, values in pairs.items()}
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self._receive = receive
        self._is_whole = False
        self._is_gone = False

    async def chunks(self, limit: int) -> AsyncGenerator[bytes]:
        """Yield the body in pieces.

        Raises:
            Problem: it is larger than the limit, stalls, or ends early.
        """
        if int(self.headers.get("content-length", "0")) > limit:  # h11 has checked that it is a number.
            raise _too_large(limit)
        size = 0
        while not self._is_whole:
            try:
                with trio.fail_after(BODY_TIMEOUT):
                    message = await self._receive()
            except trio.TooSlowError as error:
                reason = f"no more of the body came for {BODY_TIMEOUT:g} s"
                raise Problem(HTTPStatus.REQUEST_TIMEOUT, reason) from error
            self._note(message)
            if self._is_gone:
                raise Problem(HTTPStatus.BAD_REQUEST, "the body is incomplete")
            body: bytes = message["body"]
            size += len(body)
            if size > limit:
                raise _too_large(limit)
            if body:
                yield body

    async def json(self, kind: type[T], limit: int, *, default: T | None = None) -> T:
        """Decode the body; return the default if there is one and the body is empty.

        Raises:
            Problem: the body is not JSON of that kind, or as `chunks`.
        """
        body = bytearray()
        async for chunk in self.chunks(limit):
            body += chunk
        if not body and default is not None:
            return default
        # A page in a browser can send other types to any server without asking it first.
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not application/json")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error), code="INVALID_REQUEST") from error

    async def while_connected(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do something while the client is there. Return False if it has left before the end."""
        async with open_bare_nursery() as nursery:

            async def watch() -> None:
                await self.wait_gone()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await work()
            nursery.cancel_scope.cancel()
        return not self._is_gone

    async def wait_gone(self) -> None:
        """Wait until the client has left. What is left of its body is dropped."""
        while not self._is_gone:
            self._note(await self._receive())

    async def linger(self) -> None:
        """Read what is left of the body, for a bounded time."""
        with trio.move_on_after(LINGER_TIMEOUT):
            while not (self._is_whole or self._is_gone):
                self._note(await self._receive())

    def _note(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.disconnect":
            self._is_gone = True
        elif not message.get("more_body", False):
            self._is_whole = True


class Reply(NamedTuple):
    """A response whose body is there, or is written by a function.

    Attributes:
        status: the status.
        body: the body, or a function that writes it.
        content_type: of the body; empty without one.
        headers: additional headers.
    """

    status: HTTPStatus
    body: bytes | Callable[[Write], Awaitable[None]] = b""
    content_type: str = ""
    headers: Mapping[str, str] = {}

    async def send(self, send: Send, request: Request) -> None:
        """Send it."""
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **self.headers}
        if self.content_type:
            headers["content-type"] = self.content_type
        if isinstance(self.body, bytes):
            headers["content-length"] = str(len(self.body))
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": int(self.status), "headers": pairs})

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        if isinstance(self.body, bytes):
            await write(self.body)
            # The connection is closed at the response's end if the request is not at its own.
            await request.linger()
        else:
            await self.body(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_reply(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a response with a JSON body."""
    return Reply(status, msgspec.json.encode(value), "application/json", headers or {})


def problem_reply(problem: Problem) -> Reply:
    """Return the response for a problem."""
    return json_reply({"error": problem.error}, problem.status, problem.headers)


def _decoded(part: bytes) -> str:
    # What is not UTF-8 becomes lone surrogates, which name nothing.
    return unquote_to_bytes(part).decode(errors="surrogateescape")


def _too_large(limit: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
