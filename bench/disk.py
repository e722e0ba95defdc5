"""A disk of the benchmark's own: a new ext4 file system in a file, which nobody else sees and which ends with it.

What is measured then does not depend on what the machine's disk is and has been through. Above all, ext4 without a
journal passes by the inodes that were deleted in the last minutes (`recently_deleted` in Linux's fs/ext4/ialloc.c): to
make 3,000 files took 1 s there, and 0.04 s here, whoever made them.
"""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.private_engine import search_path

_BYTES = 8 << 30
"""As much as may be written; what is not written takes no room."""
_CLONE_NEWNS = 0x20000  # linux/sched.h


class Disk(NamedTuple):
    """A folder to measure in, and what it is on."""

    folder: Path
    kind: str


@contextmanager
def fresh_disk() -> Generator[Disk]:
    """The disk, or the machine's own where none can be made: that takes root and a loop device.

    The calling thread, with the threads and processes that it starts, is in a mount namespace of its own from then on.
    """
    with tempfile.TemporaryDirectory(prefix="lightrunner-bench-") as folder:
        disk = Path(folder, "disk")
        disk.mkdir()
        own = _mount(Path(folder, "image"), disk)
        try:
            yield Disk(disk, "ext4 of its own, with a journal" if own else "the machine's own")
        finally:
            if own:
                _run("umount", "--lazy", str(disk))  # A program of the engine may be about to end.


def _mount(image: Path, disk: Path) -> bool:
    """Make the file system and mount it; False where that cannot be done."""
    try:
        with image.open("wb") as file:
            file.truncate(_BYTES)
        _run("mkfs.ext4", "-q", str(image))
        if ctypes.CDLL(None).unshare(_CLONE_NEWNS):  # `os.unshare` came with Python 3.12.
            return False
        _run("mount", "--make-rprivate", "/")
        _run("mount", "-o", "loop", str(image), str(disk))
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        image.unlink(missing_ok=True)  # It is there as long as it is mounted: not even SIGKILL leaves it.
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PATH": search_path()})
