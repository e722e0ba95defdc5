"""On a pseudo-terminal, with and without colours, and without the extra; and what a shell asks to complete a line."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping

import pytest

from lightrunner.cli import exits
from tests.cli.conftest import Cli

ESCAPE = "\x1b["
COLOR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
AS_DESCRIPTOR_8 = "import os, sys; os.dup2(int(sys.argv[1]), 8); os.execv(sys.argv[2], sys.argv[2:])"
BUILD = ("--network", "none", "--setup", "echo one; sleep 0.5; echo two")


def on_terminal(cli: Cli, *arguments: str, env: Mapping[str, str] | None = None, extra: bool = True) -> tuple[int, str]:
    """Run the command with stdout and stderr on a terminal. Return its status and all that it shows."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        cli.command(*arguments, extra=extra),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=cli.env | dict(env or {}),
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux' way to say that nobody has the other side open.
                break
            if not data:
                break
            shown += data
        process.wait(60)
    os.close(master)
    return process.returncode, shown.decode()


def options(text: bytes) -> set[bytes]:
    return set(re.findall(rb"--[a-z-]+", text))


def prune(cli: Cli) -> None:
    cli.ok("cache", "prune", "--older-than", "0")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_build_shows_that_it_moves_and_leaves_only_the_output(cli: Cli, busybox: str, no_color: str) -> None:
    status, shown = on_terminal(cli, "run", busybox, *BUILD, "--", "echo", "hi", env={"NO_COLOR": no_color})
    prune(cli)
    assert status == 0
    assert ESCAPE in shown, "it moves the cursor"
    assert "one" in shown
    assert bool(COLOR.search(shown)) is not bool(no_color)
    assert shown.endswith("hi\r\n")


@pytest.mark.parametrize(("env", "extra"), [({}, False), ({"TERM": "dumb"}, True)])
def test_lines_where_there_is_no_rich_and_where_no_cursor_moves(
    cli: Cli, busybox: str, env: dict[str, str], *, extra: bool
) -> None:
    status, shown = on_terminal(cli, "run", busybox, *BUILD, "--", "echo", "hi", env=env, extra=extra)
    prune(cli)
    assert status == 0
    assert ESCAPE not in shown
    assert "lightrunner: one\r\n" in shown
    assert shown.endswith("hi\r\n")


def test_quiet_shows_no_progress(cli: Cli, busybox: str) -> None:
    assert cli.ok("run", busybox, *BUILD, "--quiet", "--", "echo", "hi") == "hi\n"
    prune(cli)


def test_doctor_has_colors_unless_they_are_unwanted(cli: Cli) -> None:
    assert COLOR.search(on_terminal(cli, "doctor")[1])
    assert ESCAPE not in on_terminal(cli, "doctor", env={"NO_COLOR": "1"})[1]


def test_help_has_the_same_options_with_and_without_the_extra(cli: Cli) -> None:
    for command in ("run", "stop", "completion"):
        plain = cli(command, "--help", extra=False)
        rich = cli(command, "--help")
        assert plain.returncode == rich.returncode == 0
        assert options(plain.stdout) == options(rich.stdout)
        assert b"--help" in options(plain.stdout)
        assert b"\x1b" not in rich.stdout
    status, shown = on_terminal(cli, "run", "--help")
    assert (status, bool(COLOR.search(shown))) == (0, True)
    assert not COLOR.search(on_terminal(cli, "run", "--help", env={"NO_COLOR": "1"})[1])


def test_every_kind_of_command_works_without_the_extra(cli: Cli, busybox: str) -> None:
    assert cli.ok("run", busybox, "--network", "none", "--", "echo", "hi", extra=False) == "hi\n"
    assert cli.ok("ps", extra=False)
    done = cli("completion", "bash", extra=False)
    assert (done.returncode, b"lightrunner[cli]" in done.stderr) == (exits.FAILED, True)


def completions(cli: Cli, line: str) -> set[str]:
    """What a shell is offered for a line, asked as argcomplete's shell code asks: the answer comes on descriptor 8."""
    reader, writer = os.pipe()
    env = cli.env | {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    command = [sys.executable, "-c", AS_DESCRIPTOR_8, str(writer), sys.executable, "-m", "lightrunner"]
    done = subprocess.run(command, env=env, pass_fds=[writer], capture_output=True, timeout=60, check=False)
    os.close(writer)
    with os.fdopen(reader) as answers:
        found = answers.read()
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in found.split("\n")} - {""}


def test_completion(cli: Cli, busybox: str) -> None:
    assert "lightrunner" in cli.ok("completion", "bash")
    assert {"run", "ps", "attach", "doctor"} <= completions(cli, "lightrunner ")
    assert completions(cli, "lightrunner run --ext") == {"--extract"}
    assert completions(cli, "lightrunner cache ") >= {"list", "prune"}
    run_id = cli.ok("run", busybox, "--network", "none", "--detach", "--", "sleep", "60").strip()
    assert run_id in completions(cli, f"lightrunner stop {run_id[:4]}")
    cli.ok("stop", "--grace", "0", run_id)


def test_an_interactive_terminal(cli: Cli, busybox: str) -> None:
    """A shell on this test's terminal: keys arrive at once, Ctrl-C is the container's, a new size is followed."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (20, 70))
    before = termios.tcgetattr(slave)
    command = cli.command("run", busybox, "--network", "none", "-it", "--", "sh", "-i")
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=cli.env) as process:
        try:
            shown = type_and_await(master, b"sleep 1; stty size; echo rea''dy\n", b"ready")
            assert b"20 70" in shown
            termios.tcsetwinsize(slave, (33, 99))
            process.send_signal(signal.SIGWINCH)  # As the kernel does to a terminal's foreground processes.
            type_and_await(master, b"sleep 1; stty size; sleep 60\n", b"33 99")
            os.write(master, b"\x03")
            type_and_await(master, b"echo int''errupted\n", b"interrupted")
            os.write(master, b"exit 7\n")
            assert process.wait(60) == 7
            assert termios.tcgetattr(slave) == before
        finally:
            process.kill()
            os.close(slave)
            os.close(master)


def type_and_await(master: int, keys: bytes, wanted: bytes) -> bytes:
    """Type, and read what is shown until it has something in it, which the echo of the keys has not."""
    os.write(master, keys)
    shown = b""
    while wanted not in shown:
        assert select.select([master], [], [], 30)[0], shown
        shown += os.read(master, 65536)
    return shown
