"""An entry that cannot land is an error, leaves nothing behind, and never fails the run."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec
from tests.files.archives import picture
from tests.files.test_extract import only
from tests.runs.host_folders import files, lay_out, names, wait_until
from tests.runs.shell_runs import shell, start

MAKE_TREE = "mkdir -p out/sub; echo a > out/a; echo b > out/sub/b;"
LARGE = "mkdir out; truncate -s 500M out/large; echo x > out/small"
REJECTED = ["", "../etc", "/app/../etc", "out/..", "/", "nul\0"]


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "to"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 2 MiB, and a file on it. (Mounting takes root, as the private engine does.)"""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
    try:
        yield lay_out(folder, {"kept": "kept"})
    finally:
        subprocess.run(["umount", folder], check=True)


def in_the_way_file(to: Path) -> None:
    lay_out(to, {"sub": "a file where a folder should land"})


def in_the_way_folder(to: Path) -> None:
    lay_out(to, {"a/kept": "a folder where a file should land"})


def in_the_way_link(to: Path) -> None:
    lay_out(to.parent / "outside", {"b": "untouched"})
    (lay_out(to, {}) / "sub").symlink_to("../outside")


@pytest.mark.parametrize("stand_in_the_way", [in_the_way_file, in_the_way_folder, in_the_way_link])
async def test_what_stands_in_the_way_stays(
    runner: DockerRunner, busybox: str, to: Path, stand_in_the_way: Callable[[Path], None]
) -> None:
    stand_in_the_way(to)
    before = picture(to.parent)
    result = await runner.run(shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", to)]))
    assert result.success
    assert only(result).status == "error"
    assert "is in the way" in (only(result).error or "")
    assert picture(to.parent) == before


async def test_a_link_in_the_place_of_a_file_is_replaced(runner: DockerRunner, busybox: str, to: Path) -> None:
    lay_out(to.parent, {"outside": "untouched", "to/": ""})
    (to / "a").symlink_to("../outside")
    result = await runner.run(shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", to)]))
    assert only(result).status == "ok"
    assert not (to / "a").is_symlink()
    assert files(to.parent) == {"outside": "untouched", "to/a": "a\n", "to/sub/b": "b\n"}


async def test_the_cap_is_on_the_bytes_of_the_archive(
    runner: DockerRunner, engine_host: str, busybox: str, to: Path
) -> None:
    request = shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", to)])
    size = only(await runner.run(request)).bytes
    assert size is not None
    async with DockerRunner(host=engine_host, max_extract_bytes=size) as just_enough:
        assert only(await just_enough.run(request)).status == "ok"
    async with DockerRunner(host=engine_host, max_extract_bytes=size - 1) as too_little:
        another = shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", to / "new" / "er")])
        entry = only(await too_little.run(another))
    assert (entry.status, entry.error) == ("error", f"the archive has more than {size - 1} bytes (max_extract_bytes)")
    assert names(to) == {"a", "sub"}


async def test_a_file_without_end_meets_the_cap(engine_host: str, busybox: str, to: Path) -> None:
    async with DockerRunner(host=engine_host, max_extract_bytes=1_000_000) as runner:
        result = await runner.run(shell(busybox, "truncate -s 1000G sparse", extract=[ExtractSpec("sparse", to)]))
    assert only(result).status == "error"
    assert names(to.parent) == set()


@pytest.mark.parametrize("folder", ["/proc/no", "/proc/self/status", "/dev/null/below"])
async def test_a_target_that_cannot_be_made(runner: DockerRunner, busybox: str, folder: str) -> None:
    entry = only(await runner.run(shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", folder)])))
    assert entry.status == "error"
    assert (entry.error or "").startswith(f"{folder}: ")


async def test_a_full_disk_leaves_nothing(runner: DockerRunner, busybox: str, small_disk: Path) -> None:
    before = picture(small_disk)
    extract = [
        ExtractSpec("out", small_disk),
        ExtractSpec("out", small_disk / "new"),
        ExtractSpec("little", small_disk),
    ]
    script = "mkdir out; echo x > out/a; head -c 3000000 /dev/zero > out/large; echo x > little"
    result = await runner.run(shell(busybox, script, extract=extract))
    assert result.success
    assert result.extracted is not None
    assert [(entry.status, entry.error) for entry in result.extracted] == [
        ("error", "out: No space left on device"),
        ("error", "out: No space left on device"),
        ("ok", None),
    ]
    (small_disk / "little").unlink()
    assert picture(small_disk) == before


async def test_a_mount_point_in_the_target_leaves_everything_as_it_was(
    runner: DockerRunner, busybox: str, small_disk: Path
) -> None:
    to = small_disk.parent
    lay_out(to, {"a": "what it replaced"})
    before = picture(to)
    script = "mkdir -p out/disk; echo a > out/a; echo b > out/disk/b; echo c > out/c"
    entry = only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)])))
    assert entry.status == "error"
    assert "cross-device" in (entry.error or "")
    assert picture(to) == before


async def test_a_bad_entry_is_rejected_and_the_others_land(runner: DockerRunner, busybox: str, to: Path) -> None:
    specs = [*(ExtractSpec(source, to / "bad") for source in REJECTED), ExtractSpec("out", ""), ExtractSpec("out", to)]
    result = await runner.run(shell(busybox, MAKE_TREE, extract=specs))
    assert result.success
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["error"] * (len(REJECTED) + 1) + ["ok"]
    assert files(to) == {"a": "a\n", "sub/b": "b\n"}


async def test_cancel_while_an_entry_comes(runner: DockerRunner, busybox: str, to: Path) -> None:
    lay_out(to, {"kept": "kept"})
    before = picture(to)
    extract = [ExtractSpec("out/small", to.parent / "first"), ExtractSpec("out", to), ExtractSpec("out", to)]
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, LARGE, extract=extract))
        await wait_until(lambda: names(to) != {"kept"})
        execution.cancel()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success) == (0, True, False)
    assert picture(to) == before
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok"], "what had landed is told"
    assert files(to.parent / "first") == {"small": "x\n"}


async def test_cancelling_the_scope_while_an_entry_comes(runner: DockerRunner, busybox: str, to: Path) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await start(nursery, runner, shell(busybox, LARGE, extract=[ExtractSpec("out", to)]))
            await wait_until(lambda: names(to) != set())
            scope.cancel()
    assert scope.cancelled_caught
    assert names(to.parent) == set()
