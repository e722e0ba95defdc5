"""Runs that outlive their process: started and left alone, found again by any process of the host.

The state file is written before the container exists, and the daemon keeps the log. Whoever looks after the exit first
finishes the run: it extracts, writes the result, and removes container and volume, all under the run's lock. The others
find the result in the file.
"""

import logging
import math
import os
from datetime import UTC, datetime

import msgspec
import trio

from .engine import EngineClient, EngineNotFound
from .engine.wire import ContainerState
from .errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from .execution import Execution, no_exit_error
from .extract import extract
from .launch import Launch
from .lifecycle import StartedStatus
from .models import ExtractResult, ExtractSpec, LogCallback, RunResult
from .output import Output
from .owner import current_owner, is_dead, parse_owner
from .removal import remove_run
from .rules.limits import CLEANUP_TIMEOUT, KILL_TIMEOUT, NAME_PREFIX
from .spec import ExtractPlan, RunPlan, Sandbox, plan_extracts
from .staging import remove_leftover
from .state import (
    RunState,
    StoredExtract,
    forget_locks,
    forget_state,
    from_stored,
    no_log_readers,
    read_state,
    reading_logs,
    run_lock,
    to_stored,
    write_state,
)
from .statedir import state_dir
from .tasks import open_bare_nursery, protected

_START_POLL = 0.1
"""Seconds between two looks at a container whose start is still to come, in another process."""

_log = logging.getLogger("lightrunner")


async def detach(launch: Launch, plan: RunPlan, sandbox: Sandbox) -> str:
    """Start a run and leave it alone; its id, as soon as the daemon has accepted the start.

    Raises:
        LightRunnerError: as a run before its start, with nothing left; STATE_FAILED: the state cannot be written.
    """
    image, user = await launch.ensure_image()
    name = NAME_PREFIX + launch.id
    state = RunState(
        id=launch.id,
        container=name,
        volume=name,
        image=plan.image.text,
        workdir=plan.workdir,
        entrypoint=plan.entrypoint,
        started_at=datetime.now(UTC),
        status="running",
        starting=True,
        timeout=None if math.isinf(plan.timeout) else plan.timeout,
        extract=tuple(_stored(entry) for entry in plan.extracts),
        max_extract_bytes=sandbox.max_extract_bytes,
        owner=str(current_owner()),
    )
    is_started = False
    try:
        await _write(state)
        await launch.use_container(image, user, launch.start)
        await _write(state.started())
        is_started = True
    finally:
        # Whoever gets no id cannot look after the run.
        if not is_started:
            await launch.remove()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(forget_state, state.id)
    return state.id


async def attach(
    engine: EngineClient, run_id: str, *, on_log: LogCallback | None, task_status: StartedStatus
) -> RunResult:
    """Wait for a detached run, finish it, and return its result; a finished one answers from its file.

    Cancelling this leaves the run alone: it goes on, and can be attached to again.

    Raises:
        LightRunnerError: RUN_NOT_FOUND: no such run. RUN_FAILED: it has no exit code, or the daemon failed.
            STATE_FAILED: the result cannot be written; the run can be attached to again.
    """
    state = await _read(run_id)
    execution = DetachedExecution(engine, state)
    outcome: RunResult | Exception | None = None
    try:
        if not state.finished and await _has_started(engine, run_id):
            task_status.started(execution)
            await _watch_over(engine, execution, on_log)
        else:
            task_status.started(execution)
        state = await finish_run(engine, run_id, execution)
        result = outcome = _result(state)
    except Exception as error:
        outcome = error
        raise
    finally:
        execution.finish(outcome)
    return result


class DetachedExecution(Execution):
    """The handle of a run that was attached to. Whoever finishes it has to know why it ended: that is written first."""

    def __init__(self, engine: EngineClient, state: RunState) -> None:
        super().__init__(engine, state.id, state.container)

    async def kill_as_cancelled(self, signal: str) -> bool:
        """As in an attached run, with a note in the state."""
        return await kill_with_note(self, signal, cancelled=True)


