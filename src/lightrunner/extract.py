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
from .tasks import open_bare_nursery, protected

_MOUNTED_AT_RUN_TIME = frozenset({"proc", "sys", "dev"})

_MIN_BATCH_BYTES = 256 * 1024
"""Worth a hop to the thread: chunks have 32 KiB, and a hop for each of them took half of the time."""

_MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Held while the thread writes the batch before; then reading waits for the disk."""


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
        async with engine.container_archive(container_id, plan.source) as archive:
            staging = await trio.to_thread.run_sync(
                Staging, plan.target, f".{NAME_PREFIX}{run_id}", posixpath.basename(plan.source), max_bytes
            )
            return await _stage(archive, staging, spec)
    except (EngineError, StagingError) as error:
        if isinstance(error, EngineResponseError) and _is_missing(error):
            return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
        return ExtractResult(from_=spec.from_, to=spec.to, status="error", error=str(error))


async def _stage(archive: ArchiveStream, staging: Staging, spec: ExtractSpec) -> ExtractResult:
    try:
        await _receive(archive, staging)
        await trio.to_thread.run_sync(staging.land)
    finally:
        with trio.CancelScope(shield=True):  # Bounded by the disk's work, as every thread is.
            await trio.to_thread.run_sync(staging.__exit__, None, None, None)
    return ExtractResult(
        from_=spec.from_, to=spec.to, status="ok", bytes=staging.received_bytes, skipped=staging.skipped
    )


async def _receive(archive: ArchiveStream, staging: Staging) -> None:
    """Read on while a thread writes."""
    send, receive = trio.open_memory_channel[list[bytes]](0)

    async def read() -> None:
        batch: list[bytes] = []
        held = 0
        async with send:
            while chunk := await archive.receive_some():
                batch.append(chunk)
                held += len(chunk)
                if held < _MIN_BATCH_BYTES:
                    continue
                try:
                    send.send_nowait(batch)
                except trio.WouldBlock:  # The thread is busy: the batch grows.
                    if held < _MAX_BATCH_BYTES:
                        continue
                    await send.send(batch)
                batch, held = [], 0
            await send.send(batch)

    async with receive, open_bare_nursery() as nursery:
        nursery.start_soon(protected, read)
        async for batch in receive:
            await trio.to_thread.run_sync(staging.feed, batch)


def _is_missing(error: EngineResponseError) -> bool:
    # 20.10 answers 500 where a file stands in the place of a folder on the way.
    return isinstance(error, EngineNotFound) or "not a directory" in error.message
