"""stop, pause, resume and cancel: one contract for attached, detached and re-attached runs."""

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, Execution, LightRunnerError, LightRunnerErrorCode, LogLine, read_state
from tests.detached.detached_runs import attach, exited, is_gone, is_running, name_of, script
from tests.detached.host_process import as_keywords, detached_by_another
from tests.detached.host_program import request_of
from tools.raw_engine import RawEngine

LOOP = "echo ready; while :; do sleep 0.05; done"

Started = Callable[..., AbstractAsyncContextManager[Execution]]


def on(signal: str, command: str) -> str:
    """A script that does this at the signal, and otherwise lives for ever."""
    return f"trap '{command}' {signal}; {LOOP}"


@pytest.fixture(params=["attached", "detached", "attached to again", "detached by another process"])
def started(request: pytest.FixtureRequest, runner: DockerRunner, engine_host: str, busybox: str) -> Started:
    """Each way to begin a run. As a context manager it gives the handle, as soon as the first line has come."""

    async def begin(nursery: trio.Nursery, text: str, ready: trio.Event, **fields: Any) -> Execution:
        def on_log(_: LogLine) -> None:
            ready.set()

        keywords = as_keywords(busybox, text, **fields)
        if request.param == "attached":
            execution: Execution = await nursery.start(partial(runner.run, request_of(keywords), on_log=on_log))
            return execution
        if request.param == "detached by another process":
            run_id = await detached_by_another(engine_host, keywords)
        else:
            run_id = await runner.detach(request_of(keywords))
        if request.param == "attached to again":
            async with trio.open_nursery() as first:
                await attach(first, runner, run_id)
                first.cancel_scope.cancel()
        return await attach(nursery, runner, run_id, on_log=on_log)

    @asynccontextmanager
    async def started(text: str, **fields: Any) -> AsyncGenerator[Execution]:
        ready = trio.Event()
        async with trio.open_nursery() as nursery:
            execution = await begin(nursery, text, ready, **fields)
            await ready.wait()
            yield execution

    return started


async def test_stop_returns_within_a_second_of_the_exit(started: Started, raw: RawEngine) -> None:
    exited_at = math.inf

    async def watch(container: str) -> None:
        nonlocal exited_at
        await trio.to_thread.run_sync(raw.json, "POST", f"/containers/{container}/wait")
        exited_at = time.monotonic()

    async with started(on("TERM", "echo bye; sleep 0.5; exit 7")) as execution:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, name_of(execution.id))
            await execution.stop(grace=3600)
            returned_at = time.monotonic()
        assert returned_at - exited_at < 1.0
        assert execution.cancelled
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success, result.timed_out) == (7, True, False, False)
    assert is_gone(raw, execution.id)


async def test_stop_kills_one_that_does_not_obey(started: Started) -> None:
    async with started(on("TERM", "")) as execution:
        begin = time.monotonic()
        await execution.stop(grace=0.7)
        assert time.monotonic() - begin >= 0.7
        result = await execution.wait()
    assert (result.exit_code, result.cancelled) == (137, True)


async def test_exit_code_0_after_a_stop_is_cancelled_all_the_same(started: Started, tmp_path: object) -> None:
    async with started(on("USR1", "echo x > file; exit 0"), extract=[("file", str(tmp_path))]) as execution:
        await execution.stop("USR1")
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success, result.extracted) == (0, True, False, None)


async def test_a_signal_that_is_none_changes_nothing(started: Started) -> None:
    async with started(on("USR1", "exit 0")) as execution:
        for signal in ("", "SIGNOTHING", "term"):
            with pytest.raises(LightRunnerError, match="signal") as raised:
                await execution.stop(signal)
            assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert not execution.cancelled
        await execution.kill("USR1")
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success) == (0, False, True)


async def test_pause_and_resume(started: Started, raw: RawEngine) -> None:
    async with started(on("USR1", "exit 3")) as execution:
        for _ in range(2):
            await execution.pause()
            assert state_of(raw, execution.id) == "paused"
        for _ in range(2):
            await execution.resume()
            assert is_running(raw, execution.id)
        await execution.kill("USR1")
        result = await execution.wait()
    assert (result.exit_code, result.cancelled) == (3, False)


def state_of(raw: RawEngine, run_id: str) -> str:
    """The daemon's word for it."""
    state: str = raw.get(f"/containers/{name_of(run_id)}/json")["State"]["Status"]
    return state


async def test_a_paused_one_can_be_cancelled(started: Started) -> None:
    async with started(LOOP) as execution:
        await execution.pause()
        execution.cancel()
        execution.cancel()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success) == (137, True, False)


async def test_on_a_finished_run_everything_does_nothing(started: Started) -> None:
    async with started("echo ready; exit 5") as execution:
        result = await execution.wait()
    execution.cancel()
    methods: list[Callable[[], Awaitable[None]]] = [execution.stop, execution.pause, execution.resume]
    for method in methods:
        await method()
    assert not execution.cancelled
    assert await execution.wait() == result
    assert (result.exit_code, result.cancelled) == (5, False)


# --- what is particular to detached runs ------------------------------------------------------------------------------


async def test_a_run_that_is_found_finished_stays_as_it_is(runner: DockerRunner, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "exit 5"))
    result = await runner.attach(run_id)
    async with trio.open_nursery() as nursery:
        execution = await attach(nursery, runner, run_id)
        execution.cancel()
        await execution.stop()
        await execution.pause()
        await execution.resume()
        assert await execution.wait() == result
    assert not execution.cancelled


async def test_a_cancel_after_the_exit_comes_too_late(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    """Nothing is written that would make a run of its own end a cancelled one."""
    run_id = await runner.detach(script(busybox, "exit 5"))
    await exited(raw, run_id)
    async with trio.open_nursery() as nursery:
        execution = await attach(nursery, runner, run_id)
        await execution.kill_as_asked("SIGTERM")
        result = await execution.wait()
    state = read_state(run_id)
    assert state is not None
    assert (result.exit_code, result.cancelled) == (5, False)
    assert (state.status, state.cancelled) == ("exited", False)


async def test_all_who_are_attached_learn_of_a_stop(runner: DockerRunner, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, on("TERM", "exit 7")))
    async with trio.open_nursery() as nursery:
        ready = trio.Event()

        def on_log(_: LogLine) -> None:
            ready.set()

        executions = [await attach(nursery, runner, run_id, on_log=on_log) for _ in range(3)]
        await ready.wait()
        await executions[0].stop()
        results = [await execution.wait() for execution in executions]
    assert results[1:] == results[:1] * 2
    assert (results[0].exit_code, results[0].cancelled) == (7, True)
    state = read_state(run_id)
    assert state is not None
    assert (state.status, state.cancelled) == ("cancelled", True)