async def kill_with_note(
    execution: Execution, signal: str, *, cancelled: bool = False, timed_out: bool = False
) -> bool:
    """Note in the state why the run is to end, and send the signal; False where it does not run any more."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
        async with run_lock(execution.id):
            state = await _read(execution.id)
            if state.finished:
                return False
            noted = msgspec.structs.replace(
                state, cancelled=state.cancelled or cancelled, timed_out=state.timed_out or timed_out
            )
            try:
                await _write(noted)
            except LightRunnerError as error:  # A full disk must not keep anything alive.
                _log.error("%s", error)
            if await execution.kill(signal):
                return True
            await _write(state)  # It had ended by itself.
    return False


async def finish_run(engine: EngineClient, run_id: str, execution: Execution | None = None) -> RunState:
    """Once the container has exited: extract, write the result, remove container and volume. By one process alone.

    A run whose container is still running, or still to be started, comes back as it is.
    """
    async with run_lock(run_id):
        state = await _read(run_id)
        if not state.finished:
            state = await _settled(engine, state, execution)
            if not state.finished:
                return state
            await _write(state)
        with trio.move_on_after(CLEANUP_TIMEOUT):  # Others read the log to its end, but not for ever.
            async with no_log_readers(run_id):
                pass
        await remove_run(engine, run_id)
        await trio.to_thread.run_sync(forget_locks, run_id)
    return state


async def _settled(engine: EngineClient, state: RunState, execution: Execution | None) -> RunState:
    """The state with the result in it, as far as there is one."""
    container = await _container(engine, state)
    if container is None or container.status == "created":
        owner = parse_owner(state.owner)
        if state.starting and owner is not None and is_dead(owner) is not True:
            return state  # Its start is still to come.
        reason = "the container is gone" if container is None else "the process that started it died before the start"
        return msgspec.structs.replace(
            state, status="failed", starting=False, finished_at=datetime.now(UTC), error=reason
        )
    if container.running:
        return state
    extracted: tuple[ExtractResult, ...] = ()
    cancelled = state.cancelled
    if container.exit_code == 0 and not (state.cancelled or state.timed_out):
        extracted, cancelled = await _extract(engine, state, execution)
    started, finished = _moment(container.started_at), _moment(container.finished_at)
    return msgspec.structs.replace(
        state,
        status="cancelled" if cancelled or state.timed_out else "exited",
        starting=False,
        finished_at=finished,
        exit_code=container.exit_code,
        duration_ms=(finished - started).total_seconds() * 1000,
        cancelled=cancelled,
        oom_killed=container.oom_killed,
        extracted=tuple(to_stored(result) for result in extracted) or None,
    )


async def _extract(
    engine: EngineClient, state: RunState, execution: Execution | None
) -> tuple[tuple[ExtractResult, ...], bool]:
    """The results, and whether the run was cancelled meanwhile."""
    results: list[ExtractResult] = []
    plans = plan_extracts([ExtractSpec(entry.from_, entry.to) for entry in state.extract], state.workdir)
    with execution.extract_scope if execution is not None else trio.CancelScope():
        for plan in plans:
            # A process that was killed while it extracted the same run has left its staging folder.
            await trio.to_thread.run_sync(remove_leftover, plan.target, f".{NAME_PREFIX}{state.id}")
            results.append(
                await extract(engine, state.container, plan, run_id=state.id, max_bytes=state.max_extract_bytes)
            )
    return tuple(results), execution is not None and execution.seal()


async def _has_started(engine: EngineClient, run_id: str) -> bool:
    """Wait until the run's container was started, by a process that is about to; False where that will not happen."""
    while True:
        state = await _read(run_id)
        container = await _container(engine, state)
        if container is not None and container.status != "created":
            return True
        owner = parse_owner(state.owner)
        if state.finished or not state.starting or owner is None or is_dead(owner):
            return False
        await trio.sleep(_START_POLL)


