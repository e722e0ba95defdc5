"""Items for the tests of `SingleUsePool`: a factory of numbers, and a clock that jumps."""

import functools
import itertools
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from lightrunner import LightRunnerError
from lightrunner.pool import PoolSize, SingleUsePool

MAKE, DISCARD, DELAY = 1.0, 0.25, 10.0
"""Seconds. A moment, below, is long enough for all that is due now, and for nothing else."""
MOMENT = 0.01


class Factory:
    """Makes numbers, and knows which of them still exist."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.existing: set[int] = set()
        self.dead: set[int] = set()
        self.attempts: list[float] = []
        self.failure: Exception | None = None
        self.is_shielded = False

    async def make(self) -> int:
        """Take a while, and leave nothing where it fails or is cancelled."""
        self.attempts.append(trio.current_time())
        number = next(self.numbers)
        self.existing.add(number)
        is_made = False
        try:
            with trio.CancelScope(shield=self.is_shielded):
                await trio.sleep(MAKE)
            if self.failure is not None:
                raise self.failure
            is_made = True
        finally:
            if not is_made:
                await self.discard(number)
        return number

    async def discard(self, number: int) -> None:
        """As the removal of a run: shielded, and once more does no harm."""
        with trio.CancelScope(shield=True):
            await trio.sleep(DISCARD)
        self.existing.discard(number)

    def is_usable(self, number: int) -> bool:
        """Whether it has not died."""
        return number not in self.dead

    @asynccontextmanager
    async def pool(
        self, least: int, most: int | None = None, idle: float = math.inf
    ) -> AsyncGenerator[SingleUsePool[int]]:
        """A pool in its block; after it none of its things exists."""
        pool = SingleUsePool(
            self.make, self.discard, self.is_usable, size=PoolSize(least, most or least, idle), delay=DELAY
        )
        try:
            async with pool.open():
                yield pool
        finally:
            assert not self.existing


def jumping(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a clock that jumps to whatever is next. (pytest-trio wants it to be the test's own argument.)"""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        trio.run(functools.partial(test, **fixtures), clock=trio.testing.MockClock(autojump_threshold=0))

    return run


async def use(pool: SingleUsePool[int], seconds: float = 0.0) -> int:
    """Wait for one, use it for so long, and give it up."""
    number = await pool.take()
    await trio.sleep(seconds)
    pool.discard_used(number)
    return number


async def expect_failure(pool: SingleUsePool[int], reason: str) -> None:
    with pytest.raises(LightRunnerError, match=reason):
        await pool.take()


def take_all(pool: SingleUsePool[int]) -> list[int]:
    """All that are ready now."""
    taken = list[int]()
    while (number := pool.take_nowait()) is not None:
        taken.append(number)
    return taken
