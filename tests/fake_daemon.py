"""A daemon that does as it is told: a real socket, and answers that a test scripts byte by byte.

As it is, a whole run works against it: an image that is there, a container that prints nothing and exits with 0. A test
replaces the answers of single operations, and sees afterwards what was asked:

    async with fake_daemon({"container_archive": archive(hostile_tar)}) as daemon:
        async with DockerRunner(host=daemon.host) as runner:
            ...
    assert daemon.requests("container_archive")[0].query == {"path": "/out"}

An answer is an async function of one `Request`; the functions below make the usual ones.
"""

import base64
import json
import re
import struct
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from fnmatch import fnmatchcase
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import trio

from lightrunner.nurseries import open_bare_nursery

IMAGE_ID = "sha256:" + "1" * 64
CONTAINER_ID = "c" * 64
NETWORK_ID = "d" * 64
END_OF_TAR = bytes(1024)
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

Headers = Mapping[str, str]
Answer = Callable[["Request"], Awaitable[None]]


class Request:
    """One request, as it came, and the connection to answer on."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, parser: h11.Connection, head: h11.Request) -> None:
        self.stream = stream
        self.method = head.method.decode()
        self.target = head.target.decode()
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.http_version = head.http_version.decode()
        self.body = b""
        """As much of it as `receive_body` or `receive_stdin` has read."""
        self.hang_up = False
        """Whether the connection is closed after the answer."""
        self._parser = parser
        url = urlsplit(self.target)
        self.query = dict(parse_qsl(url.query, keep_blank_values=True, errors="surrogateescape"))
        version, self.path = re.findall("^(?:/v([0-9.]+))?(/.*)", unquote(url.path))[0]
        self.api_version: str = version
        line = f"{self.method} {self.path}"
        self.operation = next(name for name, (pattern, _) in OPERATIONS.items() if fnmatchcase(line, pattern))

    async def receive_body(self) -> bytes:
        """Read the body to its end. An answer that does not is one that comes early."""
        while isinstance(event := await _next_event(self.stream, self._parser), h11.Data):
            self.body += event.data
        return self.body

    async def receive_stdin(self) -> bytes:
        """Read what follows an upgrade, until the client's half of the connection is closed."""
        self.body += self._parser.trailing_data[0]
        async for data in self.stream:
            self.body += data
        return self.body

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)


class FakeDaemon:
    """What `fake_daemon` yields: where it is, and what it was asked."""

    def __init__(self, host: str, script: Mapping[str, Answer]) -> None:
        self.host = host
        self.connections = self.open_connections = 0
        self.all_requests: list[Request] = []
        self._answers = {name: answer for name, (_, answer) in OPERATIONS.items()} | dict(script)

    def requests(self, operation: str) -> list[Request]:
        """The requests for one operation, in the order in which they came."""
        return [request for request in self.all_requests if request.operation == operation]

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.open_connections += 1
        try:
            # A client may hang up whenever it likes, in the middle of its own request as well.
            with suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
                async with stream:
                    while request := await _next_request(stream):
                        self.all_requests.append(request)
                        await self._answers[request.operation](request)
                        if request.hang_up:
                            return
        finally:
            self.open_connections -= 1


@asynccontextmanager
async def fake_daemon(script: Mapping[str, Answer] | None = None, *, tcp: bool = False) -> AsyncGenerator[FakeDaemon]:
    """A daemon on a Unix socket, or on a port of this machine; `script` has the answers that are not the usual ones."""
    script = script or {}
    assert script.keys() <= OPERATIONS.keys(), f"no such operation: {script.keys() - OPERATIONS.keys()}"
    # Bare, so that a test that fails inside shows its own error and no group.
    async with open_bare_nursery() as nursery:
        with tempfile.TemporaryDirectory() as folder:
            if tcp:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                daemon = FakeDaemon(f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}", script)
            else:
                listener = await _listen(f"{folder}/s")
                daemon = FakeDaemon(f"unix://{folder}/s", script)
            await nursery.start(trio.serve_listeners, daemon.serve, [listener])
            yield daemon
            nursery.cancel_scope.cancel()


async def _listen(path: str) -> trio.SocketListener:
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(path)
    sock.listen(1024)
    return trio.SocketListener(sock)


async def _next_request(stream: trio.SocketStream) -> Request | None:
    parser = h11.Connection(h11.SERVER)  # A new one each time: its own half of the conversation is never used.
    head = await _next_event(stream, parser)
    return Request(stream, parser, head) if isinstance(head, h11.Request) else None


async def _next_event(stream: trio.abc.ReceiveStream, parser: h11.Connection) -> object:
    while (event := parser.next_event()) is h11.NEED_DATA:
        parser.receive_data(bytes(await stream.receive_some()))
    return event


# --- answers ----------------------------------------------------------------------------------------------------------


