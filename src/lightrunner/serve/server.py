"""Bind a socket, serve its connections with hypercorn's trio worker, and end them all."""

import errno
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import trio

from lightrunner import DockerRunner, RunnerOptions
from lightrunner.errors import invalid_request
from lightrunner.nurseries import open_bare_nursery
from lightrunner.rules.violation import RuleViolation

from .app import App
from .policy import ServePolicy, check_policy
from .service import open_service

BACKLOG = 128
MIN_TOKEN_CHARACTERS = 16
LEAVE_TIMEOUT = 2.0
"""Seconds for clients to read the end of their responses, when the server ends."""

_SOCKET_MODE = 0o600

_logger = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where to listen: at a Unix socket's path, or on a port of a loopback address; port 0 takes a free one."""

    path: Path | None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def parse_address(text: str, token: str | None) -> Address:
    """Parse ``unix:///path`` or ``HOST:PORT``.

    The bytes of TCP are not encrypted, and any user of the host can connect. So TCP is for loopback addresses alone,
    and with a token. The rest of the world comes through a proxy with TLS, or ssh.

    Raises:
        RuleViolation: it is neither, the address is not a loopback one, or the token is missing or short.
    """
    if token is not None and (len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable()):
        raise RuleViolation("token", "…", f"not at least {MIN_TOKEN_CHARACTERS} printable ASCII characters")
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not path.startswith("/"):
            raise RuleViolation("listen", text, "not an absolute path: unix:///path")
        return Address(Path(path))
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:  # noqa: PLR2004 - a port
        raise RuleViolation("listen", text, "neither unix:///path nor HOST:PORT")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError as error:
        raise RuleViolation("listen", text, "the host is not an IP address, nor localhost") from error
    if not is_loopback:
        raise RuleViolation("listen", text, "not a loopback address; put a proxy with TLS in front of one")
    if token is None:
        raise RuleViolation("listen", text, "TCP needs a token: every user of this host can connect")
    return Address(None, host, int(port))


async def serve(
    address: Address,
    options: RunnerOptions,
    policy: ServePolicy,
    *,
    token: str | None = None,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. Then end all runs, with nothing left on the daemon, and let clients read their ends.

    Args:
        address: where to listen.
        options: the runner's: the daemon, and the limits of every container.
        policy: what clients may ask for.
        token: what clients have to present.
        task_status: gets the address, with its port, once clients can connect.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option or a limit breaks a rule.
        OSError: the address cannot be listened on.
    """
    with invalid_request():
        check_policy(policy)
    with _bound(address) as listening:
        if address.path is None:
            address = address._replace(port=listening.getsockname()[1])
        end = trio.Event()
        async with open_bare_nursery() as nursery:
            nursery.start_soon(_serve_until, end, listening, options, policy, token)
            try:
                task_status.started(address)
                await trio.sleep_forever()
            finally:
                end.set()


async def _serve_until(
    end: trio.Event, listening: socket.socket, options: RunnerOptions, policy: ServePolicy, token: str | None
) -> None:
    """Serve until the event. Cancellation is the event's: each part of the end is bounded by itself."""
    with trio.CancelScope(shield=True):
        async with open_bare_nursery() as nursery, DockerRunner(**msgspec.structs.asdict(options)) as runner:
            connections = Connections()
            try:
                async with open_service(runner, policy) as service:
                    listeners = trio.CancelScope()
                    connect = partial(connections.serve, App(service, token))
                    nursery.start_soon(_listen, listening, connect, nursery, listeners)
                    await end.wait()
                    listeners.cancel()
            finally:
                await connections.close()
                nursery.cancel_scope.cancel()


async def _listen(
    listening: socket.socket,
    connect: Callable[[trio.SocketStream], Awaitable[None]],
    nursery: trio.Nursery,
    scope: trio.CancelScope,
) -> None:
    with scope:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        await trio.serve_listeners(connect, [listener], handler_nursery=nursery)


class Connections:
    """The connections of a server.

    hypercorn's own server loop waits without end for a client that does not read: its sends are shielded. This one
    closes such a connection.
    """

    def __init__(self) -> None:
        # With the extra alone there is a hypercorn.
        from hypercorn.config import Config  # noqa: PLC0415
        from hypercorn.trio.worker_context import WorkerContext  # noqa: PLC0415

        self._config = Config()
        self._config.errorlog = logging.getLogger("lightrunner.serve.http")
        self._config.include_server_header = False
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()
        self._left = trio.lowlevel.ParkingLot()

    async def serve(self, app: App, stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        from hypercorn.app_wrappers import ASGIWrapper  # noqa: PLC0415
        from hypercorn.trio.tcp_server import TCPServer  # noqa: PLC0415

        self._streams.add(stream)
        try:
            # Typed for TLS and for ASGI's events one by one; it takes plain streams and any mapping.
            wrapped = ASGIWrapper(cast("Any", app))
            await TCPServer(wrapped, self._config, self._context, cast("Any", {}), cast("Any", stream)).run()
        except Exception:  # One connection's failure must not end the server. The log has it whole.
            _logger.exception("a connection failed")
        finally:
            self._streams.remove(stream)
            self._left.unpark_all()
            await trio.aclose_forcefully(stream)

    async def close(self) -> None:
        """Let clients read the ends of their responses, for a bounded time, and close all connections."""
        await self._context.terminated.set()
        for limit in (LEAVE_TIMEOUT, LEAVE_TIMEOUT):
            with trio.move_on_after(limit):
                while self._streams:
                    await self._left.park()
            for stream in list(self._streams):
                await trio.aclose_forcefully(stream)


@contextmanager
def _bound(address: Address) -> Generator[socket.socket]:
    """Listen. The end of the block removes a Unix socket's path."""
    if address.path is None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with closing(socket.socket(family)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address.host, address.port))
            _listen_on(listening)
            yield listening
        return
    _remove_stale(address.path)
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        # bind makes the file, with the mode that the mask leaves.
        mask = os.umask(0o777 & ~_SOCKET_MODE)
        try:
            listening.bind(str(address.path))
        finally:
            os.umask(mask)
        made = address.path.lstat()
        try:
            _listen_on(listening)
            yield listening
        finally:
            with suppress(FileNotFoundError):
                now = address.path.lstat()
                if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):  # Not another server's that replaced it.
                    address.path.unlink()


def _listen_on(listening: socket.socket) -> None:
    listening.listen(BACKLOG)
    listening.setblocking(False)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone.

    Raises:
        OSError: EADDRINUSE: a server answers there, or the path is not a socket.
    """
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EADDRINUSE, "there is a file that is not a socket", str(path))
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another server answers there", str(path))
