"""Reap orphans: resources of runs whose process died, and detached runs that nobody attached to in time.

Labels, state files and the daemon decide what is an orphan; in doubt, it stays. Several processes may reap at once.
"""

import json
import logging
import math
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound
from lightrunner.engine.wire import ContainerInspectResponse, ContainerSummary, Volume
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.staging import remove_leftover
from lightrunner.host.owner import is_dead, parse_owner
from lightrunner.host.state_dir import sweep_temporary_files
from lightrunner.resources import remove_run
from lightrunner.results import ReapResult
from lightrunner.rules import limits
from lightrunner.rules.verdict import Outcome
from lightrunner.runs.handle import Execution

from .finish import finish_run, kill_with_note
from .state import RunState, is_kept_elsewhere, is_run_id, list_states, read_state, sweep_locks

_log = logging.getLogger("lightrunner")
_RUNS = {"label": [limits.LABEL_RUN_ID]}
_OF_ONE_RUN = {LightRunnerErrorCode.RUN_NOT_FOUND, LightRunnerErrorCode.STATE_FAILED}


def reap_age() -> float:
    """Return ``LIGHT_RUNNER_REAP_AGE_MS`` in seconds; 5 minutes if it is unset, negative or not a number."""
    try:
        age = float(os.environ.get(limits.REAP_AGE_VARIABLE, "")) / 1000
    except ValueError:
        return limits.DEFAULT_REAP_AGE
    return age if age >= 0 else limits.DEFAULT_REAP_AGE


async def reap(engine: EngineClient, age: float, *, dry_run: bool) -> ReapResult:
    """Remove the containers and volumes that no live run needs. With `dry_run`, only list them.

    Raises:
        LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
    """
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_list"):
        containers = [
            _name(summary)
            for summary in await engine.container_list(all=True, filters=_RUNS)
            if await _reap_or_log(engine, summary, age, dry_run=dry_run)
        ]
        volumes = await reap_volumes(engine, age, dry_run=dry_run)
    if not dry_run:
        await trio.to_thread.run_sync(_sweep_state_dir)
    return ReapResult(tuple(containers), volumes)


async def reap_volumes(engine: EngineClient, age: float, *, dry_run: bool = False) -> tuple[str, ...]:
    """Remove, or list, the volumes of runs without a container. (Other volumes go with their container.)"""
    present = {_name(summary) for summary in await engine.container_list(all=True, filters=_RUNS)}
    removed: list[str] = []
    for volume in await engine.volume_list(filters=_RUNS):
        if volume.name in present or not _is_orphan(volume, age):
            continue
        if not dry_run:
            try:
                await engine.volume_delete(volume.name)
            except EngineNotFound:
                pass  # Another reaper has removed it.
            except EngineConflict:
                continue  # A foreign container uses it.
        removed.append(volume.name)
    return tuple(removed)


async def reconcile_states(engine: EngineClient) -> int:
    """Finish the state files of runs whose container is gone. Return their number."""
    changed = 0
    for state in await trio.to_thread.run_sync(list_states):
        if not state.finished and not _is_elsewhere(state) and await _is_lost(engine, state):
            changed += (await finish_run(engine, state.id)).finished
    return changed


def _is_elsewhere(state: RunState) -> bool:
    """Return whether a process of another host, with another daemon, keeps its states in the same folder."""
    owner = parse_owner(state.owner)
    return owner is not None and is_dead(owner) is None


async def _is_lost(engine: EngineClient, state: RunState) -> bool:
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_inspect"):
        try:
            return (await engine.container_inspect(state.container)).state.status == "created"
        except EngineNotFound:
            return True


async def _reap_or_log(engine: EngineClient, summary: ContainerSummary, age: float, *, dry_run: bool) -> bool:
    """Call `_reap_container`. If a run's state cannot be written, log it, and go on with other runs."""
    try:
        return await _reap_container(engine, summary, age, dry_run=dry_run)
    except LightRunnerError as error:
        if error.code not in _OF_ONE_RUN:
            raise
        _log.error("%s could not be reaped: %s", _name(summary), error)
        return False


