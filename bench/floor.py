"""The floor: the calls that a run makes, one by one over plain blocking sockets, and nothing else.

No HTTP library, no checks, no line splitting, no files: an archive goes in as bytes that were made before, and what
comes out is read and thrown away. What a client costs is what it takes longer than this.
"""

import io
import json
import socket
import struct
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from lightrunner.engine.endpoint import Endpoint, parse_endpoint

from .job import Job, new_name
from .sampling import Sample

_READ_BYTES = 1 << 20
_GOOD = range(100, 400)
_FRAME = struct.Struct(">B3xL")
_MAX_IDLE = 30.0
"""Seconds."""


class FloorError(Exception):
    """The daemon refused, or the container failed: the measurement is void."""


class _Head(NamedTuple):
    status: int
    length: int | None
    chunked: bool


class Connection:
    """One keep-alive connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        if endpoint.socket:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(endpoint.socket)
        else:
            self.socket = socket.create_connection((endpoint.address, endpoint.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = io.BufferedReader(self.socket.makefile("rb", buffering=0), _READ_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.reader.close()
        self.socket.close()

    def call(self, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
        """One request, its whole answer."""
        return self.finish(self.open(method, path, body, headers))

    def open(self, method: str, path: str, body: bytes = b"", headers: str = "") -> _Head:
        """One request; the answer's head is read and its body is not."""
        kind = "application/json" if body[:1] == b"{" else "application/x-tar"
        lines = f"{method} {path} HTTP/1.1\r\nHost: docker\r\n{headers}Content-Type: {kind}\r\n"
        self.socket.sendall(f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return self._head(f"{method} {path}")

    @contextmanager
    def upload(self, path: str) -> Generator["ChunkedWriter"]:
        """PUT an archive of unknown length: what is written in the block."""
        lines = f"PUT {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
        self.socket.sendall(f"{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
        yield ChunkedWriter(self.socket)
        self.socket.sendall(b"0\r\n\r\n")
        self.finish(self._head(f"PUT {path}"))

    def finish(self, head: _Head) -> bytes:
        """The body behind a head that `open` read."""
        return b"".join(self.parts(head))

    def parts(self, head: _Head) -> Iterator[bytes]:
        """The body behind a head that `open` read, as it comes."""
        if head.chunked:
            while size := int(self.reader.readline(), 16):
                yield self.reader.read(size)
                self.reader.readline()
            self.reader.readline()
        elif head.length:
            yield self.reader.read(head.length)

    def _head(self, what: str) -> _Head:
        status = int(self.reader.readline().split(b" ", 2)[1])
        length, chunked = None, False
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = value.strip() == b"chunked"
        head = _Head(status, length, chunked)
        if status not in _GOOD:
            raise FloorError(f"{what}: {status} {self.finish(head).decode(errors='replace')}")
        return head


class ChunkedWriter(io.RawIOBase):
    """A file to write to; each write is a chunk."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._socket = sock

    def write(self, data: Any, /) -> int:
        """Send it."""
        size = memoryview(data).nbytes
        self._socket.sendall(b"%x\r\n" % size)
        self._socket.sendall(data)
        self._socket.sendall(b"\r\n")
        return size


class PartsReader(io.RawIOBase):
    """A file to read from, made of parts as they come. Wrap it in an `io.BufferedReader`."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        super().__init__()
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Some bytes; 0 at the end."""
        self._rest = self._rest or memoryview(next(self._parts, b""))
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


class Floor:
    """Runs jobs at the floor. Its runs may be made in several threads, each with a `Floor` of its own."""

    def __init__(self, host: str) -> None:
        self._endpoint = parse_endpoint(host)
        self._kept = Connection(self._endpoint)
        self._asked_for = time.monotonic()

    @property
    def connection(self) -> Connection:
        """The connection that is kept. The daemon closes one that was idle for minutes, as between two cases."""
        if time.monotonic() - self._asked_for > _MAX_IDLE:
            self.close()
            self._kept = Connection(self._endpoint)
        self._asked_for = time.monotonic()
        return self._kept

    def close(self) -> None:
        """Close the connection that is kept."""
        self._kept.__exit__(None, None, None)

    def run(self, job: Job) -> Sample:
        """A whole run; the sample has its phases, named as lightrunner's are."""
        phases: dict[str, float] = {}
        begin = time.perf_counter()
        with _phase(phases, "image"):
            self.connection.call("GET", f"/images/{job.request.image}/json")
        with self.created(job, phases) as container:
            if job.archive is not None:
                with _phase(phases, "seed"):
                    self.connection.call("PUT", _archive(container, job.request.workdir), job.archive)
            self._live(job, container, phases)
            if job.extract is not None:
                with _phase(phases, "extract"):
                    for _ in self.download(container, job.extract):
                        pass
        return Sample(time.perf_counter() - begin, phases)

    @contextmanager
    def created(self, job: Job, phases: dict[str, float] | None = None) -> Generator[str]:
        """A created container, removed at the end with its volume; its name."""
        name, phases = new_name(), {} if phases is None else phases
        with _phase(phases, "create"):
            self.connection.call("POST", f"/containers/create?name={name}", job.body(name))
        try:
            yield name
        finally:
            with _phase(phases, "cleanup"):
                self.connection.call("DELETE", f"/containers/{name}?force=1&v=1")
                self.connection.call("DELETE", f"/volumes/{name}")

    def run_created(self, container: str) -> None:
        """Start a created container and wait for its exit."""
        self.connection.call("POST", f"/containers/{container}/start")
        _check(self.connection.call("POST", f"/containers/{container}/wait"))

    @contextmanager
    def upload(self, container: str, path: str) -> Generator[ChunkedWriter]:
        """Unpack an archive in a container: what is written in the block."""
        with self.connection.upload(_archive(container, path)) as writer:
            yield writer

    def download(self, container: str, path: str) -> Iterator[bytes]:
        """A path in a container as an archive, as it comes."""
        return self.connection.parts(self.connection.open("GET", _archive(container, path)))

    def _live(self, job: Job, container: str, phases: dict[str, float]) -> None:
        path = f"/containers/{container}"
        stdin = job.plan.input
        with Connection(self._endpoint) as attached:
            with _phase(phases, "attach"):
                upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
                streams = f"stream=1&stdout=1&stderr=1&stdin={int(stdin is not None)}"
                attached.open("POST", f"{path}/attach?{streams}", headers=upgrade)
            with _phase(phases, "start"):
                self.connection.call("POST", f"{path}/start")
            with _phase(phases, "run"):
                if stdin is not None:
                    attached.socket.sendall(stdin)
                    attached.socket.shutdown(socket.SHUT_WR)
                while head := attached.reader.read(_FRAME.size):
                    attached.reader.read(_FRAME.unpack(head)[1])
                _check_exit(self.connection.call("GET", f"{path}/json"))


def _archive(container: str, path: str) -> str:
    return f"/containers/{container}/archive?path={quote(path)}"


def _check(answer: bytes) -> None:
    if json.loads(answer)["StatusCode"]:
        raise FloorError(f"the container failed: {answer.decode()}")


def _check_exit(inspected: bytes) -> None:
    state = json.loads(inspected)["State"]
    if state["Status"] != "exited" or state["ExitCode"]:
        raise FloorError(f"the container failed, or runs on behind its output: {state}")


@contextmanager
def _phase(phases: dict[str, float], name: str) -> Generator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        phases[name] = phases.get(name, 0.0) + time.perf_counter() - begin
