"""Secrets: files that the run's user alone can read, and that nothing on the daemon and no message of ours shows."""

import hashlib
import json
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, RunRequest
from lightrunner.rules.limits import INIT_VOLUME_PREFIX, MAX_SECRETS, MAX_SECRETS_BYTES
from lightrunner.runs.secrets import hand_over
from tests.runs.conftest import CommittedImage, ImageVariant, MakeRunner
from tests.runs.shell_runs import Run, shell, start_ready
from tools.raw_engine import RawEngine, RawEngineError

VALUE = b"hunter2-\xc3\xa4"
SECRETS = {
    "api-key": VALUE,
    "newlines": b"\n\r\n\x04\n",
    "nul": bytes(range(256)) * 3,
    "empty": b"",
    "large.pem": bytes(range(251)) * 1000,
    ".hidden_": b"n",
}
SUMS = "cd /run/secrets && sha256sum $(ls -A)"


def sums(secrets: Mapping[str, bytes]) -> str:
    """What `SUMS` prints."""
    return "".join(f"{hashlib.sha256(secrets[name]).hexdigest()}  {name}\n" for name in sorted(secrets))


async def test_contents_are_byte_exact_and_input_follows(run: Run, busybox: str) -> None:
    data = b"\0not a secret\nn" + bytes(range(256)) * 300
    result = await run(shell(busybox, f"sha256sum; {SUMS}", secrets=SECRETS, input=data))
    assert result.success
    assert (result.stdout or b"").decode() == f"{hashlib.sha256(data).hexdigest()}  -\n" + sums(SECRETS)


