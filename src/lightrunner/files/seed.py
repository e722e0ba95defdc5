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
"""About as much is held at a time. Less or more of it is no faster."""

# A symlink in the place of a file that was listed is not followed, and a pipe in its place does not block.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ROOT_USERS = frozenset({"", "0", "root"})


class SeedError(Exception):
    """A file of the folder cannot be read, or changed meanwhile. The message names it."""


async def check_source(source: str | None) -> None:
    """Look whether the folder is there, where one is asked for.

    Raises:
        LightRunnerError: INVALID_REQUEST: it is missing, no folder, or may not be listed.
    """
    if source is not None:
        with invalid_request():
            await trio.to_thread.run_sync(_look_into, source)


def _look_into(source: str) -> None:
    try:
        with os.scandir(source):
            pass
    except OSError as error:
        raise RuleViolation("dir", source, f"not a folder that can be read: {error.strerror}") from error


async def seed(
    engine: EngineClient, container_id: str, *, source: str | None, ignore: tuple[str, ...], workdir: str, user: str
) -> None:
    """Copy `source` over what the image has at the workdir, and make the workdir writable for the image's user.

    Args:
        engine: the daemon.
        container_id: a created container; or a running one, in which nothing moves folders meanwhile.
        source: the folder; None: no copy.
        ignore: the request's own patterns.
        workdir: where to, in the container.
        user: the image's user, as its configuration has it.

    Raises:
        LightRunnerError: SEED_FAILED, with the file's name where it is one.
    """
    rules = IgnoreRules(ignore)
    with mapped_errors(LightRunnerErrorCode.SEED_FAILED, "put_container_archive", container_id=container_id):
        if user.partition(":")[0] in _ROOT_USERS:
            if source is not None:
                # No entry for the workdir itself: an image may have one, and it keeps its mode.
                await _put(engine, container_id, workdir, tar_chunks(source, rules))
            return
        # A fresh volume belongs to root. Its mode can be changed by an entry for it alone, which means unpacking into
        # the workdir's parent.
        path = PurePosixPath(workdir)
        try:
            await _put(engine, container_id, str(path.parent), tar_chunks(source, rules, folder=path.name))
        except EngineResponseError as error:
            if "cannot overwrite non-directory" not in error.message:
                raise
            # The image's workdir is a link to a folder. The daemon followed it for the mount; so do we.
            link = (await engine.container_archive_info(container_id, workdir)).link_target
            path = PurePosixPath(link)
            await _put(engine, container_id, str(path.parent), tar_chunks(source, rules, folder=path.name))


async def _put(engine: EngineClient, container_id: str, path: str, chunks: Generator[bytes]) -> None:
    """One PUT, of an archive that is made while it is sent."""
    try:
        with closing(chunks):
            await engine.put_container_archive(container_id, path, chunks)
    except (EngineNotFound, SeedError) as error:
        raise LightRunnerError(
            LightRunnerErrorCode.SEED_FAILED, str(error), docker_op="put_container_archive", container_id=container_id
        ) from error


def tar_chunks(source: str | None, rules: IgnoreRules, *, folder: str | None = None) -> Generator[bytes]:
    """The folder as a tar archive, in chunks of about 1 MiB.

    GNU's format: names of any length and in any bytes arrive as they are. Owners are 0:0, modes get a+rwX.

    Args:
        source: the folder; None: none.
        rules: what stays behind.
        folder: the name that everything goes under, with an entry of its own; None: no such entry.

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
    """Paths on the host and names in the archive, sorted; a folder's name ends with a slash, and comes first."""
    waiting = [(source, "")]  # A stack, since a tree can be deeper than Python's.
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
    """Append one file to the archive, and hand out what is full."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise SeedError(f"{path}: changed while it was read: it is not a file any more")
        mode = seed_file_mode(before.st_mode)
        archive += file_header(name, mode=mode, size=before.st_size, mtime=before.st_mtime)
        left = before.st_size
        while left:
            data = os.read(descriptor, min(left, _CHUNK_BYTES))
            if not data:
                raise SeedError(f"{path}: changed while it was read: it is shorter than {before.st_size} bytes")
            left -= len(data)
            if len(data) == _CHUNK_BYTES:  # As it is: it would be copied twice.
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
            raise SeedError(f"{path}: changed while it was read")
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
