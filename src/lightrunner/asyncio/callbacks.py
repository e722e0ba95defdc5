"""Call an asyncio program's callbacks, in its event loop, with what the trio thread produces.

A call between the threads takes as long as dozens of quick callbacks, so values travel in batches: while the loop
handles one, the next is collected.
"""

import asyncio
import contextvars
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import trio

from lightrunner.nurseries import open_bare_nursery
from lightrunner.results import LogCallback, OutputCallback, ProgressCallback

from .bridge import Bridge

T = TypeVar("T")

BATCH_BYTES = 1024 * 1024
"""How much output is collected for a slow callback. Then the run buffers what it buffers for any slow callback."""

_VALUE_OVERHEAD_BYTES = 256
"""Memory per value beside its text."""

_TURN = 0.01
"""Seconds of callbacks between two turns of the event loop."""


class Callbacks:
    """The callbacks of one call of a trio method. Made in the asyncio loop's thread.

    They are called there too, in the maker's context, one at a time, in the order of the run's calls, and may be async.
    """

    def __init__(
        self,
        bridge: Bridge,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self._bridge = bridge
        self._context = contextvars.copy_context()
        self._keywords: dict[str, Callable[[Any], object]] = {}
        if on_log is not None:
            self._keywords["on_log"] = lambda line: self._put(on_log, line, len(line.text))
        if on_output is not None:
            self._keywords["on_output"] = lambda chunk: self._put(on_output, chunk, len(chunk.data))
        if on_progress is not None:
            # The engine awaits no progress callback. Pulls say little, and setup steps are trusted.
            self._keywords["on_progress"] = lambda message: self._put_nowait(on_progress, message, len(message.status))
        self._held: list[tuple[Callable[[Any], object], object]] = []
        self._held_bytes = 0
        self._closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def call(self, method: Callable[..., Awaitable[T]], *args: Any, **keywords: Any) -> T:
        """In the trio thread: call the method, and return when all that it has told is delivered.

        An exception of a callback cancels the method and is raised bare.
        """
        async with self._delivering():
            return await method(*args, **keywords, **self._keywords)

    @asynccontextmanager
    async def hold(
        self, method: Callable[..., AbstractAsyncContextManager[T]], *args: Any, **keywords: Any
    ) -> AsyncGenerator[T]:
        """In the trio thread: open what the method returns, for the time of a block. Exceptions are as for `call`."""
        async with self._delivering(), method(*args, **keywords, **self._keywords) as value:
            yield value

    @asynccontextmanager
    async def _delivering(self) -> AsyncGenerator[None]:
        if not self._keywords:
            yield
            return
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._deliver_all)
            yield
            self._closed = True
            self._news.unpark_all()

    def _put(self, callback: Callable[[Any], object], value: object, size: int) -> Awaitable[None] | None:
        """Hand over a value. What is returned, if anything, has to be awaited: there is no room for more."""
        self._put_nowait(callback, value, size)
        return self._wait_room() if self._held_bytes > BATCH_BYTES else None

    def _put_nowait(self, callback: Callable[[Any], object], value: object, size: int) -> None:
        self._held.append((callback, value))
        self._held_bytes += size + _VALUE_OVERHEAD_BYTES
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
            await self._bridge.call_home(_deliver, batch, context=self._context)


async def _deliver(batch: list[tuple[Callable[[Any], object], object]]) -> None:
    """Call each callback with its value; in the asyncio loop."""
    turn_ends = time.monotonic() + _TURN
    for callback, value in batch:
        outcome = callback(value)
        if inspect.isawaitable(outcome):
            await outcome
        if time.monotonic() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + _TURN
