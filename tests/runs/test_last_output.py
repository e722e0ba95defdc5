"""The end of the output: nothing written before the exit is lost, and the end of the output is not the exit."""

import hashlib
import os
import time

import pytest
import trio

from lightrunner import DockerRunner, LogLine
from tests.runs.shell_runs import Run, shell

SHORT_RUNS = int(os.environ.get("LIGHTRUNNER_SHORT_RUNS", "200"))
AT_ONCE = 6
FIRST, LAST = 1_000_000_000_000, 1_000_000_006_999


@pytest.mark.timeout(60 + 2 * SHORT_RUNS)
async def test_output_right_before_the_exit_arrives(runner: DockerRunner, busybox: str) -> None:
    """Each run writes 98 KB, more than a pipe holds, and a last line on either stream, and is gone."""
    stdout = "".join(f"{n}\n" for n in range(FIRST, LAST + 1)) + "last"
    losses: list[str] = []
    places = trio.CapacityLimiter(AT_ONCE)

    async def one(number: int) -> None:
        lines: list[str] = []

        def collect(line: LogLine) -> None:
            lines.append(line.text)

        script = f"seq {FIRST} {LAST} >/tmp/out; cat /tmp/out; printf last; printf 'end of {number}' >&2"
        async with places:
            result = await runner.run(shell(busybox, script), on_log=collect)
        kept = (result.stdout, result.stderr) == (stdout.encode(), f"end of {number}".encode())
        if not kept or len(lines) != LAST - FIRST + 3:
            losses.append(f"run {number}: {len(result.stdout or b'')} bytes, {len(lines)} lines, {result.stderr!r}")

    async with trio.open_nursery() as nursery:
        for number in range(SHORT_RUNS):
            nursery.start_soon(one, number)
    assert not losses


async def test_a_container_may_close_its_output_and_live_on(run: Run, busybox: str) -> None:
    begin = time.monotonic()
    result = await run(shell(busybox, "echo bye; exec >&- 2>&-; sleep 1; exit 5"))
    assert (result.exit_code, result.stdout, result.stderr) == (5, b"bye\n", b"")
    assert result.duration > 0.9
    assert time.monotonic() - begin > 1


async def test_a_time_out_finds_it_as_well(run: Run, busybox: str) -> None:
    assert (await run(shell(busybox, "exec >&- 2>&-; sleep 60", timeout=0.5))).timed_out


async def test_a_process_left_behind_does_not_hold_the_output_open(run: Run, busybox: str) -> None:
    with trio.fail_after(30):
        result = await run(shell(busybox, "sleep 3600 & echo gone; exit 0"))
    assert (result.success, result.stdout) == (True, b"gone\n")


async def test_megabytes_right_before_the_exit(runner: DockerRunner, busybox: str) -> None:
    # No two lines are alike: a piece that is lost, or there twice, shows.
    digest, size = hashlib.sha256(), 0

    def add(line: LogLine) -> None:
        nonlocal size
        data = f"{line.text}\n".encode()
        digest.update(data)
        size += len(data)

    expected = "".join(f"{n}\n" for n in range(1, 1_000_001)).encode()
    script = "seq 1000000 >/tmp/out; exec cat /tmp/out"  # seq itself writes line by line.
    await runner.run(shell(busybox, script, capture_output=False), on_log=add)
    assert (size, digest.digest()) == (len(expected), hashlib.sha256(expected).digest())
