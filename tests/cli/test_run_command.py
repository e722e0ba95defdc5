"""``lightrunner run``: output, exit codes, input, files, JSON."""

import base64
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightrunner.cli import exits
from tests.cli.conftest import Cli, wait_for
from tools.raw_engine import RawEngine

ALL_BYTES = bytes(range(256)) * 7 + b"\r\n\n\xff\xfe no newline"


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("nothing-here", 127)])
def test_the_exit_code_is_the_containers(cli: Cli, busybox: str, script: str, status: int) -> None:
    assert cli("run", busybox, "--network", "none", "-c", script).returncode == status


def test_output_arrives_byte_for_byte_where_it_belongs(cli: Cli, busybox: str) -> None:
    done = cli("run", busybox, "--network", "none", "--input", "-", "--", "tee", "/dev/stderr", stdin=ALL_BYTES)
    assert (done.returncode, done.stdout, done.stderr) == (0, ALL_BYTES, ALL_BYTES)


def test_much_output_through_a_reader_that_is_late(cli: Cli, busybox: str) -> None:
    data = random.Random(7).randbytes(12 * 1024 * 1024)  # noqa: S311 - not a secret
    with cli.started(
        "run", busybox, "--network", "none", "--input", "-", "--", "cat", stdin=subprocess.PIPE
    ) as process:
        out, _ = process.communicate(data, timeout=60)
    assert out == data
    assert process.returncode == 0


@pytest.mark.parametrize("source", ["json", "file"])
def test_input(cli: Cli, busybox: str, tmp_path: Path, source: str) -> None:
    text = ' {"n": [1, "ü"]}'
    (tmp_path / "in").write_text(text)
    argument = text if source == "json" else f"@{tmp_path}/in"
    assert cli.ok("run", busybox, "--network", "none", "--input", argument, "--", "cat") == text


def test_without_input_stdin_is_empty_and_ours_is_left_alone(cli: Cli, busybox: str) -> None:
    assert cli.ok("run", busybox, "--network", "none", "-c", "wc -c", stdin=b"not for the container").strip() == "0"


def test_files_go_in_and_come_out(cli: Cli, busybox: str, tmp_path: Path) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    (project / "data").mkdir(parents=True)
    (project / "data" / "a").write_text("a")
    (project / "left.log").write_text("log")
    script = "ls; cp -r data more; printf $WORD > more/b; pwd"
    printed = cli.ok(
        *("run", busybox, "--network", "none", "--dir", str(project), "--ignore", "*.log", "-e", "WORD=hi"),
        *("-w", "/work", "--extract", f"more:{out}", "--extract", f"/work/data/a:{tmp_path}/x/../up", "-c", script),
    )
    assert printed == "data\n/work\n"
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a": "a", "b": "hi"}
    assert (tmp_path / "up" / "a").read_text() == "a"


def test_a_secret_is_a_files_content(cli: Cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(ALL_BYTES)
    secret = f"api-key={tmp_path}/key"
    done = cli("run", busybox, "--network", "none", "--secret", secret, "--", "cat", "/run/secrets/api-key")
    assert (done.returncode, done.stdout) == (0, ALL_BYTES)
    missing = cli("run", busybox, "--secret", f"k={tmp_path}/missing")
    assert missing.returncode == exits.USAGE
    assert f"--secret k={tmp_path}/missing: No such file" in missing.stderr.decode()


def test_a_missing_extract_is_a_failure_of_its_own(cli: Cli, busybox: str, tmp_path: Path) -> None:
    done = cli("run", busybox, "--network", "none", "--extract", f"gone:{tmp_path}", "--", "echo", "hi")
    assert (done.returncode, done.stdout) == (exits.INCOMPLETE, b"hi\n")
    assert done.stderr == b"lightrunner: extract gone: there is no such path in the container\n"


def test_a_variable_of_the_callers(cli: Cli, busybox: str) -> None:
    env = {"MINE": "a b", "_OWN": "x"}
    arguments = (
        "run",
        busybox,
        "--network",
        "none",
        "-e",
        "MINE",
        "-e",
        "B=2",
        "--",
        "sh",
        "-c",
        "echo $MINE $B $_OWN",
    )
    assert cli.ok(*arguments, env=env) == "a b 2\n"


def test_a_time_out_is_told(cli: Cli, busybox: str) -> None:
    done = cli("run", busybox, "--network", "none", "--timeout", "300ms", "--", "sleep", "60")
    assert (done.returncode, done.stdout) == (137, b"")
    assert b"time limit" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "script", "told"),
    [
        (["--cpu-timeout", "0.5"], "while :; do :; done", b"the CPU time limit of 0.5 s"),
        (["--output-limit", "10"], "yes", b"the output limit of 10 bytes"),
    ],
)
def test_what_killed_the_command_is_told(
    cli: Cli, busybox: str, arguments: list[str], script: str, told: bytes
) -> None:
    done = cli("run", busybox, "--network", "none", *arguments, "-c", script)
    assert done.returncode > 128
    assert done.stderr.startswith(b"lightrunner: killed ")
    assert told in done.stderr