def plain(body: bytes = b"", *, status: int = 200, headers: Headers | None = None) -> Answer:
    """An answer of known length."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        await request.send(head(status, {"Content-Length": str(len(body))} | dict(headers or {})) + body)

    return answer


def json_answer(value: object, *, status: int = 200) -> Answer:
    """An answer in JSON."""
    return plain(json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


def chunked(*parts: bytes, status: int = 200, headers: Headers | None = None, cut: bool = False) -> Answer:
    """An answer in chunks; with `cut` the connection is closed in the place of the last, empty one.

    HTTP/1.0 has no chunks: who asks with that gets the same without, and the end of the connection.
    """

    async def answer(request: Request) -> None:
        await request.receive_body()
        if request.http_version == "1.0":
            for part in (head(status, headers or {}), *parts):
                await request.send(part)
            request.hang_up = True
            return
        await request.send(head(status, {"Transfer-Encoding": "chunked"} | dict(headers or {})))
        for part in parts:
            await request.send(b"%x\r\n%b\r\n" % (len(part), part))
        if cut:
            request.hang_up = True
        else:
            await request.send(b"0\r\n\r\n")

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
    """An upgrade with all the output in the same segment as its head; stdin is read for as long as it comes."""

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
    return {"X-Docker-Container-Path-Stat": base64.b64encode(value.encode()).decode()}


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one stays."""
    left = iter(answers[:-1])

    async def answer(request: Request) -> None:
        await next(left, answers[-1])(request)

    return answer


async def hang(request: Request) -> None:
    """Read the request, and never answer."""
    await request.receive_body()
    await trio.sleep_forever()


def frame(stream: int, data: bytes, *, length: int | None = None) -> bytes:
    """One frame of multiplexed output; `length` is for those that lie."""
    return struct.pack(">BxxxL", stream, len(data) if length is None else length) + data


def head(status: int, headers: Headers) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


_VERSIONS = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
_EXITED = {"Id": CONTAINER_ID, "Name": "/c", "State": {"Status": "exited", "ExitCode": 0}, "Config": {}}
_IMAGE = {"Id": IMAGE_ID, "RepoTags": ["fake:1"], "Config": {"User": ""}}
_VOLUME = {"Name": "v", "Driver": "local"}
_ISOLATED = {"com.docker.network.bridge.enable_icc": "false"}
_NETWORK = {"Name": "n", "Id": NETWORK_ID, "Driver": "bridge", "Options": _ISOLATED}

OPERATIONS: dict[str, tuple[str, Answer]] = {
    "system_ping": ("GET /_ping", plain(b"OK", headers={"Api-Version": "1.41"})),
    "system_version": ("GET /version", json_answer(_VERSIONS)),
    "system_info": ("GET /info", json_answer({"ServerVersion": "20.10.24"})),
    "container_create": ("POST /containers/create", json_answer({"Id": CONTAINER_ID, "Warnings": []}, status=201)),
    "container_list": ("GET /containers/json", json_answer([])),
    "container_inspect": ("GET /containers/*/json", json_answer(_EXITED)),
    "container_start": ("POST /containers/*/start", plain(status=204)),
    "container_wait": ("POST /containers/*/wait", json_answer({"StatusCode": 0})),
    "container_attach": ("POST /containers/*/attach", attached()),
    "container_logs": ("GET /containers/*/logs", chunked()),
    "container_kill": ("POST /containers/*/kill", plain(status=204)),
    "container_stop": ("POST /containers/*/stop", plain(status=204)),
    "container_pause": ("POST /containers/*/pause", plain(status=204)),
    "container_unpause": ("POST /containers/*/unpause", plain(status=204)),
    "container_archive_info": ("HEAD /containers/*/archive", plain(headers=path_stat())),
    "container_archive": ("GET /containers/*/archive", archive(END_OF_TAR)),
    "put_container_archive": ("PUT /containers/*/archive", plain()),
    "container_delete": ("DELETE /containers/*", plain(status=204)),
    "image_create": ("POST /images/create", chunked(b'{"status":"Downloaded"}\r\n')),
    "image_list": ("GET /images/json", json_answer([_IMAGE])),
    "image_inspect": ("GET /images/*/json", json_answer(_IMAGE)),
    "image_tag": ("POST /images/*/tag", plain(status=201)),
    "image_delete": ("DELETE /images/*", json_answer([{"Untagged": "fake:1"}])),
    "volume_create": ("POST /volumes/create", json_answer(_VOLUME, status=201)),
    "volume_list": ("GET /volumes", json_answer({"Volumes": [], "Warnings": None})),
    "volume_prune": ("POST /volumes/prune", json_answer({"VolumesDeleted": None, "SpaceReclaimed": 0})),
    "volume_inspect": ("GET /volumes/*", json_answer(_VOLUME)),
    "volume_delete": ("DELETE /volumes/*", plain(status=204)),
    "network_create": ("POST /networks/create", json_answer({"Id": NETWORK_ID, "Warning": ""}, status=201)),
    "network_list": ("GET /networks", json_answer([])),
    "network_prune": ("POST /networks/prune", json_answer({"NetworksDeleted": None})),
    "network_inspect": ("GET /networks/*", json_answer(_NETWORK)),
    "network_delete": ("DELETE /networks/*", plain(status=204)),
    "unknown": ("*", json_answer({"message": "page not found"}, status=404)),
}
