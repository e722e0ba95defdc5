"""A network backend for httpcore: it uses connections that a `Connect` function opens, instead of sockets."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import httpcore
import trio

from .connection import EXTRA_INFO, Connect, Connection


class ConnectionStream(httpcore.AsyncNetworkStream):
    """One connection, as httpcore sees it. The client sets no time-outs for reads and writes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  # httpcore's
        """Receive some bytes."""
        with _mapped(httpcore.ReadError):
            return await self._connection.receive_some(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  # httpcore's
        """Send all of it."""
        if buffer:
            with _mapped(httpcore.WriteError):
                await self._connection.send_all(buffer)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore and this client ask of a stream."""
        if info == "is_readable":  # httpcore asks it of idle connections: such a one has ended.
            return self._connection.is_readable()
        return self._connection if info == EXTRA_INFO else None


class ConnectBackend(httpcore.AsyncNetworkBackend):
    """Opens connections by a `Connect` function, whatever the address."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection. The arguments are httpcore's; the address is only for messages."""
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                return ConnectionStream(await self._connect())
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout(f"no connection within {timeout:g} s") from error
        except (OSError, trio.BrokenResourceError) as error:
            raise httpcore.ConnectError(str(error) or type(error).__name__) from error

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await trio.sleep(seconds)


def connection_pool(connect: Connect) -> httpcore.AsyncConnectionPool:
    """A pool of one connection, which `connect` opens."""
    return httpcore.AsyncConnectionPool(
        network_backend=ConnectBackend(connect), max_connections=1, max_keepalive_connections=1
    )


@contextmanager
def _mapped(error: type[httpcore.NetworkError]) -> Generator[None]:
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as lost:
        raise error(str(lost)) from lost
