"""Find the daemon: an explicit host, ``DOCKER_HOST``, or the usual sockets.

Pure but for `exists`, which the caller may replace.
"""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from .errors import EngineEndpointError

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_TCP_PORT = 2375
MAX_SOCKET_PATH_BYTES = 107
"""Linux' sockaddr_un.sun_path, without its NUL."""


class Endpoint(NamedTuple):
    """A Unix socket's path, or a TCP address; `socket` is empty for the latter."""

    socket: str
    address: str = "docker"
    port: int = 80

    @property
    def url(self) -> str:
        """The base of the URLs to ask for. Over a Unix socket the host in it means nothing to the daemon."""
        return f"http://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket else f"tcp://{self._authority}"


def parse_endpoint(host: str) -> Endpoint:
    """An endpoint from ``unix:///path`` or ``tcp://host[:port]``.

    Raises:
        EngineEndpointError: for any other scheme, named in it, and for an address that cannot be one.
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        raise EngineEndpointError(f"host {host!r} has no scheme: write unix:///path or tcp://host:port")
    if scheme == "unix":
        if not rest.startswith("/") or "\0" in rest:
            raise EngineEndpointError(f"host {host!r} does not name a socket by an absolute path: unix:///path")
        try:
            path = os.fsencode(rest)
        except UnicodeEncodeError as error:
            raise EngineEndpointError(f"host {host!r} cannot be encoded as a path") from error
        if len(path) > MAX_SOCKET_PATH_BYTES:
            raise EngineEndpointError(f"host {host!r}: a socket's path has {MAX_SOCKET_PATH_BYTES} bytes at most")
        return Endpoint(socket=rest)
    if scheme != "tcp":
        raise EngineEndpointError(f"host {host!r} has the unsupported scheme {scheme!r}; supported: unix, tcp")
    try:
        parts = urlsplit(host)
        address, port = parts.hostname, parts.port
    except ValueError as error:
        raise EngineEndpointError(f"host {host!r} is not tcp://host:port: {error}") from error
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    # The text as it was given: urlsplit drops line breaks and tabs without a word.
    if not address or not plain or not host.isprintable() or " " in host:
        raise EngineEndpointError(f"host {host!r} is not tcp://host:port")
    return Endpoint(socket="", address=address, port=DEFAULT_TCP_PORT if port is None else port)


def find_endpoint(
    host: str | None, environ: Mapping[str, str], exists: Callable[[str], bool] = os.path.exists
) -> Endpoint:
    """The endpoint to use: `host`, else ``DOCKER_HOST``, else the first usual socket that exists.

    The usual ones are the system's, the rootless daemon's (``$XDG_RUNTIME_DIR/docker.sock``) and Docker Desktop's
    (``~/.docker/run/docker.sock``). Where none exists it is the system's, so that an error names it.

    Raises:
        EngineEndpointError: as `parse_endpoint`, and where ``DOCKER_TLS_VERIFY`` asks for TLS.
    """
    chosen = host if host is not None else environ.get("DOCKER_HOST", "")
    if chosen or host is not None:
        endpoint = parse_endpoint(chosen)
        if not endpoint.socket and environ.get("DOCKER_TLS_VERIFY"):
            # Plain text to a port that the environment says is TLS would fail in a way that nobody can read.
            raise EngineEndpointError(f"host {chosen!r}: DOCKER_TLS_VERIFY is set, but TLS is not supported")
        return endpoint
    usual = [DEFAULT_SOCKET]
    if runtime_folder := environ.get("XDG_RUNTIME_DIR"):
        usual.append(f"{runtime_folder}/docker.sock")
    if home := environ.get("HOME"):
        usual.append(f"{home}/.docker/run/docker.sock")
    return Endpoint(socket=next((path for path in usual if exists(path)), DEFAULT_SOCKET))
