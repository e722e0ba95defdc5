"""Connections in memory: two bounded pipes, with a client's end and a daemon's end.

A reader that stops reading makes its writer wait, as with a socket.
"""

from typing import Final

import trio

PIPE_BYTES: Final = 256 * 1024
"""What a pipe holds. A Unix socket's buffer holds about as much."""


class Pipe:
    """Bytes in one direction."""

    def __init__(self, capacity: int = PIPE_BYTES) -> None:
        self._capacity = capacity
        self._held = bytearray()
        self._has_ended = False
        self._is_broken = False
        self._changed = trio.lowlevel.ParkingLot()

    async def send(self, data: bytes) -> None:
        """Put all of it in, waiting for room.

        Raises:
            trio.BrokenResourceError: nobody reads any more.
            trio.ClosedResourceError: the pipe was ended.
        """
        await trio.lowlevel.checkpoint()
        view = memoryview(data)
        while True:
            if self._is_broken:
                raise trio.BrokenResourceError("the other side has closed the connection")
            if self._has_ended:
                raise trio.ClosedResourceError("this side has closed its half of the connection")
            if not view:
                return
            if room := self._capacity - len(self._held):
                self._held += view[:room]
                view = view[room:]
                self._changed.unpark_all()
            else:
                await self._changed.park()

    async def receive(self, max_bytes: int | None = None) -> bytes:
        """Take up to `max_bytes`, as soon as there are any; none at the end.

        Raises:
            trio.BrokenResourceError: the pipe broke.
        """
        await trio.lowlevel.checkpoint()
        while not self.is_readable():
            await self._changed.park()
        if self._held:
            taken = bytes(self._held[:max_bytes])
            del self._held[: len(taken)]
            self._changed.unpark_all()
            return taken
        if not self._has_ended:
            raise trio.BrokenResourceError("the connection was reset")
        return b""

    def is_readable(self) -> bool:
        """Whether `receive` would return at once."""
        return bool(self._held) or self._has_ended or self._is_broken

    def end(self) -> None:
        """Let the reader find the end behind what is in the pipe."""
        self._has_ended = True
        self._changed.unpark_all()

    def break_(self) -> None:
        """Fail the writer, and the reader behind what is in the pipe."""
        self._is_broken = True
        self._changed.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """The daemon's end of a connection."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, waiting for the other end to read."""
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: a later `send_all` waits as long as it has to."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Close the sending half."""
        self._outgoing.end()
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive some bytes; none at the end."""
        return await self._incoming.receive(max_bytes)

    async def aclose(self) -> None:
        """Close both halves."""
        self._outgoing.end()
        self._incoming.break_()
        await trio.lowlevel.checkpoint()


class MemoryConnection:
    """The client's end of a connection: a `lightrunner.engine.Connection`."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def receive_some(self, max_bytes: int) -> bytes:
        """Receive some bytes; none at the end."""
        return await self._incoming.receive(max_bytes)

    async def send_all(self, data: bytes) -> None:
        """Send all of it, waiting for the other end to read."""
        await self._outgoing.send(data)

    def send_eof(self) -> None:
        """Close the sending half."""
        self._outgoing.end()

    def is_readable(self) -> bool:
        """Whether something has arrived that was not received."""
        return self._incoming.is_readable()

    async def aclose(self) -> None:
        """Close both halves."""
        self._outgoing.end()
        self._incoming.break_()
        await trio.lowlevel.checkpoint()


def memory_connection() -> tuple[MemoryConnection, MemoryStream]:
    """Return the two ends of a new connection."""
    to_daemon, to_client = Pipe(), Pipe()
    return MemoryConnection(to_client, to_daemon), MemoryStream(to_daemon, to_client)
