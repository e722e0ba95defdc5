"""Admit the calls of a block, a runner's or a pool's: bound how many run at once, and end them with the block."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import trio

from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import CLOSE_TIMEOUT


class Admission:
    """The calls that are under way in a block.

    Args:
        limit: how many runs at once: a number, or a limiter to share; None: no limit.
        owner: whose block it is, for the error of a call that the end of the block aborts.

    Attributes:
        is_open: the block has begun, and not ended.
        limiter: has a slot for each run; None: no limit.
    """

    def __init__(self, limit: int | trio.CapacityLimiter | None, owner: str = "runner") -> None:
        self.is_open = False
        self._owner = owner
        self.limiter = trio.CapacityLimiter(limit) if isinstance(limit, int) else limit
        self._active: set[trio.CancelScope] = set()
        self._idle = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def block(self) -> AsyncGenerator[None]:
        """Open the block, and close it at the end; an exception or a cancellation aborts the calls."""
        self.open()
        has_failed = True
        try:
            yield
            has_failed = False
        finally:
            await self.close(abort=has_failed)

    def open(self) -> None:
        """Begin the block."""
        self.is_open = True

    async def close(self, *, abort: bool) -> None:
        """End the block: wait for the calls under way; with `abort`, or if cancelled, abort them first."""
        self.is_open = False
        try:
            if abort:
                self._abort()
            while self._active:
                await self._idle.park()
        finally:
            self._abort()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                while self._active:
                    await self._idle.park()

    @asynccontextmanager
    async def admitted(self) -> AsyncGenerator[None]:
        """Register a run, and hold one of the slots."""
        with self.under_way():
            if self.limiter is None:
                yield
                return
            borrower = object()  # The run, since one task may hold several slots.
            await self.limiter.acquire_on_behalf_of(borrower)
            try:
                yield
            finally:
                self.limiter.release_on_behalf_of(borrower)

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Register a call. The end of the block waits for it, or aborts it."""
        with trio.CancelScope() as scope:
            self._active.add(scope)
            try:
                yield
            finally:
                self._active.remove(scope)
                self._idle.unpark_all()
        if scope.cancelled_caught:
            reason = f"the {self._owner} was closed before the run ended"
            raise LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, reason)

    def _abort(self) -> None:
        for scope in self._active:
            scope.cancel()
