"""Parse a daemon's URL, and choose the daemon that the environment names. Pure.

unix:///path    tcp://host:port, plain or with TLS    ssh://user@host:port/path
"""

import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from .errors import EngineEndpointError

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_TCP_PORT = 2375
DEFAULT_TLS_PORT = 2376
MAX_SOCKET_PATH_BYTES = 107
"""Linux' sockaddr_un.sun_path, without its NUL."""

HOST_VARIABLES: Final = ("LIGHT_RUNNER_HOST", "DOCKER_HOST")
"""Environment variables for the daemon's URL. The first one that is set and not empty counts."""


class TlsFiles(NamedTuple):
    """PEM files for TLS.

    Attributes:
        ca: certificates of the authorities that may sign the daemon's certificate; None: the system's authorities.
        certificate: the client's certificate, with its chain; None: no client certificate.
        key: the client's private key.
        verify: check the daemon's certificate and host name.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True


class SshTarget(NamedTuple):
    """A daemon behind ssh: the login (``user@host`` or ``host``), and the path of the daemon's socket on that host."""

    destination: str
    port: int | None = None
    socket: str = DEFAULT_SOCKET

    def __str__(self) -> str:
        user, at, address = self.destination.rpartition("@")
        port = "" if self.port is None else f":{self.port}"
        path = "" if self.socket == DEFAULT_SOCKET else self.socket
        return f"ssh://{user}{at}{_bracketed(address)}{port}{path}"


class Endpoint(NamedTuple):
    """Where a daemon is: a Unix socket's path, or a TCP address.

    Attributes:
        socket: the path; empty for TCP. With `ssh` it is the local end of the forwarded socket.
        address: the TCP host.
        port: the TCP port.
        tls: the files of an encrypted connection; None: no TLS.
        ssh: the host that `socket` is forwarded to; None: no forwarding.
    """

    socket: str
    address: str = "docker"
    port: int = 80
    tls: TlsFiles | None = None
    ssh: SshTarget | None = None

    @property
    def url(self) -> str:
        """The base of request URLs. Over a Unix socket the daemon ignores the host in it."""
        return f"http{'s' if self.tls else ''}://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"{_bracketed(self.address)}:{self.port}"

    def __str__(self) -> str:
        if self.ssh is not None:
            return str(self.ssh)
        return f"unix://{self.socket}" if self.socket else f"tcp://{self._authority}"


class EndpointChoice(NamedTuple):
    """A daemon, and what named it: ``host``, an environment variable, a context or the usual sockets, in words."""

    endpoint: Endpoint
    source: str


def _bracketed(address: str) -> str:
    """Return an address as URLs have it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def parse_endpoint(host: str, tls: TlsFiles | None = None) -> Endpoint:
    """Parse ``unix:///path``, ``tcp://host[:port]`` or ``ssh://[user@]host[:port][/path]``.

    Args:
        host: the URL.
        tls: the files for a TCP address. A Unix socket and ssh ignore it.

    Raises:
        EngineEndpointError: the URL has another scheme, or is invalid.
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        raise EngineEndpointError(f"host {host!r} has no scheme: write unix:///path, tcp://host:port or ssh://host")
    if scheme == "unix":
        return Endpoint(socket=_socket_path(host, rest))
    if scheme not in {"tcp", "ssh"}:
        raise EngineEndpointError(f"host {host!r} has the unsupported scheme {scheme!r}; supported: unix, tcp, ssh")
    if scheme == "ssh":
        return Endpoint(socket="", ssh=_ssh_target(host))
    form = "tcp://host:port"
    address, port = _address(host, form)
    parts = urlsplit(host)
    if parts.path not in ("", "/") or "@" in parts.netloc:
        raise EngineEndpointError(f"host {host!r} is not {form}")
    default = DEFAULT_TCP_PORT if tls is None else DEFAULT_TLS_PORT
    return Endpoint(socket="", address=address, port=default if port is None else port, tls=tls)


