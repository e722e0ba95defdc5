"""Stage a tar stream on the host, and land it whole or not at all. Synchronous; it runs in a worker thread.

What arrives is staged in a folder inside the target (a sibling would fail where the target is a mount point), which
nothing but this module writes to, and is then renamed in. The names come from a container and are hostile:
`lightrunner.rules.members` decides on them, nothing but plain files and folders is ever made, and every folder on the
way in is opened without following links.
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
_LATEST_MTIME = 2.0**33  # The year 2242. A container may claim any time; file systems do not take any.
_USED_BY_ANOTHER = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})
"""What removing a folder answers into which another entry lands, or which another one has removed."""
_SHOWN_CONFLICTS = 3


class StagingError(Exception):
    """The entry cannot land. Nothing of it is left in the target; the message says why."""


class Staging:
    """One entry on its way to its target.

    Use as a context manager: whatever was not landed is removed at its end, with the folders made for it.

    Args:
        target: the folder on the host, made where it is missing.
        staged_name: the name of the staging folder inside it.
        file_name: what the entry is called in the target, where it is a file.
        limit: the most bytes of archive, headers included, and of copies made for hard links.

    Raises:
        StagingError: from the constructor, `feed` and `land`.
    """

    def __init__(self, target: str, staged_name: str, file_name: str, limit: int) -> None:
        self.received_bytes = 0
        self.skipped = 0
        self._target = target
        self._file_name = file_name
        self._limit = limit
        self._counted = 0
        self._decoder = TarDecoder()
        self._is_file: bool | None = None  # Not known before the first member.
        self._descriptor = -1
        self._left = 0
        self._parent: tuple[str, ...] = ()  # A folder that is staged. All of them would be 400 MB for 1 GiB of headers.
        self._landed: list[str] = []
        self._replaced: list[tuple[str, str]] = []  # Where it is kept, and where it belongs.
        self._done = False
        self._mtime = 0.0
        self._folder = f"{target}/{staged_name}"
        self._made: list[str] = []
        with _reported(target):
            try:
                try:
                    self._make_target()
                except FileNotFoundError:
                    self._make_target()  # Another entry has failed, and just removed the folders made for it.
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
                for kept, path in self._replaced:
                    os.rename(kept, path)
            shutil.rmtree(self._folder)
            if not self._done:
                self._remove_target()

    def feed(self, chunks: Iterable[bytes | memoryview]) -> bool:
        """Stage more of the archive; True: that was all of it."""
        beginning = ""  # The member whose file or folder is being made.
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
        """The archive is complete: look for conflicts, then rename everything in."""
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
            # The target itself is the caller's word: it may be a link.
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
                if not os.path.isdir(path):  # Otherwise another entry was faster.
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
            raise StagingError(f"more than {self._limit} bytes (max_extract_bytes)")

    def _begin(self, member: Member) -> None:
        parts = landing_parts(member.name)
        if self._is_file is None:
            # The first member is the path that was asked for.
            self._is_file = member.kind is Kind.FILE and not parts
            if self._is_file:
                parts = (self._file_name,)
            elif not parts and member.kind is not Kind.FOLDER:
                raise StagingError(f"neither a file nor a folder but a {member.kind.value}")
        elif self._is_file or (not parts and member.kind is not Kind.FOLDER):
            raise StagingError(f"{shown_name(member.name)} comes where nothing more can come")
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
        """The daemon sends the first name of a file as a file and its others as links to that."""
        linked = landing_parts(member.link)
        source = self._path(linked)
        if linked == parts or not os.path.isfile(source):
            self.skipped += 1
            return
        self._make_parents(parts)
        self._count(os.stat(source).st_size)
        copy = self._path(parts)
        shutil.copyfile(source, copy)  # copy2 would put it into a folder of that name.
        shutil.copystat(source, copy)

    def _make_parents(self, parts: tuple[str, ...]) -> None:
        if parts[:-1] != self._parent:
            for depth in range(1, len(parts)):
                self._make_folder(parts[:depth], _IMPLICIT_FOLDER_MODE)
            self._parent = parts[:-1]

    def _make_folder(self, parts: tuple[str, ...], mode: int) -> None:
        """Make one folder whose parents are there; it may be there too."""
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
                self._keep(name, target, path)
                os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)

    def _keep(self, name: str, target: int, path: str) -> None:
        """Keep what a file is about to replace, until all of the entry has landed."""
        kept = f"{self._folder}/{secrets.token_hex(16)}"
        try:
            os.link(name, kept, src_dir_fd=target, follow_symlinks=False)
        except (PermissionError, NotImplementedError):
            # Not every file system has hard links. Then there is a moment without the file.
            os.rename(name, kept, src_dir_fd=target)
        self._replaced.append((kept, f"{path}/{name}"))


def _conflicts(staged: int, target: int, path: str) -> Iterator[str]:
    """What stands in the way. A link in the place of a file is replaced; in the place of a folder it is in the way."""
    for name, is_folder in _listing(staged):
        there = _kind_at(name, target)
        if there is None:
            continue
        if is_folder != stat.S_ISDIR(there):
            what = "a symbolic link" if stat.S_ISLNK(there) else "a folder" if stat.S_ISDIR(there) else "no folder"
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
        _log.warning("%s is left of a killed extract and cannot be removed: %s", folder, error)
