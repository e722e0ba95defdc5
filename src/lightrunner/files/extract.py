"""Extract files from an exited container: one GET per entry, staged while it arrives.

A failed entry is a result with the status ``error``, and does not fail the run.
"""

import posixpath
from collections.abc import Callable, Sequence

import trio

from lightrunner.engine import ArchiveStream, EngineClient, EngineError, EngineNotFound, EngineResponseError
from lightrunner.plan import ExtractPlan
from lightrunner.results import ExtractResult
from lightrunner.rules.limits import NAME_PREFIX

from .staging import Staging, StagingError

_MOUNTED_AT_RUN_TIME = frozenset({"proc", "sys", "dev"})


async def extract(
    engine: EngineClient, container_id: str, plan: ExtractPlan, *, run_id: str, max_bytes: int
) -> ExtractResult:
    """Extract one entry.

    Args:
        engine: the daemon.
        container_id: an exited container.
        plan: a checked entry, or a rejection, which is returned.
        run_id: the run's id, part of the staging folder's name.
        max_bytes: the limit of the archive's size.
    """
    spec = plan.spec
    if plan.rejection is not None:
        return plan.rejection
    if plan.source.split("/")[1] in _MOUNTED_AT_RUN_TIME:
        # An exited container has only an empty mount point there.
        return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
    staged_name, file_name = f".{NAME_PREFIX}{run_id}", posixpath.basename(plan.source)
    try:
        is_rooted = await engine.is_podman()
        entry = StagedEntry(lambda: Staging(plan.target, staged_name, file_name, max_bytes, is_rooted=is_rooted))
        # Without chunks, which is faster: the staging checks that the archive is complete.
        async with engine.container_archive(container_id, plan.source, chunked=False) as archive:
            staging = await _receive(archive, entry)
    except (EngineError, StagingError) as error:
        if isinstance(error, EngineResponseError) and _is_missing(error):
            return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
        return ExtractResult(from_=spec.from_, to=spec.to, status="error", error=str(error))
    return ExtractResult(
        from_=spec.from_, to=spec.to, status="ok", bytes=staging.received_bytes, skipped=staging.skipped
    )


class StagedEntry:
    """An entry that is staged and landed in the thread that receives it. Its methods block.

    Attributes:
        is_over: the entry has landed, or has failed. Nothing of it is staged.
    """

    def __init__(self, make: Callable[[], Staging]) -> None:
        self._make = make
        self._made: Staging | None = None
        self.is_over = False

    @property
    def staging(self) -> Staging:
        """The staging, made when it is first needed: an entry that is missing must not make a folder on the host."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def receive(self, chunks: Sequence[memoryview]) -> bool:
        """Stage more of the archive. Return True if it is complete and has landed."""
        if self.staging.feed(chunks):
            self.land()
        return self.is_over

    def land(self) -> None:
        """Land the entry. Raise if the archive is incomplete."""
        with self.staging as staging:
            self.is_over = True
            staging.land()

    def discard(self) -> None:
        """Remove the staging folder."""
        if self._made is not None:
            with self._made:
                self.is_over = True


async def _receive(archive: ArchiveStream, entry: StagedEntry) -> Staging:
    try:
        await archive.drain(entry.receive)
        if not entry.is_over:
            await trio.to_thread.run_sync(entry.land)
    finally:
        if not entry.is_over:
            with trio.CancelScope(shield=True):  # Bounded by the disk's work.
                await trio.to_thread.run_sync(entry.discard)
    return entry.staging


def _is_missing(error: EngineResponseError) -> bool:
    # 20.10 responds 500 if a part of the path is a file.
    return isinstance(error, EngineNotFound) or "not a directory" in error.message
