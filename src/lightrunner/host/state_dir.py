"""The state folder: its path, its locks, and atomic writes. Synchronous."""

import errno
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lightrunner.rules.limits import DEFAULT_STATE_DIR, STATE_DIR_VARIABLE

from .owner import is_gone

LOCK_TIMEOUT = 5.0
"""Seconds to wait for another process that holds a lock. A write takes milliseconds."""
_LOCK_INTERVAL = 0.01
_FOLDER_MODE = 0o700
_TEMPORARY_SUFFIX = ".tmp"
_TEMPORARY = re.compile(r"\.(?P<pid>[0-9]+)-.*" + re.escape(_TEMPORARY_SUFFIX))


def state_dir() -> Path:
    """Return ``LIGHT_RUNNER_STATE_DIR``, by default ``~/.light-runner/state``. The folder may not exist.

    Raises:
        FileNotFoundError: the user has no home folder: HOME is not set, and there is no passwd entry, as in containers.
    """
    folder = os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, f"{error} Set {STATE_DIR_VARIABLE}", folder) from error


def make_state_dir() -> Path:
    """Return the state folder. Create it with mode 0700 if it is missing.

    Raises:
        OSError: the folder cannot be created.
    """
    folder = state_dir()
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably, with mode 0600: temporary file, fsync, rename, fsync of the folder.

    Raises:
        OSError: the write failed; the file is unchanged.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{os.getpid()}-", suffix=_TEMPORARY_SUFFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sweep_temporary_files() -> None:
    """Remove temporary files of processes that were killed during a write.

    Raises:
        OSError: the folder cannot be read or written.
    """
    try:
        paths = list(state_dir().iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and is_gone(int(match["pid"])):
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a lock file (flock). Wait for another holder. The lock ends with the process.

    Raises:
        TimeoutError: another process holds the lock for more than `LOCK_TIMEOUT`: it was stopped, or its disk hangs.
        OSError: the lock file cannot be created.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT
    with _opened(path) as descriptor:
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock", str(path))
            time.sleep(_LOCK_INTERVAL)
        yield


@contextmanager
def try_lock(path: Path, *, shared: bool) -> Generator[bool]:
    """Try to hold a lock file, exclusively or shared, without waiting. Yield whether it is held.

    The last holder removes the file. A lock on a removed file excludes nobody, so it does not count as held.
    """
    with _opened(path) as descriptor:
        is_held = _flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX) and _is_current(descriptor, path)
        try:
            yield is_held
        finally:
            # Only the last sharer gets the exclusive lock. flock releases the share first, so another process may get
            # in between, and remove the file.
            if is_held and _flock(descriptor, fcntl.LOCK_EX) and _is_current(descriptor, path):
                path.unlink()


@contextmanager
def _opened(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # This releases the lock as well.


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
