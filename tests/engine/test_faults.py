"""A daemon that hangs, sends invalid data, disconnects or does not exist: always an `EngineError`. Scripted daemon."""

import base64

import pytest
import trio

from lightrunner.engine import (
    EngineClient,
    EngineConflict,
    EngineError,
    EngineNotFound,
    EngineProtocolError,
    EngineResponseError,
    EngineUnreachable,
)
from lightrunner.engine.calls import PING_TIMEOUT
from lightrunner.engine.wire import ContainerCreateRequest
from lightrunner.testing import Answer, Request, chunked, hang, in_turn, json_answer, plain, raw
from lightrunner.testing.http import UPGRADED
from tests.fake_daemon import fake_daemon

OK_HEAD = b"HTTP/1.1 200 OK\r\n"
HTML = b"<html><body><h1>It works!</h1></body></html>"

Raised = type[EngineError]


async def assert_fails(answer: Answer, error: Raised, match: str = "^system_info: ") -> EngineError:
    """A call that is answered like this raises this; the client is as good as new afterwards."""
    script = {"system_info": in_turn(answer, json_answer({}))}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(error, match=match) as caught:
            await client.system_info()
        await client.system_info()
    return caught.value


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (raw(), EngineUnreachable),
        (raw(b"HTTP/1.1 200 OK\r\nApi-Ver"), EngineUnreachable),
        (raw(b"SSH-2.0-OpenSSH_9.2p1\r\n"), EngineUnreachable),  # h11 waits for more, and gets the end.
        (raw(b"220 mail.example.org ESMTP\r\n\r\n"), EngineProtocolError),
        (raw(bytes(range(256)) * 8), EngineProtocolError),
        (raw(b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"), EngineProtocolError),  # TLS' alert
        (raw(OK_HEAD + b"X: " + b"x" * 1_000_000), EngineProtocolError),
        (raw(b"HTTP/2.0 200 OK\r\n\r\n"), EngineProtocolError),
        (plain(HTML), EngineProtocolError),
        (plain(HTML, status=404), EngineProtocolError),
        (plain(HTML, status=301, headers={"Location": "https://localhost/"}), EngineProtocolError),
        (plain(b"OK", headers={"Api-Version": "1.41"}, status=503), EngineResponseError),
    ],
)
async def test_what_answers_the_ping_is_no_daemon(answer: Answer, error: Raised) -> None:
    async with fake_daemon({"system_ping": answer}) as daemon, EngineClient(daemon.host) as client:
        for call in (client.system_ping, client.system_info):
            with pytest.raises(error, match="system_ping: "):
                await call()


async def slowly(request: Request) -> None:
    """Answer, but a byte a second."""
    for byte in OK_HEAD + b"Api-Version: 1.41\r\n\r\n":
        await request.send(bytes([byte]))
        await trio.sleep(1)


async def endless(request: Request) -> None:
    """Answer in time, and never come to an end."""
    await request.send(OK_HEAD + b"Api-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n")
    await trio.sleep_forever()


@pytest.mark.parametrize("answer", [hang, slowly, endless])
async def test_a_ping_without_an_answer_ends_after_its_deadline(
    answer: Answer, autojump_clock: trio.testing.MockClock
) -> None:
    async with fake_daemon({"system_ping": answer}) as daemon, EngineClient(daemon.host) as client:
        for call in (client.system_ping, client.system_info):
            begin = autojump_clock.current_time()
            with pytest.raises(EngineUnreachable, match=r"did not respond within 5 s"):
                await call()
            assert autojump_clock.current_time() - begin == pytest.approx(PING_TIMEOUT)


async def test_nothing_but_the_ping_has_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def late(request: Request) -> None:
        await trio.sleep(3600)
        await json_answer({"StatusCode": 1})(request)

    async with (
        fake_daemon({"container_wait": late}) as daemon,
        EngineClient(daemon.host) as client,
        client.container_wait("c") as pending,
    ):
        assert (await pending.result()).status_code == 1
    assert autojump_clock.current_time() >= 3600


