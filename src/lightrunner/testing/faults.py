"""Scripted faults: answers that no daemon gives on demand.

FakeEngine(script={"container_start": refuse(500, "no space left on device")})
FakeEngine(script={"container_wait": in_turn(lose_connection, proceed)})
"""

import json
from contextlib import suppress

import trio

from .http import UPGRADED, Answer, Request, chunked, frame, json_answer, plain, proceed, raw

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


async def lose_connection(request: Request) -> None:
    """Close the connection instead of answering. The engine does not act."""
    await request.receive_body()
    request.hang_up = True


async def lose_answer(request: Request) -> None:
    """Act, but close the connection instead of answering: the client cannot know whether the engine acted."""
    request.stream = _Severed(request.stream)
    with suppress(trio.BrokenResourceError):
        await proceed(request)
    request.hang_up = True


async def hang(request: Request) -> None:
    """Read the request, and never answer, until the client hangs up."""
    await request.receive_body()
    with suppress(trio.BrokenResourceError):
        await request.receive_stdin()
    request.hang_up = True


def delay(seconds: float, then: Answer = proceed) -> Answer:
    """Answer late: a slow daemon."""

    async def answer(request: Request) -> None:
        await trio.sleep(seconds)
        await then(request)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one stays."""
    left = iter(answers[:-1])

    async def answer(request: Request) -> None:
        await next(left, answers[-1])(request)

    return answer


def refuse(status: int, message: str) -> Answer:
    """Refuse as the daemon does, with a JSON message. 404 and 409 raise errors of their own in the client."""
    return json_answer({"message": message}, status=status)


def html_page(status: int = 500, body: bytes = HTML) -> Answer:
    """A web page, as a proxy before the daemon sends one."""
    return plain(body, status=status, headers={"Content-Type": "text/html"})


def error_in_stream(message: str, *before: object, code: int | None = None) -> Answer:
    """Answer 200, send progress messages, and then an error inside the stream: pulls, imports and builds."""
    detail = {"message": message} | ({} if code is None else {"code": code})
    messages = [*before, {"errorDetail": detail, "error": message}]
    return chunked(*(json.dumps(value).encode() + b"\r\n" for value in messages))


def half_a_frame(data: bytes = b"half") -> Answer:
    """Upgrade, and end the connection inside a frame of stdout."""
    return raw(UPGRADED + frame(1, data, length=2 * len(data) + 1))


class _Severed(trio.abc.HalfCloseableStream):
    """A stream that breaks as soon as an answer is sent."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002 - trio's
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError("the answer is lost")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
