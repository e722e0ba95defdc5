"""Tar archives that a daemon could send, honest and hostile, and snapshots of what they leave on a disk."""

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lightrunner.files.staging import Staging

FOLDER, FILE = tarfile.DIRTYPE, tarfile.REGTYPE
HARD_LINK, SYMLINK = tarfile.LNKTYPE, tarfile.SYMTYPE
CHARACTER_DEVICE, BLOCK_DEVICE, PIPE = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE

STAGED_NAME = ".light-runner-test"
FILE_NAME = "result"
"""What the entry is called in its target, where it is a file."""

NO_LIMIT = 1 << 40
END = bytes(2 * tarfile.BLOCKSIZE)


class Entry(NamedTuple):
    """One member of an archive. `size` is what its header claims, where that is not what follows."""

    name: str
    kind: bytes = FILE
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    mtime: int = 1_000_000_000
    size: int | None = None

    def block(self) -> bytes:
        """The header, and the content with its padding."""
        info = tarfile.TarInfo(self.name)
        info.type, info.linkname, info.mode, info.mtime = self.kind, self.link, self.mode, self.mtime
        info.size = len(self.content) if self.size is None else self.size
        header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        return header + self.content + bytes(-len(self.content) % tarfile.BLOCKSIZE)


def archive(*entries: Entry) -> bytes:
    """A whole archive."""
    return b"".join(entry.block() for entry in entries) + END


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The archive as it comes from a socket: in parts that know nothing of headers."""
    return (data[at : at + size] for at in range(0, len(data), size))


def land(target: Path | str, data: bytes, *, limit: int = NO_LIMIT, piece: int = 4096) -> Staging:
    """Bring one archive into `target` as the runner does; StagingError says why not."""
    with Staging(str(target), STAGED_NAME, FILE_NAME, limit) as staging:
        staging.feed(pieces(data, piece))
        staging.land()
    return staging


def picture(folder: Path) -> dict[str, str]:
    """All that is in a folder, by its path: kind, permissions, and what it holds. No link is followed."""
    return {
        str(Path(parent, name).relative_to(folder)): _portrait(Path(parent, name))
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def _portrait(path: Path) -> str:
    status = path.lstat()
    held = ""
    if stat.S_ISLNK(status.st_mode):
        held = f" to {path.readlink()}"
    elif stat.S_ISREG(status.st_mode):
        held = f" {status.st_mtime_ns} {path.read_bytes()!r}"
    return f"{stat.filemode(status.st_mode)} {status.st_ino}{held}"
