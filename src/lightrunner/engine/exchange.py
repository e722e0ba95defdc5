"""An exchange of much data, past httpx: one call, on a connection of its own.

Through h11, httpcore and httpx each piece of an archive is 0.15 ms of work, which the event loop has no time for: to
receive 200 MB took twice as long, and more than twice the processor time (seen on 20.10).

A thread reads or writes the socket by itself, in turn with what it reads for or writes from: between an event loop at
the socket and a thread at the files, the interpreter's lock and each piece change hands some thousand times, for a
quarter of the time. A daemon that is silent keeps no thread; a cancellation takes effect at the next piece.
"""

import select
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from .answers import AnswerDecoder, Head
from .connection import RECEIVE_BYTES, Headers, connect, request_head, take_in
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineUnreachable

_SILENCE: Final = 0.1
"""Seconds in which nothing moves, after which a thread is given back, and the event loop waits."""

_AHEAD_BYTES: Final = 4 * 1024 * 1024
"""As much of a body is made while the daemon takes none. It takes some 60 ms to begin with an archive (20.10), in which
a processor would be idle: 3,000 small files took a tenth less time. Twice as much was no faster."""

_LOOK_UP: Final = 1.0
"""Seconds between two looks whether a daemon that takes no more of a request has answered it."""

_THREADS: Final = 40
"""At a time; as many as trio lends by default, and none of those: long transfers would keep short work waiting, such as
the look-up of a host's name, or the removal of what a cancelled run has staged."""

_threads: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("lightrunner-exchange-threads")

Consume = Callable[[Sequence[memoryview]], bool | None]
"""Takes the next pieces of a body; True: that was all that it needs."""


class Exchange:
    """A call that was made. `receive_some` reads the body of its answer piece by piece, or `drain` in one go."""

    def __init__(self, sock: socket.socket, operation: str, endpoint: Endpoint) -> None:
        self._socket = sock
        self._operation = operation
        self._endpoint = endpoint
        self._decoder = AnswerDecoder()
        self._received: list[memoryview] = []
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._head = Head(0, {})

    @property
    def status(self) -> int:
        """HTTP's status."""
        return self._head.status

    def header(self, name: str) -> str | None:
        """A header's value, by its name in lower case; `None` where there is none."""
        return self._head.headers.get(name)

    async def receive_some(self) -> bytes:
        """The next bytes of the body, as they come; none at its end."""
        while not self._received and await self._receive():
            pass
        return b"".join(self._take())

    async def drain(self, consume: Consume) -> None:
        """Hand the body to `consume` as it comes, in the thread that reads it, until it ends or has what it needs."""
        received = self._take()
        while await trio.to_thread.run_sync(self._drain, received, consume, limiter=thread_limiter()):
            received = []
            await trio.lowlevel.wait_readable(self._socket)

    async def error_body(self) -> bytes:
        """The body of a refusal, capped."""
        body = b""
        while len(body) < MAX_ERROR_BODY_BYTES and (data := await self.receive_some()):
            body += data
        return body[:MAX_ERROR_BODY_BYTES]

    async def send_body(self, chunks: Iterator[bytes]) -> None:
        """Send a body in the thread that iterates over it; no more of it where the daemon answers early."""
        pieces = _framed(chunks)
        while await trio.to_thread.run_sync(self._send, pieces, limiter=thread_limiter()):
            with trio.move_on_after(_LOOK_UP):
                await trio.lowlevel.wait_writable(self._socket)
            if self._is_ready(select.POLLIN):
                return

    async def receive_head(self) -> None:
        """Wait for the answer's head."""
        while self._decoder.head is None:
            await self._receive()
        self._head = self._decoder.head

    async def _receive(self) -> bool:
        """Take in what comes next; False at the end of the answer."""
        if self._decoder.ended:
            return False
        await trio.lowlevel.wait_readable(self._socket)
        data = self._read()
        if data is not None:
            self._decode(data)
        return True

    def _drain(self, received: Sequence[memoryview], consume: Consume) -> bool:
        """Read on until nothing more is needed or nothing comes; True where more is to come."""
        while not (received and consume(received)) and not self._decoder.ended:
            trio.from_thread.check_cancelled()
            data = self._read()
            if data is None:
                return True
            self._decode(data)
            received = self._take()
        return False

    def _send(self, pieces: Iterator[bytes]) -> bool:
        """Send on until all is sent or nothing is taken for a while; True where more is to be sent."""
        while True:
            trio.from_thread.check_cancelled()
            ahead = self._unsent_bytes < _AHEAD_BYTES and not (self._unsent and self._is_ready(select.POLLOUT))
            if ahead and (made := next(pieces, b"")):
                self._unsent.append(memoryview(made))
                self._unsent_bytes += len(made)
                continue
            if not self._unsent:
                return False
            try:
                sent = self._socket.send(self._unsent[0])
            except TimeoutError:
                return True
            except OSError:  # It has answered and gone: a refusal does not wait for the rest.
                return False
            self._unsent_bytes -= sent
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.popleft()

    def _read(self) -> bytes | None:
        """What has come; None where nothing comes for a while."""
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            return None
        except OSError as error:
            raise EngineUnreachable(f"{self._operation}: the connection to {self._endpoint} was lost") from error

    def _decode(self, data: bytes) -> None:
        self._received = take_in(self._decoder, data, self._operation, self._endpoint)

    def _take(self) -> list[memoryview]:
        received, self._received = self._received, []
        return received

    def _is_ready(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(0))


