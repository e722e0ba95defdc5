"""A pool of single-use items: each is taken once, never given back, and replaced by a new one.

A refill competes for the machine with the run that has just taken an item: in a prototype that run took 81 ms to its
result instead of 51. A refill therefore waits for the end of that run, or for `delay` seconds if the run takes longer.
It does not wait if a caller is waiting for an item.
"""

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple, TypeVar, TypeVarTuple

import trio

from .errors import LightRunnerError, LightRunnerErrorCode
from .nurseries import open_bare_nursery, protected
from .rules.limits import CLOSE_TIMEOUT
from .rules.sizes import parse_count, parse_timeout
from .rules.violation import RuleViolation
from .telemetry import count

_log = logging.getLogger("lightrunner")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to make an item, doubled after each failure: the daemon may be down for a while."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PoolSize(NamedTuple):
    """How many items to keep ready.

    Attributes:
        minimum: the number at first, and the least.
        maximum: the most: each caller that has to wait raises the number by one.
        idle: seconds without a `take` after which the number falls by one.
    """

    minimum: int
    maximum: int
    idle: float


def check_pool_size(size: object, max_size: object, idle_time: object) -> PoolSize:
    """Check a pool's options. `max_size` is `size` if it is None; `idle_time` is in seconds.

    Raises:
        RuleViolation: one of them breaks a rule.
    """
    minimum = parse_count("size", size)
    maximum = minimum if max_size is None else parse_count("max_size", max_size)
    if maximum < minimum:
        raise RuleViolation("max_size", max_size, f"less than size, which is {size}")
    return PoolSize(minimum, maximum, parse_timeout("idle_time", idle_time))


class _Waiter(Generic[T]):
    """A caller that waits for an item, and the outcome of its wait."""

    def __init__(self) -> None:
        self.served = trio.Event()
        self.outcome: T | LightRunnerError | None = None

    def serve(self, outcome: T | LightRunnerError) -> None:
        self.outcome = outcome
        self.served.set()


