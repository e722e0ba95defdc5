"""`on_output` and `result.output`: the bytes as they came, both streams in one order."""

import hashlib
import time

import pytest
import trio

from lightrunner import DockerRunner, LogLine, OutputChunk
from tests.runs.shell_runs import shell
from tests.runs.test_capture import ALL_BYTES

TURNS = "for n in $(seq 40); do echo out $n; sleep 0.01; echo err $n >&2; sleep 0.01; done"


async def test_each_byte_as_it_came(runner: DockerRunner, busybox: str) -> None:
    chunks: list[OutputChunk] = []
    await runner.run(shell(busybox, f"{ALL_BYTES}; printf '\\303'; sleep 0.1; printf '\\274'"), on_output=chunks.append)
    assert b"".join(chunk.data for chunk in chunks) == bytes(range(256)) + "ü".encode()
    assert chunks[-1].data == b"\xbc"
    assert all(type(chunk.data) is bytes and chunk.stream == "stdout" for chunk in chunks)


async def test_both_streams_come_in_the_order_in_which_the_container_wrote(runner: DockerRunner, busybox: str) -> None:
    chunks: list[OutputChunk] = []
    result = await runner.run(shell(busybox, TURNS), on_output=chunks.append)
    expected = [(stream, f"{stream[3:]} {n}\n".encode()) for n in range(1, 41) for stream in ("stdout", "stderr")]
    assert [(chunk.stream, chunk.data) for chunk in chunks] == expected
    assert result.output == tuple(chunks)
    assert not result.output_truncated
    times = [chunk.time for chunk in chunks]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= result.duration


async def test_without_capture_there_is_no_output(runner: DockerRunner, busybox: str) -> None:
    assert (await runner.run(shell(busybox, "echo one", capture_output=False))).output is None


async def test_what_is_cut_from_a_stream_is_cut_from_the_output(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "head -c 9000000 /dev/zero; sleep 0.2; echo end >&2"))
    assert result.output is not None
    assert sum(len(chunk.data) for chunk in result.output) == 8 * 1024**2 + 4
    assert (result.output[-1].stream, result.output[-1].data) == ("stderr", b"end\n")
    assert (result.stdout_truncated, result.stderr_truncated, result.output_truncated) == (True, False, True)


async def test_chunks_and_lines_to_two_callbacks(runner: DockerRunner, busybox: str) -> None:
    seen: list[OutputChunk | LogLine] = []
    await runner.run(shell(busybox, "echo one; sleep 0.1; printf two"), on_log=seen.append, on_output=seen.append)
    shown = [each.data if isinstance(each, OutputChunk) else each.text for each in seen]
    assert shown == [b"one\n", "one", b"two", "two"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_slow_callback_holds_the_container_up_and_loses_nothing(
    runner: DockerRunner, busybox: str, *, is_async: bool
) -> None:
    digest, size, turns = hashlib.sha256(), 0, 0

    def add(chunk: OutputChunk) -> None:
        nonlocal size, turns
        size += len(chunk.data)
        turns += 1
        digest.update(chunk.data)

    async def add_slowly(chunk: OutputChunk) -> None:
        add(chunk)
        if turns == 1:
            await trio.sleep(2.5)

    def add_while_blocking(chunk: OutputChunk) -> None:
        add(chunk)
        time.sleep(0.0005)

    script = "seq 4000000 >/tmp/out; exec cat /tmp/out"
    expected = "".join(f"{n}\n" for n in range(1, 4_000_001)).encode()
    request = shell(busybox, script, capture_output=False)
    result = await runner.run(request, on_output=add_slowly if is_async else add_while_blocking)
    assert (size, digest.digest()) == (len(expected), hashlib.sha256(expected).digest())
    assert not is_async or result.duration > 2.4  # It has 30 MB, of which 8 MiB are held.


async def test_a_callback_that_raises_ends_the_run(runner: DockerRunner, busybox: str) -> None:
    def fail(_: OutputChunk) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await runner.run(shell(busybox, "echo one; sleep 60"), on_output=fail)


async def test_a_warm_container_has_it_too(runner: DockerRunner, busybox: str) -> None:
    chunks: list[OutputChunk] = []
    async with runner.warm(shell(busybox, "true"), size=1) as pool:
        result = await pool.run(shell(busybox, "echo one; sleep 0.05; echo two >&2; exit 3"), on_output=chunks.append)
    assert [(chunk.stream, chunk.data) for chunk in chunks] == [("stdout", b"one\n"), ("stderr", b"two\n")]
    assert result.output == tuple(chunks)
