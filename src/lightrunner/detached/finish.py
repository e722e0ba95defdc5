"""Finish a detached run under its lock, in one process: extract, write the result, remove the container.

A process that kills a run first notes the reason in the state file, for the process that finishes the run.
"""

import logging
from datetime import UTC, datetime

import msgspec
import trio

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.engine.wire import ContainerState
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.extract import extract
from lightrunner.files.staging import remove_leftover
from lightrunner.host.owner import is_dead, parse_owner
from lightrunner.plan import plan_extracts
from lightrunner.requests import ExtractSpec
from lightrunner.resources import remove_run
from lightrunner.results import ExtractResult
from lightrunner.rules.limits import CLEANUP_TIMEOUT, KILL_TIMEOUT, NAME_PREFIX
from lightrunner.rules.verdict import Evidence, Outcome, is_success, judge
from lightrunner.runs.handle import Execution
from lightrunner.runs.kills import explained

from .state import RunState, no_log_readers, read_state, run_lock, to_stored, write_state

_log = logging.getLogger("lightrunner")


async def kill_with_note(execution: Execution, signal: str, reason: Outcome) -> bool:
    """Note in the state file why the run ends, and send the signal. Return False if the run has ended already."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
        async with run_lock(execution.id):
            state = await read_run(execution.id)
            if state.finished:
                return False
            await note(_noted(state, reason))
            was_sent = False
            try:
                was_sent = await execution.kill(signal)
            finally:
                if not was_sent:  # The run had ended by itself, or the signal is unknown.
                    await note(state)
            return was_sent
    return False


async def finish_run(engine: EngineClient, run_id: str, execution: Execution | None = None) -> RunState:
    """Finish a run whose container has exited: extract, write the result, remove container and volume.

    The run's lock ensures that one process does this. If the container is running, or will be started, nothing happens.

    Returns:
        The run's state.
    """
    async with run_lock(run_id):
        state = await read_run(run_id)
        if not state.finished:
            state = await _finished_state(engine, state, execution)
            if not state.finished:
                return state
            await write_run(state)
        # Let other processes read the log to its end, for a bounded time. Shielded: nothing would resume the removal.
        with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
            async with no_log_readers(run_id):
                pass
        await remove_run(engine, run_id)
    return state


async def _finished_state(engine: EngineClient, state: RunState, execution: Execution | None) -> RunState:
    """Return the state with the run's result, or the given state if the run has not ended."""
    container = await container_state(engine, state)
    if container is None or container.status == "created":
        owner = parse_owner(state.owner)
        if state.starting and owner is not None and is_dead(owner) is not True:
            return state  # Its process has yet to start the container.
        reason = "the container is gone" if container is None else "the process that started it died before the start"
        return failed(state, reason)
    if container.running:
        return state
    extracted: tuple[ExtractResult, ...] = ()
    evidence = evidence_of(state, container.exit_code)._replace(oom_killed=container.oom_killed)
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_inspect", container_id=state.container):
        evidence = await explained(engine, state.container, container, evidence)
    if is_success(evidence):
        extracted, asked_for = await _extract(engine, state, execution)
        state = _noted(state, asked_for)
    ended_by_us = state.cancelled or judge(evidence).outcome is Outcome.TIMED_OUT
    finished = _moment(container.finished_at)
    # The daemon records a start some milliseconds late, which can be after the exit.
    started = min(_moment(container.started_at), finished)
    return msgspec.structs.replace(
        state,
        status="cancelled" if ended_by_us else "exited",
        starting=False,
        started_at=started,
        finished_at=finished,
        exit_code=container.exit_code,
        duration_ms=(finished - started).total_seconds() * 1000,
        oom_killed=evidence.oom_killed,
        killed_by_others=evidence.killed_by_others,
        extracted=tuple(to_stored(result) for result in extracted) or None,
    )


async def _extract(
    engine: EngineClient, state: RunState, execution: Execution | None
) -> tuple[tuple[ExtractResult, ...], Outcome | None]:
    """Extract the files. Return the results, and what the caller asked for meanwhile."""
    results: list[ExtractResult] = []
    plans = plan_extracts([ExtractSpec(entry.from_, entry.to) for entry in state.extract], state.workdir)
    with execution.extract_scope if execution is not None else trio.CancelScope():
        for plan in plans:
            # A process that was killed while it extracted this run has left its staging folder.
            await trio.to_thread.run_sync(remove_leftover, plan.target, f".{NAME_PREFIX}{state.id}")
            results.append(
                await extract(engine, state.container, plan, run_id=state.id, max_bytes=state.max_extract_bytes)
            )
        if any(result.status == "error" for result in results):
            await container_state(engine, state)  # Raise if the daemon is down: the next attach then retries.
    return tuple(results), execution.seal() if execution is not None else None


def evidence_of(state: RunState, exit_code: int) -> Evidence:
    """Return what the state tells about the end of the run."""
    asked_for = Outcome.STOPPED if state.stopped else Outcome.CANCELLED if state.cancelled else None
    return Evidence(
        exit_code,
        killed_for=Outcome.TIMED_OUT if state.timed_out else None,
        asked_for=asked_for,
        oom_killed=state.oom_killed,
        killed_by_others=state.killed_by_others,
    )


def _noted(state: RunState, reason: Outcome | None) -> RunState:
    """Return the state with a reason for the run's end in it. The first request to cancel or to stop counts."""
    if reason is Outcome.TIMED_OUT:
        # After a cancellation the container is already being killed.
        return state if state.cancelled and not state.stopped else msgspec.structs.replace(state, timed_out=True)
    if reason is None or state.cancelled:
        return state
    return msgspec.structs.replace(state, cancelled=True, stopped=reason is Outcome.STOPPED)


async def container_state(engine: EngineClient, state: RunState) -> ContainerState | None:
    """Return the state of the run's container; None if there is no such container."""
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_inspect", container_id=state.container):
        try:
            return (await engine.container_inspect(state.container)).state
        except EngineNotFound:
            return None


async def read_run(run_id: str) -> RunState:
    """Read the state of a run.

    Raises:
        LightRunnerError: RUN_NOT_FOUND: there is no state file, or it cannot be read.
    """
    state = await trio.to_thread.run_sync(read_state, run_id)
    if state is None:
        raise LightRunnerError(LightRunnerErrorCode.RUN_NOT_FOUND, f"no detached run {run_id!r} on this host")
    return state


async def write_run(state: RunState) -> None:
    """Write the state of a run.

    Raises:
        LightRunnerError: STATE_FAILED: the file cannot be written.
    """
    try:
        await trio.to_thread.run_sync(write_state, state)
    except OSError as error:
        message = f"the state of run {state.id} cannot be written: {error}"
        raise LightRunnerError(LightRunnerErrorCode.STATE_FAILED, message, container_id=state.container) from error


async def note(state: RunState) -> None:
    """Write a state, or log the failure: a full disk must not keep a container alive."""
    try:
        await write_run(state)
    except LightRunnerError as error:
        _log.error("%s", error)


def failed(state: RunState, reason: str) -> RunState:
    """Return the state of a run that has no exit code and will have none."""
    return msgspec.structs.replace(state, status="failed", starting=False, finished_at=datetime.now(UTC), error=reason)


def _moment(text: str) -> datetime:
    """Parse the daemon's time: RFC 3339 with nanoseconds, of which Python keeps the microseconds."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
