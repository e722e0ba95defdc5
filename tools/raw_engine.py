"""A synchronous Engine client with only the standard library: the tests' oracle, and the importer of images.

It deliberately shares no code with lightrunner. Tests check a daemon through this client, so that a mistake in
lightrunner's requests or decoders cannot hide itself. It is slow and simple: one connection per request, whole
bodies in memory, and no API version in the path (the daemon then uses its newest).
"""

import http.client
import socket
from collections.abc import Container, Iterable, Mapping, Sequence
from json import JSONDecodeError, JSONDecoder, dumps, loads
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

SUCCESS = range(200, 300)
TIMEOUT = 120.0
"""Seconds without a byte from the daemon: an import of a large image answers late."""

Object = dict[str, Any]


class RawEngineError(Exception):
    """The daemon refused: the status, and the sentence it gave."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class RawEngine:
    """The few requests that tests and tools need, at `host`: a socket's path, or a unix:// or tcp:// URL."""

    def __init__(self, host: str | Path, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        url = urlsplit(str(host), scheme="unix")
        if url.scheme not in {"unix", "tcp"}:
            raise ValueError(f"not a unix:// or tcp:// host: {host}")
        self._socket_path = url.path if url.scheme == "unix" else None
        self._address = (url.hostname or "localhost", url.port or 2375)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | Sequence[str]] | None = None,
        json: object = None,
        body: bytes | IO[bytes] | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        ok: Container[int] = SUCCESS,
    ) -> tuple[int, bytes]:
        """Send one request and read the whole answer; a status that is not in `ok` raises RawEngineError.

        A file or an iterable as `body` is sent chunked, so its length need not be known.
        """
        sent = dict(headers or {})
        if json is not None:
            body = dumps(json).encode()
            sent["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, f"{path}?{urlencode(query or {}, doseq=True)}", body, sent)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status not in ok:
            raise RawEngineError(response.status, _message(answer))
        return response.status, answer

    def json(self, method: str, path: str, *, json: object = None) -> Any:
        """Send one request and decode the JSON of its answer."""
        return loads(self.request(method, path, json=json)[1])

    def get(self, path: str, **query: str | int | Sequence[str]) -> Any:
        """GET `path` and decode its JSON."""
        return loads(self.request("GET", path, query=query)[1])

    def ping(self) -> None:
        """Return if a daemon answers; OSError or RawEngineError if none does."""
        self.request("GET", "/_ping")

    def version(self) -> Object:
        """Engine, API and kernel versions."""
        answer: Object = self.get("/version")
        return answer

    def import_image(self, tag: str, tar: Path | IO[bytes], changes: Sequence[str] = ()) -> None:
        """Make the image `tag` of a root file system; `changes` are Dockerfile lines such as "USER app"."""
        if isinstance(tar, Path):
            with tar.open("rb") as file:
                self.import_image(tag, file, changes)
            return
        repository, _, version = tag.rpartition(":")
        query = {"fromSrc": "-", "repo": repository, "tag": version, "changes": changes}
        headers = {"Content-Type": "application/x-tar"}
        _, stream = self.request("POST", "/images/create", query=query, body=tar, headers=headers)
        # The status was sent before the work began, so an error comes inside of the 200.
        for event in _json_values(stream):
            if "errorDetail" in event:
                raise RawEngineError(500, event["errorDetail"]["message"])

    def has_image(self, tag: str) -> bool:
        """Tell whether the daemon has an image of that name."""
        status, _ = self.request("GET", f"/images/{tag}/json", ok={200, 404})
        return status == http.client.OK

    def images(self) -> list[Object]:
        """List the images, without intermediate layers."""
        answer: list[Object] = self.get("/images/json")
        return answer

    def containers(self, *, all: bool = True, label: str | None = None) -> list[Object]:  # noqa: A002 - the API's word
        """List the containers, those that do not run included; `label` is "name" or "name=value"."""
        answer: list[Object] = self.get("/containers/json", all=int(all), filters=_label_filter(label))
        return answer

    def volumes(self, *, label: str | None = None) -> list[Object]:
        """List the volumes; `label` is "name" or "name=value"."""
        answer: Object = self.get("/volumes", filters=_label_filter(label))
        return answer["Volumes"] or []

    def remove_container(self, container_id: str) -> None:
        """Kill and remove; fine if it is gone already."""
        query = {"force": 1, "v": 1}
        self.request("DELETE", f"/containers/{container_id}", query=query, ok={*SUCCESS, 404})

    def remove_volume(self, name: str) -> None:
        """Remove; fine if it is gone already."""
        self.request("DELETE", f"/volumes/{name}", query={"force": 1}, ok={*SUCCESS, 404})

    def events(self, since: float, until: float, filters: Mapping[str, Sequence[str]] | None = None) -> list[Object]:
        """List what happened between two Unix times. `until` lies in the past, or the daemon waits for it."""
        query = {"since": f"{since:.9f}", "until": f"{until:.9f}", "filters": dumps(filters or {})}
        return _json_values(self.request("GET", "/events", query=query)[1])

    def _connection(self) -> http.client.HTTPConnection:
        if self._socket_path is not None:
            return _UnixConnection(self._socket_path, self._timeout)
        return http.client.HTTPConnection(*self._address, timeout=self._timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, blocksize=1 << 20)
        self._socket_path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def _label_filter(label: str | None) -> str:
    return dumps({} if label is None else {"label": [label]})


def _message(answer: bytes) -> str:
    try:
        return str(loads(answer)["message"])
    except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return answer.decode(errors="replace")


def _json_values(stream: bytes) -> list[Object]:
    """Split a stream of JSON objects; the daemon separates them by CRLF, LF or nothing."""
    text, values, decode = stream.decode().strip(), list[Object](), JSONDecoder().raw_decode
    position = 0
    while position < len(text):
        value, end = decode(text, position)
        values.append(value)
        position = end + (len(text[end:]) - len(text[end:].lstrip()))
    return values
