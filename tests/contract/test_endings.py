"""The contract: time-outs, cancel, stop, pause, and that nothing is left."""

from contextlib import suppress

import pytest
import trio

from lightrunner import DockerRunner, Execution, LightRunnerError, LightRunnerErrorCode, RunResult
from tests.contract.places import Place
from tests.contract.programs import POLITE, SLEEP, STUBBORN, nothing, polite, sleep
from tests.runs.shell_runs import Run, start, start_ready


async def test_a_timeout_kills(place: Place, run: Run) -> None:
    result = await run(place.request(SLEEP, sleep, timeout=0.3))
    assert (result.success, result.timed_out, result.cancelled, result.exit_code) == (False, True, False, 137)
    assert result.duration >= 0.3
    assert not place.left()


async def test_output_before_the_timeout_is_kept(place: Place, run: Run) -> None:
    result = await run(place.request(SLEEP, sleep, timeout=0.5, capture_output=True))
    assert (result.timed_out, result.stdout) == (True, b"ready\n")


async def test_a_timeout_that_is_not_reached(place: Place, run: Run) -> None:
    assert (await run(place.request("true", nothing, timeout=60.0))).success


async def test_cancel(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(SLEEP, sleep))
        assert not execution.cancelled
        execution.cancel()
        assert execution.cancelled
        result = await execution.wait()
    assert (result.cancelled, result.success, result.exit_code) == (True, False, 137)
    assert not place.left()


async def test_cancel_of_a_finished_run_changes_nothing(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, place.request("true", nothing))
        result = await execution.wait()
        execution.cancel()
        await execution.stop()
    assert not execution.cancelled
    assert result.success


async def test_a_cancel_scope_aborts(place: Place, runner: DockerRunner) -> None:
    executions = list[Execution]()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            executions.append(await start_ready(nursery, runner, place.request(SLEEP, sleep)))
            scope.cancel()
    assert scope.cancelled_caught
    assert not place.left()
    with pytest.raises(LightRunnerError) as raised:
        await executions[0].wait()
    assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED


async def test_stop_with_a_program_that_handles_the_signal(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(POLITE, polite, capture_output=True))
        await execution.stop(grace=20.0)
        result = await execution.wait()
    assert (result.cancelled, result.exit_code, result.stdout) == (True, 7, b"ready\nbye\n")


async def test_stop_with_a_program_that_does_not(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(STUBBORN, sleep))
        await execution.stop(grace=0.3)
        result = await execution.wait()
    assert (result.cancelled, result.exit_code) == (True, 137)


@pytest.mark.needs("statuses")
async def test_stop_with_a_signal_that_there_is_not(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(SLEEP, sleep))
        with pytest.raises(LightRunnerError, match="SIGNONE") as raised:
            await execution.stop("SIGNONE")
        assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert not execution.cancelled
        execution.cancel()


async def test_pause_and_resume(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(POLITE, polite, capture_output=True))
        await execution.pause()
        await execution.pause()
        await execution.resume()
        await execution.resume()
        await execution.stop(grace=20.0)
        assert (await execution.wait()).exit_code == 7


async def test_a_paused_run_can_be_cancelled(place: Place, runner: DockerRunner) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, place.request(SLEEP, sleep))
        await execution.pause()
        execution.cancel()
        assert (await execution.wait()).cancelled


async def test_the_end_of_the_runners_block_waits(place: Place) -> None:
    results = list[RunResult]()

    async def one(runner: DockerRunner) -> None:
        results.append(await runner.run(place.request("true", nothing)))

    async with trio.open_nursery() as nursery, place.runner() as runner:
        nursery.start_soon(one, runner)
        await trio.testing.wait_all_tasks_blocked()
    assert [result.success for result in results] == [True]


async def test_an_exception_that_leaves_the_runners_block_aborts(place: Place) -> None:
    async def one(runner: DockerRunner) -> None:
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(place.request(SLEEP, sleep))
        assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED

    async with trio.open_nursery() as nursery:
        with suppress(KeyError):
            async with place.runner() as runner:
                nursery.start_soon(one, runner)
                await trio.sleep(0.2)
                raise KeyError
    assert not place.left()
