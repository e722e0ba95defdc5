"""The daemon's side of HTTP: requests as they come, and the functions that make answers.

An `Answer` is an async function of one `Request`. `FakeEngine(script={operation: answer})` replaces the engine's own
answer to an operation; `proceed` gives that one after all.
"""

import base64
import json
import re
import struct
from collections.abc import Awaitable, Mapping
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import trio

UPGRADED: Final = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
END_OF_TAR: Final = bytes(1024)
"""The end mark of a tar archive: two empty blocks."""

PATH_STAT: Final = "X-Docker-Container-Path-Stat"

OPERATIONS: Final = {
    "system_ping": "GET /_ping",
    "system_version": "GET /version",
    "system_info": "GET /info",
    "container_create": "POST /containers/create",
    "container_list": "GET /containers/json",
    "container_inspect": "GET /containers/*/json",
    "container_start": "POST /containers/*/start",
    "container_wait": "POST /containers/*/wait",
    "container_attach": "POST /containers/*/attach",
    "container_logs": "GET /containers/*/logs",
    "container_stats": "GET /containers/*/stats",
    "container_kill": "POST /containers/*/kill",
    "container_stop": "POST /containers/*/stop",
    "container_pause": "POST /containers/*/pause",
    "container_unpause": "POST /containers/*/unpause",
    "container_archive_info": "HEAD /containers/*/archive",
    "container_archive": "GET /containers/*/archive",
    "put_container_archive": "PUT /containers/*/archive",
    "container_delete": "DELETE /containers/*",
    "image_create": "POST /images/create",
    "image_build": "POST /build",
    "image_list": "GET /images/json",
    "image_inspect": "GET /images/*/json",
    "image_tag": "POST /images/*/tag",
    "image_delete": "DELETE /images/*",
    "volume_create": "POST /volumes/create",
    "volume_list": "GET /volumes",
    "volume_prune": "POST /volumes/prune",
    "volume_inspect": "GET /volumes/*",
    "volume_delete": "DELETE /volumes/*",
    "network_create": "POST /networks/create",
    "network_list": "GET /networks",
    "network_prune": "POST /networks/prune",
    "network_inspect": "GET /networks/*",
    "network_delete": "DELETE /networks/*",
    "unknown": "*",
}
"""Operations by the names that `EngineClient` gives them, and the requests that they are. The first match counts."""

Headers = Mapping[str, str]


class Answer(Protocol):
    """Answers one request: ``async def answer(request: Request) -> None``."""

    def __call__(self, request: "Request", /) -> Awaitable[None]:
        """Answer on the request's connection."""
        ...


class Request:
    """One request, as it came, and the connection to answer on.

    Attributes:
        operation: its name in `OPERATIONS`.
        path: the path without the API version, decoded.
        query: the query's arguments; of a repeated one the last.
        body: as much of it as `receive_body` or `receive_stdin` has read.
        hang_up: whether the connection is closed after the answer.
    """

    def __init__(self, stream: trio.abc.HalfCloseableStream, parser: h11.Connection, head: h11.Request) -> None:
        self.stream = stream
        self.method = head.method.decode()
        self.target = head.target.decode()
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.http_version = head.http_version.decode()
        self.body = b""
        self.hang_up = False
        self.own_answer: Answer | None = None
        self._parser = parser
        self._is_whole = False
        self._is_upgraded = False
        url = urlsplit(self.target)
        self.arguments = parse_qsl(url.query, keep_blank_values=True, errors="surrogateescape")
        self.query = dict(self.arguments)
        version, self.path = re.findall("^(?:/v([0-9.]+))?(/.*)", unquote(url.path))[0]
        self.api_version: str = version
        line = f"{self.method} {self.path}"
        self.operation = next(name for name, pattern in OPERATIONS.items() if fnmatchcase(line, pattern))

    def flag(self, name: str) -> bool:
        """Return whether an argument of the query is true."""
        return self.query.get(name, "") in {"1", "true", "True"}

    async def receive_body(self) -> bytes:
        """Read the body to its end. An answer that does not is one that comes early."""
        while not self._is_whole and isinstance(event := await _next_event(self.stream, self._parser), h11.Data):
            self.body += event.data
        self._is_whole = True
        return self.body

    async def receive_stdin_some(self) -> bytes:
        """Read the next bytes behind an upgrade; none once the client has closed its half of the connection."""
        data = b"" if self._is_upgraded else self._parser.trailing_data[0]  # What came behind the request's head.
        self._is_upgraded = True
        data = data or bytes(await self.stream.receive_some())
        self.body += data
        return data

    async def receive_stdin(self) -> bytes:
        """Read what follows an upgrade, until the client's half of the connection is closed."""
        while await self.receive_stdin_some():
            pass
        return self.body

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)


