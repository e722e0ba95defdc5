"""A request's body from a blocking iterator, made ahead in a thread.

h11 and httpcore take some 0.15 ms a piece: small pieces are joined to 1 MiB, so that this does not matter.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from .threads import thread_limiter

_PIECE_BYTES: Final = 1024 * 1024

_PIECES_AHEAD: Final = 3
"""Pieces that wait, beside the one being sent and the one being made. dockerd 20.10 takes some 60 ms to begin with an
archive, in which a processor would be idle: 3,000 small files took a tenth less time. More was no faster."""


@asynccontextmanager
async def open_bare_nursery() -> AsyncGenerator[trio.Nursery]:
    """A nursery for children that raise nothing: what its body raises comes out bare, not in a group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery
            failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def open_prefetched(chunks: Iterator[bytes]) -> AsyncGenerator[AsyncIterable[bytes]]:
    """Iterate in a thread, some pieces ahead of the reader, which gets what `chunks` raises.

    The thread ends with the block, at the latest behind the piece that it is making.
    """
    send, receive = trio.open_memory_channel[bytes | Exception](_PIECES_AHEAD)
    async with open_bare_nursery() as nursery, receive:
        nursery.start_soon(_make, chunks, send)
        yield _raising(receive)
        nursery.cancel_scope.cancel()


async def _make(chunks: Iterator[bytes], send: trio.MemorySendChannel[bytes | Exception]) -> None:
    async with send:
        while True:
            try:
                piece = await trio.to_thread.run_sync(_joined, chunks, limiter=thread_limiter())
            except Exception as error:  # noqa: BLE001 - the reader raises it
                await send.send(error)
                return
            if not piece:
                return
            await send.send(piece)


async def _raising(pieces: trio.MemoryReceiveChannel[bytes | Exception]) -> AsyncGenerator[bytes]:
    async for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def _joined(chunks: Iterator[bytes]) -> bytes:
    """The next piece; none at the end."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _PIECE_BYTES:
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)
