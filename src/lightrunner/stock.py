"""Single-use things that are kept ready: taken one at a time, never given back, refilled.

Making one competes for the machine with the run that has just taken one (81 against 51 ms to that run's result, in a
prototype). So the refill waits: for that run's end, at the latest `delay` seconds, and not at all while somebody waits.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple, TypeVar

import trio

from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import CLOSE_TIMEOUT
from .tasks import open_bare_nursery, protected

_log = logging.getLogger("lightrunner")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to make one, doubled each time: the daemon may be gone for a while."""

T = TypeVar("T")


class Size(NamedTuple):
    """How many are kept ready: `least` at rest, up to `most` while callers had to wait, one less after `idle` s."""

    least: int
    most: int
    idle: float


class Stock(Generic[T]):
    """Keeps things ready while its block is open.

    Args:
        make: makes one; it raises `LightRunnerError` where it cannot.
        discard: removes one, used or not.
        is_usable: whether one that was ready still is.
        size: how many.
        delay: seconds from a taking to its refill, at the latest.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
        is_usable: Callable[[T], bool],
        *,
        size: Size,
        delay: float,
    ) -> None:
        self._make = make
        self._discard = discard
        self._is_usable = is_usable
        self._size = size
        self._delay = delay
        self._target = size.least
        self._ready: deque[T] = deque()
        self._in_use: list[T] = []
        self._discarding: list[T] = []
        self._pauses: deque[trio.Event] = deque()  # Refills that wait; setting one ends its waiting.
        self._making = 0
        self._waiting = 0
        self._last_taken = 0.0
        self._failure: LightRunnerError | None = None
        self._changed = trio.lowlevel.ParkingLot()
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Full at its beginning; at its end it waits for what is in use, and nothing is left.

        Left by an exception or a cancellation it does not wait: what is in use is removed as well.
        """
        async with open_bare_nursery() as nursery:
            await nursery.start(self._live)
            yield
            self._closed.set()
            self._changed.unpark_all()

    def take(self) -> T | None:
        """One that is ready, for good; None where there is none."""
        while self._ready and self._nursery is not None and not self._closed.is_set():
            item = self._ready.popleft()
            if self._is_usable(item):
                self._last_taken = trio.current_time()
                self._in_use.append(item)
                self._refill(self._nursery)
                return item
            self._throw_away(item)
            self._nursery.start_soon(protected, self._add)
        return None

    async def wait_take(self) -> T:
        """One that is ready, for good, as soon as there is one.

        Raises:
            LightRunnerError: none can be made, or the stock was closed.
        """
        while (item := self.take()) is None:
            if self._closed.is_set() or self._nursery is None:
                raise LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the pool is closed")
            self._waiting += 1
            try:
                self._hurry(self._nursery)
                await self._changed.park()
            finally:
                self._waiting -= 1
            if self._failure is not None and not self._ready:
                raise self._failure
        return item

    def used(self, item: T, *, discard: bool) -> None:
        """Its run is over. With `discard` it is removed, by the stock's own task, while the caller goes on."""
        if item in self._in_use:  # Otherwise the stock was torn down meanwhile, and took care of it.
            self._in_use.remove(item)
            if discard:
                self._throw_away(item)
        if self._pauses:
            self._pauses.popleft().set()
        self._changed.unpark_all()

    # --- the stock's own tasks ------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with open_bare_nursery() as first:
                for _ in range(self._size.least):
                    first.start_soon(protected, self._add_first)
            async with open_bare_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                while not self._closed.is_set():
                    with trio.move_on_after(self._size.idle):
                        await self._closed.wait()
                    self._shrink()
                while self._in_use:
                    await self._changed.park()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self._closed.set()
            self._changed.unpark_all()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                async with open_bare_nursery() as nursery:
                    for item in (*self._ready, *self._in_use, *self._discarding):
                        nursery.start_soon(protected, self._discard, item)
                self._ready.clear()
                self._in_use.clear()
                self._discarding.clear()

    async def _add_first(self) -> None:
        self._ready.append(await self._make())

    async def _add(self) -> None:
        """Make one, however often it takes. Whoever waits meanwhile gets the error."""
        self._making += 1
        pause = _FIRST_PAUSE
        try:
            while True:
                try:
                    item = await self._make()
                except LightRunnerError as error:
                    if self._failure is None:
                        _log.warning("nothing can be kept ready: %s", error)
                    self._failure = error
                    self._changed.unpark_all()
                    await trio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    self._failure = None
                    self._ready.append(item)
                    self._changed.unpark_all()
                    return
        finally:
            self._making -= 1

    def _refill(self, nursery: trio.Nursery) -> None:
        if len(self._ready) + self._making + len(self._pauses) < self._target:
            pause = trio.Event()
            self._pauses.append(pause)
            nursery.start_soon(protected, self._add_later, pause)

    async def _add_later(self, pause: trio.Event) -> None:
        with trio.move_on_after(self._delay):
            await pause.wait()
        if pause in self._pauses:
            self._pauses.remove(pause)
        await self._add()

    def _hurry(self, nursery: trio.Nursery) -> None:
        """Somebody waits: one refill more is due at once, and one more is kept from now on."""
        if self._making < self._waiting:
            if self._target < self._size.most:
                self._target += 1
            if self._pauses:
                self._pauses.popleft().set()
            else:
                nursery.start_soon(protected, self._add)

    def _shrink(self) -> None:
        quiet = trio.current_time() - self._last_taken >= self._size.idle
        if quiet and self._target > self._size.least and not self._closed.is_set():
            self._target -= 1
            if len(self._ready) > self._target:
                self._throw_away(self._ready.popleft())

    def _throw_away(self, item: T) -> None:
        self._discarding.append(item)
        if self._nursery is not None:  # Otherwise the end of `_live` sees to it.
            self._nursery.start_soon(protected, self._discard_one, item)

    async def _discard_one(self, item: T) -> None:
        await self._discard(item)
        self._discarding.remove(item)
