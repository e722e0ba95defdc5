"""Receive a response's body on the event loop, while a thread consumes it.

The event loop hands over batches of 1 MiB. With one thread call per received piece of 64 KiB, an archive takes twice as
long.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from .threads import thread_limiter
from .upload import open_bare_nursery

_BATCH_BYTES: Final = 1024 * 1024

_BATCHES_AHEAD: Final = 2
"""Batches in the queue, besides the one being received and the one being consumed. More are no faster."""

Receive = Callable[[], Awaitable[bytes]]
Consume = Callable[[Sequence[memoryview]], bool | None]
"""Takes the next pieces of a body. Returns True if it needs no more."""

_Batch = list[memoryview]


async def drain_in_thread(receive_some: Receive, consume: Consume) -> None:
    """Call `consume` with a body's pieces, in batches of about 1 MiB, until the body ends or `consume` returns True.

    Args:
        receive_some: receives the next bytes; empty at the end. Its exception propagates after `consume` has got all
            bytes that were received before.
        consume: runs in a worker thread. Its exceptions propagate.
    """
    send, receive = trio.open_memory_channel[_Batch | Exception](_BATCHES_AHEAD)
    async with open_bare_nursery() as nursery, receive:
        nursery.start_soon(_receive, receive_some, send)
        async for batch in receive:
            if isinstance(batch, Exception):
                raise batch
            if await trio.to_thread.run_sync(consume, batch, limiter=thread_limiter()):
                break
        nursery.cancel_scope.cancel()


async def _receive(receive_some: Receive, send: trio.MemorySendChannel[_Batch | Exception]) -> None:
    batch: _Batch = []
    size = 0
    failure = None
    async with send:
        try:
            while data := await receive_some():
                batch.append(memoryview(data))
                size += len(data)
                if size >= _BATCH_BYTES:
                    await send.send(batch)
                    batch, size = [], 0
        except Exception as error:  # noqa: BLE001 - the other task raises it
            failure = error
        if batch:
            await send.send(batch)
        if failure is not None:
            await send.send(failure)
