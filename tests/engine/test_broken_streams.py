"""Streams that end early, are invalid, or contain the daemon's error: output, archives, progress. Scripted daemon."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from lightrunner.engine import (
    EngineClient,
    EngineConflict,
    EngineProtocolError,
    EngineResponseError,
    EngineUnreachable,
    OutputStream,
    ProgressMessage,
)
from lightrunner.testing import Answer, Request, archive, attached, chunked, frame, json_answer, plain, raw
from lightrunner.testing.http import UPGRADED
from tests.engine.containers import read_all, receive_all
from tests.fake_daemon import fake_daemon

Opened = Callable[[EngineClient], AbstractAsyncContextManager[OutputStream]]


def attach(client: EngineClient) -> AbstractAsyncContextManager[OutputStream]:
    return client.container_attach("c")


def logs(client: EngineClient) -> AbstractAsyncContextManager[OutputStream]:
    return client.container_logs("c")


@asynccontextmanager
async def output_of(sent: bytes, opened: Opened) -> AsyncGenerator[OutputStream]:
    """What a container prints, over either of the two ways."""
    script = {"container_attach": attached(sent), "container_logs": chunked(sent) if sent else chunked()}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client, opened(client) as stream:
        yield stream


@pytest.mark.parametrize("opened", [attach, logs])
async def test_frames_are_told_apart_to_the_last_byte(opened: Opened) -> None:
    sent = frame(1, b"out") + frame(2, b"") + frame(2, b"err") + frame(1, b"\0\xff" * 100_000)
    async with output_of(sent, opened) as stream:
        assert await read_all(stream) == {"stdout": b"out" + b"\0\xff" * 100_000, "stderr": b"err"}
        assert await stream.receive() == []


@pytest.mark.parametrize("opened", [attach, logs])
@pytest.mark.parametrize(
    ("sent", "match"),
    [
        (frame(1, b"payload")[:5], "ended inside a frame: 3 bytes are missing"),
        (frame(1, b"")[:-1] + b"\x04", "ended inside a frame: 4 bytes are missing"),
        (frame(1, b"out") + frame(1, b"cut", length=2**32 - 1), "ended inside a frame: 4294967292 bytes are missing"),
        (frame(4, b"what"), "unknown stream 4"),
        (frame(0, b"stdin"), "unknown stream 0"),
        (b"no frames at all", "invalid frame"),
        (frame(3, b"the daemon's trouble"), "reported an error in the output: the daemon's trouble"),
        (frame(3, b""), "reported an error in the output: no reason given"),
        (frame(3, b"x" * 1_000_000), "reported an error in the output: x{65536}$"),
        (frame(3, b"cut", length=100), "reported an error in the output: cut"),
    ],
)
async def test_output_that_is_broken_raises_behind_what_was_whole(opened: Opened, sent: bytes, match: str) -> None:
    async with output_of(frame(2, b"whole") + sent, opened) as stream:
        with pytest.raises(EngineProtocolError, match=match):
            await read_all(stream)


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (chunked(frame(1, b"x")), EngineProtocolError, r"did not upgrade the connection \(HTTP 200\)"),
        (plain(status=204), EngineProtocolError, r"did not upgrade the connection \(HTTP 204\)"),
        (json_answer({"message": "is paused"}, status=409), EngineConflict, "is paused"),
        (raw(), EngineUnreachable, "was lost"),
        (raw(b"HTTP/1.1 101 UPGRADED\r\n"), EngineUnreachable, "was lost"),
    ],
)
async def test_an_attach_that_is_not_upgraded(answer: Answer, error: type[Exception], match: str) -> None:
    async with fake_daemon({"container_attach": answer}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(error, match=match):
            async with client.container_attach("c"):
                pass
        await client.system_info()


async def test_an_attach_that_is_not_upgraded_and_has_no_end() -> None:
    async def answer(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
        await trio.sleep_forever()

    async with fake_daemon({"container_attach": answer}) as daemon, EngineClient(daemon.host) as client:
        with trio.fail_after(5), pytest.raises(EngineProtocolError, match=r"did not upgrade the connection .HTTP 200"):
            async with client.container_attach("c"):
                pass


async def test_logs_that_are_cut_off_are_not_taken_for_their_end() -> None:
    script = {"container_logs": chunked(frame(1, b"whole"), cut=True)}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineUnreachable, match=r"^container_logs: .*was lost"):
            async with client.container_logs("c") as stream:
                await read_all(stream)
        await client.system_info()


async def test_an_archive_that_is_cut_off_is_not_taken_for_its_end() -> None:
    script = {"container_archive": archive(bytes(512), bytes(512), cut=True)}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineUnreachable, match=r"^container_archive: .*was lost"):
            async with client.container_archive("c", "/") as stream:
                await receive_all(stream)
        await client.system_info()


async def test_the_exit_code_that_never_comes() -> None:
    script = {"container_wait": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        async with client.container_wait("c", condition="next-exit") as pending:
            with pytest.raises(EngineUnreachable, match=r"^container_wait: .*was lost"):
                await pending.result()
        assert daemon.requests("container_wait")[0].query == {"condition": "next-exit"}


async def test_an_exit_that_the_daemon_could_not_tell_has_its_reason() -> None:
    answer = json_answer({"StatusCode": -1, "Error": {"Message": "lost track"}})
    async with fake_daemon({"container_wait": answer}) as daemon, EngineClient(daemon.host) as client:
        async with client.container_wait("c") as pending:
            result = await pending.result()
        assert result.status_code == -1
        assert result.error is not None
        assert result.error.message == "lost track"


async def test_input_arrives_whole_and_then_its_end() -> None:
    script = {"container_attach": attached(frame(1, b"x"))}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        async with client.container_attach("c", stdin=True) as stream:
            await stream.send_all(b"abc" * 500_000)
            stream.send_eof()
            assert await read_all(stream) == {"stdout": b"x", "stderr": b""}
        (request,) = daemon.requests("container_attach")
        assert (request.headers["connection"].lower(), request.headers["upgrade"]) == ("upgrade", "tcp")
        await client.system_info()
        assert request.body == b"abc" * 500_000


async def test_writing_to_a_connection_that_is_gone() -> None:
    async with (
        fake_daemon({"container_attach": raw(UPGRADED)}) as daemon,
        EngineClient(daemon.host) as client,
        client.container_attach("c", stdin=True) as stream,
    ):
        assert await stream.receive() == []
        with pytest.raises(EngineUnreachable, match=r"^container_attach: .*was lost"):
            await stream.send_all(b"x" * 1_000_000)


# --- progress -----------------------------------------------------------------------------------------------------

FIRST = b'{"status":"Pulling","id":"a","progressDetail":{"current":1,"total":2}}\r\n'


async def pull(answer: Answer, seen: list[ProgressMessage]) -> None:
    async with fake_daemon({"image_create": answer}) as daemon, EngineClient(daemon.host) as client:
        try:
            await client.image_pull("image", tag="1", platform="linux/amd64", on_progress=seen.append)
        finally:
            assert daemon.requests("image_create")[0].query == {
                "fromImage": "image",
                "tag": "1",
                "platform": "linux/amd64",
            }
            await client.system_info()


@pytest.mark.parametrize("cut_at", [1, 20, len(FIRST) - 3])
async def test_progress_in_any_pieces(cut_at: int) -> None:
    seen: list[ProgressMessage] = []
    await pull(chunked(FIRST[:cut_at], FIRST[cut_at:] + FIRST), seen)
    assert [(message.status, message.id, message.detail.current, message.detail.total) for message in seen] == [
        ("Pulling", "a", 1, 2)
    ] * 2


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (chunked(FIRST, cut=True), EngineUnreachable, "image_create: .*was lost"),
        (chunked(FIRST, FIRST[:20]), EngineProtocolError, "ended inside a message"),
        (chunked(FIRST, b'{"status":"\xc3'), EngineProtocolError, "ended inside a character"),
        (chunked(FIRST, b'{"status":"\xff"}'), EngineProtocolError, "not UTF-8"),
        (chunked(FIRST, b"<html>"), EngineProtocolError, "not a progress message"),
        (chunked(FIRST, b'{"status":5}'), EngineProtocolError, "not a progress message"),
        (chunked(FIRST, b'{"a":' * 200_000), EngineProtocolError, "message"),
        (chunked(FIRST, b'{"status":"' + b"x" * 5_000_000), EngineProtocolError, "more than 4194304 characters"),
        (
            chunked(FIRST, b'{"errorDetail":{"message":"denied"},"error":"d"}'),
            EngineResponseError,
            r"denied \(HTTP 200",
        ),
        (chunked(FIRST, b'{"errorDetail":{"code":401,"message":"who"}}'), EngineResponseError, r"who \(HTTP 401\)"),
        (chunked(FIRST, b'{"error":"old style"}'), EngineResponseError, "old style"),
        (json_answer({"message": "manifest unknown"}, status=404), EngineResponseError, "manifest unknown"),
    ],
)
async def test_progress_that_breaks_off_or_fails(answer: Answer, error: type[Exception], match: str) -> None:
    seen: list[ProgressMessage] = []
    with pytest.raises(error, match=match):
        await pull(answer, seen)
    assert [message.id for message in seen] in ([], ["a"])


async def test_a_callback_that_raises_ends_the_pull_with_its_exception() -> None:
    def refuse(_: ProgressMessage) -> None:
        raise ZeroDivisionError

    async def endless(request: Request) -> None:
        await request.receive_body()
        await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await request.send(b"%x\r\n%b\r\n" % (len(FIRST), FIRST))

    async with fake_daemon({"image_create": endless}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(ZeroDivisionError):
            await client.image_pull("image", tag="1", on_progress=refuse)
        await client.system_info()
