"""A folder that cannot be copied: SEED_FAILED names the file, and nothing of the run is left."""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from tests.runs.host_folders import lay_out, meddle
from tests.runs.shell_runs import Run, shell

MIB = 1024 * 1024
FIRST, VICTIM, LAST = "1 first", "2 victim", "3 last"

Failure = Callable[[], Awaitable[LightRunnerError]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "source", {FIRST: "x", VICTIM: bytes(3 * MIB), LAST: "x"})


def shrink(victim: Path) -> None:
    os.truncate(victim, 2 * MIB)


def grow(victim: Path) -> None:
    os.truncate(victim, 4 * MIB)


def rewrite(victim: Path) -> None:
    victim.write_bytes(bytes(range(256)) * (3 * MIB // 256))


def remove(victim: Path) -> None:
    victim.unlink()


def turn_into_a_pipe(victim: Path) -> None:
    victim.unlink()
    os.mkfifo(victim)


def turn_into_a_link(victim: Path) -> None:
    victim.unlink()
    victim.symlink_to("/etc/passwd")


def turn_into_a_folder(victim: Path) -> None:
    victim.unlink()
    victim.mkdir()


def remove_everything(victim: Path) -> None:
    shutil.rmtree(victim.parent)


@pytest.fixture
def failure(runner: DockerRunner, busybox: str, source: Path) -> Failure:
    """Run with `source`, and return the error that it has to end with."""

    async def run() -> LightRunnerError:
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(shell(busybox, "true", dir=source))
        assert raised.value.code is LightRunnerErrorCode.SEED_FAILED
        assert raised.value.docker_op == "put_container_archive"
        assert raised.value.container_id
        return raised.value

    return run


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(shrink, "it is shorter than 3145728 bytes"), (grow, "changed while it was read"), (rewrite, "changed while")],
)
async def test_a_file_that_changes_while_it_is_read(
    failure: Failure,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    sentence: str,
) -> None:
    os.utime(source / VICTIM, (1, 1))  # So that a change cannot fall into the tick of the clock that made the file.
    met = meddle(monkeypatch, VICTIM, lambda: change(source / VICTIM))
    error = await failure()
    assert met
    assert str(source / VICTIM) in error.message
    assert sentence in error.message


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove, "No such file or directory"),
        (turn_into_a_pipe, "something other than a file has replaced it"),
        (turn_into_a_link, "Too many levels of symbolic links"),
        (turn_into_a_folder, "something other than a file has replaced it"),
        (remove_everything, "No such file or directory"),
    ],
)
async def test_a_file_that_changes_between_the_listing_and_the_reading(
    failure: Failure,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    sentence: str,
) -> None:
    met = meddle(monkeypatch, FIRST, lambda: change(source / VICTIM))
    error = await failure()
    assert met
    assert str(source / VICTIM) in error.message
    assert sentence in error.message


async def test_a_folder_that_is_gone_behind_its_listing(
    failure: Failure, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(path: str, _: object) -> Iterator[tuple[str, str]]:
        yield f"{path}/gone", "gone/"

    monkeypatch.setattr("lightrunner.files.seed._walk", walk)
    assert (await failure()).message == f"{source / 'gone'}: No such file or directory"


async def test_a_folder_that_is_gone_when_it_is_to_be_listed(
    failure: Failure, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(source, {"sub/file": "x"})
    met = meddle(monkeypatch, FIRST, lambda: shutil.rmtree(source / "sub"))
    assert (await failure()).message == f"{source / 'sub'}: No such file or directory"
    assert met


async def test_a_file_that_may_not_be_read(failure: Failure, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything, so permissions alone would not do.
    real_open = os.open

    def refuse(path: str) -> NoReturn:
        raise PermissionError(13, "Permission denied", path)

    def open_but_one(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return refuse(path) if path == str(source / VICTIM) else real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_but_one)
    assert (await failure()).message == f"{source / VICTIM}: Permission denied"


async def test_a_read_that_fails(failure: Failure, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_read = os.read

    def read(descriptor: int, length: int) -> bytes:
        if length >= MIB:  # The victim's; the other files are small.
            raise OSError(5, "Input/output error")
        return real_read(descriptor, length)

    monkeypatch.setattr(os, "read", read)
    assert (await failure()).message == f"{source / VICTIM}: Input/output error"


@pytest.mark.parametrize("name", ["file", "nothing"])
async def test_a_dir_that_is_no_folder_is_an_invalid_request(run: Run, busybox: str, tmp_path: Path, name: str) -> None:
    path = lay_out(tmp_path, {"file": "x"}) / name
    with pytest.raises(LightRunnerError, match=f"dir='{path}'") as raised:
        await run(shell(busybox, "true", dir=path))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("workdir", ["/etc/passwd", "/etc/passwd/below"])
@pytest.mark.needs("statuses")
async def test_a_workdir_that_is_a_file_in_the_image(run: Run, busybox: str, source: Path, workdir: str) -> None:
    with pytest.raises(LightRunnerError, match="passwd") as raised:
        await run(shell(busybox, "true", dir=source, workdir=workdir))
    assert raised.value.code in {LightRunnerErrorCode.CONTAINER_START_FAILED, LightRunnerErrorCode.SEED_FAILED}
