"""Stdin: any JSON value or bytes, then end of file, whether or not the container reads them."""

import hashlib
import json
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, RunRequest
from tests.runs.shell_runs import Run, shell, start_ready

HUGE = bytes(range(256)) * 200_000  # 51 MB, far above what sockets and pipes on the way can hold


@pytest.mark.parametrize(
    "value",
    [
        {"task": "compute", "n": 20, "nested": {"list": [1, 2.5, None, True]}},
        [1, "two", [3]],
        "text",
        "",
        "grüße ✓ 🐋 \u2028 \0",
        -12,
        False,
        {},
    ],
)
async def test_a_json_value_arrives_as_json(runner: DockerRunner, busybox: str, value: Any) -> None:
    result = await runner.run(shell(busybox, "cat", input=value))
    assert result.stdout is not None
    assert json.loads(result.stdout) == value


async def test_text_beyond_ascii_arrives_as_utf_8(run: Run, busybox: str) -> None:
    assert (await run(shell(busybox, "cat", input="grün"))).stdout == '"grün"'.encode()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_bytes_go_as_they_are(runner: DockerRunner, busybox: str, kind: type) -> None:
    data = bytes(range(256)) + b"no newline at the end"
    assert (await runner.run(shell(busybox, "cat", input=kind(data)))).stdout == data


@pytest.mark.parametrize("value", [b"", None])
async def test_a_reader_of_nothing_gets_the_end_of_file(run: Run, busybox: str, value: bytes | None) -> None:
    result = await run(shell(busybox, "cat; echo end", input=value, timeout=20))
    assert (result.stdout, result.timed_out) == (b"end\n", False)


async def test_a_huge_input_arrives_whole(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "sha256sum", input=HUGE))
    assert result.stdout is not None
    assert result.stdout.split()[0].decode() == hashlib.sha256(HUGE).hexdigest()


async def test_it_is_fed_where_nobody_reads_the_output(run: Run, busybox: str) -> None:
    request = RunRequest(image=busybox, entrypoint="test $(cat) = marked", input=b"marked", network="none")
    assert (await run(request)).success


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("exit 3", b""),
        ("echo begin; sleep 0.5; echo end; exit 3", b"begin\nend\n"),
        ("exec 0<&-; echo closed; sleep 0.5; echo end; exit 3", b"closed\nend\n"),
        ("head -c 3 | od -An -tu1; exit 3", b"   0   1   2\n"),
    ],
    ids=["exits at once", "never reads", "closes it", "reads a little"],
)
@pytest.mark.needs("unread_input")
async def test_a_container_need_not_read_a_huge_input(run: Run, busybox: str, script: str, output: bytes) -> None:
    result = await run(shell(busybox, script, input=HUGE, timeout=60))
    assert (result.exit_code, result.stdout, result.timed_out) == (3, output, False)


@pytest.mark.needs("unread_input")
async def test_a_container_that_does_not_read_can_be_cancelled(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, "echo up; sleep 60", input=HUGE))
        execution.cancel()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled) == (137, True)


async def test_what_the_caller_does_to_its_buffer_later_changes_nothing(runner: DockerRunner, busybox: str) -> None:
    buffer = bytearray(b"before" * 1_000_000)
    async with trio.open_nursery() as nursery:
        request = shell(busybox, "echo up; sleep 0.3; tr -d before | wc -c", input=buffer)
        execution = await start_ready(nursery, runner, request)
        buffer[:] = b"AFTER!" * 1_000_000
        assert (await execution.wait()).stdout == b"up\n0\n"
