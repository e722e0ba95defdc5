"""Files out of an exited container: one GET for each entry, staged while it arrives.

A bad entry is a result with the status ``error``: nothing here fails a run.
"""

import posixpath

import trio

from .engine import ArchiveStream, EngineClient, EngineError, EngineNotFound, EngineResponseError
from .models import ExtractResult, ExtractSpec
from .rules.limits import NAME_PREFIX
from .spec import ExtractPlan
from .staging import Staging, StagingError

_MOUNTED_AT_RUN_TIME = frozenset({"proc", "sys", "dev"})


async def extract(
    engine: EngineClient, container_id: str, plan: ExtractPlan, *, run_id: str, max_bytes: int
) -> ExtractResult:
    """Pull one entry out.

    Args:
        engine: the daemon.
        container_id: a container that has exited.
        plan: a checked entry, or the rejection of one, which is its result.
        run_id: names the staging folder.
        max_bytes: cap on the archive's size.
    """
    spec = plan.spec
    if plan.rejection is not None:
        return plan.rejection
    if plan.source.split("/")[1] in _MOUNTED_AT_RUN_TIME:
        # What an exited container has there is an empty mount point, not what its processes saw.
        return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
    try:
        # Without chunks: the staging sees whether an archive is whole.
        async with engine.container_archive(container_id, plan.source, chunked=False) as archive:
            staging = await trio.to_thread.run_sync(
                Staging, plan.target, f".{NAME_PREFIX}{run_id}", posixpath.basename(plan.source), max_bytes
            )
            return await _stage(archive, staging, spec)
    except (EngineError, StagingError) as error:
        if isinstance(error, EngineResponseError) and _is_missing(error):
            return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
        return ExtractResult(from_=spec.from_, to=spec.to, status="error", error=str(error))


async def _stage(archive: ArchiveStream, staging: Staging, spec: ExtractSpec) -> ExtractResult:
    finish = _discard
    try:
        await archive.drain(staging.feed)
        finish = _land
    finally:
        with trio.CancelScope(shield=True):  # Bounded by the disk's work, as every thread is.
            await trio.to_thread.run_sync(finish, staging)
    return ExtractResult(
        from_=spec.from_, to=spec.to, status="ok", bytes=staging.received_bytes, skipped=staging.skipped
    )


def _land(staging: Staging) -> None:
    with staging:
        staging.land()


def _discard(staging: Staging) -> None:
    with staging:
        pass


def _is_missing(error: EngineResponseError) -> bool:
    # 20.10 answers 500 where a file stands in the place of a folder on the way.
    return isinstance(error, EngineNotFound) or "not a directory" in error.message
