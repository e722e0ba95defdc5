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


class _Waiter(Generic[T]):
    """Somebody for whom none was ready, and what he gets."""

    def __init__(self) -> None:
        self.served = trio.Event()
        self.outcome: T | LightRunnerError | None = None

    def serve(self, outcome: T | LightRunnerError) -> None:
        self.outcome = outcome
        self.served.set()


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
        self._waiters: deque[_Waiter[T]] = deque()  # First come, first served.
        self._coming = 0  # Refills under way: those that pause, and those that are being made.
        self._pauses: deque[trio.Event] = deque()  # Setting one ends the pause of a refill.
        self._last_taken = 0.0
        self._is_failing = False
        self._changed = trio.lowlevel.ParkingLot()
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Full at its beginning; at its end it waits for what is in use and for who waits, and nothing is left.

        Left by an exception or a cancellation it does not wait: what is in use is removed as well.
        """
        async with open_bare_nursery() as nursery:
            await nursery.start(self._live)
            yield
            self._closed.set()

    def take(self) -> T | None:
        """One that is ready, for good; None where there is none."""
        while self._ready and self._nursery is not None and not self._closed.is_set():
            item = self._ready.popleft()
            if self._is_usable(item):
                self._hand_out(item, self._nursery)
                return item
            self._throw_away(item)
            self._order(self._nursery, at_once=True)
        return None

    async def wait_take(self) -> T:
        """One that is ready, for good, as soon as there is one.

        Raises:
            LightRunnerError: none can be made, or the stock was closed.
        """
        item = self.take()
        if item is not None:
            return item
        if self._nursery is None or self._closed.is_set():
            raise _closed_error()
        waiter = _Waiter[T]()
        self._waiters.append(waiter)
        self._hurry(self._nursery)
        try:
            await waiter.served.wait()
        finally:
            if waiter.outcome is None:
                self._waiters.remove(waiter)
                self._changed.unpark_all()
        assert waiter.outcome is not None
        if isinstance(waiter.outcome, LightRunnerError):
            raise waiter.outcome
        return waiter.outcome

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
                while self._in_use or self._waiters:
                    await self._changed.park()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self._closed.set()
            self._fail_waiters(_closed_error())
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                async with open_bare_nursery() as nursery:
                    for item in (*self._ready, *self._in_use, *self._discarding):
                        nursery.start_soon(protected, self._discard, item)
                self._ready.clear()
                self._in_use.clear()
                self._discarding.clear()

    async def _add_first(self) -> None:
        self._ready.append(await self._make())

    def _order(self, nursery: trio.Nursery, *, at_once: bool) -> None:
        """One more, after the pause for which a refill waits or at once."""
        self._coming += 1  # Here and not in the task, which starts later: until then others count as well.
        pause = trio.Event()
        if at_once:
            pause.set()
        else:
            self._pauses.append(pause)
        nursery.start_soon(protected, self._add, pause)

    async def _add(self, pause: trio.Event) -> None:
        try:
            with trio.move_on_after(self._delay):
                await pause.wait()
            if pause in self._pauses:
                self._pauses.remove(pause)
            item = await self._make_at_last()
        finally:
            self._coming -= 1
        if item is not None:
            self._put(item)

    async def _make_at_last(self) -> T | None:
        """Make one, however often it takes, as long as it is needed. Whoever waits meanwhile gets the error."""
        pause = _FIRST_PAUSE
        while len(self._ready) + self._coming <= self._target + len(self._waiters):
            try:
                item = await self._make()
            except LightRunnerError as error:
                if not self._is_failing:
                    _log.warning("nothing can be kept ready: %s", error)
                self._is_failing = True
                self._fail_waiters(error)
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._is_failing = False
                return item
        return None

    def _put(self, item: T) -> None:
        """Give it to who has waited longest, or keep it ready."""
        if self._waiters and self._nursery is not None:
            self._waiters.popleft().serve(item)
            self._hand_out(item, self._nursery)
        else:
            self._ready.append(item)
            self._trim()

    def _hand_out(self, item: T, nursery: trio.Nursery) -> None:
        self._last_taken = trio.current_time()
        self._in_use.append(item)
        if not self._closed.is_set() and len(self._ready) + self._coming < self._target:
            self._order(nursery, at_once=False)

    def _hurry(self, nursery: trio.Nursery) -> None:
        """Somebody waits: one refill more is due at once, and one more is kept from now on."""
        if self._coming - len(self._pauses) < len(self._waiters):
            if self._target < self._size.most:
                self._target += 1
            if self._pauses:
                self._pauses.popleft().set()
            else:
                self._order(nursery, at_once=True)

    def _fail_waiters(self, error: LightRunnerError) -> None:
        while self._waiters:
            # A copy for each: a traceback belongs to one task.
            copy = LightRunnerError(
                error.code, error.message, docker_op=error.docker_op, container_id=error.container_id
            )
            copy.__cause__ = error
            self._waiters.popleft().serve(copy)
        self._changed.unpark_all()

    def _shrink(self) -> None:
        quiet = trio.current_time() - self._last_taken >= self._size.idle
        if quiet and self._target > self._size.least and not self._closed.is_set():
            self._target -= 1
            self._trim()

    def _trim(self) -> None:
        while len(self._ready) > self._target:
            self._throw_away(self._ready.popleft())

    def _throw_away(self, item: T) -> None:
        self._discarding.append(item)
        if self._nursery is not None:  # Otherwise the end of `_live` sees to it.
            self._nursery.start_soon(protected, self._discard_one, item)

    async def _discard_one(self, item: T) -> None:
        await self._discard(item)
        self._discarding.remove(item)


def _closed_error() -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the pool is closed")
