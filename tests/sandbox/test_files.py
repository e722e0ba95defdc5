"""`Sandbox.read`, `write`, `upload`, `download`: what arrives, and what hostile files cannot do."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, Sandbox
from tests.runs.conftest import ImageVariant, MakeRunner


async def test_bytes_go_in_and_out(box: Sandbox) -> None:
    for size in (0, 1, 65_536, 65_537, 3_000_000):
        data = os.urandom(size)
        await box.write("folder/file", data)
        assert await box.read("folder/file") == data
    assert (await box.exec("cat /app/folder/file | wc -c")).stdout == b"3000000\n"
    await box.write("folder/file", b"short")
    assert await box.read("/app/folder/file") == b"short"


async def test_what_cannot_be_read_or_written_is_an_error(box: Sandbox) -> None:
    await box.exec("mkfifo pipe; mkdir folder; ln -s loop loop; ln -s /dev/zero zero; echo 12345 > five; touch file")
    cases: list[tuple[str, int]] = [
        ("none", 2),
        ("folder", 21),
        ("pipe", 22),
        ("zero", 22),
        ("loop", 40),
        ("file/x", 20),
    ]
    for path, errno in cases:
        with trio.fail_after(10), pytest.raises(LightRunnerError, match=path) as caught:
            await box.read(path)
        cause = caught.value.__cause__
        assert isinstance(cause, OSError)
        assert (caught.value.code, cause.errno) == (LightRunnerErrorCode.FILE_FAILED, errno)
    for path in ("folder", "pipe", "loop", "file/x", "/proc/1/environ", "/.light-runner/x"):
        with trio.fail_after(10), pytest.raises(LightRunnerError, match=path) as caught:
            await box.write(path, b"data")
        assert caught.value.code is LightRunnerErrorCode.FILE_FAILED
    assert await box.read("five", max_bytes=6) == b"12345\n"
    with pytest.raises(LightRunnerError, match="five"):
        await box.read("five", max_bytes=5)


async def test_bad_arguments_are_refused(box: Sandbox, tmp_path: Path) -> None:
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (box.read, ("",)),
        (box.read, ("../etc/passwd",)),
        (box.read, (5,)),
        (box.write, ("file", "text")),
        (box.upload, (tmp_path / "none",)),
        (box.upload, (tmp_path, "a/../..")),
        (box.expose, (0,)),
        (box.snapshot, ("a/b",)),
    ]
    for method, arguments in calls:
        with pytest.raises(LightRunnerError) as caught:
            await method(*arguments)
        assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST


async def test_a_file_that_grows_for_ever_ends_at_the_cap(box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        process = await nursery.start(box.start, "exec cat /dev/zero >> grows")
        await trio.sleep(0.1)
        with trio.fail_after(20), pytest.raises(LightRunnerError, match="grows"):
            await box.read("grows", max_bytes=1_000_000)
        await process.kill()


async def test_files_are_the_users(runner: DockerRunner, image_variant: ImageVariant) -> None:
    """What the user may not open, neither read nor write opens, links included."""
    image = image_variant("as-app", "USER app")
    async with runner.sandbox(RunRequest(image=image, network="none")) as box:
        await box.write("mine", b"x")
        assert (await box.exec("stat -c '%U %a' mine")).stdout == b"app 644\n"
        await box.write("/root-only/secret", b"secret", user="root")
        await box.exec("chmod 700 /root-only; ln -s /root-only/secret /app/link", user="root")
        for path in ("/root-only/secret", "link"):
            with pytest.raises(LightRunnerError) as caught:
                await box.read(path)
            assert getattr(caught.value.__cause__, "errno", None) == 13
        with pytest.raises(LightRunnerError):
            await box.write("link", b"overwritten")
        assert await box.read("link", user="root") == b"secret"


async def test_a_full_disk_is_an_error(make_runner: MakeRunner, busybox: str) -> None:
    async with (
        make_runner(tmpfs={"/small": "64k"}) as runner,
        runner.sandbox(RunRequest(image=busybox, network="none")) as box,
    ):
        with pytest.raises(LightRunnerError, match="/small/file") as caught:
            await box.write("/small/file", bytes(1_000_000))
        assert getattr(caught.value.__cause__, "errno", None) == 28


async def test_a_read_only_file_system_is_written_where_it_can_be(make_runner: MakeRunner, busybox: str) -> None:
    async with (
        make_runner(read_only=True) as runner,
        runner.sandbox(RunRequest(image=busybox, network="none")) as box,
    ):
        await box.write("in-workdir", b"1")
        await box.write("/tmp/in-memory", b"2")  # noqa: S108 - in the sandbox
        assert (await box.exec("cat in-workdir /tmp/in-memory")).stdout == b"12"
        with pytest.raises(LightRunnerError) as caught:
            await box.write("/etc/file", b"3")
        assert getattr(caught.value.__cause__, "errno", None) == 30


async def test_a_folder_goes_in_and_comes_out(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / ("n" * 120) / ("m" * 120)).mkdir(parents=True)
    (source / "deep" / ("n" * 120) / ("m" * 120) / "file").write_bytes(b"deep")
    (source / "empty").mkdir()
    (source / "big").write_bytes(os.urandom(1_500_000))
    (source / "ü").write_text("ü")
    (source / ".git").mkdir()
    (source / "left").write_text("out")
    (source / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (source / "run.sh").chmod(0o755)
    await box.upload(source, "to/here", ignore=["left"])
    assert (await box.exec("to/here/run.sh")).stdout == b"ran\n"
    result = await box.download("to/here", tmp_path / "target")
    assert (result.status, result.skipped) == ("ok", 0)
    landed = sorted(str(path.relative_to(tmp_path / "target")) for path in (tmp_path / "target").rglob("*"))
    expected = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.name not in {".git", "left"})
    assert landed == expected
    assert (tmp_path / "target" / "big").read_bytes() == (source / "big").read_bytes()
    again = await box.download("to/here/big", tmp_path / "one")
    assert again.status == "ok"
    assert (tmp_path / "one" / "big").read_bytes() == (source / "big").read_bytes()


async def test_an_upload_replaces_links_and_follows_none_outside(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("mine")
    await box.exec("ln -s /etc/passwd passwd")
    await box.upload(tmp_path)
    assert await box.read("passwd") == b"mine"
    assert b"root" in await box.read("/etc/passwd")


async def test_hostile_folders_land_without_what_is_hostile(box: Sandbox, tmp_path: Path) -> None:
    await box.exec(
        "mkdir out; cd out; echo data > file; ln -s /etc/passwd link; ln file hard; mkfifo pipe;"
        "echo x > setuid; chmod 4777 setuid; mkdir sub; ln -s .. sub/up"
    )
    result = await box.download("out", tmp_path)
    assert (result.status, result.skipped) == ("ok", 3)
    assert sorted(os.listdir(tmp_path)) == ["file", "hard", "setuid", "sub"]  # noqa: PTH208
    assert not (tmp_path / "setuid").stat().st_mode & 0o7000
    assert (await box.download("none", tmp_path / "x")).status == "missing"
    assert (await box.download("out/pipe", tmp_path / "x")).status == "error"
    assert not (tmp_path / "x").exists()


async def test_a_folder_that_changes_all_the_time_lands_whole_or_not(box: Sandbox, tmp_path: Path) -> None:
    """Folders are exchanged for links to / while they are packed."""
    swap = "while :; do rm -rf a b; mkdir -p a/x; echo in > a/x/f; mv a b; ln -s / a; done"
    async with trio.open_nursery() as nursery:
        process = await nursery.start(box.start, swap)
        for number in range(15):
            result = await box.download(".", tmp_path / str(number))
            assert result.status in {"ok", "error"}
            for path in (tmp_path / str(number)).rglob("*"):
                assert not path.is_symlink()
                assert path.name in {"a", "b", "x", "f"}
        await process.kill()


async def test_a_download_ends_at_the_limit(make_runner: MakeRunner, busybox: str, tmp_path: Path) -> None:
    async with (
        make_runner(max_extract_bytes=100_000) as runner,
        runner.sandbox(RunRequest(image=busybox, network="none")) as box,
    ):
        await box.exec("truncate -s 10G sparse")
        with trio.fail_after(30):
            result = await box.download("sparse", tmp_path / "x")
        assert result.status == "error"
        assert not (tmp_path / "x").exists()
        assert (await box.exec("true")).success
