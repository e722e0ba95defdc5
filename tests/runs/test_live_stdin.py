"""`stdin`: what a caller's source yields while the run lives."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, OutputChunk
from tests.runs.shell_runs import shell


async def test_a_conversation(runner: DockerRunner, busybox: str) -> None:
    """Each question depends on the answer before it, so nothing was buffered to the end."""
    send, receive = trio.open_memory_channel[bytes](8)
    answers: list[bytes] = []

    def on_output(chunk: OutputChunk) -> None:
        answers.append(chunk.data)
        if len(answers) < 3:
            send.send_nowait(b"%d\n" % (int(chunk.data) + 1))
        else:
            send.close()

    send.send_nowait(b"1\n")
    script = "while read n; do echo $((n * 10)); done; echo end"
    result = await runner.run(shell(busybox, script), on_output=on_output, stdin=receive)
    assert result.success
    assert b"".join(answers) == b"10\n110\n1110\nend\n"


async def test_a_source_is_closed_when_the_container_exits_first(runner: DockerRunner, busybox: str) -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"line\n"
            await trio.sleep_forever()
        finally:
            closed.append("now")

    async def flood() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(64 * 1024)
        finally:
            closed.append("now")

    for source in (endless(), flood()):
        result = await runner.run(shell(busybox, "head -c 5 | wc -c"), stdin=source)
        assert (result.stdout, result.success) == (b"5\n", True)
    assert closed == ["now", "now"]


async def test_an_exception_of_the_source_ends_the_run(runner: DockerRunner, busybox: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a\n"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await runner.run(shell(busybox, "cat; sleep 60"), stdin=broken())


async def test_the_end_of_a_terminal_s_input_is_typed(runner: DockerRunner, busybox: str) -> None:
    async def typed() -> AsyncIterator[bytes]:
        await trio.sleep(0.5)
        yield b"no newline"

    result = await runner.run(shell(busybox, "stty -echo; cat; echo .", tty=True, timeout=20), stdin=typed())
    assert result.stdout == b"no newline.\r\n"


@pytest.mark.parametrize(("stdin", "given"), [(b"bytes", None), ([b"list"], None), ("source", b"input")])
async def test_what_is_no_source(runner: DockerRunner, busybox: str, stdin: Any, given: bytes | None) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(LightRunnerError, match="stdin=") as raised:
        await runner.run(shell(busybox, "cat", input=given), stdin=source() if stdin == "source" else stdin)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
