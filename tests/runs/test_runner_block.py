"""`async with DockerRunner`: the end of the block handles runs in progress, and the block is required."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunResult
from tests.runs.conftest import MakeRunner
from tests.runs.shell_runs import shell, start_ready
from tools.raw_engine import RawEngine

Use = Callable[[DockerRunner], Awaitable[object]]


async def ask(runner: DockerRunner) -> bool:
    """Use it in the smallest way."""
    return await runner.is_available()


async def run_nothing(runner: DockerRunner) -> RunResult:
    """Use it in its main way."""
    return await runner.run(shell("busybox", "true"))


async def test_a_daemon_that_answers_is_available(runner: DockerRunner) -> None:
    assert await runner.is_available() is True


@pytest.mark.parametrize("use", [ask, run_nothing])
async def test_before_and_after_its_block_it_cannot_be_used(make_runner: MakeRunner, use: Use) -> None:
    runner = make_runner()
    with pytest.raises(RuntimeError, match="async with"):
        await use(runner)
    async with runner as entered:
        assert entered is runner
    with pytest.raises(RuntimeError, match="async with"):
        await use(runner)


async def test_leaving_the_block_waits_for_the_runs_of_other_tasks(
    make_runner: MakeRunner, raw: RawEngine, busybox: str
) -> None:
    async with trio.open_nursery() as nursery:
        async with make_runner() as runner:
            execution = await start_ready(nursery, runner, shell(busybox, "echo ready; sleep 0.5; exit 6"))
        assert not raw.containers()
        assert (await execution.wait()).exit_code == 6


async def leave_by_exception(_: trio.CancelScope) -> None:
    raise ZeroDivisionError


async def leave_by_cancellation(scope: trio.CancelScope) -> None:
    scope.cancel()
    await trio.sleep_forever()


@pytest.mark.parametrize("leave", [leave_by_exception, leave_by_cancellation])
async def test_leaving_it_otherwise_aborts_them(
    make_runner: MakeRunner, raw: RawEngine, busybox: str, leave: Callable[[trio.CancelScope], Awaitable[None]]
) -> None:
    codes: list[LightRunnerErrorCode] = []

    async def run(*, task_status: trio.TaskStatus[object]) -> None:
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(shell(busybox, "sleep 60"), task_status=task_status)
        codes.append(raised.value.code)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope, suppress(ZeroDivisionError):
                async with make_runner() as runner:
                    await nursery.start(run)
                    await nursery.start(run)
                    await leave(scope)
            assert not raw.containers(), "the block has waited for their removal"
    assert codes == [LightRunnerErrorCode.RUN_ABORTED] * 2


async def test_options_are_kept(make_runner: MakeRunner, engine_host: str) -> None:
    runner = make_runner(memory="1g", cpus=2, runtime="runsc", gpus="all", max_concurrent=3)
    options = runner.options
    assert (options.memory, options.cpus, options.runtime, options.gpus) == ("1g", 2, "runsc", "all")
    assert (options.max_concurrent, options.host, options.no_new_privileges) == (3, engine_host, True)
