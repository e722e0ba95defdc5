"""`Sandbox.exec`: exit codes, streams, and what a command starts with."""

import signal
from typing import Any, cast

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, LogLine, RunRequest, Sandbox
from tests.runs.conftest import ImageVariant, MakeRunner

SLEEPERS = "ps | grep -c '[s]leep'"


async def test_commands_follow_one_another_on_the_same_files(box: Sandbox) -> None:
    assert (await box.exec("echo one > note; echo out; echo err >&2")).check().stderr == b"err\n"
    result = await box.exec("cat note; pwd; exit 3")
    assert (result.exit_code, result.stdout, result.success) == (3, b"one\n/app\n", False)


async def test_a_program_gets_its_arguments_as_they_are(box: Sandbox) -> None:
    words = ["a b", "$HOME", "", "ü", "'\"\\"]
    result = await box.exec(["printf", "%s\\n", *words])
    assert result.stdout == "".join(f"{word}\n" for word in words).encode()


async def test_what_cannot_be_executed_is_a_result(box: Sandbox) -> None:
    cases: list[tuple[Any, int, bytes]] = [
        (["no-such-program"], 127, b"light-runner: no-such-program: No such file or directory\n"),
        (["/no/such/program"], 127, b"light-runner: /no/such/program: No such file or directory\n"),
        (["/etc/passwd"], 126, b"light-runner: /etc/passwd: Permission denied\n"),
        (["/etc"], 126, b"light-runner: /etc: Permission denied\n"),
        ("no-such-program", 127, b"sh: no-such-program: not found\n"),
    ]
    for command, code, reason in cases:
        lines: list[LogLine] = []
        result = await box.exec(command, on_log=lines.append)
        assert (result.exit_code, result.stdout, result.stderr) == (code, b"", reason)
        assert lines == [LogLine("stderr", reason.decode().strip())]


async def test_a_signal_is_128_and_its_number(box: Sandbox) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        result = await box.exec(f"kill -{number} $$")
        assert (result.exit_code, result.timed_out) == (128 + number, False)


async def test_output_comes_to_the_last_byte(box: Sandbox) -> None:
    """More than pipes and windows hold; a process that exits at once; both streams."""
    result = await box.exec("head -c 3000000 /dev/zero; echo end; head -c 700000 /dev/zero >&2; echo end >&2")
    assert result.stdout == bytes(3000000) + b"end\n"
    assert result.stderr == bytes(700000) + b"end\n"
    for _ in range(20):
        assert (await box.exec(["echo", "end"])).stdout == b"end\n"


async def test_input_ends(box: Sandbox) -> None:
    data = bytes(range(256)) * 4096
    assert (await box.exec("cat", input=data)).stdout == data
    assert (await box.exec("cat", input={"n": 1})).stdout == b'{"n":1}'
    assert (await box.exec("wc -c", input=b"")).stdout == b"0\n"
    assert (await box.exec("readlink /proc/self/fd/0")).stdout == b"/dev/null\n"


async def test_input_that_nobody_reads_is_no_error(box: Sandbox) -> None:
    for command in ("exec <&-; sleep 0.1; echo ok", "head -c 10 >/dev/null; echo ok", "echo ok"):
        assert (await box.exec(command, input=bytes(3_000_000))).stdout == b"ok\n"


async def test_the_environment_is_the_containers_and_the_requests(runner: DockerRunner, busybox: str) -> None:
    request = RunRequest(image=busybox, network="none", env={"A": "1", "B": "2"})
    async with runner.sandbox(request) as box:
        result = await box.exec(["env"], env={"B": "3", "C": "4 5\n6"})
        run = await runner.run(RunRequest(image=busybox, network="none", entrypoint="env", capture_output=True))
    lines = set((result.stdout or b"").decode().splitlines())
    assert {"A=1", "B=3", "C=4 5", "6", "HOME=/root"} <= lines
    names = {line.partition("=")[0] for line in (run.stdout or b"").decode().splitlines()} - {"PWD", "SHLVL"}
    assert {line.partition("=")[0] for line in lines} == names | {"A", "B", "C", "6"}


async def test_the_user_is_the_images(runner: DockerRunner, image_variant: ImageVariant) -> None:
    image = image_variant("as-app", "USER app")
    async with runner.sandbox(RunRequest(image=image, network="none")) as box:
        result = await box.exec("id -un; echo $HOME; echo x > file; stat -c %U file; grep CapEff /proc/self/status")
        assert result.stdout == b"app\n/home/app\napp\nCapEff:\t0000000000000000\n"
        assert (await box.exec(["id", "-u"], user="root")).stdout == b"0\n"


async def test_a_user_is_a_name_or_a_number(box: Sandbox) -> None:
    for user, expected in (
        ("root", b"uid=0 gid=0"),
        ("app", b"uid=1000 gid=1000"),
        ("1000", b"uid=1000 gid=1000"),
        ("4242", b"uid=4242 gid=0"),
        ("4242:4343", b"uid=4242 gid=4343"),
        ("app:0", b"uid=1000 gid=0"),
    ):
        result = await box.exec("echo uid=$(id -u) gid=$(id -g)", user=user)
        assert result.stdout == expected + b"\n"


