"""Streams that nobody reads to the end: left, failed in, or cancelled. Nothing warns, and the client stays usable.

Every warning is an error in these tests, and those of the garbage collector come when it runs.
"""

import gc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from lightrunner.engine import EngineClient, EngineUnreachable
from lightrunner.testing import Answer, Request, frame, hang, json_answer
from lightrunner.testing.http import UPGRADED
from tests.engine.containers import running
from tests.fake_daemon import fake_daemon

Receive = Callable[[], Awaitable[object]]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Docker-Container-Path-Stat: e30=\r\n\r\n"
PIECE = frame(1, b"x" * 1016)


async def endless(request: Request) -> None:
    """Send chunks for as long as somebody listens; each one is a frame, and two blocks of an archive."""
    await request.receive_body()
    await request.send(HEAD)
    while True:
        await request.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))


async def endless_output(request: Request) -> None:
    """The same over an upgraded connection."""
    await request.receive_body()
    await request.send(UPGRADED)
    while True:
        await request.send(PIECE)


async def one_and_silence(request: Request) -> None:
    """Send one chunk, and leave the stream open."""
    await request.receive_body()
    await request.send(HEAD + b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
    await trio.sleep_forever()


SCRIPTS: dict[str, dict[str, Answer]] = {
    "endless": {"container_archive": endless, "container_logs": endless, "container_attach": endless_output},
    "silent": {"container_archive": one_and_silence, "container_logs": one_and_silence},
}
CASES = [(kind, operation) for kind, script in SCRIPTS.items() for operation in script]


@asynccontextmanager
async def reading(client: EngineClient, operation: str) -> AsyncGenerator[Receive]:
    """The stream of an operation, opened; the function that receives of it is yielded."""
    if operation == "container_archive":
        async with client.container_archive("c", "/") as archive:
            yield archive.receive_some
    else:
        opened = client.container_logs if operation == "container_logs" else client.container_attach
        async with opened("c") as stream:
            yield stream.receive


@asynccontextmanager
async def abandoning(kind: str) -> AsyncGenerator[EngineClient]:
    """A client of such a daemon; in the end it has to be usable, and nobody may still wait for one of its streams."""
    async with fake_daemon(SCRIPTS[kind]) as daemon, EngineClient(daemon.host) as client:
        yield client
        gc.collect()
        assert (await client.system_version()).version
        gc.collect()


@pytest.mark.parametrize(("kind", "operation"), CASES)
@pytest.mark.parametrize("reads", [0, 1])
async def test_left_half_way(kind: str, operation: str, reads: int) -> None:
    async with abandoning(kind) as client:
        for _ in range(3):
            async with reading(client, operation) as receive:
                for _ in range(reads):
                    assert await receive()


@pytest.mark.parametrize(("kind", "operation"), CASES)
async def test_an_error_in_the_middle_comes_out_as_it_is(kind: str, operation: str) -> None:
    async with abandoning(kind) as client:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  # it is the block that raises
            async with reading(client, operation) as receive:
                assert await receive()
                raise ZeroDivisionError


@pytest.mark.parametrize(("kind", "operation"), CASES)
async def test_cancelled_in_the_middle(kind: str, operation: str) -> None:
    async with abandoning(kind) as client:
        with trio.move_on_after(0.05) as scope:
            async with reading(client, operation) as receive:
                while True:
                    assert await receive()
        assert scope.cancelled_caught


@pytest.mark.parametrize("operation", SCRIPTS["endless"])
async def test_cancelled_before_the_first_answer(operation: str) -> None:
    async with fake_daemon(dict.fromkeys(SCRIPTS["endless"], hang)) as daemon, EngineClient(daemon.host) as client:
        with trio.move_on_after(0.05) as scope:
            async with reading(client, operation):
                pytest.fail("nobody has answered")
        assert scope.cancelled_caught
        gc.collect()
        assert (await client.system_version()).version


async def test_a_body_that_was_given_away_is_closed_where_its_sending_is_cancelled() -> None:
    closed = False

    async def endless_body() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield bytes(100_000)
        finally:
            closed = True

    async def never_read(_: Request) -> None:
        await trio.sleep_forever()

    async with fake_daemon({"put_container_archive": never_read}) as daemon, EngineClient(daemon.host) as client:
        with trio.move_on_after(0.05) as scope:
            await client.put_container_archive("c", "/", endless_body())
        assert scope.cancelled_caught
        assert closed
        gc.collect()
        assert (await client.system_version()).version


async def test_closing_the_client_under_a_stream_is_a_lost_connection() -> None:
    async with fake_daemon(SCRIPTS["silent"]) as daemon:
        client = EngineClient(daemon.host)
        async with reading(client, "container_logs") as receive:
            assert await receive()
            await client.aclose()
            with pytest.raises(EngineUnreachable):
                await receive()
        gc.collect()


async def test_closing_the_client_under_an_attached_stream_is_a_lost_connection() -> None:
    async with fake_daemon({"container_attach": say_nothing_behind_the_upgrade}) as daemon:
        client = EngineClient(daemon.host)
        async with client.container_attach("c") as stream, trio.open_nursery() as nursery:
            nursery.start_soon(close_when_it_waits, client)
            with pytest.raises(EngineUnreachable):
                await stream.receive()


async def test_closing_the_client_beside_a_call_leaves_no_connection() -> None:
    async def late(request: Request) -> None:
        await trio.testing.wait_all_tasks_blocked(0.1)
        await json_answer({})(request)

    async with fake_daemon({"system_info": late}) as daemon:
        client = EngineClient(daemon.host)
        await client.system_ping()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.system_info)
            nursery.start_soon(close_when_it_waits, client)
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.open_connections == 0


async def say_nothing_behind_the_upgrade(request: Request) -> None:
    await request.send(UPGRADED)
    await request.receive_stdin()


async def close_when_it_waits(client: EngineClient) -> None:
    await trio.testing.wait_all_tasks_blocked(0.05)
    await client.aclose()


async def test_the_real_engine_lets_go_of_what_is_abandoned(client: EngineClient, busybox: str) -> None:
    """The daemon holds a container's lock while it sends an archive: only if it noticed, there is an inspect."""
    script = "head -c 30000000 /dev/zero >/file; while sleep 0.02; do echo tick; done"
    async with running(client, busybox, "sh", "-c", script) as container:
        for _ in range(3):
            async with client.container_logs(container, follow=True) as stream:
                assert await stream.receive()
            async with client.container_attach(container) as stream:
                assert await stream.receive()
            async with client.container_archive(container, "/file") as archive:
                assert await archive.receive_some()
            async with client.container_wait(container):
                pass
            gc.collect()
            assert (await client.container_inspect(container)).state.running
