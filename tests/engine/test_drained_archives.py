"""Archives that a thread reads: whole, slow, cut off, cancelled. A silent daemon keeps no thread."""

import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio

from lightrunner.engine import ArchiveStream, EngineClient, EngineProtocolError, EngineUnreachable
from tests.engine.containers import created, receive_all, tar_of
from tests.fake_daemon import Answer, Request, archive, fake_daemon, head, path_stat
from tests.runs.host_folders import wait_until

SILENCE = 0.35
"""Seconds; a thread that reads is given back after less."""
CHUNKED = pytest.mark.parametrize("chunked", [True, False])


class Consumer:
    """Joins what it is called with."""

    def __init__(self) -> None:
        self.content = b""
        self.calls = 0

    def __call__(self, pieces: Sequence[memoryview]) -> None:
        """Take the next pieces."""
        self.content += b"".join(pieces)
        self.calls += 1


async def drained(stream: ArchiveStream) -> bytes:
    """The whole archive, by way of a thread."""
    consumer = Consumer()
    await stream.drain(consumer)
    assert await stream.receive_some() == b"", "nothing is left"
    return consumer.content


def slow(*parts: bytes) -> Answer:
    """An archive without chunks; the daemon is silent behind its head, and behind each of these parts."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        await request.send(head(200, path_stat()))
        for part in parts:
            await trio.sleep(SILENCE)
            await request.send(part)
        await trio.sleep(SILENCE)
        request.hang_up = True

    return answer


async def endless(request: Request) -> None:
    """Send for as long as somebody listens."""
    await slow()(request)
    while True:
        await request.send(bytes(65536))


async def reset(request: Request) -> None:
    """Send something, then reset the connection, as a machine does that has lost it."""
    await slow(b"something")(request)
    assert isinstance(request.stream, trio.SocketStream)
    request.stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))


@CHUNKED
@pytest.mark.parametrize("size", [0, 1, 20_000_000])
async def test_a_thread_reads_the_same_as_the_event_loop(
    client: EngineClient, busybox: str, size: int, *, chunked: bool
) -> None:
    async with created(client, busybox, "true") as container:
        await client.put_container_archive(container, "/", tar_of({"file": b"0123456789abcdef" * (size // 16 + 1)}))
        async with client.container_archive(container, "/file") as stream:
            expected = await receive_all(stream)
        async with client.container_archive(container, "/file", chunked=chunked) as stream:
            assert await drained(stream) == expected
        async with client.container_archive(container, "/file", chunked=chunked) as stream:
            assert await receive_all(stream) == expected


async def test_what_was_received_before_is_not_drained_again() -> None:
    async with (
        fake_daemon({"container_archive": slow(b"one", b"two")}) as daemon,
        EngineClient(daemon.host) as client,
        client.container_archive("c", "/", chunked=False) as stream,
    ):
        assert await stream.receive_some() == b"one"
        assert await drained(stream) == b"two"


async def test_a_silent_daemon_keeps_no_thread() -> None:
    threads = trio.to_thread.current_default_thread_limiter()
    consumer = Consumer()
    async with (
        fake_daemon({"container_archive": slow(b"one", b"two")}) as daemon,
        EngineClient(daemon.host) as client,
        client.container_archive("c", "/", chunked=False) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(stream.drain, consumer)
        free = 0
        while consumer.content != b"onetwo":
            await trio.sleep(0.01)
            free += not threads.borrowed_tokens
        assert free > 10
    assert consumer.calls < 10


@CHUNKED
async def test_an_archive_that_is_cut_off(*, chunked: bool) -> None:
    script = {"container_archive": archive(bytes(512), b"cut", cut=True)}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        async with client.container_archive("c", "/", chunked=chunked) as stream:
            if chunked:
                with pytest.raises(EngineUnreachable, match=r"^container_archive: .*was lost"):
                    await drained(stream)
            else:  # As it is documented: nothing tells it from a whole one.
                assert await drained(stream) == bytes(512) + b"cut"
        await client.system_info()


async def test_a_connection_that_is_reset() -> None:
    async with fake_daemon({"container_archive": reset}, tcp=True) as daemon, EngineClient(daemon.host) as client:
        async with client.container_archive("c", "/", chunked=False) as stream:
            with pytest.raises(EngineUnreachable, match=r"^container_archive: .*was lost"):
                await drained(stream)
        await client.system_info()


async def test_garbage_behind_a_chunk() -> None:
    async def garbage(request: Request) -> None:
        await request.receive_body()
        await request.send(head(200, {"Transfer-Encoding": "chunked"} | dict(path_stat())) + b"3\r\nabc")
        await trio.sleep(SILENCE)
        await request.send(b"more\r\n")

    async with fake_daemon({"container_archive": garbage}) as daemon, EngineClient(daemon.host) as client:
        async with client.container_archive("c", "/") as stream:
            with pytest.raises(EngineProtocolError, match="longer than its size"):
                await drained(stream)
        await client.system_info()


async def test_what_the_consumer_raises_comes_out_and_ends_the_connection() -> None:
    def consume(_: Sequence[memoryview]) -> None:
        raise ZeroDivisionError

    async with fake_daemon({"container_archive": endless}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.container_archive("c", "/", chunked=False) as stream:
                await stream.drain(consume)
        await wait_until(lambda: daemon.open_connections == 1)  # The one of the agreement on a version is kept.


@pytest.mark.parametrize("answer", [slow(*[b"x"] * 1000), endless], ids=["slow", "endless"])
async def test_a_cancellation_ends_it_soon(answer: Answer) -> None:
    ended = 0.0
    async with fake_daemon({"container_archive": answer}) as daemon, EngineClient(daemon.host) as client:
        with trio.move_on_after(2 * SILENCE) as scope, suppress(EngineUnreachable):
            async with client.container_archive("c", "/", chunked=False) as stream:
                await stream.drain(len)
        ended = trio.current_time()
        assert scope.cancelled_caught
        assert ended - scope.deadline < 5
        await client.system_info()