def test_interactive_stdin_arrives_as_it_comes(cli: Cli, busybox: str) -> None:
    """The second line is written only after the first one's answer."""
    arguments = ("run", busybox, "--network", "none", "-i", "-c", "while read n; do echo $((n + 1)); done; echo end")
    with cli.started(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in (b"1", b"41"):
            process.stdin.write(number + b"\n")
            process.stdin.flush()
            wait_for(process, b"%d\n" % (int(number) + 1))
        process.stdin.close()
        wait_for(process, b"end\n")
    assert process.returncode == 0


def test_a_command_that_does_not_read_its_interactive_stdin_ends(cli: Cli, busybox: str) -> None:
    """Nothing ever arrives on stdin, and its read is left behind."""
    with cli.started("run", busybox, "--network", "none", "-i", "--", "true", stdin=subprocess.PIPE) as process:
        pass
    assert process.returncode == 0


def test_usage_is_told(cli: Cli, busybox: str) -> None:
    done = cli("run", busybox, "--network", "none", "--usage", "-c", "echo out")
    assert (done.returncode, done.stdout) == (0, b"out\n")
    assert re.fullmatch(rb"lightrunner: used: CPU 0\.\d{3} s, peak memory of a process \d.*\n", done.stderr)
    result = json.loads(cli.ok("run", busybox, "--network", "none", "--usage", "--json", "--", "true"))
    assert result["usage"]["cpu_time"]["total"] > 0


def test_json_is_one_object_with_the_output_in_it(cli: Cli, busybox: str) -> None:
    script = r"echo out; echo err >&2; printf '\377'; exit 4"
    done = cli("run", busybox, "--network", "none", "--json", "-c", script)
    assert (done.returncode, done.stderr) == (4, b"")
    result = json.loads(done.stdout)
    assert (result["success"], result["exit_code"], result["outcome"]) == (False, 4, "exited")
    assert (result["stdout"], result["stderr"]) == ("out\n\ufffd", "err\n")
    assert base64.b64decode(result["stdout_base64"]) == b"out\n\xff"
    assert len(result["id"]) == 36
    assert result["timings"]["start"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--memory", "1k"], exits.USAGE, "INVALID_REQUEST: memory='1k'"),
        (["--network", "host"], exits.USAGE, "INVALID_REQUEST: network='host'"),
        (["--setup", "a\nFROM b"], exits.USAGE, "INVALID_RUN_STEP: run"),
        (["--dir", "/nowhere"], exits.USAGE, "INVALID_REQUEST: dir='/nowhere'"),
        (["--runtime", "absent"], exits.FAILED, "CONTAINER_START_FAILED: container_"),
        (["--host", "unix:///nowhere.sock"], exits.UNREACHABLE, "DOCKER_UNREACHABLE: "),
    ],
)
def test_what_cannot_be_done_is_told_to_people_and_programs(
    cli: Cli, busybox: str, arguments: list[str], status: int, told: str
) -> None:
    done = cli("run", busybox, *arguments, "--json", "--", "true")
    assert done.returncode == status
    error = json.loads(done.stdout)["error"]
    assert f"{error['code']}: {error['message']}".startswith(told)
    assert done.stderr.decode() == f"lightrunner: {error['code']}: {error['message']}\n"


def test_a_command_line_that_is_wrong_creates_nothing(cli: Cli, busybox: str, raw: RawEngine) -> None:
    before = raw.containers()
    done = cli("run", busybox, "-e", "ABSENT_HERE", "--json", "--", "true")
    assert (done.returncode, "ABSENT_HERE" in json.loads(done.stdout)["error"]["message"]) == (exits.USAGE, True)
    done = cli("run", busybox, "true")
    assert (done.returncode, done.stdout) == (exits.USAGE, b"")
    done = cli("ps", "--", "true")
    assert (done.returncode, b"takes no command" in done.stderr) == (exits.USAGE, True)
    done = cli("run", busybox, "--input", "@/nowhere/x", "--", "true")
    assert (done.returncode, b"--input @/nowhere/x" in done.stderr) == (exits.USAGE, True)
    assert raw.containers() == before


def test_a_dropped_variable_is_told(cli: Cli, busybox: str) -> None:
    done = cli("run", busybox, "--network", "none", "-e", "a-b=1", "--", "true")
    assert done.returncode == 0
    assert done.stderr.startswith(b"lightrunner: warning: env")


def test_a_reader_that_leaves_ends_the_run_as_sigpipe_would(cli: Cli, busybox: str) -> None:
    with cli.started("run", busybox, "--network", "none", "--", "yes") as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"y\ny\n"
        process.stdout.close()
        process.wait(30)
    assert process.returncode == -13
    assert process.stderr is not None


def test_a_full_disk_is_an_error(cli: Cli, busybox: str) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        cli.started("run", busybox, "--network", "none", "-c", "echo hi; sleep 60", stdout=full) as process,
    ):
        _, err = process.communicate(timeout=30)
    assert (process.returncode, b"No space left" in err) == (exits.FAILED, True)


def test_a_closed_stdout_is_an_error_and_no_socket_takes_its_place(cli: Cli, busybox: str) -> None:
    command = cli.command("run", busybox, "--network", "none", "-c", "echo hi; sleep 60")
    # The shell closes stdin and stdout, and becomes the command.
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command], env=cli.env, stderr=subprocess.PIPE, timeout=60, check=False
    )
    assert (done.returncode, b"Bad file descriptor" in done.stderr) == (exits.FAILED, True)


def test_the_console_script_is_the_same_command(cli: Cli, busybox: str) -> None:
    script = str(Path(sys.executable).parent / "lightrunner")
    done = subprocess.run(
        [script, "run", busybox, "--network", "none", "--", "echo", "hi"],
        env=cli.env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"hi\n")


def test_help_into_a_closed_pipe(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed, cli.started("run", "--help", stdout=closed) as process:
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-13, b"")
