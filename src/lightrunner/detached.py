"""Runs that outlive their process: started and left alone, found again by any process of the host.

The state file is written before the container exists, and the daemon keeps the log. Whoever looks after the exit first
finishes the run (`lightrunner.finishing`); the others find the result in the file.
"""

import math
import os
from contextlib import nullcontext
from datetime import UTC, datetime

import trio

from .engine import EngineClient, EngineNotFound
from .errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from .execution import Execution, no_exit_error
from .finishing import container_state, failed, finish_run, kill_with_note, note, read_run, write_run
from .launch import Launch
from .lifecycle import StartedStatus
from .logs import whole_log
from .models import LogCallback, RunResult
from .output import Output
from .owner import current_owner, is_dead, parse_owner
from .rules.limits import KILL_TIMEOUT, NAME_PREFIX
from .spec import ExtractPlan, RunPlan, Sandbox
from .state import RunState, StoredExtract, forget_state, from_stored, reading_logs, run_lock
from .tasks import open_bare_nursery, protected

_START_POLL = 0.1
"""Seconds between two looks at a container whose start is still to come, in another process."""


async def detach(launch: Launch, plan: RunPlan, sandbox: Sandbox) -> str:
    """Start a run and leave it alone; its id, as soon as the daemon has accepted the start.

    Raises:
        LightRunnerError: as a run before its start, with nothing left; STATE_FAILED: the state cannot be written.
    """
    image = await launch.ensure_image()
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
        await write_run(state)
        await launch.use_container(image, launch.start)
        await _set_started(state.id)
        await trio.lowlevel.checkpoint_if_cancelled()
        is_started = True
    finally:
        # Whoever gets no id cannot look after the run.
        if not is_started:
            await _give_up(launch, state)
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
    state = await read_run(run_id)
    execution = DetachedExecution(engine, state)
    outcome: RunResult | Exception | None = None
    try:
        if state.finished:
            task_status.started(execution)
        else:
            await _live_on(engine, execution, on_log, task_status)
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


async def _live_on(
    engine: EngineClient, execution: DetachedExecution, on_log: LogCallback | None, task_status: StartedStatus
) -> None:
    """Be there until the container has exited, if it was ever started."""
    # The log is claimed before the last look at the state: whoever finishes the run meanwhile leaves it alone.
    async with reading_logs(execution.id) if on_log is not None else nullcontext():
        has_started = await _has_started(engine, execution.id)
        task_status.started(execution)
        if has_started:
            await _watch_over(engine, execution, on_log)


async def _has_started(engine: EngineClient, run_id: str) -> bool:
    """Wait until the run's container was started, by a process that is about to; False where that will not happen."""
    while True:
        state = await read_run(run_id)
        if state.finished:
            return False
        container = await container_state(engine, state)
        if container is not None and container.status != "created":
            return True
        owner = parse_owner(state.owner)
        if not state.starting or owner is None or is_dead(owner):
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
    """The log from its start and then live."""
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_logs", container_id=execution.container_id):
        try:
            async with whole_log(engine, execution.container_id) as log:
                await output.read(log)
        except EngineNotFound:
            output.end()  # Somebody has removed the container, and with it the log.


async def _enforce(execution: DetachedExecution) -> None:
    """Kill at what is left of the time-out, or at `Execution.cancel`, and give up where no exit follows."""
    state = await read_run(execution.id)
    with trio.move_on_after(max(0.0, state.seconds_left())) as scope:
        await execution.wait_cancel_requested()
    if scope.cancelled_caught:
        await kill_with_note(execution, "SIGKILL", timed_out=True)
    else:
        await execution.kill_as_cancelled("SIGKILL")
    await trio.sleep(KILL_TIMEOUT)
    raise no_exit_error(execution.container_id)


async def _set_started(run_id: str) -> None:
    """Start the clocks in the state, unless somebody has found the run in the folder and finished it already."""
    async with run_lock(run_id):
        state = await read_run(run_id)
        if not state.finished:
            await write_run(state.started())


async def _give_up(launch: Launch, state: RunState) -> None:
    """Leave nothing of a run that did not come to be. What cannot be removed now is left to `reap_orphans`."""
    is_removed = await launch.remove()
    with trio.CancelScope(shield=True):
        if is_removed:
            await trio.to_thread.run_sync(forget_state, state.id)
        else:
            await note(failed(state, "it was given up before it had started"))


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
