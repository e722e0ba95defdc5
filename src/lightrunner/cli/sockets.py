"""Where the sandboxes of `lightrunner sandbox` are reached: one Unix socket each, in the folder of states.

A socket lies in its place once it listens. So one that refuses a connection belongs to a process that is dead, and is
removed by whoever finds it.
"""

import errno
import os
import re
import socket
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import trio

from lightrunner.host.owner import is_gone
from lightrunner.host.state_dir import make_state_dir, state_dir

from .messages import Decoder, FromClient, FromHolder, ProtocolError, encode

T = TypeVar("T")

_FOLDER = "sandboxes"
_SUFFIX = ".sock"
_TEMPORARY = re.compile(r"\.(?P<pid>[0-9]+)-.*\.tmp")
_BACKLOG = 128
_MAX_PATH_BYTES = 103
"""sun_path has 108 bytes on Linux, 104 on macOS, a null among them."""

_RECEIVE_BYTES = 128 * 1024


class Connection(Generic[T]):
    """One end of a connection: messages over a socket.

    Attributes:
        sending: held while a frame is sent. Who holds it may cancel the senders without cutting a frame short.
    """

    def __init__(self, stream: trio.SocketStream, kind: type[T]) -> None:
        self.sending = trio.Lock()
        self._stream = stream
        self._decoder: Decoder[T] = Decoder(kind)
        self._received: deque[T] = deque()

    async def send(self, message: FromClient | FromHolder) -> None:
        """Send a message.

        Raises:
            MessageError: as `encode`.
            trio.BrokenResourceError: the other end has left.
        """
        data = encode(message)
        async with self.sending:
            await self._stream.send_all(data)

    async def receive(self) -> T | None:
        """Receive the next message; None once the other end has left.

        Raises:
            ProtocolError: it is none.
        """
        while not self._received:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except trio.BrokenResourceError:
                return None
            if not data:
                if self._decoder.is_between_frames:
                    return None
                raise ProtocolError("the connection ended in the middle of a message")
            self._received.extend(self._decoder.receive_data(bytes(data)))
        return self._received.popleft()


@asynccontextmanager
async def listening(sandbox_id: str) -> AsyncGenerator[trio.SocketListener]:
    """Listen on a sandbox's socket, which none but this user can connect to, for the time of a block.

    Raises:
        OSError: the state folder or the socket cannot be made.
    """
    folder = make_state_dir() / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path, temporary = folder / f"{sandbox_id}{_SUFFIX}", folder / f".{os.getpid()}-{sandbox_id}.tmp"
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with own:
        try:
            with _address(temporary) as address:
                own.bind(address)
            temporary.chmod(0o600)
            own.listen(_BACKLOG)
            temporary.rename(path)
            yield trio.SocketListener(trio.socket.from_stdlib_socket(own))
        finally:
            temporary.unlink(missing_ok=True)
            path.unlink(missing_ok=True)


@asynccontextmanager
async def connected(sandbox_id: str) -> AsyncGenerator[Connection[FromHolder]]:
    """Connect to a sandbox's holder.

    Raises:
        ConnectionRefusedError: the process that held it is dead.
        FileNotFoundError: there is no such sandbox.
    """
    with _address(state_dir() / _FOLDER / f"{sandbox_id}{_SUFFIX}") as address:
        own = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        try:
            await own.connect(address)
        except BaseException:
            own.close()
            raise
    async with trio.SocketStream(own) as stream:
        yield Connection(stream, FromHolder)  # type: ignore[arg-type]  # a union is no type to mypy


def live_sandboxes() -> list[str]:
    """Return the ids of this host's sandboxes, oldest first. Remove the sockets of processes that are dead.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        paths = list((state_dir() / _FOLDER).iterdir())
    except FileNotFoundError:
        return []
    alive: list[tuple[float, str]] = []
    for path in paths:
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and is_gone(int(match["pid"])):
            path.unlink(missing_ok=True)
        if path.suffix != _SUFFIX:
            continue
        try:
            _knock(path)
            alive.append((path.stat().st_mtime, path.stem))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # Its sandbox has just ended.
    return [sandbox_id for _, sandbox_id in sorted(alive)]


def _knock(path: Path) -> None:
    """Connect, and leave. A holder that is stopped has room for connections in its backlog, or says EAGAIN."""
    with _address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
        own.setblocking(False)
        try:
            own.connect(address)
        except BlockingIOError:
            return


@contextmanager
def _address(path: Path) -> Generator[str]:
    """Make an address of a socket's path, which may be longer than an address can be."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - a constant
        raise OSError(errno.ENAMETOOLONG, "too long for a socket: set LIGHT_RUNNER_STATE_DIR to a shorter path", path)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
