"""Short calls, past httpx: one request, its whole answer, on a connection that is kept for the next one.

Of 0.9 ms of processor time a call, httpx, httpcore and h11 took 0.75 (seen on 20.10), and a run makes seven calls, one
after the other.
"""

from collections import deque
from typing import Final, NamedTuple

import trio

from .answers import AnswerDecoder
from .connection import Headers, connect, request_head, take_in
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""An answer may have as much: a daemon with ten thousand containers lists them in less."""

_MAX_IDLE_CONNECTIONS: Final = 20
_MAX_IDLE: Final = 30.0
"""Seconds."""

_COPIED_BYTES: Final = 64 * 1024
"""A body of less is sent together with its head."""

_REFUSED: Final = 400
"""HTTP's statuses from here on are errors."""


class Answer(NamedTuple):
    """Status, headers by their names in lower case, and body; of a refusal's body about `MAX_ERROR_BODY_BYTES`."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when on trio's clock."""

    stream: trio.SocketStream
    since: float


class RoundTrips:
    """Short calls to one daemon, as many at a time as there are callers. `close` it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: deque[_Idle] = deque()  # The one at the right was used last, and is used next.

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().stream.socket.close()

    async def make(
        self, operation: str, method: str, target: str, *, body: bytes | None = None, headers: Headers = ()
    ) -> Answer:
        """One call.

        Args:
            operation: the operation's name, for errors.
            method: HTTP's.
            target: path and query, already encoded.
            body: sent with its length; where the daemon answers before it has read all of it, the rest is not sent.
            headers: more headers.

        Raises:
            EngineUnreachable: there is no connection, or it was lost.
            EngineProtocolError: what came back is not HTTP, or is more than `MAX_BODY_BYTES`.
        """
        if body is not None or method != "GET":
            headers = (*headers, (b"Content-Length", b"%d" % len(body or b"")))
        decoder = AnswerDecoder(has_body=method != "HEAD")
        stream = self._kept() or await connect(self._endpoint, operation)
        sent = False
        try:
            sent = await _send(stream, request_head(method, target, headers), body or b"")
            return await self._receive(stream, decoder, operation)
        finally:
            self._let_go(stream, keep=sent and decoder.leaves_connection)

    async def _receive(self, stream: trio.SocketStream, decoder: AnswerDecoder, operation: str) -> Answer:
        pieces: list[memoryview] = []
        size = 0
        while not decoder.ended:
            try:
                data = await stream.receive_some()
            except trio.BrokenResourceError as error:
                reason = error.__cause__ or error
                raise EngineUnreachable(
                    f"{operation}: the connection to {self._endpoint} was lost: {reason}"
                ) from error
            received = take_in(decoder, data, operation, self._endpoint)
            pieces += received
            size += sum(map(len, received))
            if decoder.head is not None and decoder.head.status >= _REFUSED and size >= MAX_ERROR_BODY_BYTES:
                break
            if size > MAX_BODY_BYTES:
                raise EngineProtocolError(f"{operation}: an answer of more than {MAX_BODY_BYTES} bytes")
        assert decoder.head is not None  # It comes before the end, and before a body.
        return Answer(*decoder.head, b"".join(pieces))

    def _kept(self) -> trio.SocketStream | None:
        """A connection that is still open; None where there is none."""
        while self._idle:
            stream = self._idle.pop().stream
            if not stream.socket.is_readable():
                return stream
            stream.socket.close()  # The daemon has closed it, or said what nobody asked for.
        return None

    def _let_go(self, stream: trio.SocketStream, *, keep: bool) -> None:
        now = trio.current_time()
        if keep and len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(_Idle(stream, now))
        else:
            stream.socket.close()
        while self._idle and self._idle[0].since < now - _MAX_IDLE:
            self._idle.popleft().stream.socket.close()


async def _send(stream: trio.SocketStream, head: bytes, body: bytes) -> bool:
    """Send it all; False: the daemon took no more of it, for it has refused, or gone, which its answer tells."""
    try:
        for data in (head + body,) if len(body) < _COPIED_BYTES else (head, body):
            await stream.send_all(data)
    except trio.BrokenResourceError:
        return False
    return True
