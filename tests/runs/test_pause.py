"""`Execution.pause` and `resume` freeze and thaw the processes, however often and from any task."""

import trio

from lightrunner import DockerRunner, Execution, LogLine
from tests.runs.host_folders import wait_until
from tests.runs.shell_runs import shell, start, start_ready
from tools.raw_engine import RawEngine

TICKER = "while :; do echo tick; sleep 0.02; done"


def is_paused(raw: RawEngine, execution: Execution) -> bool:
    """What the daemon says."""
    paused: bool = raw.get(f"/containers/{execution.container_id}/json")["State"]["Paused"]
    return paused


async def test_a_paused_container_stands_still_until_it_is_resumed(runner: DockerRunner, busybox: str) -> None:
    ticks: list[LogLine] = []
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, TICKER), on_log=ticks.append)
        await wait_until(lambda: len(ticks) > 0)
        await execution.pause()
        await trio.sleep(0.3)  # What was on its way arrives.
        seen = len(ticks)
        await trio.sleep(0.5)
        assert len(ticks) == seen
        await execution.resume()
        await wait_until(lambda: len(ticks) > seen)
        execution.cancel()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled) == (137, True)


async def test_each_may_be_called_twice(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, TICKER))
        await execution.resume()
        assert not is_paused(raw, execution)
        for _ in range(2):
            await execution.pause()
            assert is_paused(raw, execution)
        for _ in range(2):
            await execution.resume()
            assert not is_paused(raw, execution)
        execution.cancel()


async def test_each_may_be_called_at_the_same_time(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, TICKER))
        for method, paused in ((execution.pause, True), (execution.resume, False)):
            async with trio.open_nursery() as callers:
                for _ in range(4):
                    callers.start_soon(method)
            assert is_paused(raw, execution) is paused
        execution.cancel()


async def test_it_does_not_count_as_cancelled(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, "echo up; sleep 0.5; echo end"))
        await execution.pause()
        await execution.resume()
        result = await execution.wait()
    assert (result.success, result.cancelled, result.stdout) == (True, False, b"up\nend\n")


async def test_a_paused_container_can_be_cancelled(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, TICKER))
        await execution.pause()
        execution.cancel()
        assert (await execution.wait()).exit_code == 137


async def test_a_paused_container_is_removed_with_its_run(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            execution = await start_ready(nursery, runner, shell(busybox, TICKER))
            await execution.pause()
            assert is_paused(raw, execution)
            nursery.cancel_scope.cancel()
        assert not raw.containers(label=f"light-runner.run-id={execution.id}")