class SingleUsePool(Generic[T]):
    """Keeps items ready while its block is open.

    Args:
        make: makes an item, or raises `LightRunnerError`.
        discard: removes an item, used or not.
        is_usable: tells whether a ready item is still usable.
        size: how many items to keep ready.
        delay: seconds from a `take` to its refill, at most.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
        is_usable: Callable[[T], bool],
        *,
        size: PoolSize,
        delay: float,
    ) -> None:
        self._make = make
        self._discard = discard
        self._is_usable = is_usable
        self._size = size
        self._delay = delay
        self._target = size.minimum
        self._ready: deque[T] = deque()
        self._in_use: list[T] = []
        self._waiters: deque[_Waiter[T]] = deque()  # First come, first served.
        self._refills = 0  # Refills in progress, pausing ones included.
        self._pauses: deque[trio.Event] = deque()  # One per pausing refill. Setting it ends the pause.
        self._idle_since = -math.inf
        self._is_failing = False
        self._is_open = False
        self._closed = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Fill the pool, then yield. At the end, wait for items in use and for callers, and discard the rest.

        An exception or a cancellation ends the block at once: the items in use are discarded as well.
        """
        async with open_bare_nursery() as nursery:
            await nursery.start(self._run)
            yield
            self.close()

    @property
    def has_waiters(self) -> bool:
        """Whether a caller waits for the next item."""
        return bool(self._waiters)

    def take_nowait(self) -> T | None:
        """Take a ready item; None if there is none."""
        while self._is_open and self._ready:
            item = self._ready.popleft()
            if self._is_usable(item):
                self._hand_out(item)
                return item
            self._start_discard(item)
            self._start_refill(at_once=True)
        return None

    async def take(self) -> T:
        """Take an item; wait until one is ready.

        Raises:
            LightRunnerError: no item can be made, or the pool was closed.
        """
        item = self.take_nowait()
        count("lightrunner.pool.takes", pool="warm", hit=item is not None)
        if item is not None:
            return item
        if not self._is_open:
            raise _closed_error()
        waiter = _Waiter[T]()
        self._waiters.append(waiter)
        self._grow()
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

    def discard_used(self, item: T) -> None:
        """Discard an item after its use, in a task of the pool. Returns at once."""
        if item not in self._in_use:  # The pool was closed meanwhile, and has discarded the item.
            return
        self._in_use.remove(item)
        self._start_discard(item)
        if self._pauses:
            self._pauses.popleft().set()
        self._changed.unpark_all()

    def close(self) -> None:
        """Hand out no more items, except to callers that wait for one. The end of the block does this first."""
        self._is_open = False
        self._closed.set()

    # --- the pool's own tasks ------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with open_bare_nursery() as self._nursery:
            try:
                async with open_bare_nursery() as first:
                    for _ in range(self._size.minimum):
                        first.start_soon(protected, self._fill_one)
                self._is_open = True
                self._idle_since = trio.current_time()
                task_status.started()
                await self._shrink_while_idle()
                while self._in_use or self._waiters:
                    await self._changed.park()
            finally:
                self.close()
                self._fail_waiters(_closed_error())
                for item in (*self._ready, *self._in_use):
                    self._start_discard(item)
                self._ready.clear()
                self._in_use.clear()
                self._nursery.cancel_scope.cancel()

    async def _fill_one(self) -> None:
        self._ready.append(await self._make())

    def _start_refill(self, *, at_once: bool) -> None:
        """Start a task that makes one more item, at once or after a pause."""
        self._refills += 1  # Not in the task, which starts later: other callers count refills before that.
        pause = trio.Event()
        if at_once:
            pause.set()
        else:
            self._pauses.append(pause)
        self._spawn(self._refill, pause)

    async def _refill(self, pause: trio.Event) -> None:
        try:
            with trio.move_on_after(self._delay):
                await pause.wait()
            if pause in self._pauses:
                self._pauses.remove(pause)
            item = await self._make_with_retries()
        finally:
            self._refills -= 1
        if item is not None:
            self._serve_or_keep(item)

    async def _make_with_retries(self) -> T | None:
        """Make an item, and retry while the pool needs it. Waiting callers get the error of each failure."""
        pause = _FIRST_PAUSE
        while len(self._ready) + self._refills <= self._target + len(self._waiters):
            try:
                item = await self._make()
            except LightRunnerError as error:
                if not self._is_failing:
                    # Without the message, which may quote a setup step; callers that wait get it.
                    _log.warning(
                        "the pool could not make an item and keeps trying: %s in %s",
                        error.code,
                        error.docker_op,
                        extra={"code": str(error.code), "docker_op": error.docker_op},
                    )
                self._is_failing = True
                self._fail_waiters(error)
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._is_failing = False
                return item
        return None

    def _serve_or_keep(self, item: T) -> None:
        """Give the item to the caller that has waited longest, or keep it ready."""
        if self._waiters:
            self._waiters.popleft().serve(item)
            self._hand_out(item)
        elif self._is_open:
            self._ready.append(item)
            self._trim()
        else:  # The pool was closed after the item was made.
            self._start_discard(item)

    def _hand_out(self, item: T) -> None:
        self._idle_since = trio.current_time()
        self._in_use.append(item)
        if self._is_open and len(self._ready) + self._refills < self._target:
            self._start_refill(at_once=False)

    def _grow(self) -> None:
        """Make an item for a new waiter at once, and keep one more ready from then on."""
        if self._refills - len(self._pauses) < len(self._waiters):
            if self._target < self._size.maximum:
                self._target += 1
            if self._pauses:
                self._pauses.popleft().set()
            else:
                self._start_refill(at_once=True)

    def _fail_waiters(self, error: LightRunnerError) -> None:
        while self._waiters:
            # One copy per waiter: each task adds its own traceback.
            copy = LightRunnerError(
                error.code, error.message, docker_op=error.docker_op, container_id=error.container_id
            )
            copy.__cause__ = error
            self._waiters.popleft().serve(copy)
        self._changed.unpark_all()

    async def _shrink_while_idle(self) -> None:
        """Discard one item after each idle time, until the pool is closed."""
        while not self._closed.is_set():
            with trio.move_on_at(self._idle_since + self._size.idle):
                await self._closed.wait()
            now = trio.current_time()
            if now >= self._idle_since + self._size.idle:
                self._idle_since = now
                self._target = max(self._size.minimum, self._target - 1)
                self._trim()

    def _trim(self) -> None:
        while len(self._ready) > self._target:
            self._start_discard(self._ready.popleft())

    def _start_discard(self, item: T) -> None:
        self._spawn(self._discard_shielded, item)

    async def _discard_shielded(self, item: T) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
            await self._discard(item)

    def _spawn(self, async_fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(protected, async_fn, *args)


def _closed_error() -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the pool is closed")
