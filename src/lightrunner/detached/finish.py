"""Finish a detached run, in one process alone, under the run's lock: extract, result, removal.

A kill notes its reason in the state first, for whichever process finishes the run.
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
from lightrunner.runs.handle import Execution

from .state import RunState, no_log_readers, read_state, run_lock, to_stored, write_state

_log = logging.getLogger("lightrunner")


async def kill_with_note(
    execution: Execution, signal: str, *, cancelled: bool = False, timed_out: bool = False
) -> bool:
    """Note in the state why the run is to end, and send the signal; False where it does not run any more."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
        async with run_lock(execution.id):
            state = await read_run(execution.id)
            if state.finished:
                return False
            noted = msgspec.structs.replace(
                state, cancelled=state.cancelled or cancelled, timed_out=state.timed_out or timed_out
            )
            await note(noted)
            was_sent = False
            try:
                was_sent = await execution.kill(signal)
            finally:
                if not was_sent:  # It had ended by itself, or there is no such signal.
                    await note(state)
            return was_sent
    return False


async def finish_run(engine: EngineClient, run_id: str, execution: Execution | None = None) -> RunState:
    """Once the container has exited: extract, write the result, remove container and volume. By one process alone.

    A run whose container is still running, or still to be started, comes back as it is.
    """
    async with run_lock(run_id):
        state = await read_run(run_id)
        if not state.finished:
            state = await _settled(engine, state, execution)
            if not state.finished:
                return state
            await write_run(state)
        # Others read the log to its end, but not for ever. Shielded, as the removal is: who would come back for it?
        with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
            async with no_log_readers(run_id):
                pass
        await remove_run(engine, run_id)
    return state


async def _settled(engine: EngineClient, state: RunState, execution: Execution | None) -> RunState:
    """The state with the result in it, as far as there is one."""
    container = await container_state(engine, state)
    if container is None or container.status == "created":
        owner = parse_owner(state.owner)
        if state.starting and owner is not None and is_dead(owner) is not True:
            return state  # Its start is still to come.
        reason = "the container is gone" if container is None else "the process that started it died before the start"
        return failed(state, reason)
    if container.running:
        return state
    extracted: tuple[ExtractResult, ...] = ()
    cancelled = state.cancelled
    if container.exit_code == 0 and not (state.cancelled or state.timed_out):
        extracted, cancelled = await _extract(engine, state, execution)
    finished = _moment(container.finished_at)
    # The daemon notes a start some milliseconds late: after the exit, where that comes at once.
    started = min(_moment(container.started_at), finished)
    return msgspec.structs.replace(
        state,
        status="cancelled" if cancelled or state.timed_out else "exited",
        starting=False,
        started_at=started,
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
        if any(result.status == "error" for result in results):
            await container_state(engine, state)  # Where it is the daemon that failed, the next attach tries again.
    return tuple(results), execution is not None and execution.seal()


async def container_state(engine: EngineClient, state: RunState) -> ContainerState | None:
    """What the daemon says of the run's container; None where it is not there."""
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_inspect", container_id=state.container):
        try:
            return (await engine.container_inspect(state.container)).state
        except EngineNotFound:
            return None


async def read_run(run_id: str) -> RunState:
    """The state of a run that must be there.

    Raises:
        LightRunnerError: RUN_NOT_FOUND.
    """
    state = await trio.to_thread.run_sync(read_state, run_id)
    if state is None:
        raise LightRunnerError(LightRunnerErrorCode.RUN_NOT_FOUND, f"no detached run {run_id!r} on this host")
    return state


async def write_run(state: RunState) -> None:
    """Write the state.

    Raises:
        LightRunnerError: STATE_FAILED.
    """
    try:
        await trio.to_thread.run_sync(write_state, state)
    except OSError as error:
        message = f"the state of run {state.id} cannot be written: {error}"
        raise LightRunnerError(LightRunnerErrorCode.STATE_FAILED, message, container_id=state.container) from error


async def note(state: RunState) -> None:
    """Write a state for those who come later. A full disk must not keep anything alive."""
    try:
        await write_run(state)
    except LightRunnerError as error:
        _log.error("%s", error)


def failed(state: RunState, reason: str) -> RunState:
    """The state of a run that will never have an exit code."""
    return msgspec.structs.replace(state, status="failed", starting=False, finished_at=datetime.now(UTC), error=reason)


def _moment(text: str) -> datetime:
    """The daemon's time: RFC 3339 with nanoseconds, of which Python keeps the microseconds."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