async def _watch_over(engine: EngineClient, execution: DetachedExecution, on_log: LogCallback | None) -> None:
    """Wait for the exit, deliver the log from its start, enforce what is left of the time-out."""
    output = Output(on_log, capture=False)
    async with open_bare_nursery() as readers:
        if on_log is not None:
            readers.start_soon(protected, _read_log, engine, execution, output)
            readers.start_soon(output.deliver, on_log)
        async with open_bare_nursery() as watchers:
            watchers.start_soon(protected, _enforce, execution)
            with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_wait", container_id=execution.container_id):
                try:
                    async with engine.container_wait(execution.container_id) as pending:
                        await pending.result()
                except EngineNotFound:
                    pass  # Another process has finished the run.
            execution.set_exited()
            output.container_exited()
            watchers.cancel_scope.cancel()


async def _read_log(engine: EngineClient, execution: Execution, output: Output) -> None:
    """The log from its start and then live. Meanwhile nobody removes the container."""
    async with reading_logs(execution.id):
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_logs", container_id=execution.container_id):
            try:
                async with engine.container_logs(execution.container_id, follow=True) as stream:
                    await output.read(stream)
            except EngineNotFound:
                output.end()  # Another process has finished the run, and with the container the log is gone.


async def _enforce(execution: DetachedExecution) -> None:
    """Kill at what is left of the time-out, or at `Execution.cancel`, and give up where no exit follows."""
    state = await _read(execution.id)
    with trio.move_on_after(max(0.0, state.seconds_left())) as scope:
        await execution.wait_cancel_requested()
    if scope.cancelled_caught:
        await kill_with_note(execution, "SIGKILL", timed_out=True)
    else:
        await execution.kill_as_cancelled("SIGKILL")
    await trio.sleep(KILL_TIMEOUT)
    raise no_exit_error(execution.container_id)


async def _container(engine: EngineClient, state: RunState) -> ContainerState | None:
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_inspect", container_id=state.container):
        try:
            return (await engine.container_inspect(state.container)).state
        except EngineNotFound:
            return None


async def _read(run_id: str) -> RunState:
    state = await trio.to_thread.run_sync(read_state, run_id)
    if state is None:
        raise LightRunnerError(LightRunnerErrorCode.RUN_NOT_FOUND, f"no detached run {run_id!r} in {state_dir()}")
    return state


async def _write(state: RunState) -> None:
    try:
        await trio.to_thread.run_sync(write_state, state)
    except OSError as error:
        message = f"the state of run {state.id} cannot be written to {state_dir()}: {error}"
        raise LightRunnerError(LightRunnerErrorCode.STATE_FAILED, message, container_id=state.container) from error


def _stored(plan: ExtractPlan) -> StoredExtract:
    # A rejected entry is kept as it was given, and rejected again when its turn comes.
    if plan.rejection is not None:
        return StoredExtract(plan.spec.from_, str(plan.spec.to))
    return StoredExtract(plan.source, os.path.abspath(plan.target))  # noqa: PTH100  # resolve() would follow links


def _result(state: RunState) -> RunResult:
    if state.exit_code is None:
        reason = state.error or "no exit code is known"
        raise LightRunnerError(
            LightRunnerErrorCode.RUN_FAILED, f"run {state.id}: {reason}", container_id=state.container
        )
    return RunResult(
        success=state.exit_code == 0 and not state.cancelled and not state.timed_out,
        exit_code=state.exit_code,
        duration=(state.duration_ms or 0.0) / 1000,
        cancelled=state.cancelled,
        timed_out=state.timed_out,
        oom_killed=state.oom_killed,
        extracted=None if state.extracted is None else tuple(from_stored(entry) for entry in state.extracted),
    )


def _moment(text: str) -> datetime:
    """The daemon's time: RFC 3339 with nanoseconds, of which Python keeps the microseconds."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
