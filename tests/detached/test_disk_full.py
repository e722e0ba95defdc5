"""A full disk under the state folder or under an extract's target."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode
from lightrunner.runs.prepare import Preparation
from tests.detached.detached_runs import attach, exited, is_gone, is_running, script
from tests.detached.state_folder import leftovers, state_ids, stored
from tests.runs.host_folders import lay_out, names
from tools.raw_engine import RawEngine

SIZE = 256 * 1024


class SmallDisk:
    """A file system with little room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk, empty."""
    folder = lay_out(tmp_path / "small", {})
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder], check=True)
    yield SmallDisk(folder)
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def state_dir(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, on the small disk."""
    folder = disk.folder / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(folder))
    yield folder
    assert leftovers(folder) == set()


async def test_a_detach_makes_nothing(
    runner: DockerRunner, raw: RawEngine, busybox: str, disk: SmallDisk, state_dir: Path
) -> None:
    lay_out(state_dir, {})
    disk.fill()
    with pytest.raises(LightRunnerError, match="No space left") as raised:
        await runner.detach(script(busybox, "sleep 60"))
    assert raised.value.code is LightRunnerErrorCode.STATE_FAILED
    assert state_ids(state_dir) == set()
    assert raw.containers(label="light-runner.run-id") == []
    disk.free()


async def test_a_detach_that_has_started_already_leaves_nothing(
    runner: DockerRunner, busybox: str, disk: SmallDisk, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Preparation.start

    async def start_and_fill(preparation: Preparation, container_id: str) -> None:
        await start(preparation, container_id)
        disk.fill()

    monkeypatch.setattr(Preparation, "start", start_and_fill)
    with pytest.raises(LightRunnerError, match="No space left") as raised:
        await runner.detach(script(busybox, "sleep 60"))
    assert raised.value.code is LightRunnerErrorCode.STATE_FAILED
    assert state_ids(state_dir) == set()


async def test_an_attach_can_be_tried_again(
    runner: DockerRunner, raw: RawEngine, busybox: str, disk: SmallDisk, tmp_path: Path
) -> None:
    request = script(busybox, "echo x > file", extract=[ExtractSpec("file", tmp_path / "to")])
    run_id = await runner.detach(request)
    await exited(raw, run_id)
    disk.fill()
    with pytest.raises(LightRunnerError, match="No space left") as raised:
        await runner.attach(run_id)
    assert raised.value.code is LightRunnerErrorCode.STATE_FAILED
    folder = disk.folder / "state"
    assert stored(folder, run_id)["status"] == "running"
    assert leftovers(folder) == set()
    disk.free()
    result = await runner.attach(run_id)
    assert (result.exit_code, result.success) == (0, True)
    assert names(tmp_path / "to") == {"file"}
    assert is_gone(raw, run_id)


async def test_it_keeps_nothing_alive(
    runner: DockerRunner, raw: RawEngine, busybox: str, disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """What is to be killed is killed, though the reason cannot be written down."""
    run_id = await runner.detach(script(busybox, "sleep 60"))
    disk.fill()
    with pytest.raises(ExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            (await attach(nursery, runner, run_id)).cancel()
    assert raised.group_contains(LightRunnerError, match="No space left")
    assert "No space left" in caplog.text
    assert not is_running(raw, run_id)
    disk.free()
    assert (await runner.attach(run_id)).exit_code == 137


async def test_an_extract_onto_it_lands_whole_or_not_at_all(
    runner: DockerRunner, busybox: str, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(tmp_path / "elsewhere"))
    extract = [ExtractSpec(name, disk.folder / "to") for name in ("small", "large", "small")]
    request = script(busybox, "echo x > small; head -c 1m /dev/zero > large", extract=extract)
    run_id = await runner.detach(request)
    result = await runner.attach(run_id)
    assert result.success
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok", "error", "ok"]
    assert "No space left" in str(result.extracted[1].error)
    assert names(disk.folder / "to") == {"small"}
    assert await runner.attach(run_id) == result
