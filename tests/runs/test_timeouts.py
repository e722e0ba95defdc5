"""The time-out: SIGKILL `timeout` seconds after the start, and never earlier."""

import math
import time
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec
from tests.runs.shell_runs import Run, shell, start


async def test_it_kills(run: Run, busybox: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    result = await run(shell(busybox, "sleep 60", timeout=0.5, extract=[ExtractSpec("/etc", tmp_path)]))
    assert time.monotonic() - begin < 30
    assert (result.timed_out, result.success, result.cancelled, result.exit_code) == (True, False, False, 137)
    assert 0.5 <= result.duration < 30
    assert result.extracted is None


async def test_it_cannot_be_ignored(run: Run, busybox: str) -> None:
    script = "trap '' TERM INT HUP QUIT; while :; do sleep 1; done"
    assert (await run(shell(busybox, script, timeout=0.5))).timed_out


async def test_what_was_written_before_is_kept(run: Run, busybox: str) -> None:
    lines: list[str] = []
    request = shell(busybox, "echo one; echo two >&2; printf three; sleep 60", timeout=1.0)
    result = await run(request, on_log=lambda line: lines.append(line.text))
    assert (result.stdout, result.stderr, result.timed_out) == (b"one\nthree", b"two\n", True)
    assert sorted(lines) == ["one", "three", "two"]


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 10**400, 2**31, 2**63, None])
async def test_a_huge_one_does_not_kill(runner: DockerRunner, busybox: str, seconds: float | None) -> None:
    result = await runner.run(shell(busybox, "sleep 0.2", timeout=seconds))
    assert (result.success, result.timed_out) == (True, False)


async def test_the_smallest_one_kills(runner: DockerRunner, busybox: str) -> None:
    assert (await runner.run(shell(busybox, "sleep 60", timeout=5e-324))).timed_out


async def test_an_exit_in_time_is_none(run: Run, busybox: str) -> None:
    # 137 is the process's own here.
    result = await run(shell(busybox, "exit 137", timeout=60))
    assert (result.timed_out, result.exit_code) == (False, 137)


async def test_the_clock_runs_on_while_the_container_is_paused(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 60", timeout=1.0))
        await execution.pause()
        result = await execution.wait()
    assert (result.timed_out, result.exit_code, result.cancelled) == (True, 137, False)


async def test_only_the_run_is_timed(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    # A large seed takes longer than the time-out that begins with the start.
    (tmp_path / "large").write_bytes(bytes(100_000_000))
    result = await runner.run(shell(busybox, "wc -c <large", dir=tmp_path, timeout=5.0))
    assert (result.timed_out, result.stdout) == (False, b"100000000\n")
