"""A large answer, past httpx: a GET on a connection of its own.

The daemon sends an archive in chunks of 32 KiB. Through h11, httpcore and httpx each of them is 0.15 ms of work, which
the event loop has no time for: 200 MB took twice as long as here, and more than twice the processor time (seen on
20.10). Small answers come over connections that are kept, which is worth more to them.

Even a chunk as such is dear: Go's server writes it to the socket in three parts, and each of them wakes the reader. An
answer without chunks, as HTTP/1.0 has it, took a tenth less time; but it ends where its connection does, and so does
one that was cut off.
"""

import socket
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio

from .answers import AnswerDecoder, AnswerError, Head
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable
from .transport import CONNECT_TIMEOUT, RECEIVE_BYTES

_SILENCE: Final = 0.1
"""Seconds without a byte after which a thread that reads is given back, and the event loop waits for the next one."""


class Download:
    """An answer whose head has arrived. `receive_some` reads its body, or `drain` all of it."""

    def __init__(self, stream: trio.SocketStream, operation: str, endpoint: Endpoint) -> None:
        self._stream = stream
        self._operation = operation
        self._endpoint = endpoint
        self._decoder = AnswerDecoder()
        self._pieces: list[memoryview] = []  # What came with the head.
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
        while not self._pieces and await self._receive():
            pass
        return b"".join(self._take())

    async def drain(self, consume: Callable[[Sequence[memoryview]], object]) -> None:
        """Hand the body to `consume` as it comes. A thread reads it and calls that, in turn.

        200 MB into files took four fifths of the time of an event loop that reads while a thread writes: between those
        two, the interpreter's lock and each piece of data change hands some thousand times. Cancelling takes effect
        behind the call of `consume` that is under way.
        """
        pieces = self._take()
        with socket.socket(fileno=self._stream.socket.detach()) as sock:
            sock.settimeout(_SILENCE)
            while await trio.to_thread.run_sync(self._drain, sock, pieces, consume):
                pieces = []
                await trio.lowlevel.wait_readable(sock)

    def _drain(
        self, sock: socket.socket, pieces: Sequence[memoryview], consume: Callable[[Sequence[memoryview]], object]
    ) -> bool:
        """Read on until the answer ends, or nothing comes; True where more is to come."""
        consume(pieces)
        while not self._decoder.ended:
            trio.from_thread.check_cancelled()
            try:
                with _lost_connection(self._operation, self._endpoint):
                    data = sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                return True
            if not self._decode(data):
                break
            consume(self._take())
        return False

    async def error_body(self) -> bytes:
        """The body of a refusal, capped."""
        body = b""
        while len(body) < MAX_ERROR_BODY_BYTES and (data := await self.receive_some()):
            body += data
        return body[:MAX_ERROR_BODY_BYTES]

    async def request(self, target: str, *, chunked: bool) -> None:
        """Send the request, and wait for the answer's head."""
        lines = (
            f"GET {target} HTTP/{'1.1' if chunked else '1.0'}",
            "Host: docker",
            "Accept-Encoding: identity",  # The daemon would compress otherwise: 50 MB/s in place of 300.
            "Connection: close",
            "User-Agent: lightrunner",
        )
        with _lost_connection(self._operation, self._endpoint):
            await self._stream.send_all("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        while self._decoder.head is None:
            await self._receive()
        self._head = self._decoder.head

    async def _receive(self) -> bool:
        """Take in what comes next; False at the end of the answer."""
        if self._decoder.ended:
            return False
        with _lost_connection(self._operation, self._endpoint):
            data = bytes(await self._stream.receive_some(RECEIVE_BYTES))
        return self._decode(data)

    def _decode(self, data: bytes) -> bool:
        """Take in what was received; False at the end of an answer that has no other."""
        if not data:
            if self._decoder.until_close:
                self._decoder.ended = True
                return False
            raise EngineUnreachable(f"{self._operation}: the connection to {self._endpoint} was lost in the answer")
        try:
            self._pieces = self._decoder.feed(data)
        except AnswerError as error:
            reason = f"{self._operation}: {self._endpoint} does not speak HTTP as agreed: {error}"
            raise EngineProtocolError(reason) from error
        return True

    def _take(self) -> list[memoryview]:
        pieces, self._pieces = self._pieces, []
        return pieces


@asynccontextmanager
async def open_download(
    endpoint: Endpoint, operation: str, target: str, *, chunked: bool = True
) -> AsyncGenerator[Download]:
    """GET a target, and yield the answer as soon as its head is there.

    Args:
        endpoint: the daemon.
        operation: the operation's name, for errors.
        target: path and query, already encoded.
        chunked: False: without chunks, where the caller can tell by other means whether the answer is whole.

    Raises:
        EngineUnreachable: there is no connection, or it was lost.
        EngineProtocolError: what came back is not HTTP.
    """
    stream = await _connect(endpoint, operation)
    try:
        download = Download(stream, operation, endpoint)
        await download.request(target, chunked=chunked)
        yield download
    finally:
        await trio.aclose_forcefully(stream)


async def _connect(endpoint: Endpoint, operation: str) -> trio.SocketStream:
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            if endpoint.socket:
                return await trio.open_unix_socket(endpoint.socket)
            return await trio.open_tcp_stream(endpoint.address, endpoint.port)
    except (OSError, trio.TooSlowError) as error:
        reason = str(error) or type(error).__name__
        raise EngineUnreachable(f"{operation}: cannot connect to {endpoint}: {reason}") from error


@contextmanager
def _lost_connection(operation: str, endpoint: Endpoint) -> Generator[None]:
    try:
        yield
    except (trio.BrokenResourceError, ConnectionError) as error:
        raise EngineUnreachable(f"{operation}: the connection to {endpoint} was lost") from error
