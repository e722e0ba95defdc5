"""`Execution.stop`: a signal, a grace, SIGKILL. The run counts as cancelled and has the process's exit code."""

import math
import time
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode
from tests.runs.conftest import CommittedImage
from tests.runs.host_folders import names
from tests.runs.shell_runs import shell, start, start_ready

LOOP = "echo ready; while :; do sleep 0.05; done"


def on(signal: str, command: str) -> str:
    """A script that does this at the signal, and otherwise lives for ever."""
    return f"trap '{command}' {signal}; {LOOP}"


async def test_a_process_that_obeys_has_its_own_exit_code(runner: DockerRunner, busybox: str) -> None:
    with trio.fail_after(30):  # Far less than the grace, which is not slept through.
        async with trio.open_nursery() as nursery:
            execution = await start_ready(nursery, runner, shell(busybox, on("TERM", "echo bye; exit 7")))
            await execution.stop(grace=3600)
            assert execution.cancelled
            result = await execution.wait()
    assert (result.exit_code, result.stdout) == (7, b"ready\nbye\n")
    assert (result.cancelled, result.success, result.timed_out) == (True, False, False)


async def test_exit_code_0_is_cancelled_all_the_same(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    request = shell(busybox, on("TERM", "exit 0"), extract=[ExtractSpec("/etc/passwd", tmp_path)])
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, request)
        await execution.stop()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success, result.extracted) == (0, True, False, None)
    assert not names(tmp_path)


async def test_one_that_does_not_obey_is_killed_after_the_grace(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, on("TERM", "")))
        begin = time.monotonic()
        await execution.stop(grace=0.7)
        assert time.monotonic() - begin >= 0.7
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.timed_out) == (137, True, False)


@pytest.mark.parametrize("signal", ["SIGUSR1", "USR1", "10"])
async def test_another_signal(runner: DockerRunner, busybox: str, signal: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, on("USR1", "exit 11")))
        await execution.stop(signal, grace=math.inf)
        assert (await execution.wait()).exit_code == 11


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
async def test_without_any_grace(runner: DockerRunner, busybox: str, signal: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, on("TERM", "")))
        await execution.stop(signal, grace=0)
        result = await execution.wait()
    assert (result.exit_code, result.cancelled) == (137, True)


@pytest.mark.parametrize("config", [{}, {"StopSignal": "SIGQUIT"}])
async def test_a_paused_one_can_obey(
    runner: DockerRunner, committed_image: CommittedImage, config: dict[str, str]
) -> None:
    # With a stop signal of its own in the image, the engine does not unpause for another one.
    image = committed_image(f"stopped-by-{len(config)}", "true", **config)
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(image, on("TERM", "exit 7")))
        await execution.pause()
        await execution.stop(grace=60)
        assert (await execution.wait()).exit_code == 7


async def test_twice_and_at_the_same_time(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, on("TERM", "exit 7")))
        async with trio.open_nursery() as stoppers:
            for _ in range(4):
                stoppers.start_soon(execution.stop)
        await execution.stop()
        assert (await execution.wait()).exit_code == 7


async def test_a_cancel_does_not_wait_for_the_grace(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, on("TERM", "")))
        nursery.start_soon(execution.stop, "SIGTERM", math.inf)
        await trio.sleep(0.1)
        execution.cancel()
        assert (await execution.wait()).exit_code == 137


async def test_it_returns_when_the_container_has_exited(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "exit 0"))
        await execution.stop()
        assert "running" not in repr(execution)
        await execution.wait()


@pytest.mark.parametrize("signal", ["", "TERM; rm", "term", "0", "-9", "100", "SIGNOTHING", "SIGTERM\n", None, 15])
@pytest.mark.needs("statuses")
async def test_a_signal_that_is_none_is_refused(runner: DockerRunner, busybox: str, signal: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, LOOP))
        with pytest.raises(LightRunnerError, match="signal") as raised:
            await execution.stop(signal)
        assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert not execution.cancelled
        execution.cancel()


@pytest.mark.parametrize("grace", [-1, math.nan, "1", None, True])
async def test_a_grace_that_is_none_is_refused(runner: DockerRunner, busybox: str, grace: float) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, LOOP))
        with pytest.raises(LightRunnerError, match="grace") as raised:
            await execution.stop(grace=grace)
        assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert not execution.cancelled
        execution.cancel()
