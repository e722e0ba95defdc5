"""`SingleUsePool` on a mock clock: failures, and the end of its block."""

import itertools
import logging
import math

import pytest
import trio

from lightrunner import LightRunnerError, LightRunnerErrorCode
from tests.warm.number_factory import DISCARD, MAKE, MOMENT, Factory, expect_failure, jumping, use

BROKEN = LightRunnerError(
    LightRunnerErrorCode.CONTAINER_START_FAILED, "RUN login s3cret failed", docker_op="container_start"
)


# --- what fails -------------------------------------------------------------------------------------------------------


@jumping
async def test_an_error_of_the_first_fill_comes_out_bare_and_nothing_is_left(factory: Factory) -> None:
    factory.failure = BROKEN
    with pytest.raises(LightRunnerError) as raised:
        async with factory.pool(3):
            pytest.fail("the block was entered")
    assert raised.value is BROKEN


@jumping
async def test_who_waits_gets_the_error_a_copy_each(factory: Factory) -> None:
    caught = list[LightRunnerError]()

    async def user() -> None:
        with pytest.raises(LightRunnerError) as raised:
            await pool.take()
        caught.append(raised.value)

    async with factory.pool(1) as pool:
        number = await pool.take()
        factory.failure = BROKEN
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(user)
        pool.discard_used(number)
    assert len({id(error) for error in caught}) == 3
    assert all(error.to_dict() == BROKEN.to_dict() and error.__cause__ is BROKEN for error in caught)


@jumping
async def test_it_is_tried_again_at_growing_intervals_and_logged_once_without_the_message(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    async with factory.pool(1) as pool:
        factory.failure = BROKEN
        with caplog.at_level(logging.WARNING, "lightrunner"):
            await use(pool)
            await trio.sleep(60.0)
        assert [record.getMessage() for record in caplog.records] == [
            "the pool could not make an item and keeps trying: CONTAINER_START_FAILED in container_start"
        ]
        begins = factory.attempts[1:]
        pauses = [late - early - MAKE - DISCARD for early, late in itertools.pairwise(begins)]
        assert pauses[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        factory.failure = None
        await trio.sleep(10.0)
        assert pool.take_nowait() is not None
        pool.discard_used(next(iter(factory.existing)))


@jumping
async def test_however_many_failed_as_many_as_its_size_are_tried_again(factory: Factory) -> None:
    async with factory.pool(2) as pool:
        factory.failure = BROKEN
        factory.dead |= {0, 1}
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(expect_failure, pool, "RUN login")
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
        async with factory.pool(2) as pool:
            factory.failure = bug
            await use(pool)
            await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError) as raised:
        await block()
    assert raised.value is bug


# --- its end ----------------------------------------------------------------------------------------------------------


@jumping
async def test_its_end_waits_for_what_is_in_use(factory: Factory) -> None:
    async with trio.open_nursery() as nursery:
        async with factory.pool(2) as pool:
            nursery.start_soon(use, pool, 100.0)
            await trio.sleep(MOMENT)
            taken = trio.current_time() - MOMENT
        assert trio.current_time() - taken == pytest.approx(100.0 + DISCARD)


@jumping
async def test_its_end_waits_for_who_waits(factory: Factory) -> None:
    used = list[int]()

    async def user() -> None:
        used.append(await use(pool, 5.0))

    async with trio.open_nursery() as nursery:
        async with factory.pool(1) as pool:
            for _ in range(3):
                nursery.start_soon(user)
            await trio.sleep(MOMENT)
        assert sorted(used) == [0, 1, 2]
    assert len(factory.attempts) == 3, "none to keep"


@jumping
async def test_after_its_end_there_is_none_to_be_had(factory: Factory) -> None:
    async with factory.pool(2) as pool:
        pass
    assert pool.take_nowait() is None
    with pytest.raises(LightRunnerError, match="closed") as raised:
        await pool.take()
    assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED


@jumping
async def test_its_end_cuts_refills_short(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        await use(pool)
        await trio.sleep(MAKE / 2)
        begin = trio.current_time()
    assert trio.current_time() - begin == pytest.approx(DISCARD)


@pytest.mark.parametrize("is_cancelled", [False, True])
@jumping
async def test_what_is_finished_while_it_ends_is_not_left(factory: Factory, *, is_cancelled: bool) -> None:
    with trio.CancelScope() as scope:
        async with factory.pool(1) as pool:
            factory.is_shielded = True
            await use(pool)
            await trio.sleep(MAKE / 2)
            if is_cancelled:
                scope.cancel()
    assert len(factory.attempts) == 2


@pytest.mark.parametrize("error", [ValueError("of the block"), KeyboardInterrupt()], ids=repr)
@jumping
async def test_an_exception_comes_out_bare_and_all_is_discarded_at_once(factory: Factory, error: BaseException) -> None:
    begin = math.nan

    async def block(nursery: trio.Nursery) -> None:
        nonlocal begin
        async with factory.pool(2) as pool:
            for _ in range(2):
                nursery.start_soon(use, pool, 100.0)
            await trio.sleep(MOMENT)
            nursery.start_soon(expect_failure, pool, "closed")
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
        async with factory.pool(3) as pool:
            await pool.take()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() - factory.attempts[0] == pytest.approx(5 * MAKE + DISCARD)


@pytest.mark.parametrize("when", [0.0, MAKE / 2, MAKE, MAKE + MOMENT])
@jumping
async def test_a_cancellation_of_the_first_fill_leaves_nothing(factory: Factory, when: float) -> None:
    with trio.move_on_after(when) as scope:
        async with factory.pool(3):
            await trio.sleep_forever()
    assert scope.cancelled_caught
