"""Seed a host folder into a created container: one PUT of a tar stream, without a helper container or image."""

import os
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import PurePosixPath

import trio

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, invalid_request, mapped_errors
from lightrunner.rules.limits import VENV_MARKER
from lightrunner.rules.members import SEED_FOLDER_MODE, IgnoreRules, seed_file_mode
from lightrunner.rules.tarheader import BLOCK, file_header, folder_header
from lightrunner.rules.violation import RuleViolation

_CHUNK_BYTES = 1024 * 1024
"""Size of an archive's chunks. Smaller and larger chunks are no faster."""

# If a listed file is replaced meanwhile, a symlink is not followed, and opening a pipe does not block.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ROOT_USERS = frozenset({"", "0", "root"})


class SeedError(Exception):
    """A file of the folder cannot be read, or changed while it was read. The message names it."""


async def check_source(source: str | None) -> None:
    """Check that the folder can be listed, unless it is None.

    Raises:
        LightRunnerError: INVALID_REQUEST: the path does not exist, is not a folder, or cannot be listed.
    """
    if source is not None:
        with invalid_request():
            await trio.to_thread.run_sync(_check_listable, source)


def _check_listable(source: str) -> None:
    try:
        with os.scandir(source):
            pass
    except OSError as error:
        raise RuleViolation("dir", source, f"not a folder that can be read: {error.strerror}") from error


async def seed(
    engine: EngineClient, container_id: str, *, source: str | None, ignore: tuple[str, ...], workdir: str, user: str
) -> None:
    """Copy `source` over the image's workdir, and make the workdir writable for the image's user.

    Args:
        engine: the daemon.
        container_id: a created container, or a running one in which nothing moves folders.
        source: the host folder; None: copy nothing.
        ignore: the request's patterns.
        workdir: the target folder in the container.
        user: the image's user, as in its configuration.

    Raises:
        LightRunnerError: SEED_FAILED; if a file failed, the message names it.
    """
    rules = IgnoreRules(ignore)
    with mapped_errors(LightRunnerErrorCode.SEED_FAILED, "put_container_archive", container_id=container_id):
        if is_root(user):
            if source is not None:
                # The archive has no entry for the workdir itself, so the image's workdir keeps its mode.
                await _put(engine, container_id, workdir, tar_chunks(source, rules))
            return
        # A fresh volume belongs to root. Only an entry for the workdir itself changes its mode, so the archive is
        # unpacked into the workdir's parent.
        path = PurePosixPath(workdir)
        if await engine.is_podman():
            # podman unpacks this below the volume, and only fills a volume from there whose workdir the image lacks.
            await _put(engine, container_id, str(path.parent), tar_chunks(None, rules, folder=path.name))
            if source is not None:
                await _put(engine, container_id, workdir, tar_chunks(source, rules))
            return
        try:
            await _put(engine, container_id, str(path.parent), tar_chunks(source, rules, folder=path.name))
        except EngineResponseError:
            # The image's workdir may be a link to a folder. Each version of the daemon has another message for refusing
            # a folder in place of a link. The daemon followed the link for the mount, and so does the seed.
            link = await link_target(engine, container_id, workdir)
            if not link:
                raise
            path = PurePosixPath(link)
            await _put(engine, container_id, str(path.parent), tar_chunks(source, rules, folder=path.name))


def is_root(user: str) -> bool:
    """Whether a container's user, as in its configuration, is root."""
    return user.partition(":")[0] in _ROOT_USERS


async def link_target(engine: EngineClient, container_id: str, path: str) -> str:
    """Return the target of a link in the container, with all links followed; empty if the path is not a link."""
    try:
        return (await engine.container_archive_info(container_id, path)).link_target
    except EngineResponseError:
        return ""


async def _put(engine: EngineClient, container_id: str, path: str, chunks: Generator[bytes]) -> None:
    """Send an archive that is made while it is sent."""
    try:
        with closing(chunks):
            await engine.put_container_archive(container_id, path, chunks)
    except (EngineNotFound, SeedError) as error:
        raise LightRunnerError(
            LightRunnerErrorCode.SEED_FAILED, str(error), docker_op="put_container_archive", container_id=container_id
        ) from error


def tar_chunks(source: str | None, rules: IgnoreRules, *, folder: str | None = None) -> Generator[bytes]:
    """Yield the folder as a tar archive, in chunks of about 1 MiB.

    The format is GNU's, which allows names of any length and any bytes. Owners are 0:0, and modes get a+rwX.

    Args:
        source: the folder; None: make an archive without files.
        rules: decides which files to skip.
        folder: the name of a folder in the archive for all files, with an entry of its own; None: no such folder.

    Raises:
        SeedError: a file cannot be read, or changed while it was read.
    """
    archive = bytearray()
    if folder is not None:
        archive += folder_header(f"{folder}/", mode=SEED_FOLDER_MODE, mtime=time.time())
    if source is not None:
        for path, name in _walk(source, rules):
            inside = f"{folder}/{name}" if folder is not None else name
            if name.endswith("/"):
                archive += folder_header(inside, mode=SEED_FOLDER_MODE, mtime=_modified(path))
            else:
                yield from _file(path, inside, archive)
            if len(archive) >= _CHUNK_BYTES:
                yield bytes(archive)
                archive.clear()
    archive += bytes(2 * BLOCK)
    yield bytes(archive)


def _walk(source: str, rules: IgnoreRules) -> Iterator[tuple[str, str]]:
    """Yield host paths and archive names, sorted. A folder comes before its files, and its name ends with a slash."""
    waiting = [(source, "")]  # A stack: a tree can be deeper than Python's recursion limit.
    while waiting:
        path, name = waiting.pop()
        if name and not name.endswith("/"):
            yield path, name
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name, reverse=True)
            if name and any(entry.name == VENV_MARKER for entry in found):
                continue
            for entry in found:
                inside = name + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not rules.skips(inside, entry.name, is_folder=True):
                        waiting.append((entry.path, f"{inside}/"))
                elif entry.is_file(follow_symlinks=False) and not rules.skips(inside, entry.name, is_folder=False):
                    waiting.append((entry.path, inside))
        except OSError as error:
            raise SeedError(f"{path}: {error.strerror}") from error
        if name:
            yield path, name


def _file(path: str, name: str, archive: bytearray) -> Iterator[bytes]:
    """Append one file to the archive, and yield full chunks."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise SeedError(f"{path}: changed while it was read: something other than a file has replaced it")
        mode = seed_file_mode(before.st_mode)
        archive += file_header(name, mode=mode, size=before.st_size, mtime=before.st_mtime)
        left = before.st_size
        while left:
            data = os.read(descriptor, min(left, _CHUNK_BYTES))
            if not data:
                raise SeedError(f"{path}: changed while it was read: it is shorter than {before.st_size} bytes")
            left -= len(data)
            if len(data) == _CHUNK_BYTES:  # Yield it directly: the archive would copy it twice.
                if archive:
                    yield bytes(archive)
                    archive.clear()
                yield data
                continue
            archive += data
            if len(archive) >= _CHUNK_BYTES:
                yield bytes(archive)
                archive.clear()
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise SeedError(f"{path}: changed while it was read: its size or modification time differs")
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    archive += bytes(-before.st_size % BLOCK)


def _modified(path: str) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from error
