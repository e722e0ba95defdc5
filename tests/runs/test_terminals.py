"""`tty`: one stream, a size, and an input that is typed."""

import hashlib

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, OutputChunk
from tests.runs.shell_runs import shell, start

NO_ECHO = "stty -echo; "


async def test_it_is_a_terminal_and_one_stream(runner: DockerRunner, busybox: str) -> None:
    script = "test -t 0 && test -t 1 && test -t 2 && echo all >&2; echo out"
    result = await runner.run(shell(busybox, script, tty=True))
    assert (result.stdout, result.stderr, result.success) == (b"all\r\nout\r\n", b"", True)


async def test_without_it_there_is_none(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "test -t 0 || test -t 1 || test -t 2 || echo none", input=b""))
    assert result.stdout == b"none\n"


async def test_the_size_is_the_request_s(runner: DockerRunner, busybox: str) -> None:
    # Docker before 23 sets it right after the start.
    result = await runner.run(shell(busybox, "sleep 0.5; stty size", tty=True, tty_size=(33, 120)))
    assert result.stdout == b"33 120\r\n"
    assert (await runner.run(shell(busybox, "sleep 0.5; stty size", tty=True))).stdout == b"24 80\r\n"


async def test_it_can_be_resized(runner: DockerRunner, busybox: str) -> None:
    chunks: list[OutputChunk] = []
    # The request's own size may come after the start, and is a resize as well.
    script = "sleep 0.5; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    ready = trio.Event()

    def on_output(chunk: OutputChunk) -> None:
        chunks.append(chunk)
        if b"ready" in b"".join(chunk.data for chunk in chunks):
            ready.set()

    async with trio.open_nursery() as nursery:
        request = shell(busybox, script, tty=True, timeout=30)
        execution = await start(nursery, runner, request, on_output=on_output)
        await ready.wait()
        await execution.resize(10, 20)
        assert (await execution.wait()).success
        await execution.resize(1, 1)  # It has ended: nothing happens.
    assert b"".join(chunk.data for chunk in chunks).endswith(b"10 20\r\n")


async def test_what_cannot_be_resized(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        for tty, size in ((False, (10, 20)), (True, (0, 20)), (True, (10, 65_536))):
            execution = await start(nursery, runner, shell(busybox, "sleep 60", tty=tty))
            with pytest.raises(LightRunnerError) as raised:
                await execution.resize(*size)
            assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
            execution.cancel()


@pytest.mark.parametrize(
    ("given", "received"),
    [(None, b""), (b"", b""), (b"one\ntwo\n", b"one\r\ntwo\r\n"), (b"one\ntwo", b"one\r\ntwo"), ({"n": 1}, b'{"n":1}')],
)
async def test_the_input_is_typed_and_ends(runner: DockerRunner, busybox: str, given: object, received: bytes) -> None:
    # The shell switches the echo off before it reads, and what was typed before that is echoed.
    result = await runner.run(shell(busybox, "sleep 0.2; cat; echo end", tty=True, input=given, timeout=30))
    assert result.success
    echo = b"" if given is None else result.stdout[: -len(received + b"end\r\n")] if result.stdout else b""
    assert result.stdout == echo + received + b"end\r\n"
    assert echo.replace(b"\r", b"") == (b'{"n":1}' if isinstance(given, dict) else given or b"")


async def test_many_lines_of_input_are_not_lost(runner: DockerRunner, busybox: str) -> None:
    lines = "".join(f"line {n}\n" for n in range(20_000)).encode()
    script = f"{NO_ECHO} sleep 0.5; md5sum; "
    result = await runner.run(shell(busybox, script, tty=True, input=lines, timeout=60))
    assert result.stdout is not None
    assert hashlib.md5(lines).hexdigest().encode() in result.stdout  # noqa: S324 - a checksum


async def test_control_characters_act(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(
        shell(busybox, "trap 'echo caught; exit 9' INT; cat", tty=True, input=b"\x03", timeout=30)
    )
    assert result.exit_code == 9
    assert (result.stdout or b"").endswith(b"caught\r\n")


async def test_no_input_detaches_from_the_terminal(runner: DockerRunner, busybox: str) -> None:
    # Ctrl-P Ctrl-Q is how a user of ``docker attach`` leaves a container that runs on.
    result = await runner.run(shell(busybox, "cat -v; echo end", tty=True, input=b"a\n\x10\x11b\n", timeout=20))
    assert (result.stdout or b"").endswith(b"a\r\n^Pb\r\nend\r\n")


async def test_the_end_of_the_output_arrives(runner: DockerRunner, busybox: str) -> None:
    for _ in range(10):
        result = await runner.run(shell(busybox, "seq 20000", tty=True))
        assert result.stdout == "".join(f"{n}\r\n" for n in range(1, 20_001)).encode()
