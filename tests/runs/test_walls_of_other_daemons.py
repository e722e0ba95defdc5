"""Options that take a daemon with quotas, with mapped users, or without containerd's image store."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode
from lightrunner.testing import json_answer
from tests.fake_daemon import fake_daemon
from tests.runs.shell_runs import shell
from tools import private_engine
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine, search_path
from tools.raw_engine import RawEngine

UNMOUNT_TIMEOUT = 20.0


def run(*command: str | Path) -> int:
    """Run a program of the system. Return its exit status."""
    return subprocess.run(command, check=False, capture_output=True, env={"PATH": search_path()}).returncode


@pytest.fixture
def btrfs() -> Iterator[Path]:
    """A disk of its own with a file system that has quotas. (overlay2 takes xfs's, which not every kernel has.)"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short path, for a socket's
        image, disk = Path(folder, "image"), Path(folder, "d")
        disk.mkdir()
        assert run("truncate", "--size=512M", image) == 0
        assert run("mkfs.btrfs", "--quiet", image) == 0
        assert run("mount", "--options=loop", image, disk) == 0
        yield disk
        give_up = time.monotonic() + UNMOUNT_TIMEOUT
        while run("umount", disk):
            assert time.monotonic() < give_up, "a program of the engine holds the disk"
            time.sleep(0.1)


@pytest.mark.private_engine
async def test_disk_limits_what_is_written_anywhere(
    btrfs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(private_engine, "FOLDERS", btrfs)
    (tmp_path / "seeded").write_text("seeded\n")
    fill = "cat seeded; head -c 15000000 /dev/zero >/etc/half; head -c 15000000 /dev/zero >half; wc -c <half"
    with PrivateEngine(extra_args=["--storage-driver=btrfs"]) as engine:
        raw = RawEngine(engine.host)
        busybox = ensure_busybox(raw)
        async with DockerRunner(host=engine.host, disk="20m") as runner:
            full = await runner.run(shell(busybox, fill, dir=tmp_path))
            extract = [ExtractSpec("out", tmp_path)]
            as_app = await runner.run(
                shell(busybox, "cat seeded >out && cat out", dir=tmp_path, user="app", extract=extract)
            )
        assert raw.containers() == raw.volumes() == []
    seeded, written = (full.stdout or b"").decode().split()
    assert (seeded, as_app.stdout, (tmp_path / "out").read_text()) == ("seeded", b"seeded\n", "seeded\n")
    assert int(written) < 21_000_000 - 15_000_000


@pytest.mark.private_engine
async def test_users_are_mapped_where_that_is_demanded(tmp_path: Path) -> None:
    (tmp_path / "seeded").write_text("seeded\n")
    script = "cat seeded; awk '{ print $2 }' /proc/self/uid_map; id -u; echo x >out"
    with PrivateEngine(config={"userns-remap": "default"}) as engine:
        busybox = ensure_busybox(RawEngine(engine.host))
        request = shell(busybox, script, dir=tmp_path, extract=[ExtractSpec("out", tmp_path)])
        async with DockerRunner(host=engine.host, userns="remap") as runner:
            mapped = await runner.run(request)
        async with DockerRunner(host=engine.host, userns="host") as runner:
            unmapped = await runner.run(request)
    seeded, first_user, user = (mapped.stdout or b"").split()
    assert (seeded, user, (tmp_path / "out").read_text()) == (b"seeded", b"0", "x\n")
    assert int(first_user) > 0
    assert unmapped.stdout == b"seeded\n0\n0\n"


async def test_a_store_that_would_forget_the_limit_of_the_disk() -> None:
    info = {"ID": "x", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    async with fake_daemon({"system_info": json_answer(info)}) as daemon:
        async with DockerRunner(host=daemon.host, disk="20m") as runner:
            with pytest.raises(LightRunnerError, match="disk: the daemon keeps images in containerd's store") as caught:
                await runner.run(shell("fake:1", "true"))
        assert caught.value.code == LightRunnerErrorCode.CONTAINER_START_FAILED
        assert daemon.requests("container_create") == []