async def test_the_most_that_there_can_be(runner: DockerRunner, busybox: str) -> None:
    size = MAX_SECRETS_BYTES // MAX_SECRETS
    secrets = {f"{at:03}" + "n" * 252: bytes([at]) * size for at in range(MAX_SECRETS)}
    result = (await runner.run(shell(busybox, SUMS, secrets=secrets))).check()
    assert (result.stdout or b"").decode() == sums(secrets)
    one = {"all": bytes(range(256)) * (MAX_SECRETS_BYTES // 256)}
    assert ((await runner.run(shell(busybox, SUMS, secrets=one))).stdout or b"").decode() == sums(one)


LOOK = (
    "stat -c '%n %a %u' /run/secrets /run/secrets/*; grep ' /run/secrets ' /proc/mounts | cut -d' ' -f 3,4; id; "
    "cat /run/secrets/key; touch /run/secrets/own && rm /run/secrets/own && echo; "
    "echo $PPID $$; wc -c"
)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("user", "number"), [(None, 1000), ("app", 1000), ("1234", 1234), ("1234:56", 1234), ("root", 0), ("0:0", 0)]
)
async def test_mode_and_owner(
    make_runner: MakeRunner, image_variant: ImageVariant, *, user: str | None, number: int, read_only: bool
) -> None:
    image = image_variant("as-app", "USER app")
    async with make_runner(read_only=read_only) as runner:
        result = await runner.run(shell(image, LOOK, user=user, secrets={"key": VALUE}))
        plain = await runner.run(shell(image, "id; echo $PPID $$; wc -c", user=user))
    lines = (result.stdout or b"").splitlines()
    assert lines[:2] == [f"/run/secrets 700 {number}".encode(), f"/run/secrets/key 400 {number}".encode()]
    mount = lines[2].split(b" ")
    assert mount[0] == b"tmpfs"
    assert {b"rw", b"noexec"} <= set(mount[1].split(b","))  # gVisor shows no more than these.
    assert lines[4] == VALUE
    assert [lines[3], *lines[5:]] == (plain.stdout or b"").splitlines()  # Process 1, and no input.


async def test_the_world_of_the_command_is_any_runs(runner: DockerRunner, busybox: str) -> None:
    script = (
        "env | sort; pwd; ulimit -a; ls /proc/self/fd; umask; "
        "grep -E 'Sig[BIC]|Cap|NoNew|Seccomp' /proc/1/status; tr '\\0' ' ' </proc/1/cmdline"
    )
    request: dict[str, Any] = {"env": {"A": "b c"}, "hostname": "box", "input": b""}
    plain = await runner.run(shell(busybox, script, **request))
    secret = await runner.run(shell(busybox, script, secrets={"key": VALUE}, **request))
    assert secret.stdout == plain.stdout


async def test_usage_is_measured_as_well(make_runner: MakeRunner, busybox: str) -> None:
    async with make_runner(usage=True) as runner:
        result = await runner.run(shell(busybox, "cat /run/secrets/key -; exit 3", secrets={"key": VALUE}, input=b"in"))
    assert (result.stdout, result.exit_code) == (VALUE + b"in", 3)
    assert result.usage is not None
    assert result.usage.source == "init"


async def test_an_image_that_has_the_folder(runner: DockerRunner, committed_image: CommittedImage) -> None:
    # runc before 1.2 gives a tmpfs the mode of the folder in whose place it is.
    image = committed_image("has-secrets", "mkdir -p /run/secrets && echo theirs >/run/secrets/key", User="app")
    script = "stat -c '%a %u' /run/secrets; ls -A /run/secrets; cat /run/secrets/key"
    result = await runner.run(shell(image, script, secrets={"key": VALUE}))
    assert result.stdout == b"700 1000\nkey\n" + VALUE


async def test_users_behind_a_link(runner: DockerRunner, committed_image: CommittedImage) -> None:
    image = committed_image("linked-users", "mkdir /real && mv /etc/passwd /real/p && ln -s ../real/p /etc/passwd")
    result = await runner.run(shell(image, "stat -c '%a %u' /run/secrets", user="app", secrets={"key": VALUE}))
    assert result.stdout == b"700 1000\n"


async def test_the_images_own_command(runner: DockerRunner, image_variant: ImageVariant) -> None:
    image = image_variant("cats", 'ENTRYPOINT ["cat", "/run/secrets/key"]', 'CMD ["-"]', "USER app")
    request = RunRequest(image=image, network="none", capture_output=True, secrets={"key": VALUE}, input="typed")
    assert (await runner.run(request)).stdout == VALUE + b'"typed"'


async def test_nothing_on_the_daemon_shows_them(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    script = "echo ready; cat /proc/1/environ /proc/1/cmdline; env; cp /run/secrets/key /tmp/x; sleep 2; exit 4"
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, script, secrets={"key": VALUE}))
        inspected = raw.get(f"/containers/{execution.container_id}/json")
        assert {"noexec", "nosuid", "nodev"} <= set(inspected["HostConfig"]["Tmpfs"]["/run/secrets"].split(","))
        top = raw.get(f"/containers/{execution.container_id}/top")
        # The container's own file system, which a commit would keep, has nothing of the tmpfs.
        with pytest.raises(RawEngineError, match="Could not find the file"):
            raw.request("GET", f"/containers/{execution.container_id}/archive", query={"path": "/run/secrets/key"})
        result = await execution.wait()
    for shown in (json.dumps(inspected), json.dumps(top), repr(result), repr(execution)):
        assert "hunter2" not in shown
    assert VALUE not in (result.stdout or b"") + (result.stderr or b"")
    assert result.exit_code == 4


async def test_they_end_with_the_container(runner: DockerRunner, busybox: str, tmp_path: Any) -> None:
    request = shell(busybox, "true", secrets={"key": VALUE}, extract=[ExtractSpec("/run/secrets/key", tmp_path)])
    result = await runner.run(request)
    assert [extracted.status for extracted in result.extracted or ()] == ["missing"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "why"), [("/no/such/program", "no such program"), ("none", "no such program"), ("/etc", "executed")]
)
async def test_a_program_that_cannot_be_executed(
    runner: DockerRunner, image_variant: ImageVariant, command: str, why: str
) -> None:
    image = image_variant(f"cannot-{why[:2]}-{len(command)}", f'CMD ["{command}"]')
    request = RunRequest(image=image, network="none", secrets={"key": VALUE})
    with pytest.raises(LightRunnerError, match=f"{why}.*: {command}") as caught:
        await runner.run(request)
    assert caught.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert not is_shown(caught.value)


