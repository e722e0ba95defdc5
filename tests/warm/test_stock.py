"""The stock of single-use things, on a clock of its own: when it makes them, who gets them, and that none is left."""

import functools
import itertools
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from lightrunner import LightRunnerError, LightRunnerErrorCode
from lightrunner.stock import Size, Stock

MAKE, DISCARD, DELAY = 1.0, 0.25, 10.0
"""Seconds. A moment, below, is long enough for all that is due now, and for nothing else."""
MOMENT = 0.01

BROKEN = LightRunnerError(LightRunnerErrorCode.CONTAINER_START_FAILED, "no more", docker_op="container_start")


class Factory:
    """Makes numbers, and knows which of them still exist."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.existing: set[int] = set()
        self.dead: set[int] = set()
        self.attempts: list[float] = []
        self.failure: Exception | None = None

    async def make(self) -> int:
        """Take a while, and leave nothing where it fails or is cancelled."""
        self.attempts.append(trio.current_time())
        number = next(self.numbers)
        self.existing.add(number)
        is_made = False
        try:
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
    async def stock(self, least: int, most: int | None = None, idle: float = math.inf) -> AsyncGenerator[Stock[int]]:
        """A stock in its block; after it none of its things exists."""
        stock = Stock(self.make, self.discard, self.is_usable, size=Size(least, most or least, idle), delay=DELAY)
        try:
            async with stock.open():
                yield stock
        finally:
            assert not self.existing


@pytest.fixture
def factory() -> Factory:
    return Factory()


def jumping(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a clock that jumps to whatever is next. (pytest-trio wants it to be the test's own argument.)"""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        trio.run(functools.partial(test, **fixtures), clock=trio.testing.MockClock(autojump_threshold=0))

    return run


async def use(stock: Stock[int], seconds: float = 0.0) -> int:
    """Wait for one, use it for so long, and give it up."""
    number = await stock.wait_take()
    await trio.sleep(seconds)
    stock.used(number, discard=True)
    return number


async def expect_failure(stock: Stock[int], reason: str) -> None:
    with pytest.raises(LightRunnerError, match=reason):
        await stock.wait_take()


def take_all(stock: Stock[int]) -> list[int]:
    """All that are ready now."""
    taken = list[int]()
    while (number := stock.take()) is not None:
        taken.append(number)
    return taken


# --- full, and full again ---------------------------------------------------------------------------------------------


@jumping
async def test_it_is_full_when_its_block_begins_and_all_are_made_at_once(factory: Factory) -> None:
    async with factory.stock(3) as stock:
        assert trio.current_time() - factory.attempts[0] == MAKE
        taken = take_all(stock)
        assert sorted(taken) == [0, 1, 2]
        for number in taken:
            stock.used(number, discard=True)


@jumping
async def test_each_is_given_to_one_taker_only(factory: Factory) -> None:
    users, seen = 20, list[int]()

    async def user() -> None:
        seen.append(await use(stock, 0.5))

    async with factory.stock(3) as stock, trio.open_nursery() as nursery:
        for _ in range(users):
            nursery.start_soon(user)
    assert len(set(seen)) == users


