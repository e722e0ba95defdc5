"""Call an asyncio program's callbacks, in its event loop, with what the trio thread produces.

A call between the threads takes as long as dozens of quick callbacks, so values travel in batches: while the loop
handles one, the next is collected.
"""

import asyncio
import contextvars
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Generic, TypeVar

import trio

from lightrunner.nurseries import open_bare_nursery
from lightrunner.results import LogCallback, LogLine, Progress, ProgressCallback

from .bridge import Bridge

T = TypeVar("T")
V = TypeVar("V")

BATCH_BYTES = 1024 * 1024
"""How much text is collected for a slow callback. Then `Relay.put` waits, and the run buffers what it buffers for any
slow callback."""

_VALUE_OVERHEAD_BYTES = 256
"""Memory per value beside its text."""

_TURN = 0.01
"""Seconds of callbacks between two turns of the event loop."""


class Relay(Generic[V]):
    """Carries values from the trio thread to one callback, in order. Made in the asyncio loop's thread.

    Args:
        bridge: to the callback's event loop.
        callback: called there with each value, in the maker's context. It may be async.
        size: the length of a value's text.
    """

    def __init__(self, bridge: Bridge, callback: Callable[[V], object], size: Callable[[V], int]) -> None:
        self._bridge = bridge
        self._callback = callback
        self._size = size
        self._context = contextvars.copy_context()
        self._held: list[V] = []
        self._held_bytes = 0
        self._closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    def put_nowait(self, value: V) -> None:
        """Hand over a value, however many are held."""
        self._held.append(value)
        self._held_bytes += self._size(value) + _VALUE_OVERHEAD_BYTES
        self._news.unpark_all()

    def put(self, value: V) -> Awaitable[None] | None:
        """Hand over a value. What is returned, if anything, has to be awaited: there is no room for more."""
        self.put_nowait(value)
        return self._wait_room() if self._held_bytes > BATCH_BYTES else None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Deliver values in a task of this block. Its end waits until all are delivered.

        An exception of the callback cancels the block and is raised from it, bare.
        """
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._deliver_all)
            yield
            self._closed = True
            self._news.unpark_all()

    async def _wait_room(self) -> None:
        while self._held_bytes > BATCH_BYTES:
            await self._room.park()

    async def _deliver_all(self) -> None:
        while self._held or not self._closed:
            if not self._held:
                await self._news.park()
                continue
            batch, self._held, self._held_bytes = self._held, [], 0
            self._room.unpark_all()
            await self._bridge.call_home(self._deliver, batch, context=self._context)

    async def _deliver(self, batch: list[V]) -> None:
        """Call the callback with each value; in the asyncio loop."""
        turn_ends = time.monotonic() + _TURN
        for value in batch:
            outcome = self._callback(value)
            if inspect.isawaitable(outcome):
                await outcome
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + _TURN


class Callbacks:
    """The callbacks of one call of a trio method."""

    def __init__(
        self, bridge: Bridge, *, on_log: LogCallback | None = None, on_progress: ProgressCallback | None = None
    ) -> None:
        self._relays: list[Relay[LogLine] | Relay[Progress]] = []
        self._keywords: dict[str, Callable[..., object]] = {}
        if on_log is not None:
            log = Relay(bridge, on_log, lambda line: len(line.text))
            self._relays.append(log)
            self._keywords["on_log"] = log.put
        if on_progress is not None:
            progress = Relay(bridge, on_progress, lambda message: len(message.status))
            self._relays.append(progress)
            # The engine awaits no progress callback. Pulls say little, and setup steps are trusted.
            self._keywords["on_progress"] = progress.put_nowait

    async def call(self, method: Callable[..., Awaitable[T]], *args: Any, **keywords: Any) -> T:
        """In the trio thread: call the method, and deliver to the callbacks until all is delivered."""
        async with AsyncExitStack() as stack:
            for relay in self._relays:
                await stack.enter_async_context(relay.open())
            return await method(*args, **keywords, **self._keywords)
        raise AssertionError  # Nothing suppresses an exception of the block.
