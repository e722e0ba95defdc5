"""Stage a tar archive on the host, and land it whole or not at all. Synchronous; it runs in a worker thread.

The staging folder is inside the target: a rename from a sibling folder would fail if the target is a mount point.
Landing renames its contents into the target. The names come from a container and are hostile:
`lightrunner.rules.members` checks them, only plain files and folders are made, and every folder below the target is
opened without following links.
"""

import errno
import itertools
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from lightrunner.rules.members import MemberError, landing_file_mode, landing_folder_mode, landing_parts, shown_name
from lightrunner.rules.tarstream import Kind, Member, TarDecoder, TarError

_log = logging.getLogger("lightrunner")

_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IMPLICIT_FOLDER_MODE = 0o755
_LATEST_MTIME = 2.0**33  # The year 2242. A container may send any time, and file systems do not store any.
_USED_BY_ANOTHER = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})
"""Errors of removing a folder that another entry has landed in or has removed."""
_SHOWN_CONFLICTS = 3


class StagingError(Exception):
    """The entry cannot land. Nothing of it is left in the target. The message says why."""


class Staging:
    """The staging folder of one entry. Use as a context manager.

    If the entry has not landed by the end of the block, the block removes what is staged, and the folders that were
    made for the entry.

    Args:
        target: the folder on the host, which is created if it is missing.
        staged_name: the name of the staging folder in the target.
        file_name: the name in the target, if the entry is a file.
        limit: the most bytes of the archive, headers included, plus those of copies made for hard links.
        is_rooted: names may start with ``/`` in place of the requested path's last part: podman's, for a volume's root.

    Raises:
        StagingError: from the constructor, `feed` and `land`.
    """

    def __init__(self, target: str, staged_name: str, file_name: str, limit: int, *, is_rooted: bool = False) -> None:
        self.received_bytes = 0
        self.skipped = 0
        self._target = target
        self._file_name = file_name
        self._limit = limit
        self._is_rooted = is_rooted
        self._counted = 0
        self._decoder = TarDecoder()
        self._is_file: bool | None = None  # Unknown before the first member.
        self._descriptor = -1
        self._left = 0
        self._parent: tuple[str, ...] = ()  # The last folder made. All folders would be 400 MB for 1 GiB of headers.
        self._landed: list[str] = []
        self._replaced: list[tuple[str, str]] = []  # The backup of a replaced file, and its path.
        self._done = False
        self._mtime = 0.0
        self._folder = f"{target}/{staged_name}"
        self._made: list[str] = []
        with _reported(target):
            try:
                try:
                    self._make_target()
                except FileNotFoundError:
                    self._make_target()  # Another entry has failed meanwhile, and has removed its folders.
            except OSError:
                self._remove_target()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _reported(self._folder):
            self._close_file()
            if not self._done:
                for path in reversed(self._landed):
                    _remove(path)
                for backup, path in self._replaced:
                    os.rename(backup, path)
            shutil.rmtree(self._folder)
            if not self._done:
                self._remove_target()

    def feed(self, chunks: Iterable[bytes | memoryview]) -> bool:
        """Stage more of the archive. Return True if it is complete."""
        beginning = ""  # The name of the member whose file or folder is being made.
        try:
            for chunk in chunks:
                self.received_bytes += len(chunk)
                self._count(len(chunk))
                for event in self._decoder.feed(chunk):
                    if isinstance(event, Member):
                        beginning = event.name
                        self._begin(event)
                        beginning = ""
                    else:
                        self._write(event)
        except (TarError, MemberError) as error:
            raise StagingError(str(error)) from error
        except OSError as error:
            what = shown_name(beginning) if beginning else self._file_name
            raise StagingError(f"{what}: {error.strerror or error}") from error
        return self._decoder.is_complete

    def land(self) -> None:
        """Land the entry: check for conflicts, then rename everything into the target. Raise if it is incomplete."""
        try:
            self._decoder.close()
        except TarError as error:
            raise StagingError(str(error)) from error
        self._close_file()
        if self._is_file is None:
            raise StagingError("the archive is empty")
        with (
            _reported(self._target),
            _opened(self._folder) as staged,
            # The target itself may be a link: the caller, not the container, has chosen it.
            _opened(self._target, flags=_FOLDER_FLAGS & ~os.O_NOFOLLOW) as target,
        ):
            if conflicts := list(itertools.islice(_conflicts(staged, target, ""), _SHOWN_CONFLICTS)):
                raise StagingError("; ".join(conflicts))
            self._move(staged, target, self._target)
        self._done = True

    # --- the target -----------------------------------------------------------------------------------------------

    def _make_target(self) -> None:
        missing: list[str] = []
        path = self._target
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path.rstrip("/"))
        for path in reversed(missing):
            try:
                os.mkdir(path)
            except FileExistsError:
                if not os.path.isdir(path):  # A folder was made by another entry meanwhile.
                    raise
            else:
                self._made.append(path)
        os.mkdir(self._folder, 0o700)

    def _remove_target(self) -> None:
        for path in reversed(self._made):
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno not in _USED_BY_ANOTHER:
                    raise

    # --- staging --------------------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._counted += size
        if self._counted > self._limit:
            raise StagingError(f"the archive has more than {self._limit} bytes (max_extract_bytes)")

    def _parts(self, name: str) -> tuple[str, ...]:
        return landing_parts(f"root{name}" if self._is_rooted and name.startswith("/") else name)

    def _begin(self, member: Member) -> None:
        parts = self._parts(member.name)
        if self._is_file is None:
            # The first member is the requested path.
            self._is_file = member.kind is Kind.FILE and not parts
            if self._is_file:
                parts = (self._file_name,)
            elif not parts and member.kind is not Kind.FOLDER:
                raise StagingError(f"the path is a {member.kind.value}; only files and folders can be extracted")
        elif self._is_file or (not parts and member.kind is not Kind.FOLDER):
            raise StagingError(
                f"the archive is invalid: it has a further member {shown_name(member.name)} for the path"
            )
        if member.kind is Kind.FILE:
            self._begin_file(parts, member)
        elif member.kind is Kind.FOLDER:
            self._make_parents(parts)
            self._make_folder(parts, landing_folder_mode(member.mode))
        elif member.kind is Kind.HARD_LINK:
            self._copy_linked(parts, member)
        else:
            self.skipped += 1

    def _begin_file(self, parts: tuple[str, ...], member: Member) -> None:
        self._make_parents(parts)
        self._descriptor = os.open(self._path(parts), _FILE_FLAGS, landing_file_mode(member.mode))
        self._left = member.size
        self._mtime = member.mtime
        if not member.size:
            self._close_file()

    def _write(self, data: memoryview) -> None:
        self._left -= len(data)
        while data:
            data = data[os.write(self._descriptor, data) :]
        if not self._left:
            self._close_file()

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                moment = max(0.0, min(self._mtime, _LATEST_MTIME))
                os.utime(descriptor, (moment, moment))
            finally:
                os.close(descriptor)

    def _copy_linked(self, parts: tuple[str, ...], member: Member) -> None:
        """Copy the file that a hard link names. The daemon sends a file's first name as a file, others as links."""
        linked = self._parts(member.link)
        source = self._path(linked)
        if linked == parts or not os.path.isfile(source):
            self.skipped += 1
            return
        self._make_parents(parts)
        self._count(os.stat(source).st_size)
        copy = self._path(parts)
        shutil.copyfile(source, copy)  # copy2 would copy into a folder of that name.
        shutil.copystat(source, copy)

    def _make_parents(self, parts: tuple[str, ...]) -> None:
        if parts[:-1] != self._parent:
            for depth in range(1, len(parts)):
                self._make_folder(parts[:depth], _IMPLICIT_FOLDER_MODE)
            self._parent = parts[:-1]

    def _make_folder(self, parts: tuple[str, ...], mode: int) -> None:
        """Make a folder whose parents exist. It may exist as well."""
        try:
            os.mkdir(self._path(parts), mode)
        except FileExistsError:
            if not os.path.isdir(self._path(parts)):
                raise

    def _path(self, parts: tuple[str, ...]) -> str:
        return "/".join((self._folder, *parts))

    # --- landing --------------------------------------------------------------------------------------------------

    def _move(self, staged: int, target: int, path: str) -> None:
        for name, is_folder in _listing(staged):
            there = _kind_at(name, target)
            if is_folder and there is not None:
                with _opened(name, staged) as inner, _opened(name, target) as inner_target:
                    self._move(inner, inner_target, f"{path}/{name}")
            elif there is None:
                os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)
                self._landed.append(f"{path}/{name}")
            else:
                self._back_up(name, target, path)
                os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)

    def _back_up(self, name: str, target: int, path: str) -> None:
        """Back up a file that is about to be replaced, so that `__exit__` can restore it if the landing fails."""
        backup = f"{self._folder}/{secrets.token_hex(16)}"
        try:
            os.link(name, backup, src_dir_fd=target, follow_symlinks=False)
        except (PermissionError, NotImplementedError):
            # The file system has no hard links. With a rename, the file is missing until it is replaced.
            os.rename(name, backup, src_dir_fd=target)
        self._replaced.append((backup, f"{path}/{name}"))


def _conflicts(staged: int, target: int, path: str) -> Iterator[str]:
    """Yield what blocks the landing: files in place of folders, and the reverse. A link blocks a folder, not a file."""
    for name, is_folder in _listing(staged):
        there = _kind_at(name, target)
        if there is None:
            continue
        if is_folder != stat.S_ISDIR(there):
            what = "a symbolic link" if stat.S_ISLNK(there) else "a folder" if stat.S_ISDIR(there) else "not a folder"
            yield f"{path}{name} is in the way: it is {what}"
        elif is_folder:
            with _opened(name, staged) as inner, _opened(name, target) as inner_target:
                yield from _conflicts(inner, inner_target, f"{path}{name}/")


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _listing(folder: int) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _kind_at(name: str, folder: int) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _opened(name: str, folder: int | None = None, flags: int = _FOLDER_FLAGS) -> Generator[int]:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _reported(what: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StagingError(f"{what}: {error.strerror or error}") from error


def remove_leftover(target: str, staged_name: str) -> None:
    """Remove the staging folder of a process that was killed, if there is one. A failure is logged."""
    folder = f"{target}/{staged_name}"
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("the staging folder %s of a killed process could not be removed: %s", folder, error)
