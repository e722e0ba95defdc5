"""A process in a warm container or a prepared network has the same sandbox as in a cold run."""

import re

import pytest

from lightrunner import DockerRunner, RunRequest
from tests.runs.conftest import ImageVariant
from tests.runs.shell_runs import shell
from tests.warm.ways import awaited, cold, prepared, warm

# What process 1 has, and what a child of it gets.
LOOK = r"""
title() { echo; echo "== $1"; }
title environment; env | sort
title 'environment of process 1'; tr '\0' '\n' </proc/1/environ | sort
title 'arguments of process 1'; tr '\0' '|' </proc/1/cmdline
title 'program of process 1'; cat /proc/1/comm; readlink /proc/1/exe
title 'descriptors of process 1'
for fd in /proc/1/fd/*; do echo "${fd##*/}" "$(readlink "$fd" | tr -d '0-9[]')"; done
title descriptors; ls /proc/self/fd
title rights; grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp|Sig(Blk|Ign|Cgt)|NSpid)' /proc/1/status
title user; id
title limits; ulimit -a; cat /proc/1/oom_score_adj
for file in memory.limit_in_bytes memory.memsw.limit_in_bytes cpu.cfs_quota_us pids.max memory.max cpu.max; do
    find /sys/fs/cgroup -name $file -exec cat {} + 2>/dev/null
done
title folder; pwd; stat -c '%a %u:%g %n' . / /tmp; echo >new && echo writable
title mounts; awk '{ print $2, $3 }' /proc/mounts
title shell; echo "$0 $# $$ $PPID $-"
"""

ENV = {
    "PLAIN": "a value",
    "QUOTES": "'\"`$HOME\\${x}$(id)",
    "LINES": "\none\n\ntwo\n",
    "EMPTY": "",
    "UTF8": "\x81\u0088Áü✓🐋",
    "LARGE": "x" * 50_000,
    "HOME": "/elsewhere",
    "PATH": "/bin:/nowhere",
    # Those of shells.
    "IFS": "x",
    "PWD": "/wrong",
    "OLDPWD": "/older",
    "SHLVL": "7",
    "_": "underscore",
    "UID": "77",
    "PPID": "78",
    "PS4": "> ",
    "LC_ALL": "xx",
}


async def looks(runner: DockerRunner, request: RunRequest) -> list[str]:
    """What is shown in each way, without the host name, which is another one each time."""
    results = [await awaited(runner, way)(request) for way in (cold, warm, prepared)]
    return [re.sub(r"HOSTNAME=[0-9a-f]{12}\b", "HOSTNAME=…", (result.stdout or b"").decode()) for result in results]


@pytest.mark.parametrize(
    ("user", "given"), [("root", None), ("app", b"")], ids=["root without stdin", "app with stdin"]
)
async def test_all_that_a_process_can_see_is_the_same(
    runner: DockerRunner, image_variant: ImageVariant, user: str, given: bytes | None
) -> None:
    request = shell(image_variant(f"as-{user}", f"USER {user}"), LOOK, input=given, workdir="/w/x")
    in_cold, in_warm, in_prepared = await looks(runner, request)
    assert in_warm == in_cold
    assert in_prepared == in_cold
    assert "HOSTNAME=…" in in_cold
    assert ("0 /dev/null" if given is None else "0 pipe:") in in_cold


@pytest.mark.parametrize("entrypoint", ["cat /proc/1/environ; env", None], ids=["in a shell", "without a shell"])
@pytest.mark.parametrize("env", [ENV, {}], ids=["of the request", "of the image"])
async def test_any_environment_is_the_same(
    runner: DockerRunner, image_variant: ImageVariant, entrypoint: str | None, env: dict[str, str]
) -> None:
    image = image_variant("environment", "ENV IMAGE=image IFS=image dotted.name=image LINES=image", 'CMD ["env", "-0"]')
    request = RunRequest(image=image, entrypoint=entrypoint, env=env, network="none", capture_output=True)
    in_cold, in_warm, in_prepared = [sorted(re.split(r"[\0\n]", look)) for look in await looks(runner, request)]
    assert in_warm == in_cold
    assert in_prepared == in_cold
    assert "dotted.name=image" in in_cold


async def test_limits_are_the_runners(engine_host: str, busybox: str) -> None:
    request = shell(busybox, LOOK)
    async with DockerRunner(host=engine_host, memory="64m", cpus=0.5, no_new_privileges=False) as runner:
        in_cold, in_warm, in_prepared = await looks(runner, request)
    assert in_warm == in_cold
    assert in_prepared == in_cold
    assert str(64 * 1024**2) in in_cold
    assert "NoNewPrivs:\t0" in in_cold
