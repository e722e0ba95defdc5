"""The process's stdin and stdout as a stream of lines and one of text, which cancellation interrupts.

The SDK's own read in threads, which a signal cannot interrupt: the server would outlive it until its client leaves.
"""

import os
import stat
from typing import Self

import trio

MAX_LINE_BYTES = 64 * 1024 * 1024
"""The client is the process that started this one, and a message of it has code and files at most."""

_RECEIVE_BYTES = 64 * 1024


def is_pollable(descriptor: int) -> bool:
    """Whether a descriptor is a pipe, a socket or a terminal. Files and /dev/null never block, and cannot be polled."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


class Lines:
    """Yields the lines of a stream, as a text file does."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._held = bytearray()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """Return the next line."""
        seen = 0
        while (at := self._held.find(b"\n", seen)) < 0:
            seen = len(self._held)
            data = await self._stream.receive_some(_RECEIVE_BYTES)
            if not data or seen > MAX_LINE_BYTES:
                raise StopAsyncIteration
            self._held += data
        line = bytes(self._held[: at + 1])
        del self._held[: at + 1]
        return line.decode(errors="replace")


class Text:
    """Sends text, as a text file takes it."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream

    async def write(self, text: str) -> None:
        """Send it all."""
        await self._stream.send_all(text.encode())

    async def flush(self) -> None:
        """Nothing is buffered."""
