"""`sandbox`, `exec`, `cp` and `sandboxes`, as processes of their own on a real engine."""

import json
import os
import pty
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightrunner.cli import exits
from tests.cli.conftest import Cli, send, wait_for
from tests.cli.test_terminal import completions
from tools.raw_engine import RawEngine

FAMILY = "(setsid sleep 100 &); (sleep 100 & sleep 100 &); echo up; sleep 100"
SLEEPERS = "ps | grep -c '[s]leep 100'"


class Held:
    """A sandbox that a process of its own holds."""

    def __init__(self, cli: Cli, process: subprocess.Popen[bytes], sandbox_id: str) -> None:
        self.cli = cli
        self.process = process
        self.id = sandbox_id

    def exec(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a command to its end; exit status, stdout, stderr."""
        done = self.cli("exec", self.id[:13], *arguments, stdin=stdin)
        return done.returncode, done.stdout, done.stderr

    def sleepers(self) -> int:
        """How many of a `FAMILY` are left."""
        return int(self.exec("-c", SLEEPERS)[1])


@contextmanager
def holding(cli: Cli, image: str, *options: str, end: signal.Signals = signal.SIGTERM) -> Generator[Held]:
    """Hold a sandbox, and end it with a signal."""
    with cli.started("sandbox", image, "--network", "none", *options) as process:
        assert process.stdout is not None
        sandbox_id = process.stdout.readline().decode().strip()
        assert sandbox_id, process.stderr and process.stderr.read()
        yield Held(cli, process, sandbox_id)
        if process.poll() is None:
            send(process, end)


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """The state folder; after the test no socket is left in it."""
    folder = tmp_path / "state"
    yield folder
    assert sockets(folder) == []


@pytest.fixture
def held(cli: Cli, busybox: str) -> Iterator[Held]:
    """A sandbox with a shell."""
    with holding(cli, busybox, "--env", "A=1") as held:
        yield held


def sockets(folder: Path) -> list[Path]:
    return list((folder / "sandboxes").glob("*")) + list((folder / "sandboxes").glob(".*"))


def objects(raw: RawEngine) -> list[object]:
    return [*raw.containers(label="light-runner.run-id"), *raw.volumes(label="light-runner.run-id")]


def test_commands_with_their_streams_and_exit_codes(held: Held) -> None:
    script = "cat; printf '\\377\\0err' >&2; echo $A$B; pwd; exit 7"
    data = os.urandom(300_000)
    status, out, err = held.exec("--env", "B=2", "-w", "/bin", "-c", script, stdin=data)
    assert (status, out == data + b"12\n/bin\n", err) == (7, True, b"\xff\0err")
    assert held.exec("--", "sh", "-c", "echo kept >file; kill -9 $$")[0] == 137
    assert held.exec("--", "cat", "file") == (0, b"kept\n", b"")
    assert held.exec("-u", "7:8", "--", "id", "-u") == (0, b"7\n", b"")
    # One that does not read its input, however much there is.
    assert held.exec("--", "true", stdin=bytes(1_000_000)) == (0, b"", b"")
    assert held.exec("-c", "head -c 3", stdin=bytes(1_000_000)) == (0, bytes(3), b"")
    status, out, err = held.exec("--", "no-such", "x")
    assert (status, out, b"no-such: No such file" in err) == (127, b"", True)
    assert held.exec("--", "/etc")[0] == 126
    status, _, err = held.exec("--timeout", "200ms", "-c", FAMILY)
    assert (status, b"time" in err, held.sleepers()) == (137, True, 0)
    status, _, err = held.exec("--", "echo", "\udcff")
    assert (status, b"is not UTF-8" in err) == (exits.USAGE, True)
    status, _, err = held.exec("--", *["x" * 100_000] * 11)
    assert (status, b"too long" in err) == (exits.USAGE, True)
    status, _, err = held.exec("-w", "\x01" * 100_000, "--", *["x" * 100_000] * 9)
    assert (status, len(err) < 10_000) == (exits.USAGE, True)
    status, _, err = held.exec("-w", "/nowhere", "--", "true")
    assert (status, b"workdir" in err) == (exits.USAGE, True)


def test_large_output_reaches_a_slow_reader_whole(held: Held) -> None:
    with held.cli.started("exec", held.id, "-c", "head -c 20000000 /dev/zero; echo end >&2") as process:
        time.sleep(0.5)
        out, err = process.communicate()
    assert (process.returncode, len(out), err) == (0, 20_000_000, b"end\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_command_with_its_processes_and_the_sandbox_stays(held: Held, number: signal.Signals) -> None:
    with held.cli.started("exec", held.id, "-c", FAMILY) as process:
        wait_for(process, b"up\n")
        assert held.sleepers() == 4
        send(process, number)
    assert process.returncode == -number
    deadline = time.monotonic() + 20
    while number is signal.SIGKILL and held.sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)  # The holder notices by itself.
    assert held.sleepers() == 0


def test_ctrl_c_and_a_reader_that_leaves_while_nobody_reads(held: Held) -> None:
    with held.cli.started("exec", held.id, "--", "yes") as process:
        wait_for(process, b"y\n")
        time.sleep(0.3)
        send(process, signal.SIGINT)
        process.wait(20)
    assert process.returncode == -signal.SIGINT
    with held.cli.started("exec", held.id, "--", "yes") as process:
        wait_for(process, b"y\n")
        assert process.stdout is not None
        process.stdout.close()
        process.wait(20)
    assert process.returncode == -signal.SIGPIPE
    assert held.exec("-c", "sleep 0.3; ps | grep -c '[y]es'")[1] == b"0\n"


def test_a_conversation(held: Held) -> None:
    with held.cli.started(
        "exec", held.id, "-c", "while read x; do echo $((x * x)); done; exit 3", stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(5):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            assert process.stdout.readline() == b"%d\n" % number**2
        process.stdin.close()
    assert process.returncode == 3


def test_a_terminal(held: Held) -> None:
    master, slave = pty.openpty()
    command = held.cli.command("exec", held.id, "-it", "--", "sh", "-c", "stty size; trap 'echo int; exit 9' INT; cat")
    env = held.cli.env | {"LINES": "33", "COLUMNS": "99"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        seen = b""
        while b"33 99" not in seen:
            seen += os.read(master, 1000)
        time.sleep(0.3)
        os.write(master, b"\x03")  # It goes to the command, not to lightrunner.
        while b"int" not in seen:
            seen += os.read(master, 1000)
        process.wait(20)
    os.close(master)
    assert process.returncode == 9


def test_files_and_folders_in_and_out(held: Held, tmp_path: Path) -> None:
    cp = held.cli
    (tmp_path / "dist").mkdir()
    tool = tmp_path / "dist" / "build"
    tool.write_text("#!/bin/sh\necho tool\n")
    tool.chmod(0o700)
    cp.ok("cp", str(tool), f"{held.id}:.")
    assert held.exec("--", "./build") == (0, b"tool\n", b"")
    cp.ok("cp", str(tool), f"{held.id}:new/folder/")
    cp.ok("cp", str(tool), f"{held.id}:other/name")
    cp.ok("cp", str(tmp_path / "dist"), f"{held.id}:/tree")
    script = "ls new/folder other /tree; ln -s /etc/passwd /tree/link"
    assert held.exec("-c", script)[1].split() == [b"/tree:", b"build", b"new/folder:", b"build", b"other:", b"name"]
    cp.ok("cp", f"{held.id}:other/name", str(tmp_path / "mine"))
    cp.ok("cp", f"{held.id}:other/name", f"{tmp_path}/into/")
    cp.ok("cp", f"{held.id}:other/name", str(tmp_path))
    strange = f"{tmp_path}/strange" + "\udcff"
    os.link(tool, strange)
    cp.ok("cp", strange, f"{held.id}:plain")
    cp.ok("cp", f"{held.id}:plain", strange + "2")
    assert Path(strange + "2").read_text() == tool.read_text()
    done = cp("cp", f"{held.id}:/tree", str(tmp_path / "out"))
    assert (done.returncode, b"1 entries" in done.stderr) == (0, True)
    for path in ("mine", "into/name", "name", "out/build"):
        assert (tmp_path / path).read_text() == tool.read_text(), path
    assert not (tmp_path / "out" / "link").exists()
    assert not list(tmp_path.glob(".light-runner-*"))


def test_what_cannot_be_copied(held: Held) -> None:
    for source, target, status, word in (
        ("/no/such", "{}:x", exits.USAGE, b"/no/such: no such file"),
        ("{}:no-such", "here", exits.USAGE, b"no-such: no such file"),
        ("{}:/dev/null", "here", exits.FAILED, b"null"),
        ("/etc/hostname", "{}:/proc/x", exits.FAILED, b"/proc"),
        ("{}:/etc/passwd", "/no/such/here", exits.FAILED, b"No such file"),
        ("{}:/etc/passwd", "/dev/null/\udcff/", exits.FAILED, b"null"),
        ("/etc/\udcff", "{}:x", exits.USAGE, b"no such file"),
        ("a", "b", exits.USAGE, b"has to be in a sandbox"),
        ("{}:a", "{}:b", exits.USAGE, b"has to be in a sandbox"),
        ("x", "no-such:b", exits.USAGE, b"no sandbox 'no-such'"),
    ):
        done = held.cli("cp", source.format(held.id), target.format(held.id))
        assert (done.returncode, word in done.stderr) == (status, True), (source, target, done.stderr)


def test_the_list_and_beginnings_of_ids(cli: Cli, busybox: str, state_dir: Path) -> None:
    assert cli.ok("sandboxes", "--quiet") == ""
    with holding(cli, busybox, "--expose", "8000") as one, holding(cli, busybox) as other:
        assert cli.ok("sandboxes", "--quiet").split() == [one.id, other.id]
        head, *rows = cli.ok("sandboxes").splitlines()
        assert head.split() == ["ID", "IMAGE", "STARTED", "PID", "PORTS"]
        assert [row.split()[:2] for row in rows] == [[held.id[:12], busybox] for held in (one, other)]
        told = json.loads(cli.ok("sandboxes", "--json"))["sandboxes"][0]
        assert (told["id"], told["image"], told["pid"]) == (one.id, busybox, one.process.pid)
        host, port = told["exposed"]["8000"].split(":")
        with socket.create_connection((host, int(port))):
            pass
        assert completions(cli, f"lightrunner exec {one.id[:4]}") == {one.id}
        for path in sockets(state_dir):
            assert (path.is_socket(), stat.S_IMODE(path.stat().st_mode)) == (True, 0o600)
        assert stat.S_IMODE((state_dir / "sandboxes").stat().st_mode) == 0o700
        done = cli("exec", "", "--", "true")
        assert (done.returncode, b"no sandbox ''" in done.stderr) == (exits.USAGE, True)
    assert cli("exec", one.id, "--", "true").returncode == exits.USAGE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_sandbox_and_the_commands_in_it(
    cli: Cli, busybox: str, raw: RawEngine, state_dir: Path, number: signal.Signals
) -> None:
    with holding(cli, busybox) as held, cli.started("exec", held.id, "-c", FAMILY) as command:
        wait_for(command, b"up\n")
        for _ in range(3):
            send(held.process, number)
        _, told = command.communicate(timeout=30)
    assert held.process.returncode == -number
    assert (command.returncode, b"has ended" in told) == (exits.FAILED, True)
    assert objects(raw) == []
    assert sockets(state_dir) == []


def test_a_killed_holder_leaves_a_socket_that_is_recognised(
    cli: Cli, busybox: str, raw: RawEngine, state_dir: Path
) -> None:
    with holding(cli, busybox) as held:
        held.process.kill()
        held.process.wait(10)
    assert len(sockets(state_dir)) == 1
    done = cli("exec", held.id, "--", "true")
    assert (done.returncode, b"no sandbox" in done.stderr) == (exits.USAGE, True)
    assert sockets(state_dir) == []
    cli("reap")
    assert objects(raw) == []


def test_the_end_of_its_time_ends_the_sandbox(cli: Cli, busybox: str, raw: RawEngine, state_dir: Path) -> None:
    with holding(cli, busybox, "--timeout", "3") as held, cli.started("exec", held.id, "--", "sleep", "60") as command:
        told = [process.communicate(timeout=30)[1] for process in (command, held.process)]
    assert (held.process.returncode, command.returncode) == (exits.FAILED, exits.FAILED)
    assert [b"time limit of 3 s" in words for words in told] == [True, True]
    assert objects(raw) == []
    assert sockets(state_dir) == []


def test_a_holder_that_is_stopped_holds_up_nobody_else(cli: Cli, busybox: str) -> None:
    with holding(cli, busybox) as one, holding(cli, busybox) as other:
        send(one.process, signal.SIGSTOP)
        try:
            assert other.exec("--", "echo", "1") == (0, b"1\n", b"")
            done = cli("sandboxes", "--quiet")
            assert (done.stdout.decode().split(), b"does not answer" in done.stderr) == ([other.id], True)
        finally:
            send(one.process, signal.SIGCONT)
        assert one.exec("--", "echo", "1") == (0, b"1\n", b"")


def test_strangers_bytes_and_clients_that_leave_do_not_harm_the_holder(held: Held, state_dir: Path) -> None:
    (path,) = sockets(state_dir)
    folder = os.open(path.parent, os.O_PATH)
    for data in (
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\5\x81\xa4type",
    ):
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(f"/proc/self/fd/{folder}/{path.name}")
            own.sendall(data)
    os.close(folder)
    assert held.exec("--", "echo", "1") == (0, b"1\n", b"")


def test_what_is_wrong_is_told_before_anything_is_created(cli: Cli, busybox: str, raw: RawEngine) -> None:
    done = cli("sandbox", busybox, "--memory", "1k")
    assert (done.returncode, b"memory" in done.stderr) == (exits.USAGE, True)
    assert objects(raw) == []
