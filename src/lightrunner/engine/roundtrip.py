"""Short calls, past httpx: one request, its whole answer, on a connection that is kept for the next one.

Of 0.9 ms of processor time a call, httpx, httpcore and h11 took 0.75 (seen on 20.10), and a run makes seven calls, one
after the other.
"""

from collections import deque
from typing import Final, NamedTuple

import trio

from .answers import AnswerDecoder
from .connection import Answer, Headers, connect, receive_answer, request_head, send_request
from .endpoint import Endpoint

_MAX_IDLE_CONNECTIONS: Final = 20
_MAX_IDLE: Final = 30.0
"""Seconds."""


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when on trio's clock."""

    stream: trio.SocketStream
    since: float


class RoundTrips:
    """Short calls to one daemon, as many at a time as there are callers. `close` it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._closed = False
        self._idle: deque[_Idle] = deque()  # The one at the right was used last, and is used next.

    def close(self) -> None:
        """Close what is kept; a call that is under way closes its connection when it ends."""
        self._closed = True
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
            body: sent with its length; where the daemon refuses it and closes, the rest is not sent.
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
            sent = await send_request(stream, request_head(method, target, headers), body or b"")
            return await receive_answer(stream, decoder, operation, self._endpoint)
        finally:
            self._let_go(stream, keep=sent and decoder.leaves_connection)

    def _kept(self) -> trio.SocketStream | None:
        """A connection that is still open; None where there is none."""
        while self._idle:
            stream, since = self._idle.pop()
            # A firewall on the way may have forgotten it. What is readable is its end, or what nobody asked for.
            if since >= trio.current_time() - _MAX_IDLE and not stream.socket.is_readable():
                return stream
            stream.socket.close()
        return None

    def _let_go(self, stream: trio.SocketStream, *, keep: bool) -> None:
        now = trio.current_time()
        if keep and not self._closed and len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(_Idle(stream, now))
        else:
            stream.socket.close()
        while self._idle and self._idle[0].since < now - _MAX_IDLE:
            self._idle.popleft().stream.socket.close()
