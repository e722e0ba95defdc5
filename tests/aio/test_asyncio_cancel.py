"""Each of asyncio's ways to cancel: the awaiting task sees it once the run's container and volume are gone."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from lightrunner.asyncio import DockerRunner, Execution, LightRunnerError, LightRunnerErrorCode, RunResult
from tests.aio.conftest import MakeRunner
from tests.aio.programs import ReadyRun, container_ids, run_program, start_ready, until
from tests.runs.shell_runs import shell
from tools.raw_engine import RawEngine


async def by_task_cancel(run: ReadyRun) -> None:
    task = asyncio.create_task(run())
    await run.ready.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task


async def by_many_cancels(run: ReadyRun) -> None:
    task = asyncio.create_task(run())
    await run.ready.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.001)
    assert task.cancelled()


async def by_timeout(run: ReadyRun) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            await asyncio.gather(run(), _after(run.ready.wait(), lambda: timeout.reschedule(0)))


async def by_wait_for(run: ReadyRun) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(), 1.5)


async def by_a_failing_task_group(run: ReadyRun) -> None:
    async def fail() -> None:
        await run.ready.wait()
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            group.create_task(fail())


async def by_anyio(run: ReadyRun) -> None:
    """As Starlette and FastAPI cancel: in each turn of the loop, until the task has ended."""
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await run.ready.wait()
        group.cancel_scope.cancel()


WAYS = [by_task_cancel, by_many_cancels, by_timeout, by_wait_for, by_a_failing_task_group, by_anyio]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_is_left_once_the_task_sees_it(
    make_runner: MakeRunner, busybox: str, raw: RawEngine, way: Callable[[ReadyRun], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            before = await container_ids(raw)
            await way(ReadyRun(runner, shell(busybox, "echo; sleep 60")))
            assert await container_ids(raw) == before
            assert (await runner.run(shell(busybox, "exit 3"))).exit_code == 3

    run_program(main())


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.06, 0.15, 0.3])
def test_a_cancellation_before_the_start(make_runner: MakeRunner, busybox: str, raw: RawEngine, delay: float) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            before = await container_ids(raw)
            for call in (runner.run, runner.start):
                task = asyncio.create_task(call(shell(busybox, "sleep 1")))
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():  # `start` may have returned in time.
                    continue
                assert await container_ids(raw) == before

    run_program(main())


def test_cancelling_a_wait_leaves_the_run_alone(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            execution = await start_ready(runner, shell(busybox, "echo; sleep 1; exit 3"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(execution.wait(), 0.1)
            assert (await execution.wait()).exit_code == 3

    run_program(main())


def test_an_exception_that_leaves_the_block_aborts_its_runs(
    make_runner: MakeRunner, busybox: str, raw: RawEngine
) -> None:
    async def main() -> None:
        before = await container_ids(raw)
        waiting: list[Awaitable[RunResult]] = []
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with make_runner() as runner:
                execution = await start_ready(runner, shell(busybox, "echo; sleep 60"))
                other = ReadyRun(runner, shell(busybox, "echo; sleep 60"))
                waiting += [execution.wait(), asyncio.create_task(other())]
                await other.ready.wait()
                raise ZeroDivisionError
        assert await container_ids(raw) == before
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, LightRunnerError)
            assert outcome.code is LightRunnerErrorCode.RUN_ABORTED

    run_program(main())


def test_a_cancellation_of_the_block_while_it_waits(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    async def main() -> None:
        before = await container_ids(raw)

        async def use() -> None:
            async with make_runner() as runner:
                await start_ready(runner, shell(busybox, "echo; sleep 60"))
                is_waiting.set()

        is_waiting = asyncio.Event()
        task = asyncio.create_task(use())
        await is_waiting.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await container_ids(raw) == before

    run_program(main())


def test_the_loops_end_aborts_what_is_pending(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    """`asyncio.run` cancels the tasks that are left when the main one returns."""
    tasks: list[asyncio.Task[None]] = []

    async def main() -> set[str]:
        before = await container_ids(raw)

        async def serve() -> None:
            async with make_runner() as runner:
                await runner.run(shell(busybox, "sleep 60"))

        tasks.append(asyncio.create_task(serve()))

        async def has_container() -> bool:
            return await container_ids(raw) != before

        await until(has_container)
        return before

    before = run_program(main())
    assert tasks[0].cancelled()
    assert {container["Id"] for container in raw.containers()} == before


def test_a_warm_pools_run_is_cancelled_with_its_task(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            before = await container_ids(raw)
            async with runner.warm(shell(busybox, "true"), size=1) as pool:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(pool.run(shell(busybox, "sleep 60")), 0.5)
            executions: list[Execution] = []
            with pytest.raises(ZeroDivisionError):  # noqa: PT012
                async with runner.warm(shell(busybox, "true"), size=1) as pool:
                    executions.append(await pool.start(shell(busybox, "sleep 60")))
                    raise ZeroDivisionError
            with pytest.raises(LightRunnerError):
                await executions[0].wait()
            assert await container_ids(raw) == before

    run_program(main())


def test_a_cancelled_async_callback_ends_first(make_runner: MakeRunner, busybox: str) -> None:
    ends: list[str] = []

    async def stall(_: object) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("callback")

    async def main() -> None:
        async with make_runner() as runner:
            begin = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(runner.run(shell(busybox, "echo; sleep 60"), on_log=stall), 1.5)
            assert time.monotonic() - begin < 30
            ends.append("run")

    run_program(main())
    assert ends == ["callback", "run"]


async def _after(first: Awaitable[object], then: Callable[[], object]) -> None:
    await first
    then()


def test_a_runner_is_of_one_loop(make_runner: MakeRunner) -> None:
    runner: DockerRunner = make_runner()

    async def main() -> bool:
        async with runner:
            return await runner.is_available()

    assert run_program(main())
    assert run_program(main())