async def _reap_container(engine: EngineClient, summary: ContainerSummary, age: float, *, dry_run: bool) -> bool:
    """Return whether the container is an orphan. Remove it then, unless this is a dry run."""
    labels = summary.labels or {}
    run_id = labels[limits.LABEL_RUN_ID]
    if not run_id:
        return False  # Somebody's container of a sandbox's snapshot: that image has an empty label, and so has it.
    try:
        container = await engine.container_inspect(summary.id)
    except EngineNotFound:
        return False  # Its run, or another reaper, has just removed it.
    if limits.LABEL_DETACHED in labels and is_run_id(run_id):
        return await _reap_detached(engine, run_id, container, labels, age, dry_run=dry_run)
    owner = parse_owner(labels.get(limits.LABEL_OWNER, ""))
    # A process of another host cannot be checked, and a live process removes its run itself. A container without an
    # owner was created by light-runner for Node: it is an orphan once it has been idle for long.
    orphan = _idle(container) > age if owner is None else is_dead(owner) is True
    if orphan and not dry_run:
        await trio.to_thread.run_sync(_remove_staging, labels, run_id)
        return await _remove(engine, run_id, container)
    return orphan


async def _reap_detached(
    engine: EngineClient,
    run_id: str,
    container: ContainerInspectResponse,
    labels: dict[str, str],
    age: float,
    *,
    dry_run: bool,
) -> bool:
    owner = parse_owner(labels.get(limits.LABEL_OWNER, ""))
    dead = None if owner is None else is_dead(owner)
    if dead is None:
        return False
    state = await trio.to_thread.run_sync(read_state, run_id)
    folder = labels.get(limits.LABEL_STATE_DIR, "")
    if state is None and await trio.to_thread.run_sync(is_kept_elsewhere, folder, run_id):
        return False  # A process with that state folder finishes it.
    # What is left of a finished run is what its removal could not remove.
    finished = state is not None and state.finished
    running = container.state.running and not finished
    if running:
        orphan = _seconds_left(state, container, labels[limits.LABEL_DETACHED]) <= 0
    elif container.state.status == "created":
        orphan = finished or dead
    else:
        orphan = finished or _idle(container) > age
    if not orphan or dry_run:
        return orphan
    if state is None:
        return await _remove(engine, run_id, container)
    if running:
        await kill_with_note(Execution(engine, run_id, container.id), "SIGKILL", Outcome.TIMED_OUT)
        with trio.move_on_after(limits.KILL_TIMEOUT):
            try:
                async with engine.container_wait(container.id) as pending:
                    await pending.result()
            except EngineNotFound:
                pass  # An attached process has finished it.
    return (await finish_run(engine, run_id)).finished


async def _remove(engine: EngineClient, run_id: str, container: ContainerInspectResponse) -> bool:
    if container.name.removeprefix("/") == limits.NAME_PREFIX + run_id:
        return await remove_run(engine, run_id)
    # Another program has set the label: remove only the container.
    with suppress(EngineNotFound, EngineConflict):  # Another reaper is at it.
        await engine.container_delete(container.id, force=True, volumes=True)
    return True


def _sweep_state_dir() -> None:
    try:
        sweep_temporary_files()
        sweep_locks()
    except OSError as error:
        _log.warning("lock files and temporary files of killed processes could not be removed: %s", error)


def _remove_staging(labels: dict[str, str], run_id: str) -> None:
    """Remove the staging folders of an extract that was cut off, on this host."""
    try:
        targets: object = json.loads(labels.get(limits.LABEL_TARGETS, "[]"))
    except (ValueError, RecursionError):
        return
    if is_run_id(run_id) and isinstance(targets, list):
        for target in cast("list[object]", targets):
            if isinstance(target, str):
                remove_leftover(target, f".{limits.NAME_PREFIX}{run_id}")


def _seconds_left(state: RunState | None, container: ContainerInspectResponse, timeout: str) -> float:
    if state is not None and not state.starting:
        return state.seconds_left()
    try:
        return float(timeout) - (time.time() - _seconds(container.state.started_at))
    except ValueError:
        return math.inf  # No time-out.


def _idle(container: ContainerInspectResponse) -> float:
    """Return seconds since the exit, or since the creation if it never started; negative infinity if it is running."""
    if container.state.running:
        return -math.inf
    begin = container.created if container.state.status == "created" else container.state.finished_at
    return time.time() - _seconds(begin)


def _is_orphan(volume: Volume, age: float) -> bool:
    owner = parse_owner((volume.labels or {}).get(limits.LABEL_OWNER, ""))
    if owner is None:
        return time.time() - _seconds(volume.created_at) > age
    return is_dead(owner) is True


def _seconds(moment: str) -> float:
    """Parse the daemon's RFC 3339 to seconds since the epoch. An invalid time counts as now, so it is never old."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return datetime.now(UTC).timestamp()


def _name(summary: ContainerSummary) -> str:
    return (summary.names or [summary.id])[0].removeprefix("/")
