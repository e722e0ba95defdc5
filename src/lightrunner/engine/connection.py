"""Connections that are not the client's own sockets: what a `Connect` function returns. Pure; types alone.

`EngineClient` and `DockerRunner` take such a function in place of a host: a tunnel of the caller's own, or the daemon
in memory of `lightrunner.testing`.
"""

from collections.abc import Awaitable
from typing import Final, Protocol

EXTRA_INFO: Final = "connection"
"""What an httpcore stream is asked for its `Connection`. httpcore's own streams have none."""


class Connection(Protocol):
    """Bytes both ways between the client and a daemon, with trio's method names.

    Every method raises `trio.BrokenResourceError` where the connection is lost.
    """

    async def receive_some(self, max_bytes: int) -> bytes:
        """Receive up to `max_bytes`, as they come; none at the daemon's end of file."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Send all of it."""
        ...

    def send_eof(self) -> None:
        """Close the sending half; the receiving one stays open. It does not block."""
        ...

    def is_readable(self) -> bool:
        """Whether bytes, the end, or a failure have arrived and were not received yet."""
        ...

    async def aclose(self) -> None:
        """Close both halves."""
        ...


class Connect(Protocol):
    """Opens a connection to the daemon: ``async def connect() -> Connection``."""

    def __call__(self) -> Awaitable[Connection]:
        """Open one.

        Raises:
            OSError: there is no daemon.
        """
        ...
