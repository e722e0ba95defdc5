"""Folders on the host that are copied into containers and out of them, and what a container sees of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trio

from lightrunner.files import seed
from lightrunner.rules.tarheader import file_header

# One line for each path below the workdir, ended by NUL since a name may hold anything else.
LISTING = "find . -mindepth 1 -print0"
LOOKS = "find . -mindepth 1 -exec stat -c '%a %u:%g %F %n' {} +"


def lay_out(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Make the folder and these files in it, with the folders they need; a name that ends with a slash is a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def files(folder: Path) -> dict[str, str]:
    """All files below a folder, and what is in them; none where there is no folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> set[str]:
    """What is in a folder itself; nothing where there is none."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    while not condition():  # noqa: ASYNC110 - a file system has no events
        await trio.sleep(0.001)


def listed(stdout: bytes | None) -> set[str]:
    """The paths in a container's `LISTING`, as the host spells them."""
    assert stdout is not None
    return {name.removeprefix(b"./").decode("utf-8", "surrogateescape") for name in stdout.split(b"\0") if name}


def meddle(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], object]) -> list[str]:
    """Act when the seed writes the header of that file: it has looked at the file, and not read its content yet.

    Returns a list in which the name is found afterwards, if it came to that.
    """
    met: list[str] = []

    def header(inside: str, *, mode: int, size: int, mtime: float) -> bytes:
        if inside == name:
            met.append(name)
            action()
        return file_header(inside, mode=mode, size=size, mtime=mtime)

    monkeypatch.setattr(seed, "file_header", header)
    return met
