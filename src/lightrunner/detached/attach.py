"""Attach to a detached run from any process of the host: wait for it, deliver its log, finish it.

The first process to see the exit finishes the run (`lightrunner.detached.finish`); others read the result from its
state file.
"""

from contextlib import nullcontext
from datetime import UTC, datetime

import trio

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import is_dead, parse_owner
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.results import RunLimits, RunResult
from lightrunner.rules.limits import KILL_TIMEOUT
from lightrunner.rules.verdict import Outcome, is_success, judge
from lightrunner.runs.handle import Execution, no_exit_error
from lightrunner.runs.output import Listeners, Output
from lightrunner.runs.run import StartedStatus

from .finish import container_state, evidence_of, finish_run, kill_with_note, read_run
from .logs import whole_log
from .state import RunState, from_stored, reading_logs

_START_POLL = 0.1
"""Seconds between two inspects of a container that another process is about to start."""


async def attach(engine: EngineClient, run_id: str, listeners: Listeners, *, task_status: StartedStatus) -> RunResult:
    """Wait for a detached run, finish it, and return its result. For a finished run, read the result from its file.

    Cancelling `attach` does not affect the run, which can be attached to later.

    Raises:
        LightRunnerError: RUN_NOT_FOUND: no such run on this host. RUN_FAILED: the run has no exit code, or the daemon
            failed. STATE_FAILED: the result cannot be written; the run can be attached to later.
    """
    state = await read_run(run_id)
    execution = DetachedExecution(engine, state)
    outcome: RunResult | Exception | None = None
    try:
        if state.finished:
            task_status.started(execution)
        else:
            await _wait_exited(engine, execution, listeners, task_status)
            state = await finish_run(engine, run_id, execution)
        result = outcome = _result(state)
    except Exception as error:
        outcome = error
        raise
    finally:
        execution.finish(outcome)
    return result


class DetachedExecution(Execution):
    """The handle of a detached run. It notes why it kills in the state file, for the process that finishes the run."""

    def __init__(self, engine: EngineClient, state: RunState) -> None:
        super().__init__(engine, state.id, state.container)

    async def kill_as_asked(self, signal: str) -> bool:
        """Send a signal for `cancel` or `stop`, with a note in the state file."""
        return await kill_with_note(self, signal, self.asked_for or Outcome.CANCELLED)


async def _wait_exited(
    engine: EngineClient, execution: DetachedExecution, listeners: Listeners, task_status: StartedStatus
) -> None:
    """Wait until the container has exited, if it was started."""
    # Lock the log before reading the state: a process that finishes the run then waits with the removal.
    async with reading_logs(execution.id) if listeners.are_there else nullcontext():
        has_started = await _has_started(engine, execution.id)
        task_status.started(execution)
        if has_started:
            await _supervise(engine, execution, listeners)


async def _has_started(engine: EngineClient, run_id: str) -> bool:
    """Wait until another process has started the container. Return False if none will."""
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


async def _supervise(engine: EngineClient, execution: DetachedExecution, listeners: Listeners) -> None:
    """Wait for the exit, deliver the log from its start, and enforce the rest of the time-out."""
    state = await read_run(execution.id)
    since = trio.current_time() - (datetime.now(UTC) - state.started_at).total_seconds()
    output = Output(listeners, capture=False, since=since)
    async with open_bare_nursery() as readers:
        if listeners.are_there:
            readers.start_soon(protected, _read_log, engine, execution, output)
            readers.start_soon(output.deliver)
        async with open_bare_nursery() as watchers:
            watchers.start_soon(protected, _enforce_timeout, execution)
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
    """Read the log from its start, and follow it."""
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_logs", container_id=execution.container_id):
        try:
            async with whole_log(engine, execution.container_id) as log:
                await output.read(log)
        except EngineNotFound:
            output.end()  # The container was removed, and its log with it.


async def _enforce_timeout(execution: DetachedExecution) -> None:
    """Kill the container at its time-out or at `Execution.cancel`. Raise if it does not exit then."""
    state = await read_run(execution.id)
    reason = Outcome.TIMED_OUT
    with trio.move_on_after(max(0.0, state.seconds_left())):
        reason = await execution.wait_kill_requested()
    await kill_with_note(execution, "SIGKILL", reason)
    await trio.sleep(KILL_TIMEOUT)
    raise no_exit_error(execution.container_id)


def _result(state: RunState) -> RunResult:
    if state.exit_code is None:
        reason = state.error or "the exit code is unknown"
        raise LightRunnerError(
            LightRunnerErrorCode.RUN_FAILED, f"run {state.id}: {reason}", container_id=state.container
        )
    evidence = evidence_of(state, state.exit_code)
    verdict = judge(evidence)
    return RunResult(
        success=is_success(evidence),
        exit_code=state.exit_code,
        duration=(state.duration_ms or 0.0) / 1000,
        outcome=verdict.outcome,
        signal=verdict.signal,
        cancelled=evidence.asked_for is not None,
        timed_out=verdict.outcome is Outcome.TIMED_OUT,
        oom_killed=state.oom_killed,
        limits=RunLimits(timeout=state.timeout, memory=state.memory or None),
        extracted=None if state.extracted is None else tuple(from_stored(entry) for entry in state.extracted),
    )