async def test_bad_arguments_are_refused_and_the_sandbox_stays(box: Sandbox) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"user": "nobody-of-that-name"}, "user"),
        ({"user": "root:no-such-group"}, "user"),
        ({"user": "99999999999"}, "user"),
        ({"user": ":7"}, "user"),
        ({"user": "x" * 300}, "user"),
        ({"workdir": "/no/such/folder"}, "workdir"),
        ({"workdir": "/etc/passwd"}, "workdir"),
        ({"workdir": "a\0b"}, "workdir"),
        ({"env": {"A": "\0"}}, "env"),
        ({"env": {"A": "x" * 2_000_000}}, "command"),
        ({"timeout": -1.0}, "timeout"),
        ({"input": object()}, "input"),
        ({"background": 1}, "background"),
    ]
    for options, field in cases:
        with pytest.raises(LightRunnerError, match=field) as caught:
            await box.exec("true", **options)
        assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST
    for command in ("", " ", [], [1], ["a\0"], 5, None, b"ls"):
        with pytest.raises(LightRunnerError, match="command") as caught:
            await box.exec(cast("Any", command))
        assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert (await box.exec("true")).success


async def test_a_workdir_starts_at_the_sandboxes(box: Sandbox) -> None:
    await box.exec("mkdir -p sub/dir")
    assert (await box.exec("pwd", workdir="sub/dir")).stdout == b"/app/sub/dir\n"
    assert (await box.exec("pwd", workdir="/etc")).stdout == b"/etc\n"


@pytest.mark.needs("pids")
async def test_commands_at_once_do_not_mix(box: Sandbox) -> None:
    async def one(number: int) -> None:
        data = f"{number:04d}".encode() * 50_000
        result = await box.exec(f"cat; echo err{number} >&2; exit {number}", input=data)
        assert (result.stdout, result.stderr, result.exit_code) == (data, f"err{number}\n".encode(), number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)


async def test_a_slow_reader_holds_up_nobody_else(box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        slow = await nursery.start(box.start, "yes")
        assert (await slow.stdout.receive_some(4)) == b"y\ny\n"
        for _ in range(5):
            assert len((await box.exec("head -c 1000000 /dev/zero")).stdout or b"") == 1_000_000
        await slow.kill()


async def test_lines_arrive_while_the_command_runs(box: Sandbox) -> None:
    seen: list[str] = []

    async def on_log(line: LogLine) -> None:
        seen.append(line.text)
        if line.text == "first":
            await box.write("go", b"")

    with trio.fail_after(20):
        command = "echo first; while ! [ -e go ]; do sleep 0.01; done; printf last"
        result = await box.exec(command, on_log=on_log, capture_output=False)
    assert (seen, result.stdout) == (["first", "last"], None)


async def test_a_failing_callback_ends_the_command(box: Sandbox) -> None:
    def on_log(_line: LogLine) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await box.exec("echo x; sleep 100", on_log=on_log)
    assert (await box.exec(SLEEPERS)).stdout == b"0\n"


async def test_background_processes_live_on(box: Sandbox) -> None:
    result = await box.exec("(while :; do echo x; sleep 0.01; done) & echo started", background=True)
    assert result.exit_code == 0
    assert b"started\n" in (result.stdout or b"")
    await trio.sleep(0.2)
    assert (await box.exec("ps | grep -q '[e]cho x'")).success
    await box.exec("sleep 5", timeout=0.1)  # The end of another command is none of theirs.
    assert (await box.exec("ps | grep -q '[e]cho x'")).success


async def test_what_a_command_left_is_killed(box: Sandbox) -> None:
    result = await box.exec("sleep 100 & (setsid sleep 100 &) ; echo done")
    assert (result.exit_code, result.stdout) == (0, b"done\n")
    assert (await box.exec(SLEEPERS)).stdout == b"0\n"


@pytest.mark.needs("oom_victims")
async def test_an_oom_is_told(make_runner: MakeRunner, busybox: str) -> None:
    async with (
        make_runner(memory="48m") as runner,
        runner.sandbox(RunRequest(image=busybox, network="none")) as box,
    ):
        result = await box.exec("head -c 200000000 /dev/zero | tail")
        assert result.oom_killed
        after = await box.exec("echo fine")
        assert (after.stdout, after.oom_killed) == (b"fine\n", False)


@pytest.mark.needs("pids")
async def test_no_room_for_a_process_is_an_error(box: Sandbox) -> None:
    await box.exec("i=0; while [ $i -lt 120 ]; do sleep 100 & i=$((i+1)); done", background=True)
    with pytest.raises(LightRunnerError, match="no process could be started") as caught:
        await box.exec("true")
    assert caught.value.code is LightRunnerErrorCode.RUN_FAILED
