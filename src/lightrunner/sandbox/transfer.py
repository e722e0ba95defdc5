"""Files of a sandbox: bytes and folders, in and out, through commands that run inside it.

Not over the daemon's archive endpoints: they resolve paths as the host's root while the sandbox's processes may
exchange folders for links (CVE-2018-15664 and its family), cannot write below a read-only root or into a tmpfs, and
take 50 ms. Here a process of the sandbox opens the files, as the sandbox's user: where a link leads, that process may
go anyway. What comes out is staged on the host exactly as an extract is.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import NoReturn, Self

import trio

from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.files.extract import StagedEntry
from lightrunner.files.seed import SeedError, tar_chunks
from lightrunner.files.staging import Staging, StagingError
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import ExtractPlan
from lightrunner.results import ExtractResult
from lightrunner.rules.limits import INIT_PATH, NAME_PREFIX
from lightrunner.rules.members import IgnoreRules

from .command import check_started, end_channel, spawn
from .order import CommandPlan, Surroundings
from .protocol import ExitKind, Spawn, SpawnFlag
from .session import Channel, Session

_CHUNK_BYTES = 256 * 1024
"""Bytes that a thread writes at once: a thread for each frame takes longer than the writing."""

_MISSING = frozenset({2, 20})
"""Linux' ENOENT and ENOTDIR."""


class _FileCommand:
    """One mode of the init program, as a command of the sandbox."""

    def __init__(self, session: Session, surroundings: Surroundings, user: str | None, argv: Sequence[str]) -> None:
        self._session = session
        self._plan = CommandPlan(
            spawn=Spawn(
                argv=[word.encode() for word in (INIT_PATH, *argv)],
                env=[],
                workdir=b"/",
                user=(surroundings.user if user is None else user).encode(),
                flags=SpawnFlag.INPUT,
            ),
            input=None,
            timeout=float("inf"),
            dropped_env=[],
            shown=INIT_PATH,
        )
        self.channel: Channel

    async def __aenter__(self) -> Self:
        self.channel = await spawn(self._session, self._plan.spawn)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end_channel(self._session, self.channel)

    async def errno(self) -> int:
        """Wait for the command's end; 0, or Linux' errno."""
        ended = await self.channel.wait_exited()
        check_started(ended, self._plan, self._session.container_id)
        if ended.kind is ExitKind.FAILED:
            return ended.errno
        # A command that was killed, by code of the sandbox, for instance, is EINTR's closest.
        return ended.status >> 8 & 0xFF if not ended.status & 0x7F else 4


async def read_file(
    session: Session, surroundings: Surroundings, path: str, *, user: str | None, max_bytes: int
) -> bytes:
    """Read a file.

    Raises:
        LightRunnerError: FILE_FAILED, SANDBOX_CLOSED.
    """
    data = bytearray()
    async with _FileCommand(session, surroundings, user, ["read", path, str(max_bytes)]) as command:
        while pieces := await command.channel.receive():
            for piece in pieces:
                data += piece.data
        if errno := await command.errno():
            _fail(errno, path, session.container_id)
    return bytes(data)


async def write_file(session: Session, surroundings: Surroundings, path: str, data: bytes, *, user: str | None) -> None:
    """Write a file, with the folders that lead to it.

    Raises:
        LightRunnerError: FILE_FAILED, SANDBOX_CLOSED.
    """
    async with _FileCommand(session, surroundings, user, ["write", path]) as command:
        if await command.channel.send_all(data):
            await command.channel.end_input()
        if errno := await command.errno():
            _fail(errno, path, session.container_id)


async def upload_folder(
    session: Session, surroundings: Surroundings, source: str, to: str, *, ignore: tuple[str, ...], user: str | None
) -> None:
    """Copy a host folder into a folder of the sandbox, as a seed does.

    Raises:
        LightRunnerError: SEED_FAILED, FILE_FAILED, SANDBOX_CLOSED.
    """
    async with _FileCommand(session, surroundings, user, ["unpack", to]) as command:
        with closing(tar_chunks(source, IgnoreRules(ignore))) as chunks:
            try:
                while chunk := await trio.to_thread.run_sync(next, chunks, b""):
                    if not await command.channel.send_all(chunk):
                        break
            except SeedError as error:
                raise LightRunnerError(
                    LightRunnerErrorCode.SEED_FAILED, str(error), container_id=session.container_id
                ) from error
        await command.channel.end_input()
        if errno := await command.errno():
            _fail(errno, to, session.container_id)


async def download(
    session: Session, surroundings: Surroundings, plan: ExtractPlan, *, run_id: str, user: str | None, max_bytes: int
) -> ExtractResult:
    """Copy a file or a folder of the sandbox to the host, as an extract does.

    Raises:
        LightRunnerError: SANDBOX_CLOSED.
    """
    spec = plan.spec
    if plan.rejection is not None:
        return plan.rejection
    # Each of several downloads at once has a staging folder of its own.
    async with _FileCommand(session, surroundings, user, ["pack", plan.source]) as command:
        staged_name, file_name = f".{NAME_PREFIX}{run_id}-{command.channel.id}", os.path.basename(plan.source)  # noqa: PTH119
        entry = StagedEntry(lambda: Staging(plan.target, staged_name, file_name, max_bytes))
        try:
            landed = await _stage(command.channel, entry)
        except StagingError as error:
            return ExtractResult(from_=spec.from_, to=spec.to, status="error", error=str(error))
        errno = await command.errno()
    if errno in _MISSING and not landed:
        return ExtractResult(from_=spec.from_, to=spec.to, status="missing")
    if not landed:
        reason = os.strerror(errno) if errno else "the archive is not whole"
        return ExtractResult(from_=spec.from_, to=spec.to, status="error", error=f"{plan.source}: {reason}")
    staging = entry.staging
    return ExtractResult(
        from_=spec.from_, to=spec.to, status="ok", bytes=staging.received_bytes, skipped=staging.skipped
    )


async def _stage(channel: Channel, entry: StagedEntry) -> bool:
    """Stage an archive while it arrives. Return whether it has landed: it does at the end mark of a whole one."""
    send, receive = trio.open_memory_channel[list[memoryview]](1)

    async def read() -> None:
        async with send:
            chunks: list[memoryview] = []
            while pieces := await channel.receive():
                chunks += [piece.data for piece in pieces if piece.stream == "stdout"]
                if sum(map(len, chunks)) >= _CHUNK_BYTES:
                    await send.send(chunks)
                    chunks = []
            if chunks:
                await send.send(chunks)

    landed = False
    try:
        async with open_bare_nursery() as nursery:
            nursery.start_soon(protected, read)
            async with receive:
                async for chunks in receive:
                    if not landed:
                        landed = await trio.to_thread.run_sync(entry.receive, chunks)
    finally:
        if not entry.is_over:
            with trio.CancelScope(shield=True):  # Bounded by the disk's work, as every thread is.
                await trio.to_thread.run_sync(entry.discard)
    return landed


def _fail(errno: int, path: str, container_id: str) -> NoReturn:
    reason = OSError(errno, os.strerror(errno), path)
    raise LightRunnerError(
        LightRunnerErrorCode.FILE_FAILED, f"{path}: {os.strerror(errno)}", container_id=container_id
    ) from reason
