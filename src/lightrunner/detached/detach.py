"""Detach: start a run that outlives its process.

The state file is written before the container exists. The daemon keeps the log.
"""

import math
import os
from datetime import UTC, datetime

import trio

from lightrunner.host.owner import current_owner
from lightrunner.plan import ExtractPlan, RunPlan, Sandbox
from lightrunner.rules.limits import NAME_PREFIX
from lightrunner.runs.prepare import Preparation

from .finish import failed, note, read_run, write_run
from .state import RunState, StoredExtract, forget_state, run_lock


async def detach(preparation: Preparation, plan: RunPlan, sandbox: Sandbox) -> str:
    """Start a run, and return its id once the daemon has started the container.

    Raises:
        LightRunnerError: as a run before its start; nothing is left on the daemon. STATE_FAILED: the state cannot be
            written.
    """
    image = await preparation.ensure_image()
    name = NAME_PREFIX + preparation.id
    state = RunState(
        id=preparation.id,
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
        memory=sandbox.memory_bytes,
        max_extract_bytes=sandbox.max_extract_bytes,
        owner=str(current_owner()),
    )
    is_started = False
    try:
        await write_run(state)
        await preparation.use_container(image, preparation.start)
        await _set_started(state.id)
        await trio.lowlevel.checkpoint_if_cancelled()
        is_started = True
    finally:
        # The caller gets no id, so it could not attach to the run.
        if not is_started:
            await _abandon(preparation, state)
    return state.id


async def _set_started(run_id: str) -> None:
    """Write the time of the start and the deadline, unless another process has already finished the run."""
    async with run_lock(run_id):
        state = await read_run(run_id)
        if not state.finished:
            await write_run(state.started())


async def _abandon(preparation: Preparation, state: RunState) -> None:
    """Remove a run that could not be started. If the daemon fails, `reap_orphans` removes it later."""
    is_removed = await preparation.remove()
    with trio.CancelScope(shield=True):
        if is_removed:
            await trio.to_thread.run_sync(forget_state, state.id)
        else:
            await note(failed(state, "it could not be started"))


def _stored(plan: ExtractPlan) -> StoredExtract:
    # A rejected entry is stored unchanged. `attach` rejects it as well, and reports it.
    if plan.rejection is not None:
        return StoredExtract(plan.spec.from_, str(plan.spec.to))
    return StoredExtract(plan.source, os.path.abspath(plan.target))  # noqa: PTH100  # resolve() would follow links
