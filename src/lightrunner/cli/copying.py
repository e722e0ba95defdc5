"""The files of `lightrunner cp`, copied by the process that holds the sandbox.

In both directions: a folder's contents land in the target, which is a folder and is made where it is missing. A file
lands in the target if that is a folder or ends with a slash, else under the target's name.
"""

import errno
import os
import posixpath
import shutil
import tempfile
from pathlib import Path

import trio

from lightrunner import LightRunnerError, LightRunnerErrorCode, Sandbox

from .exits import CommandError, UsageError
from .messages import CopyIn, CopyOut
from .tables import printable


async def copy_in(box: Sandbox, order: CopyIn) -> int:
    """Copy a file or a folder into the sandbox. Return how many entries were skipped, which are not known.

    Raises:
        UsageError: there is no such file.
        LightRunnerError: as `Sandbox.upload`.
    """
    source = Path(os.fsdecode(order.source))
    if await trio.to_thread.run_sync(source.is_dir):
        await box.upload(source, order.target, user=order.user)
        return 0
    if not await trio.to_thread.run_sync(source.is_file):
        raise UsageError(f"{printable(str(source))}: no such file or folder")
    target = order.target
    if target.endswith("/") or await _is_folder(box, target, order.user):
        target = posixpath.join(target, source.name)
    if posixpath.basename(target) == ".git":
        raise UsageError(f"{target}: nothing of this name is copied into a sandbox")
    # `upload` is for folders, and keeps modes and large files out of memory: give it a folder of this one file.
    with tempfile.TemporaryDirectory(prefix="light-runner-") as folder:
        await trio.to_thread.run_sync(_link_or_copy, source, Path(folder, posixpath.basename(target)))
        await box.upload(folder, posixpath.dirname(target) or ".", user=order.user)
    return 0


async def copy_out(box: Sandbox, order: CopyOut) -> int:
    """Copy a file or a folder out of the sandbox. Return how many entries were skipped.

    Raises:
        CommandError: there is no such file, or it cannot be copied.
        LightRunnerError: as `Sandbox.download`.
    """
    to = os.fsdecode(order.target)
    target = Path(to)
    is_name = not to.endswith("/") and not await trio.to_thread.run_sync(target.is_dir)
    if not is_name or await _is_folder(box, order.source, order.user):
        return await _download(box, order, to)
    with tempfile.TemporaryDirectory(prefix=".light-runner-", dir=target.parent) as folder:
        skipped = await _download(box, order, folder)
        await trio.to_thread.run_sync(_move, Path(folder), target)
    return skipped


async def _download(box: Sandbox, order: CopyOut, to: str) -> int:
    result = await box.download(order.source, to, user=order.user)
    if result.status == "missing":
        raise UsageError(f"{order.source}: no such file or folder in the sandbox")
    if result.status == "error":
        raise CommandError(f"{order.source}: {result.error}")
    return result.skipped


async def _is_folder(box: Sandbox, path: str, user: str | None) -> bool:
    """Whether a path of the sandbox is a folder, as the reading of a file tells it: without a program of the image."""
    try:
        await box.read(path, user=user, max_bytes=1)
    except LightRunnerError as error:
        if error.code is not LightRunnerErrorCode.FILE_FAILED:
            raise
        return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EISDIR
    return False


def _move(folder: Path, target: Path) -> None:
    (staged,) = folder.iterdir()
    staged.replace(target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or another user's file.
        shutil.copy2(source, target)