def is_shown(error: BaseException) -> bool:
    """Whether a report of an error shows the secret, where it has the local variables of every frame."""
    report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "container_id = " in report
    return "hunter2" in report


async def test_a_script_that_nobody_finds_is_a_result(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "no-such-program", secrets={"key": VALUE}))
    assert result.exit_code == 127


async def test_a_removed_init_volume_is_filled_again(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "cat /run/secrets/key", secrets={"key": VALUE})
    assert (await runner.run(request)).stdout == VALUE
    for volume in raw.volumes():
        if volume["Name"].startswith(INIT_VOLUME_PREFIX):
            raw.request("DELETE", f"/volumes/{volume['Name']}")
    assert (await runner.run(request)).stdout == VALUE


async def test_cancel_and_time_out(runner: DockerRunner, busybox: str) -> None:
    request = shell(busybox, "echo up; sleep 60", secrets={"key": VALUE}, timeout=1.0)
    timed_out = await runner.run(request)
    assert (timed_out.timed_out, timed_out.stdout) == (True, b"up\n")
    assert 0.9 <= timed_out.duration < 30
    with trio.move_on_after(0.4) as scope:  # In the middle of the start, or behind it.
        await runner.run(request)
    assert scope.cancelled_caught


async def test_detached_and_terminal_are_refused(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "true", secrets={"key": VALUE}, capture_output=False)
    with pytest.raises(LightRunnerError, match=r"secrets=\['key'\]: a detached run") as caught:
        await runner.detach(request)
    assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST
    with pytest.raises(LightRunnerError, match="tty=True: a terminal"):
        await runner.run(shell(busybox, "true", secrets={"key": VALUE}, tty=True))
    with pytest.raises(LightRunnerError, match="secrets=<secrets key>: is a run's"):
        async with runner.sandbox(RunRequest(image=busybox, secrets={"key": VALUE})):
            pass
    assert raw.get("/containers/json?all=1") == []


@pytest.mark.parametrize("user", [None, "app"])
async def test_warm_pools(runner: DockerRunner, busybox: str, user: str | None) -> None:
    template = RunRequest(image=busybox, network="none", user=user, secrets={"any": b""})
    async with runner.warm(template, size=2) as pool:
        first = shell(
            busybox, f"cat; {SUMS}; stat -c %a:%u key", user=user, secrets={"key": VALUE, "b": b"\n"}, input="x"
        )
        script = "cat; readlink /proc/self/fd/0; echo $$ $A; cat /run/secrets/key"
        second = shell(busybox, script, user=user, secrets={"key": SECRETS["large.pem"]}, env={"A": "1", "UID": "7"})
        none = shell(busybox, "ls -A /run/secrets; cat", user=user, input="x")
        results = [(await pool.run(request)).check() for request in (first, second, none)]
        number = 1000 if user else 0
        expected = '"x"' + sums({"key": VALUE, "b": b"\n"}) + f"400:{number}\n"
        assert [result.stdout for result in results] == [
            expected.encode(),
            b"/dev/null\n1 1\n" + SECRETS["large.pem"],
            b'"x"',
        ]
        with pytest.raises(LightRunnerError, match="no such program: sh"):
            await pool.run(shell(busybox, "true", user=user, secrets={"key": VALUE}, env={"PATH": "/nowhere"}))


async def test_a_warm_pool_whose_template_has_none(runner: DockerRunner, busybox: str) -> None:
    request = shell(busybox, "true", secrets={"key": VALUE})
    async with runner.warm(RunRequest(image=busybox, network="none"), size=1) as pool:
        with pytest.raises(LightRunnerError, match="secrets=<secrets key>: the warm pool's template has none"):
            await pool.run(request)


async def test_a_warm_run_starts_when_they_are_written(
    runner: DockerRunner, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*args: Any, **keywords: Any) -> bytes:
        await trio.sleep(2)
        return await hand_over(*args, **keywords)

    monkeypatch.setattr("lightrunner.warm.pool.hand_over", slow)
    request = shell(busybox, "true", secrets={"key": VALUE}, timeout=2.0)
    async with runner.warm(request, size=1) as pool:
        result = await pool.run(request)
    assert (result.outcome, result.duration < 2) == ("exited", True)
