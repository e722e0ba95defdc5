"""The benchmark's disk: a journaled file system that only its process sees and that ends with it."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parents[2]
OPEN = """
import sys
from pathlib import Path
from bench.disk import fresh_disk

with fresh_disk() as disk:
    (disk.folder / "file").write_text("x")
    mounts = Path("/proc/self/mountinfo").read_text().count(str(disk.folder))
    print(disk.kind, disk.folder, mounts, sep="\\t", flush=True)
    sys.stdin.read()
"""
OWN, MACHINES = "ext4 of its own, with a journal", "the machine's own"


class Seen(NamedTuple):
    """What the process says of its disk."""

    process: "subprocess.Popen[str]"
    kind: str
    folder: Path
    mounts: int


@contextmanager
def opened(temporary: Path) -> Generator[Seen]:
    """A process that has the disk, with its temporary files in this folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OPEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        kind, folder, mounts = process.stdout.readline().strip().split("\t")
        yield Seen(process, kind, Path(folder), int(mounts))


def has_loop_device() -> bool:
    """Whether this user may have one on this machine."""
    found = subprocess.run(["/sbin/losetup", "--find"], capture_output=True, check=False)
    return os.geteuid() == 0 and found.returncode == 0


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_nobody_else_sees_it(tmp_path: Path) -> None:
    with opened(tmp_path) as seen:
        own = has_loop_device()
        assert (seen.kind, seen.mounts) == ((OWN, 1) if own else (MACHINES, 0))
        assert files(tmp_path) == (set() if own else {"file"})
    assert seen.process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with opened(tmp_path) as seen:
        seen.process.kill()
    assert files(tmp_path) == (set() if has_loop_device() else {"file"})
    backing = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert not any(str(tmp_path) in path for path in backing)


@pytest.mark.parametrize("broken", ["mkfs.ext4", "mount"])
def test_it_is_the_machines_own_where_none_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    program = tmp_path / "programs" / broken
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with opened(tmp_path) as seen:
        assert (seen.kind, seen.mounts) == (MACHINES, 0)
        assert (seen.folder / "file").read_text() == "x"
    assert list(tmp_path.iterdir()) == [program.parent]
