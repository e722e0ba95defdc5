"""The handle of a run: several tasks wait for it, and it does nothing once the run has ended."""

from functools import partial

import pytest
import trio
import trio.testing

from lightrunner import DockerRunner, Execution, LightRunnerError, LightRunnerErrorCode, LogLine, RunRequest, RunResult
from tests.runs.shell_runs import shell, start, start_ready
from tools.raw_engine import RawEngine


async def finished(runner: DockerRunner, request: RunRequest) -> tuple[Execution, RunResult]:
    """A run that is over."""
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, request)
        result = await execution.wait()
    return execution, result


async def test_it_names_what_is_on_the_daemon(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 60"))
        name = f"light-runner-{execution.id}"
        (container,) = raw.containers(label=f"light-runner.run-id={execution.id}")
        (volume,) = raw.volumes(label=f"light-runner.run-id={execution.id}")
        assert (container["Id"], container["Names"], container["State"]) == (
            execution.container_id,
            [f"/{name}"],
            "running",
        )
        assert volume["Name"] == name
        assert repr(execution) == f"<Execution {execution.id} running>"
        execution.cancel()
    assert repr(execution) == f"<Execution {execution.id} finished>"


async def test_cancel_kills_however_often_it_is_called(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, "trap '' TERM; echo ready; sleep 60 & wait"))
        assert not execution.cancelled
        for _ in range(3):
            execution.cancel()
            assert execution.cancelled
        result = await execution.wait()
        execution.cancel()
    assert (result.exit_code, result.cancelled, result.success, result.timed_out) == (137, True, False, False)


async def test_on_a_finished_run_everything_does_nothing(runner: DockerRunner, busybox: str) -> None:
    execution, result = await finished(runner, shell(busybox, "exit 5"))
    execution.cancel()
    for method in (execution.stop, execution.pause, execution.resume, partial(execution.stop, "SIGKILL", 0)):
        await method()
    assert not execution.cancelled
    assert await execution.wait() is result
    assert (result.exit_code, result.cancelled) == (5, False)


async def test_several_tasks_wait_for_one_result(runner: DockerRunner, busybox: str) -> None:
    results: list[RunResult] = []

    async def wait(execution: Execution) -> None:
        results.append(await execution.wait())

    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 0.3; exit 4"))
        for _ in range(5):
            nursery.start_soon(wait, execution)
    assert [result.exit_code for result in results] == [4] * 5
    assert all(result is results[0] for result in results)
    assert await execution.wait() is results[0]


async def test_wait_returns_what_run_returns(runner: DockerRunner, busybox: str) -> None:
    returned: list[RunResult] = []

    async def keep_result(*, task_status: trio.TaskStatus[Execution]) -> None:
        returned.append(await runner.run(shell(busybox, "true"), task_status=task_status))

    async with trio.open_nursery() as nursery:
        execution: Execution = await nursery.start(keep_result)
        waited = await execution.wait()
    assert returned == [waited]
    assert returned[0] is waited


async def test_when_it_returns_nothing_is_left(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "true"))
        await execution.wait()
        assert not raw.containers(label=f"light-runner.run-id={execution.id}")
        assert not raw.volumes(label=f"light-runner.run-id={execution.id}")


async def test_a_waiter_may_give_up_and_come_again(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 0.5"))
        with trio.move_on_after(0.01) as impatience:
            await execution.wait()
        assert impatience.cancelled_caught
        assert (await execution.wait()).success


async def test_a_run_that_is_cancelled_from_outside_is_aborted_for_its_waiters(
    runner: DockerRunner, busybox: str
) -> None:
    codes: list[LightRunnerErrorCode] = []

    async def wait(execution: Execution) -> None:
        with pytest.raises(LightRunnerError) as raised:
            await execution.wait()
        codes.append(raised.value.code)

    async with trio.open_nursery() as waiters, trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, "echo ready; sleep 60"))
        for _ in range(3):
            waiters.start_soon(wait, execution)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await wait(execution)
    assert codes == [LightRunnerErrorCode.RUN_ABORTED] * 4
    assert not execution.cancelled, "nobody called cancel() or stop()"


async def test_wait_raises_what_run_raises(runner: DockerRunner, busybox: str) -> None:
    failure = ZeroDivisionError("of the callback")
    seen: list[Exception] = []

    def fail(_: LogLine) -> None:
        raise failure

    async def run(*, task_status: trio.TaskStatus[Execution]) -> None:
        request = shell(busybox, "sleep 0.3; echo now; sleep 60")
        with pytest.raises(ZeroDivisionError) as raised:
            await runner.run(request, on_log=fail, task_status=task_status)
        seen.append(raised.value)

    async def wait(execution: Execution) -> None:
        with pytest.raises(ZeroDivisionError) as raised:
            await execution.wait()
        seen.append(raised.value)

    async with trio.open_nursery() as nursery:
        execution: Execution = await nursery.start(run)
        for _ in range(2):
            nursery.start_soon(wait, execution)
    assert seen == [failure] * 3