@jumping
async def test_the_refill_begins_when_the_use_ends(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        await use(stock, 3.0)
        ended = trio.current_time()
        await trio.sleep(MOMENT)
        assert factory.attempts[1:] == [ended]


@jumping
async def test_the_refill_begins_after_the_delay_at_the_latest(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        number = await stock.wait_take()
        taken = trio.current_time()
        await trio.sleep(DELAY + MAKE + MOMENT)
        assert factory.attempts[1:] == [taken + DELAY]
        assert stock.take() is not None
        stock.used(number, discard=True)
        stock.used(1, discard=True)


@jumping
async def test_one_use_that_ends_begins_one_refill(factory: Factory) -> None:
    async with factory.stock(3) as stock:
        taken = take_all(stock)
        stock.used(taken[0], discard=True)
        await trio.sleep(MOMENT)
        assert len(factory.attempts) == 3 + 1
        for number in taken[1:]:
            stock.used(number, discard=True)


@jumping
async def test_there_are_never_more_than_its_size(factory: Factory) -> None:
    async with factory.stock(2) as stock:
        for _ in range(5):
            await use(stock)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 2


# --- who waits --------------------------------------------------------------------------------------------------------


@jumping
async def test_for_who_waits_one_is_made_at_once(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        first = await stock.wait_take()
        begin = trio.current_time()
        second = await stock.wait_take()
        assert trio.current_time() - begin == MAKE
        for number in (first, second):
            stock.used(number, discard=True)


@jumping
async def test_for_each_who_waits_one_is_made_and_no_more(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(use, stock)
        assert trio.current_time() - begin == MAKE
        await trio.sleep(2 * DELAY)
        assert len(factory.attempts) == 1 + 5, "the first one, four for who waited, and one to keep"


@jumping
async def test_who_waits_longest_is_first(factory: Factory) -> None:
    order = list[int]()

    async def user(place: int) -> None:
        await trio.sleep(place * MOMENT)
        await use(stock, 60.0)
        order.append(place)

    async with factory.stock(1) as stock, trio.open_nursery() as nursery:
        for place in range(8):
            nursery.start_soon(user, place)
    assert order == list(range(8))


@jumping
async def test_a_newcomer_does_not_overtake_who_waits(factory: Factory) -> None:
    async with factory.stock(1) as stock, trio.open_nursery() as nursery:
        number = await stock.wait_take()
        nursery.start_soon(use, stock)
        while len(factory.existing) < 2 or trio.current_time() < factory.attempts[1] + MAKE:
            assert stock.take() is None
            await trio.sleep(MOMENT)
        assert stock.take() is None
        stock.used(number, discard=True)


@jumping
async def test_what_was_made_for_who_gave_up_is_not_kept_beyond_the_size(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        number = await stock.wait_take()
        with trio.move_on_after(MAKE / 2):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(stock.wait_take)
        stock.used(number, discard=True)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 1


# --- its size follows demand ------------------------------------------------------------------------------------------


@jumping
async def test_it_grows_by_one_for_each_who_waits_up_to_most(factory: Factory) -> None:
    async with factory.stock(1, 3, 60.0) as stock:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, stock)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 3


@jumping
async def test_it_gives_up_one_after_each_idle_time_down_to_least(factory: Factory) -> None:
    async with factory.stock(1, 4, 60.0) as stock:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, stock)
        await trio.sleep(50.0)
        sizes = list[int]()
        for _ in range(6):
            sizes.append(len(factory.existing))
            await trio.sleep(60.0)
        assert sizes == [4, 3, 2, 1, 1, 1]


@jumping
async def test_while_there_is_demand_it_gives_up_none(factory: Factory) -> None:
    async with factory.stock(1, 3, 60.0) as stock:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, stock)
        for _ in range(10):
            await trio.sleep(40.0)
            await use(stock)
        await trio.sleep(2 * MAKE)
        assert len(factory.existing) == 3


# --- what fails -------------------------------------------------------------------------------------------------------


@jumping
async def test_an_error_of_the_first_fill_comes_out_bare_and_nothing_is_left(factory: Factory) -> None:
    factory.failure = BROKEN
    with pytest.raises(LightRunnerError) as raised:
        async with factory.stock(3):
            pytest.fail("the block was entered")
    assert raised.value is BROKEN


@jumping
async def test_who_waits_gets_the_error_a_copy_each(factory: Factory) -> None:
    caught = list[LightRunnerError]()

    async def user() -> None:
        with pytest.raises(LightRunnerError) as raised:
            await stock.wait_take()
        caught.append(raised.value)

    async with factory.stock(1) as stock:
        number = await stock.wait_take()
        factory.failure = BROKEN
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(user)
        stock.used(number, discard=True)
    assert len({id(error) for error in caught}) == 3
    assert all(error.to_dict() == BROKEN.to_dict() and error.__cause__ is BROKEN for error in caught)


@jumping
async def test_it_is_tried_again_at_growing_intervals_and_logged_once(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    async with factory.stock(1) as stock:
        factory.failure = BROKEN
        with caplog.at_level(logging.WARNING, "lightrunner"):
            await use(stock)
            await trio.sleep(60.0)
        assert [record.getMessage() for record in caplog.records] == [f"nothing can be kept ready: {BROKEN}"]
        begins = factory.attempts[1:]
        pauses = [late - early - MAKE - DISCARD for early, late in itertools.pairwise(begins)]
        assert pauses[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        factory.failure = None
        await trio.sleep(10.0)
        assert stock.take() is not None
        stock.used(next(iter(factory.existing)), discard=True)


@jumping
async def test_however_many_failed_as_many_as_its_size_are_tried_again(factory: Factory) -> None:
    async with factory.stock(2) as stock:
        factory.failure = BROKEN
        factory.dead |= {0, 1}
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(expect_failure, stock, "no more")
        await trio.sleep(60.0)
        before = len(factory.attempts)
        await trio.sleep(60.0)
        assert len(factory.attempts) - before <= 2 * 12
        factory.failure = None
        await trio.sleep(10.0)
        assert len(factory.existing) == 2


@jumping
async def test_another_error_ends_the_block_and_comes_out_bare(factory: Factory) -> None:
    bug = ZeroDivisionError("a bug")

    async def block() -> None:
        async with factory.stock(2) as stock:
            factory.failure = bug
            await use(stock)
            await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError) as raised:
        await block()
    assert raised.value is bug


# --- its end ----------------------------------------------------------------------------------------------------------


@jumping
async def test_its_end_waits_for_what_is_in_use(factory: Factory) -> None:
    async with trio.open_nursery() as nursery:
        async with factory.stock(2) as stock:
            nursery.start_soon(use, stock, 100.0)
            await trio.sleep(MOMENT)
            taken = trio.current_time() - MOMENT
        assert trio.current_time() - taken == pytest.approx(100.0 + DISCARD)


@jumping
async def test_its_end_waits_for_who_waits(factory: Factory) -> None:
    used = list[int]()

    async def user() -> None:
        used.append(await use(stock, 5.0))

    async with trio.open_nursery() as nursery:
        async with factory.stock(1) as stock:
            for _ in range(3):
                nursery.start_soon(user)
            await trio.sleep(MOMENT)
        assert sorted(used) == [0, 1, 2]
    assert len(factory.attempts) == 3, "none to keep"


@jumping
async def test_after_its_end_there_is_none_to_be_had(factory: Factory) -> None:
    async with factory.stock(2) as stock:
        pass
    assert stock.take() is None
    with pytest.raises(LightRunnerError, match="closed") as raised:
        await stock.wait_take()
    assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED


@jumping
async def test_its_end_cuts_refills_short(factory: Factory) -> None:
    async with factory.stock(1) as stock:
        await use(stock)
        await trio.sleep(MAKE / 2)
        begin = trio.current_time()
    assert trio.current_time() - begin == pytest.approx(DISCARD)


@pytest.mark.parametrize("error", [ValueError("of the block"), KeyboardInterrupt()], ids=repr)
@jumping
async def test_an_exception_comes_out_bare_and_all_is_discarded_at_once(factory: Factory, error: BaseException) -> None:
    begin = math.nan

    async def block(nursery: trio.Nursery) -> None:
        nonlocal begin
        async with factory.stock(2) as stock:
            for _ in range(2):
                nursery.start_soon(use, stock, 100.0)
            await trio.sleep(MOMENT)
            nursery.start_soon(expect_failure, stock, "closed")
            await trio.sleep(MOMENT)
            begin = trio.current_time()
            raise error

    async with trio.open_nursery() as users:
        with pytest.raises(type(error)) as raised:
            await block(users)
        assert raised.value is error
        assert trio.current_time() - begin == pytest.approx(DISCARD)


@jumping
async def test_a_cancellation_discards_all_at_once(factory: Factory) -> None:
    with trio.move_on_after(5 * MAKE) as scope:
        async with factory.stock(3) as stock:
            await stock.wait_take()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() - factory.attempts[0] == pytest.approx(5 * MAKE + DISCARD)


@pytest.mark.parametrize("when", [0.0, MAKE / 2, MAKE, MAKE + MOMENT])
@jumping
async def test_a_cancellation_of_the_first_fill_leaves_nothing(factory: Factory, when: float) -> None:
    with trio.move_on_after(when) as scope:
        async with factory.stock(3):
            await trio.sleep_forever()
    assert scope.cancelled_caught