async def next_request(stream: trio.abc.HalfCloseableStream) -> Request | None:
    """Read the next request's head; None at the end of the connection."""
    parser = h11.Connection(h11.SERVER)  # A new one each time: its own half of the conversation is never used.
    head = await _next_event(stream, parser)
    return Request(stream, parser, head) if isinstance(head, h11.Request) else None


async def _next_event(stream: trio.abc.ReceiveStream, parser: h11.Connection) -> object:
    while (event := parser.next_event()) is h11.NEED_DATA:
        parser.receive_data(bytes(await stream.receive_some()))
    return event


async def proceed(request: Request) -> None:
    """Answer as the engine itself does."""
    assert request.own_answer is not None, f"{request.operation} has no answer of its own here"
    await request.own_answer(request)


# --- answers --------------------------------------------------------------------------------------------------------


def plain(body: bytes = b"", *, status: int = 200, headers: Headers | None = None) -> Answer:
    """An answer of known length."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        content = b"" if request.method == "HEAD" else body
        await request.send(head(status, {"Content-Length": str(len(content))} | dict(headers or {})) + content)

    return answer


def json_answer(value: object, *, status: int = 200) -> Answer:
    """An answer in JSON."""
    return plain(json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


def chunked(*parts: bytes, status: int = 200, headers: Headers | None = None, cut: bool = False) -> Answer:
    """An answer in chunks. With `cut` the connection is closed in the place of the last, empty one.

    HTTP/1.0 has no chunks: a request of that version gets the parts as they are, up to the connection's end.
    """

    async def answer(request: Request) -> None:
        await request.receive_body()
        if request.http_version == "1.0":
            for part in (head(status, headers or {}), *parts):
                await request.send(part)
            request.hang_up = True
            return
        await request.send(head(status, {"Transfer-Encoding": "chunked"} | dict(headers or {})))
        for part in filter(None, parts):
            await request.send(chunk(part))
        if cut:
            request.hang_up = True
        else:
            await request.send(LAST_CHUNK)

    return answer


def raw(*parts: bytes) -> Answer:
    """Bytes as they are, then the end of the connection."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        for part in parts:
            await request.send(part)
        request.hang_up = True

    return answer


def attached(output: bytes = b"") -> Answer:
    """A 101 with all the output right behind its head, then the output's end; stdin is read for as long as it comes."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        await request.send(UPGRADED + output)
        await request.stream.send_eof()
        await request.receive_stdin()
        request.hang_up = True

    return answer


def archive(*parts: bytes, name: str = "out", cut: bool = False) -> Answer:
    """A tar archive, whole or not one at all, as the daemon sends it: `chunked`, behind the path's stat."""
    return chunked(*parts, headers=path_stat(name=name), cut=cut)


def path_stat(**stat: object) -> Headers:
    """The header that describes a path in a container."""
    value = json.dumps({"name": "out", "size": 0, "mode": 0o644, "mtime": "", "linkTarget": ""} | stat)
    return {PATH_STAT: base64.b64encode(value.encode()).decode()}


LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def frame(stream: int, data: bytes, *, length: int | None = None) -> bytes:
    """One frame of multiplexed output, of stream 1 (stdout) or 2 (stderr); `length` is for those that lie."""
    return struct.pack(">BxxxL", stream, len(data) if length is None else length) + data


def head(status: int, headers: Headers) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode()