@asynccontextmanager
async def open_exchange(
    endpoint: Endpoint,
    operation: str,
    method: str,
    target: str,
    *,
    headers: Headers = (),
    body: Iterator[bytes] | None = None,
    chunked: bool = True,
) -> AsyncGenerator[Exchange]:
    """Make a call, and yield it as soon as the answer's head is there.

    Args:
        endpoint: the daemon.
        operation: the operation's name, for errors.
        method: HTTP's.
        target: path and query, already encoded.
        headers: more headers.
        body: sent in chunks, as it yields them; what it raises comes out.
        chunked: False: the answer comes without chunks, where the caller can tell by other means whether it is whole.
            Go's server writes a chunk to the socket in three parts, and each of them wakes the reader: without, as
            HTTP/1.0 has it, an archive took a tenth less time. It then ends where its connection does, and so does one
            that was cut off.

    Raises:
        EngineUnreachable: there is no connection, or it was lost.
        EngineProtocolError: what came back is not HTTP.
    """
    headers = (*headers, (b"Connection", b"close"))
    if body is not None:
        headers = (*headers, (b"Transfer-Encoding", b"chunked"))
    stream = await connect(endpoint, operation)
    try:
        try:
            await stream.send_all(request_head(method, target, headers, version=b"1.1" if chunked else b"1.0"))
        except trio.BrokenResourceError as error:
            raise EngineUnreachable(f"{operation}: the connection to {endpoint} was lost") from error
        with socket.socket(fileno=stream.socket.detach()) as sock:
            sock.settimeout(_SILENCE)
            exchange = Exchange(sock, operation, endpoint)
            if body is not None:
                await exchange.send_body(body)
            await exchange.receive_head()
            yield exchange
    finally:
        stream.socket.close()


def thread_limiter() -> trio.CapacityLimiter:
    """What the threads of all exchanges of this event loop are lent from."""
    try:
        return _threads.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_THREADS)
        _threads.set(limiter)
        return limiter


def _framed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A body as HTTP's chunks. (An empty one would be the last.)"""
    end = b""
    for chunk in chunks:
        if chunk:
            yield b"%b%x\r\n" % (end, len(chunk))
            yield chunk
            end = b"\r\n"
    yield end + b"0\r\n\r\n"
