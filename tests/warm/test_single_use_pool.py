"""`SingleUsePool` on a mock clock: when it makes items, who gets them, and how many are ready."""

import trio

from tests.warm.number_factory import DELAY, MAKE, MOMENT, Factory, jumping, take_all, use

# --- full, and full again ---------------------------------------------------------------------------------------------


@jumping
async def test_it_is_full_when_its_block_begins_and_all_are_made_at_once(factory: Factory) -> None:
    async with factory.pool(3) as pool:
        assert trio.current_time() - factory.attempts[0] == MAKE
        taken = take_all(pool)
        assert sorted(taken) == [0, 1, 2]
        for number in taken:
            pool.discard_used(number)


@jumping
async def test_each_is_given_to_one_taker_only(factory: Factory) -> None:
    users, seen = 20, list[int]()

    async def user() -> None:
        seen.append(await use(pool, 0.5))

    async with factory.pool(3) as pool, trio.open_nursery() as nursery:
        for _ in range(users):
            nursery.start_soon(user)
    assert len(set(seen)) == users


@jumping
async def test_the_refill_begins_when_the_use_ends(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        await use(pool, 3.0)
        ended = trio.current_time()
        await trio.sleep(MOMENT)
        assert factory.attempts[1:] == [ended]


@jumping
async def test_the_refill_begins_after_the_delay_at_the_latest(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        number = await pool.take()
        taken = trio.current_time()
        await trio.sleep(DELAY + MAKE + MOMENT)
        assert factory.attempts[1:] == [taken + DELAY]
        assert pool.take_nowait() is not None
        pool.discard_used(number)
        pool.discard_used(1)


@jumping
async def test_one_use_that_ends_begins_one_refill(factory: Factory) -> None:
    async with factory.pool(3) as pool:
        taken = take_all(pool)
        pool.discard_used(taken[0])
        await trio.sleep(MOMENT)
        assert len(factory.attempts) == 3 + 1
        for number in taken[1:]:
            pool.discard_used(number)


@jumping
async def test_there_are_never_more_than_its_size(factory: Factory) -> None:
    async with factory.pool(2) as pool:
        for _ in range(5):
            await use(pool)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 2


# --- who waits --------------------------------------------------------------------------------------------------------


@jumping
async def test_for_who_waits_one_is_made_at_once(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        first = await pool.take()
        begin = trio.current_time()
        second = await pool.take()
        assert trio.current_time() - begin == MAKE
        for number in (first, second):
            pool.discard_used(number)


@jumping
async def test_for_each_who_waits_one_is_made_and_no_more(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(use, pool)
        assert trio.current_time() - begin == MAKE
        await trio.sleep(2 * DELAY)
        assert len(factory.attempts) == 1 + 5, "the first one, four for who waited, and one to keep"


@jumping
async def test_who_waits_longest_is_first(factory: Factory) -> None:
    order = list[int]()

    async def user(place: int) -> None:
        await trio.sleep(place * MOMENT)
        await use(pool, 60.0)
        order.append(place)

    async with factory.pool(1) as pool, trio.open_nursery() as nursery:
        for place in range(8):
            nursery.start_soon(user, place)
    assert order == list(range(8))


@jumping
async def test_a_newcomer_does_not_overtake_who_waits(factory: Factory) -> None:
    async with factory.pool(1) as pool, trio.open_nursery() as nursery:
        number = await pool.take()
        nursery.start_soon(use, pool)
        while len(factory.existing) < 2 or trio.current_time() < factory.attempts[1] + MAKE:
            assert pool.take_nowait() is None
            await trio.sleep(MOMENT)
        assert pool.take_nowait() is None
        pool.discard_used(number)


@jumping
async def test_what_was_made_for_who_gave_up_is_not_kept_beyond_the_size(factory: Factory) -> None:
    async with factory.pool(1) as pool:
        number = await pool.take()
        with trio.move_on_after(MAKE / 2):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(pool.take)
        pool.discard_used(number)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 1


@jumping
async def test_one_that_died_is_replaced_and_not_given_to_anybody(factory: Factory) -> None:
    async with factory.pool(2) as pool:
        factory.dead |= {0, 1}
        begin = trio.current_time()
        assert await use(pool) in {2, 3}
        assert trio.current_time() - begin == MAKE
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 2
        assert len(factory.attempts) == 2 + 2 + 1


# --- its size follows demand ------------------------------------------------------------------------------------------


@jumping
async def test_it_grows_by_one_for_each_who_waits_up_to_most(factory: Factory) -> None:
    async with factory.pool(1, 3, 60.0) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, pool)
        await trio.sleep(2 * DELAY)
        assert len(factory.existing) == 3


@jumping
async def test_it_gives_up_one_after_each_idle_time_down_to_least(factory: Factory) -> None:
    async with factory.pool(1, 4, 60.0) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, pool)
        await trio.sleep(50.0)
        sizes = list[int]()
        for _ in range(6):
            sizes.append(len(factory.existing))
            await trio.sleep(60.0)
        assert sizes == [4, 3, 2, 1, 1, 1]


@jumping
async def test_while_there_is_demand_it_gives_up_none(factory: Factory) -> None:
    async with factory.pool(1, 3, 60.0) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use, pool)
        for _ in range(10):
            await trio.sleep(40.0)
            await use(pool)
        await trio.sleep(2 * MAKE)
        assert len(factory.existing) == 3
