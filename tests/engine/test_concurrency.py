"""Many calls at once: no limit on connections causes a deadlock, and no connection is left open."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
import trio

from lightrunner.engine import EngineClient, EngineNotFound, EngineProtocolError, EngineResponseError, wire
from lightrunner.testing import Request, json_answer
from lightrunner.testing.http import END_OF_TAR
from tests.engine.containers import created, run_to_exit, running
from tests.fake_daemon import fake_daemon

CALLS = 200
WAITS = 60
KEPT = 20
"""Connections that may stay open when nobody uses them."""


async def all_at_once(call: Callable[[], Awaitable[object]], times: int) -> None:
    async def one() -> None:
        await call()

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(one)


async def test_two_hundred_calls_at_once_on_the_real_engine(client: EngineClient) -> None:
    names: list[set[str]] = []

    async def call() -> None:
        names.append({network.name for network in await client.network_list()})

    await call()  # Agrees on the version: two hundred pings at once would be a test of the machine.
    await all_at_once(call, CALLS)
    assert len(names) == CALLS + 1
    assert all({"bridge", "host", "none"} <= seen for seen in names)


async def test_waits_that_are_held_do_not_hold_up_other_calls(client: EngineClient, busybox: str) -> None:
    async with running(client, busybox) as held, AsyncExitStack() as stack:
        waits = [await stack.enter_async_context(client.container_wait(held)) for _ in range(WAITS)]
        async with created(client, busybox, "true") as other:
            assert await run_to_exit(client, other) == 0
        await all_at_once(lambda: client.container_inspect(held), CALLS)
        await client.container_kill(held)
        assert {(await pending.result()).status_code for pending in waits} == {137}


async def test_calls_that_are_all_in_flight_have_a_connection_each() -> None:
    """Nobody is answered before everybody has asked."""
    everybody = trio.Event()
    asked = 0

    async def when_all_asked(request: Request) -> None:
        nonlocal asked
        asked += 1
        if asked == CALLS:
            everybody.set()
        await everybody.wait()
        await json_answer({})(request)

    async with fake_daemon({"system_info": when_all_asked}) as daemon, EngineClient(daemon.host) as client:
        await client.system_version()
        await all_at_once(client.system_info, CALLS)
        assert daemon.connections >= CALLS
        # What a burst leaves behind would slow down every later call.
        await client.system_info()
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.open_connections <= KEPT


async def test_connections_that_nobody_used_for_long_are_closed(mock_clock: trio.testing.MockClock) -> None:
    asked = 0

    async def together(request: Request) -> None:
        nonlocal asked
        asked += 1
        while asked % 5:
            await trio.lowlevel.checkpoint()
        await json_answer({})(request)

    async with fake_daemon({"system_version": together}) as daemon, EngineClient(daemon.host) as client:
        await client.system_ping()
        await all_at_once(client.system_version, 5)
        assert daemon.open_connections == 5
        mock_clock.jump(29.0)
        await client.system_info()
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.open_connections == 5
        mock_clock.jump(2.0)
        await client.system_info()
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.open_connections == 1
        assert daemon.connections == 5
        mock_clock.jump(31.0)
        await client.system_info()
        await trio.testing.wait_all_tasks_blocked()
        assert (daemon.connections, daemon.open_connections) == (6, 1)


async def test_first_calls_at_once_agree_on_one_version() -> None:
    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        await all_at_once(client.system_info, WAITS)
        assert {request.api_version for request in daemon.requests("system_info")} == {"1.41"}


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        container = await client.container_create(wire.ContainerCreateRequest(image="i"))
        for _ in range(10):
            await client.system_info()
            await client.container_start(container.id)
            await client.container_archive_info(container.id, "/")
            await client.put_container_archive(container.id, "/", END_OF_TAR)
            with pytest.raises(EngineNotFound):
                await client.volume_delete("v")
        assert daemon.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000),
    ],
)
async def test_a_connection_that_is_of_no_more_use_is_not_used_again(answer: bytes) -> None:
    async def say(request: Request) -> None:
        await request.send(answer)
        await trio.sleep_forever()

    async with fake_daemon({"system_info": say}) as daemon, EngineClient(daemon.host) as client:
        await client.system_ping()
        for connections in range(1, 4):
            with suppress(EngineResponseError):
                await client.system_info()
            await trio.testing.wait_all_tasks_blocked()
            assert (daemon.connections, len(daemon.requests("system_info"))) == (connections, connections)


async def test_bytes_behind_an_answer_fail_one_call_and_end_the_connection() -> None:
    async def say(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{} and more\r\n\r\n")

    async with fake_daemon({"system_info": say}) as daemon, EngineClient(daemon.host) as client:
        await client.system_info()
        with pytest.raises(EngineProtocolError):
            await client.system_version()
        await client.system_version()
        assert (daemon.connections, daemon.open_connections) == (2, 1)


async def test_a_call_that_is_cancelled_closes_its_connection() -> None:
    async def say_nothing(request: Request) -> None:
        async for _ in request.stream:
            pass

    async with fake_daemon({"system_info": say_nothing}) as daemon, EngineClient(daemon.host) as client:
        await client.system_ping()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.system_info)
            await trio.testing.wait_all_tasks_blocked()
            assert daemon.requests("system_info")
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.open_connections == 0
        await client.system_version()
        assert (daemon.connections, daemon.open_connections) == (2, 1)


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_connection_that_the_daemon_closed_meanwhile_is_not_used_again(*, tcp: bool) -> None:
    async def last_words(request: Request) -> None:
        await json_answer({})(request)
        request.hang_up = True

    async with fake_daemon({"system_info": last_words}, tcp=tcp) as daemon, EngineClient(daemon.host) as client:
        for _ in range(5):
            await client.system_info()
            await trio.testing.wait_all_tasks_blocked()
