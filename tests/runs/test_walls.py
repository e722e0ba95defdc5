"""The walls that an option moves, as a program in the container finds them."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from lightrunner import ExtractSpec, LightRunnerError, LightRunnerErrorCode
from tests.conftest import run_volumes
from tests.runs.conftest import CommittedImage, MakeRunner
from tests.runs.shell_runs import shell
from tools.raw_engine import RawEngine

INVALID = LightRunnerErrorCode.INVALID_REQUEST


async def output_of(make_runner: MakeRunner, image: str, script: str, fields: dict[str, Any], **options: Any) -> str:
    """What the script prints, on both streams."""
    async with make_runner(**options) as runner:
        result = await runner.run(shell(image, f"exec 2>&1; {script}", **fields))
    assert result.stdout is not None
    return result.stdout.decode()


@pytest.mark.parametrize(("pids", "started"), [(8, "no"), (150, "yes")])
async def test_pids(make_runner: MakeRunner, busybox: str, pids: int, started: str) -> None:
    script = "for i in $(seq 110); do sleep 5 & done 2>/dev/null && echo yes || echo no"
    assert await output_of(make_runner, busybox, f"({script}) 2>/dev/null || echo no", {}, pids=pids) == f"{started}\n"


ROOTS = "touch /new; touch /bin/new; echo a >/tmp/new && cat /tmp/new; echo b >new && cat new; cat seeded"


@pytest.mark.parametrize("user", [None, "app", "1234"])
async def test_read_only(
    make_runner: MakeRunner, busybox: str, tmp_path: Path, raw: RawEngine, user: str | None
) -> None:
    (tmp_path / "seeded").write_text("c\n")
    request = shell(busybox, f"exec 2>&1; {ROOTS}", dir=tmp_path, user=user, extract=[ExtractSpec("new", tmp_path)])
    async with make_runner(read_only=True) as runner:
        result = await runner.run(request)
    lines = (result.stdout or b"").decode().splitlines()
    assert lines == [*(f"touch: /{name}new: Read-only file system" for name in ("", "bin/")), "a", "b", "c"]
    assert (tmp_path / "new").read_text() == "b\n"
    assert not run_volumes(raw)


async def test_read_only_with_an_images_user_and_workdir(
    make_runner: MakeRunner, committed_image: CommittedImage
) -> None:
    image = committed_image("kept", "mkdir /app && echo kept >/app/there", User="app")
    assert await output_of(make_runner, image, "touch new && ls", {}, read_only=True) == "new\nthere\n"


async def test_tmpfs(make_runner: MakeRunner, busybox: str) -> None:
    script = (
        "grep -E ' /(scratch|small|tmp) ' /proc/mounts | cut -d' ' -f 2-4; "
        "head -c 2000000 /dev/zero >/small/big; wc -c </small/big; "
        "echo 'echo ran' >/scratch/x; chmod +x /scratch/x; /scratch/x"
    )
    tmpfs = {"/scratch": "size=1m,mode=0700,exec", "/small": 1_000_000}
    shown = await output_of(make_runner, busybox, script, {}, tmpfs=tmpfs, read_only=True, memory="64m")
    assert "/scratch tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=700" in shown
    assert "/small tmpfs rw,nosuid,nodev,noexec,relatime,size=980k" in shown
    assert "/tmp tmpfs rw,nosuid,nodev,noexec,relatime,size=32768k" in shown  # noqa: S108  # the container's
    assert shown.endswith("1003520\nran\n")


async def test_ulimits(make_runner: MakeRunner, busybox: str) -> None:
    limits = {"nofile": (50, 60), "core": 0, "fsize": 4096}
    script = "ulimit -Sn; ulimit -Hn; ulimit -c; (head -c 5000 /dev/zero >big) 2>/dev/null; wc -c <big"
    shown = await output_of(make_runner, busybox, script, {}, ulimits=limits)
    assert (shown.splitlines()[:3], shown.splitlines()[-1]) == (["50", "60", "0"], "4096")


async def test_a_limit_that_the_daemon_cannot_give(make_runner: MakeRunner, busybox: str) -> None:
    async with make_runner(ulimits={"nofile": 2**40}) as runner:
        with pytest.raises(LightRunnerError, match="rlimit") as caught:
            await runner.run(shell(busybox, "true"))
    assert caught.value.code == LightRunnerErrorCode.CONTAINER_START_FAILED


NO_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}],
}


@pytest.mark.parametrize("form", ["file", "text", "mapping"])
async def test_seccomp(make_runner: MakeRunner, busybox: str, tmp_path: Path, form: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(NO_MKDIR))
    profile = {"file": path, "text": path.read_text(), "mapping": NO_MKDIR}[form]
    shown = await output_of(make_runner, busybox, "mkdir a; grep Seccomp: /proc/self/status", {}, seccomp=profile)
    assert "Invalid cross-device link" in shown
    assert shown.endswith("Seccomp:\t2\n")


def test_what_is_no_profile_is_refused_before_there_is_a_runner(make_runner: MakeRunner, tmp_path: Path) -> None:
    for profile in ("unconfined", tmp_path / "missing", tmp_path, "{}", {"defaultAction": "SCMP_ACT_ALLOW"}):
        with pytest.raises(LightRunnerError, match="seccomp=") as caught:
            make_runner(seccomp=profile)
        assert caught.value.code == INVALID


async def test_a_tmpfs_at_the_workdir_is_refused(make_runner: MakeRunner, busybox: str) -> None:
    async with make_runner(tmpfs={"/app": "1m"}) as runner:
        with pytest.raises(LightRunnerError, match="workdir='/app': is a tmpfs") as caught:
            await runner.run(shell(busybox, "true"))
        assert caught.value.code == INVALID
        assert (await runner.run(shell(busybox, "pwd", workdir="/work"))).stdout == b"/work\n"


@pytest.mark.parametrize(("option", "match"), [("disk", "disk: the daemon"), ("userns", "userns='remap': the daemon")])
async def test_what_this_daemon_cannot_keep_is_a_clear_error(
    make_runner: MakeRunner, busybox: str, raw: RawEngine, option: str, match: str
) -> None:
    options: dict[str, Any] = {"disk": "20m"} if option == "disk" else {"userns": "remap"}
    async with make_runner(**options) as runner:
        with pytest.raises(LightRunnerError, match=match) as caught:
            await runner.run(shell(busybox, "true"))
    assert caught.value.code == LightRunnerErrorCode.CONTAINER_START_FAILED
    assert not run_volumes(raw)


async def test_the_host_s_user_namespace(make_runner: MakeRunner, busybox: str) -> None:
    assert await output_of(make_runner, busybox, "cat /proc/self/uid_map", {}, userns="host") != ""