def _socket_path(host: str, path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise EngineEndpointError(f"host {host!r} has no absolute path to a socket: write unix:///path")
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise EngineEndpointError(f"host {host!r} cannot be encoded as a path") from error
    if len(encoded) > MAX_SOCKET_PATH_BYTES:
        raise EngineEndpointError(f"host {host!r}: the socket's path is longer than {MAX_SOCKET_PATH_BYTES} bytes")
    return path


def _ssh_target(host: str) -> SshTarget:
    form = "ssh://user@host:port/path"
    address, port = _address(host, form)
    parts = urlsplit(host)
    user = parts.username
    # ssh takes a destination that begins with a dash for an option.
    if parts.password is not None or user == "" or address.startswith("-") or (user or "").startswith("-"):
        raise EngineEndpointError(f"host {host!r} is not {form}")
    # A colon would end the remote path in ssh's option -L.
    if ":" in parts.path:
        raise EngineEndpointError(f"host {host!r}: ssh cannot forward a socket with a colon in its path")
    socket = DEFAULT_SOCKET if parts.path in ("", "/") else parts.path
    return SshTarget(address if user is None else f"{user}@{address}", port, socket)


def _address(host: str, form: str) -> tuple[str, int | None]:
    """Return a URL's host and port. Refuse a query and a fragment."""
    try:
        parts = urlsplit(host)
        address, port = parts.hostname, parts.port
    except ValueError as error:
        raise EngineEndpointError(f"host {host!r} is not {form}: {error}") from error
    # Check the original text: urlsplit silently drops line breaks and tabs.
    if not address or parts.query or parts.fragment or not host.isprintable() or " " in host:
        raise EngineEndpointError(f"host {host!r} is not {form}")
    return address, port


def find_endpoint(
    host: str | None,
    environ: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.exists,
    current_context: Callable[[Mapping[str, str]], Endpoint | None] = lambda _: None,
) -> Endpoint:
    """Choose the daemon, as `choose_endpoint` does."""
    return choose_endpoint(host, environ, exists, current_context).endpoint


def choose_endpoint(
    host: str | None,
    environ: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.exists,
    current_context: Callable[[Mapping[str, str]], Endpoint | None] = lambda _: None,
) -> EndpointChoice:
    """Choose the daemon, and tell what named it.

    The first of these counts: `host`, ``LIGHT_RUNNER_HOST``, ``DOCKER_HOST``, the Docker CLI's current context
    (``DOCKER_CONTEXT`` or ``currentContext`` in its config file), the first usual socket that exists.

    The usual sockets are the system's, the rootless daemon's (``$XDG_RUNTIME_DIR/docker.sock``) and Docker Desktop's
    (``~/.docker/run/docker.sock``). If none exists, the system's is chosen, so that errors name it.

    A TCP address uses TLS if ``DOCKER_TLS_VERIFY`` or ``DOCKER_TLS`` is set and not empty. ``DOCKER_TLS`` alone does
    not verify the daemon's certificate. ca.pem, cert.pem and key.pem are read from ``DOCKER_CERT_PATH``, by default
    ``~/.docker``.

    Args:
        host: the caller's URL; None: choose from the environment.
        environ: the environment variables.
        exists: tells whether a path exists.
        current_context: returns the endpoint of the Docker CLI's current context; None for the default context.

    Raises:
        EngineEndpointError: from `parse_endpoint` or `current_context`.
    """
    if host is not None:
        return EndpointChoice(parse_endpoint(host, _environment_tls(environ, exists)), "the given host")
    for variable in HOST_VARIABLES:
        if url := environ.get(variable):
            return EndpointChoice(parse_endpoint(url, _environment_tls(environ, exists)), variable)
    if (endpoint := current_context(environ)) is not None:
        return EndpointChoice(endpoint, "the Docker CLI's current context")
    usual = [DEFAULT_SOCKET]
    if runtime_folder := environ.get("XDG_RUNTIME_DIR"):
        usual.append(f"{runtime_folder}/docker.sock")
    if home := environ.get("HOME"):
        usual.append(f"{home}/.docker/run/docker.sock")
    for path in usual:
        if exists(path):
            return EndpointChoice(Endpoint(socket=path), "the first of the usual sockets that exists")
    return EndpointChoice(Endpoint(socket=DEFAULT_SOCKET), "the default, since none of the usual sockets exists")


def _environment_tls(environ: Mapping[str, str], exists: Callable[[str], bool]) -> TlsFiles | None:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    folder = environ.get("DOCKER_CERT_PATH") or f"{environ.get('HOME', '')}/.docker"
    return tls_files(folder, exists, verify=verify)


def tls_files(folder: str, exists: Callable[[str], bool], *, verify: bool) -> TlsFiles:
    """Return the PEM files in a folder, by the Docker CLI's names. Files that do not exist are None."""
    ca, certificate, key = (f"{folder}/{name}.pem" for name in ("ca", "cert", "key"))
    has_certificate = exists(certificate) or exists(key)
    return TlsFiles(
        ca if exists(ca) else None,
        certificate if has_certificate else None,
        key if has_certificate else None,
        verify=verify,
    )
