"""A connection to the daemon, a request's head on it, an answer from it: what the paths past httpx share.

No exception but this package's own leaves it.
"""

from typing import Final, NamedTuple

import trio

from .answers import AnswerDecoder, AnswerError
from .endpoint import Endpoint
from .errors import MAX_ERROR_BODY_BYTES, EngineProtocolError, EngineUnreachable

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for connecting. Reads have no time-out: waits, pulls and builds may be silent for hours."""

RECEIVE_BYTES: Final = 256 * 1024
"""One read of much data: what a Unix socket holds. The daemon writes frames of up to 32 KiB; a reader that is slower
than it takes several at once, for a quarter less time than with 64 KiB."""

Headers = tuple[tuple[bytes, bytes], ...]

HEADERS: Final[Headers] = (
    (b"Host", b"docker"),
    # httpx would offer gzip, and the daemon would then compress archives: 50 MB/s where identity gives 300.
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"lightrunner"),
)

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""An answer that is read whole may have as much: a daemon with ten thousand containers lists them in less."""

_COPIED_BYTES: Final = 64 * 1024
"""A body of less is sent together with its head."""

_REFUSED: Final = 400
"""HTTP's statuses from here on are errors."""


class Answer(NamedTuple):
    """Status, headers by their names in lower case, and body; of a refusal's body about `MAX_ERROR_BODY_BYTES`."""

    status: int
    headers: dict[str, str]
    body: bytes


async def connect(endpoint: Endpoint, operation: str) -> trio.SocketStream:
    """A new connection.

    Raises:
        EngineUnreachable: there is none within `CONNECT_TIMEOUT`.
    """
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            if endpoint.socket:
                return await trio.open_unix_socket(endpoint.socket)
            return await trio.open_tcp_stream(endpoint.address, endpoint.port)
    except (OSError, trio.TooSlowError, UnicodeError) as error:  # A host's name may be none in IDNA.
        reason = str(error) or type(error).__name__
        raise EngineUnreachable(f"{operation}: cannot connect to {endpoint}: {reason}") from error


def request_head(method: str, target: str, headers: Headers, *, version: bytes = b"1.1") -> bytes:
    """A request up to its body; `HEADERS` are added."""
    lines = (
        b"%b %b HTTP/%b" % (method.encode(), target.encode(), version),
        *(b"%b: %b" % header for header in (*HEADERS, *headers)),
        b"\r\n",
    )
    return b"\r\n".join(lines)


async def send_request(stream: trio.SocketStream, head: bytes, body: bytes = b"") -> bool:
    """Send it all; False: the daemon took no more of it, for it has refused, or gone, which its answer tells."""
    try:
        for data in (head + body,) if len(body) < _COPIED_BYTES else (head, body):
            await stream.send_all(data)
    except trio.BrokenResourceError:
        return False
    return True


def lost_connection(operation: str, endpoint: Endpoint, error: Exception) -> EngineUnreachable:
    """The error for a connection that broke; where trio raised it, with what the system said."""
    return EngineUnreachable(f"{operation}: the connection to {endpoint} was lost: {error.__cause__ or error}")


def take_in(decoder: AnswerDecoder, data: bytes, operation: str, endpoint: Endpoint) -> list[memoryview]:
    """Feed the decoder what was received, where nothing is the connection's end; the pieces of the body.

    Raises:
        EngineUnreachable: the connection ended inside the answer.
        EngineProtocolError: it is none.
    """
    if not data:
        if not decoder.until_close:
            raise EngineUnreachable(f"{operation}: the connection to {endpoint} was lost: it ended inside the answer")
        decoder.ended = True
        return []
    try:
        return decoder.feed(data)
    except AnswerError as error:
        raise EngineProtocolError(f"{operation}: {endpoint} does not speak HTTP as agreed: {error}") from error


async def receive_answer(
    stream: trio.SocketStream, decoder: AnswerDecoder, operation: str, endpoint: Endpoint, *, wants_body: bool = True
) -> Answer:
    """A whole answer; without `wants_body` only a refusal is read further than its head.

    Raises:
        EngineUnreachable: the connection was lost.
        EngineProtocolError: what came is no answer, or is more than `MAX_BODY_BYTES`.
    """
    body = bytearray()
    while not decoder.ended:
        try:
            data = await stream.receive_some()
        except trio.BrokenResourceError as error:
            raise lost_connection(operation, endpoint, error) from error
        for piece in take_in(decoder, data, operation, endpoint):
            body += piece
        refused = decoder.head is not None and decoder.head.status >= _REFUSED
        if decoder.head is not None and (len(body) >= MAX_ERROR_BODY_BYTES if refused else not wants_body):
            break
        if len(body) > MAX_BODY_BYTES:
            raise EngineProtocolError(f"{operation}: an answer of more than {MAX_BODY_BYTES} bytes")
    assert decoder.head is not None  # It comes before the end, and before a body.
    return Answer(*decoder.head, bytes(body))