@pytest.mark.parametrize(
    "answer",
    [
        raw(),
        raw(b"HTT"),
        raw(OK_HEAD),
        raw(OK_HEAD + b'Content-Length: 100\r\n\r\n{"ID":'),
        raw(OK_HEAD + b"Content-Length: 100\r\n\r\n"),
        chunked(b'{"ID":', cut=True),
        chunked(cut=True),
        raw(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\nhalf a chunk"),
    ],
)
async def test_a_connection_that_is_lost_is_unreachable(answer: Answer) -> None:
    await assert_fails(answer, EngineUnreachable, r"^system_info: the connection to unix://\S+ was lost: ")


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (plain(HTML), "the response cannot be decoded"),
        (plain(b""), "the response cannot be decoded"),
        (plain(b"[]"), "the response cannot be decoded"),
        (plain(b'{"Name": 5}'), "the response cannot be decoded"),
        (plain(b'{"Name": "\xff\xfe"}'), "the response cannot be decoded"),
        (plain(b'{"Name":' + b"[" * 100_000), "the response cannot be decoded"),
        (raw(UPGRADED + b"{}"), "is not valid HTTP"),
        (raw(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "is not valid HTTP"),
        (raw(OK_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), "is not valid HTTP"),
        (raw(OK_HEAD + b"no colon\r\n\r\n{}"), "is not valid HTTP"),
    ],
)
async def test_an_answer_that_is_none_is_a_protocol_error(answer: Answer, match: str) -> None:
    await assert_fails(answer, EngineProtocolError, f"^system_info: .*{match}")


async def test_an_answer_without_end_is_not_read_for_ever() -> None:
    async def spaces(request: Request) -> None:
        await request.send(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            await request.send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")

    await assert_fails(spaces, EngineProtocolError, "more than 67108864 bytes")


@pytest.mark.parametrize(
    ("body", "status", "error", "message"),
    [
        (b'{"message":"the daemon\'s own sentence"}\n', 500, EngineResponseError, "the daemon's own sentence"),
        (b'{"cause":"c","message":"podman\'s","response":500}', 500, EngineResponseError, "podman's"),
        (b'{"message":"gone"}', 404, EngineNotFound, "gone"),
        (b'{"message":"taken"}', 409, EngineConflict, "taken"),
        (b'{"message":""}', 403, EngineResponseError, "no reason given"),
        (b"", 500, EngineResponseError, "no reason given"),
        (b'{"error":"other"}', 500, EngineResponseError, '{"error":"other"}'),
        (b"[1]", 500, EngineResponseError, "[1]"),
        (HTML, 502, EngineResponseError, HTML.decode()),
        (b"\xff\xfe" + b"x" * 10_000_000, 500, EngineResponseError, "\ufffd\ufffd" + "x" * 498),
        (b"moved", 301, EngineResponseError, "moved"),
        (b"{}", 206, EngineResponseError, "{}"),
    ],
)
async def test_a_refusal_is_told_in_the_daemons_words(body: bytes, status: int, error: Raised, message: str) -> None:
    raised = await assert_fails(plain(body, status=status), error)
    assert isinstance(raised, EngineResponseError)
    assert type(raised) is error
    assert (raised.operation, raised.status, raised.message) == ("system_info", status, message)
    assert str(raised) == f"system_info: {message} (HTTP {status})"


async def test_a_refusal_without_end_is_not_read_for_ever() -> None:
    async def chatter(request: Request) -> None:
        await request.send(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await request.send(b"1000\r\n" + b"no" * 0x800 + b"\r\n")

    await assert_fails(chatter, EngineResponseError, "^system_info: nononono")


@pytest.mark.parametrize(
    "header", [None, "%", "e30", base64.b64encode(b"[]").decode(), base64.b64encode(b"{").decode()]
)
async def test_a_path_stat_that_is_none_is_a_protocol_error(header: str | None) -> None:
    headers = {} if header is None else {"X-Docker-Container-Path-Stat": header}
    script = {"container_archive_info": plain(headers=headers), "container_archive": chunked(headers=headers)}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineProtocolError, match="container_archive_info: "):
            await client.container_archive_info("c", "/")
        with pytest.raises(EngineProtocolError, match="container_archive: "):
            async with client.container_archive("c", "/"):
                pass


async def test_a_body_is_not_sent_on_where_the_daemon_has_answered() -> None:
    async def early(request: Request) -> None:
        await request.send(b'HTTP/1.1 404 Not Found\r\nContent-Length: 28\r\n\r\n{"message":"no such folder"}')
        request.hang_up = True

    async with fake_daemon({"put_container_archive": early}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineNotFound, match="no such folder"):
            await client.put_container_archive("c", "/none", bytes(50_000_000))


async def test_a_request_that_cannot_be_made_is_an_engine_error() -> None:
    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineProtocolError, match="URL is invalid"):
            async with client.container_wait("c" * 100_000):
                pass
        assert daemon.requests("container_wait") == []


async def test_no_answer_is_compressed() -> None:
    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        created = await client.container_create(ContainerCreateRequest(image="i"))
        async with client.container_archive(created.id, "/") as archive:
            assert await archive.receive_some()
        assert {request.headers["accept-encoding"] for request in daemon.requests_seen} == {"identity"}
