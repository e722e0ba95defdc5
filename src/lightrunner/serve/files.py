"""Folders for uploaded and extracted files: private, temporary, without links. Synchronous.

Clients name files by relative paths. Each part of a path is checked, and nothing in these folders is a link: uploads
make none, and `lightrunner.files.staging` makes none either.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from lightrunner.rules.limits import MAX_MEMBER_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, SKIPPED_FOLDERS
from lightrunner.rules.members import seed_file_mode
from lightrunner.rules.tarstream import Kind, Member, TarDecoder
from lightrunner.rules.violation import RuleViolation

_FOLDER_MODE = 0o700
_FILE_MODE = 0o644
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileInfo(msgspec.Struct, frozen=True):
    """An extracted file.

    Attributes:
        path: relative to the run's files.
        bytes: its size.
    """

    path: str
    bytes: int


def relative_parts(field: str, path: str) -> tuple[str, ...]:
    """Return the parts of a relative path that leads nowhere else; none for ``.``.

    Raises:
        RuleViolation: the path is absolute, contains ``..`` or NUL, is too long, or is not text.
    """
    if path.startswith("/"):
        raise RuleViolation(field, path, "is absolute; paths are relative")
    try:
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise RuleViolation(field, path, "not Unicode text") from error
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts or "\0" in path:
        raise RuleViolation(field, path, "contains '..' or NUL")
    if size > MAX_PATH_BYTES or len(parts) > MAX_MEMBER_DEPTH:
        raise RuleViolation(field, path, f"longer than {MAX_PATH_BYTES} bytes, or deeper than {MAX_MEMBER_DEPTH}")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise RuleViolation(field, path, f"a part is longer than {MAX_NAME_BYTES} bytes")
    return parts


def write_files(folder: Path, files: Mapping[str, bytes], max_files: int) -> None:
    """Write a request's files into a new folder.

    Raises:
        RuleViolation: a path is not a relative path, is in a folder that seeds skip, or two paths exclude each other.
    """
    folder.mkdir(mode=_FOLDER_MODE)
    writer = _Writer(folder, max_files)
    for path, content in files.items():
        field = f"files[{path!r}]"
        parts = relative_parts(field, path)
        if not parts:
            raise RuleViolation(field, path, "names no file")
        # Runs skip these folders of a seed. A file that the client names one by one must not vanish.
        if skipped := next((part for part in parts[:-1] if part in SKIPPED_FOLDERS), None):
            raise RuleViolation(field, path, f"is never copied into containers: it is in a folder {skipped!r}")
        with writer.open(field, path, parts, _FILE_MODE) as file:
            file.write(content)


class Unpacker:
    """Unpacks an uploaded tar archive, as it arrives, into a new folder. Folders and files only.

    Attributes:
        files: the number of files so far.
    """

    def __init__(self, folder: Path, max_files: int) -> None:
        folder.mkdir(mode=_FOLDER_MODE)
        self.files = 0
        self._writer = _Writer(folder, max_files)
        self._decoder = TarDecoder()
        self._file: BinaryIO | None = None

    def feed(self, data: bytes) -> None:
        """Unpack more of the archive.

        Raises:
            TarError: it is not a tar archive.
            RuleViolation: a member is a link, a device or a pipe, or its name leads elsewhere.
        """
        for item in self._decoder.feed(memoryview(data)):
            if isinstance(item, Member):
                self._begin(item)
            elif self._file is not None:
                self._file.write(item)

    def close(self) -> None:
        """End the archive. Raise TarError if it is incomplete."""
        self.abandon()
        self._decoder.close()

    def abandon(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, member: Member) -> None:
        self.abandon()
        name = member.name
        field = "archive"
        parts = relative_parts(field, name)
        if member.kind is Kind.FOLDER:
            self._writer.make_folder(field, name, parts)
        elif member.kind is Kind.FILE and parts:
            self.files += 1
            self._file = self._writer.open(field, name, parts, seed_file_mode(member.mode))
        else:
            raise RuleViolation(field, name, f"is a {member.kind.value}; only files and folders are taken")


class _Writer:
    """Creates files and folders below a folder that nobody else writes to."""

    def __init__(self, folder: Path, max_files: int) -> None:
        self._folder = folder
        self._room = max_files
        self._made: set[Path] = {folder}

    def open(self, field: str, name: str, parts: tuple[str, ...], mode: int) -> BinaryIO:
        self.make_folder(field, name, parts[:-1])
        self._take(field, name)
        path = self._folder.joinpath(*parts)
        try:
            return os.fdopen(os.open(path, _CREATE, mode), "wb")
        except IsADirectoryError as error:
            raise RuleViolation(field, name, "is a folder as well") from error

    def make_folder(self, field: str, name: str, parts: tuple[str, ...]) -> None:
        path = self._folder
        for part in parts:
            path /= part
            if path in self._made:
                continue
            self._take(field, name)
            try:
                path.mkdir(mode=_FOLDER_MODE)
            except FileExistsError as error:
                raise RuleViolation(field, name, "is in a folder that is a file as well") from error
            self._made.add(path)

    def _take(self, field: str, name: str) -> None:
        self._room -= 1
        if self._room < 0:
            raise RuleViolation(field, name, "one of too many files and folders")


def list_files(folder: Path) -> list[FileInfo]:
    """Return a run's extracted files, sorted by path."""
    return sorted(_walk(folder, ""), key=lambda info: info.path)


def _walk(folder: Path, prefix: str) -> Iterator[FileInfo]:
    if not prefix and not folder.exists():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{os.fsencode(entry.name).decode(errors='replace')}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                yield FileInfo(path, entry.stat(follow_symlinks=False).st_size)


def open_file(folder: Path, path: str) -> tuple[BinaryIO, int] | None:
    """Open an extracted file. Return it and its size; None if there is no such file.

    Raises:
        RuleViolation: the path is not a relative path.
    """
    parts = relative_parts("path", path)
    at = folder
    for part in parts:
        if at.is_symlink():
            return None
        at /= part
    try:
        descriptor = os.open(at, _OPEN)
    except OSError:  # Not there, not a folder on the way, or a link.
        return None
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb"), info.st_size


def remove(folder: Path) -> None:
    """Remove a folder and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
