"""Archives that a thread reads or sends: whole, slow, cut off, refused, cancelled. A silent daemon keeps no thread."""

import struct
from collections.abc import Iterator, Sequence

import pytest
import trio

from lightrunner.engine import (
    ArchiveStream,
    EngineClient,
    EngineNotFound,
    EngineProtocolError,
    EngineResponseError,
    EngineUnreachable,
)
from lightrunner.engine.threads import thread_limiter
from lightrunner.testing import Answer, Request, archive, plain, raw
from lightrunner.testing.http import head, path_stat
from tests.engine.containers import created, get_files, receive_all, tar_of
from tests.fake_daemon import fake_daemon
from tests.runs.host_folders import wait_until

SILENCE = 0.35
"""Seconds; a thread that reads is given back after less."""
CHUNKED = pytest.mark.parametrize("chunked", [True, False])


class Consumer:
    """Joins what it is called with, and has enough after so many calls."""

    def __init__(self, enough: int = 0) -> None:
        self.content = b""
        self.calls = 0
        self.enough = enough

    def __call__(self, pieces: Sequence[memoryview]) -> bool:
        """Take the next pieces."""
        self.content += b"".join(pieces)
        self.calls += 1
        return self.calls == self.enough


def discard(_: Sequence[memoryview]) -> None:
    """Consume it."""


async def drained(stream: ArchiveStream) -> bytes:
    """The whole archive, by way of a thread."""
    consumer = Consumer()
    await stream.drain(consumer)
    assert await stream.receive_some() == b"", "nothing is left"
    return consumer.content


def slow(*parts: bytes, pause: float = SILENCE) -> Answer:
    """An archive without chunks; the daemon is silent behind its head, and behind each of these parts."""

    async def answer(request: Request) -> None:
        await request.receive_body()
        await request.send(head(200, path_stat()))
        for part in parts:
            await trio.sleep(pause)
            await request.send(part)
        await trio.sleep(pause)
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


async def test_no_more_is_read_than_is_needed() -> None:
    consumer = Consumer(enough=3)
    async with fake_daemon({"container_archive": endless}) as daemon, EngineClient(daemon.host) as client:
        async with client.container_archive("c", "/", chunked=False) as stream:
            with trio.fail_after(10):
                await stream.drain(consumer)
        assert consumer.calls == 3
        await wait_until(lambda: daemon.open_connections == 1)


async def test_a_silent_daemon_keeps_no_thread() -> None:
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
            free += not thread_limiter().borrowed_tokens
        assert free > 10
    assert consumer.calls == 2


async def test_many_transfers_leave_threads_for_others() -> None:
    dripping = slow(*[b"x"] * 1000, pause=0.05)  # Less than what gives a thread back.
    async with fake_daemon({"container_archive": dripping}) as daemon, EngineClient(daemon.host) as client:

        async def transfer() -> None:
            async with client.container_archive("c", "/", chunked=False) as stream:
                await stream.drain(discard)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(transfer)
            await wait_until(lambda: not thread_limiter().available_tokens)
            with trio.fail_after(5):
                assert await trio.to_thread.run_sync(int) == 0
            nursery.cancel_scope.cancel()


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
            with pytest.raises(EngineProtocolError, match="is not valid HTTP"):
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
async def test_a_cancelled_drain_ends_soon(answer: Answer) -> None:
    async with fake_daemon({"container_archive": answer}) as daemon, EngineClient(daemon.host) as client:
        with trio.move_on_after(2 * SILENCE) as scope:
            async with client.container_archive("c", "/", chunked=False) as stream:
                await stream.drain(discard)
        assert scope.cancelled_caught
        assert trio.current_time() - scope.deadline < 5
        await client.system_info()


# --- sent -------------------------------------------------------------------------------------------------------------


class Chunks(Iterator[bytes]):
    """An endless body; it counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def __next__(self) -> bytes:
        """The next MiB."""
        self.taken += 1
        return bytes(1 << 20)


async def never_reads(_: Request) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("size", [1, 4096, 65_537, 100_000_000])
async def test_an_iterator_is_sent_as_it_comes(client: EngineClient, busybox: str, size: int) -> None:
    content = b"0123456789abcdef" * (100 if size == 1 else 1_000_000)
    data = tar_of({"file": content})
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    async with created(client, busybox, "true") as container:
        await client.put_container_archive(container, "/", chunks)
        assert await get_files(client, container, "/file") == {"file": content}


async def test_empty_pieces_do_not_end_a_body(client: EngineClient, busybox: str) -> None:
    data = tar_of({"file": b"x"})
    async with created(client, busybox, "true") as container:
        await client.put_container_archive(container, "/", iter([b"", data[:700], b"", data[700:], b""]))
        assert await get_files(client, container, "/file") == {"file": b"x"}


async def test_a_refusal_does_not_wait_for_the_rest(client: EngineClient, busybox: str) -> None:
    chunks = Chunks()
    async with created(client, busybox, "true") as container:
        with pytest.raises(EngineNotFound):
            await client.put_container_archive(container, "/none", chunks)
        assert chunks.taken < 64
        with pytest.raises(EngineResponseError):
            await client.put_container_archive(container, "/", iter([b"no tar at all " * 100]))
        assert (await client.container_inspect(container)).state.status == "created"


async def test_an_answer_is_seen_where_nothing_more_is_read() -> None:
    async def refuses(request: Request) -> None:
        await trio.sleep(SILENCE)
        await request.send(head(400, {"Content-Length": "17"}) + b'{"message":"full"')
        await trio.sleep(SILENCE)
        await request.send(b"}")
        await trio.sleep_forever()

    async with fake_daemon({"put_container_archive": refuses}) as daemon, EngineClient(daemon.host) as client:
        with trio.fail_after(10), pytest.raises(EngineResponseError, match="full"):
            await client.put_container_archive("c", "/", Chunks())
        await client.system_info()


async def test_what_the_iterator_raises_comes_out_and_ends_the_connection() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 1000
        raise ZeroDivisionError

    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(ZeroDivisionError):
            await client.put_container_archive("c", "/", chunks())
        await wait_until(lambda: daemon.open_connections == 1)


async def test_a_daemon_that_reads_no_more_keeps_no_thread_and_can_be_left() -> None:
    chunks, free = Chunks(), 0
    async with (
        fake_daemon({"put_container_archive": never_reads}) as daemon,
        EngineClient(daemon.host) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.put_container_archive, "c", "/", chunks)
        for _ in range(100):
            await trio.sleep(0.01)
            free += not thread_limiter().borrowed_tokens
        nursery.cancel_scope.cancel()
        cancelled = trio.current_time()
    assert free > 50
    assert 4 <= chunks.taken <= 6, "some of it is made while nothing is taken, and not all"
    assert trio.current_time() - cancelled < 5


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (raw(), EngineUnreachable),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), EngineUnreachable),
        (raw(b"hello\r\n\r\n"), EngineProtocolError),
        (plain(b'{"message":"no"}', status=500), EngineResponseError),
    ],
    ids=["none", "half a head", "no HTTP", "a refusal"],
)
async def test_an_answer_to_what_was_sent_that_is_no_good(answer: Answer, error: type[Exception]) -> None:
    async with fake_daemon({"put_container_archive": answer}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(error, match=r"^put_container_archive"):
            await client.put_container_archive("c", "/", iter([b"x" * 1000]))
        await client.system_info()
