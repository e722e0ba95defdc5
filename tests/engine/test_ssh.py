"""A daemon behind ssh: one forwarded socket, whose process ends with the client."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, RunRequest
from lightrunner.engine import EngineClient, EngineUnreachable
from tools.ssh_server import SshServer


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


@pytest.fixture
def host(server: SshServer, raw_host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine's URL over ssh."""
    monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
    return f"ssh://{server.destination}:{server.port}{raw_host.removeprefix('unix://')}"


def forwards() -> list[int]:
    """The pids of the `ssh` processes that this one has started."""
    # trio starts processes in worker threads, which the kernel counts as their parents.
    children = " ".join(map(read_proc, Path("/proc/self/task").glob("*/children"))).split()
    return [int(pid) for pid in children if "-L" in read_proc(Path(f"/proc/{pid}/cmdline")).split("\0")]


def read_proc(path: Path) -> str:
    """Read a file of a thread or a process; empty where that has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.usefixtures("daemon_clean")
async def test_a_run_with_input_and_files(host: str, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("seeded\n")
    request = RunRequest(
        image=busybox,
        entrypoint="cat >copy; cat file; wc -c <copy; sleep 0.2; echo end",
        dir=tmp_path / "in",
        input=b"y" * 5_000_000,
        network="none",
        capture_output=True,
        extract=[ExtractSpec("copy", tmp_path / "out")],
    )
    async with DockerRunner(host=host) as runner:
        results = [await runner.run(request) for _ in range(2)]
        assert len(forwards()) == 1
    assert [result.stdout for result in results] == [b"seeded\n5000000\nend\n"] * 2
    assert (tmp_path / "out" / "copy").stat().st_size == 5_000_000
    assert forwards() == []


async def test_many_calls_at_once_log_in_once(host: str) -> None:
    async with EngineClient(host) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.system_info)
        assert len(forwards()) == 1


async def test_a_process_that_died_is_started_again(host: str) -> None:
    async with EngineClient(host) as client:
        await client.system_ping()
        [pid] = forwards()
        os.kill(pid, 9)
        with trio.fail_after(10):
            while True:
                try:
                    await client.system_info()
                except EngineUnreachable:
                    continue
                break
        assert forwards() != [pid]


async def test_nothing_is_left_of_a_login_that_is_cancelled(host: str) -> None:
    with trio.move_on_after(0.05):
        async with EngineClient(host) as client:
            await client.system_ping()
            await trio.sleep_forever()
    assert forwards() == []


@pytest.mark.parametrize("there", [True, False])
async def test_a_server_that_cannot_be_reached(
    server: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, there: bool
) -> None:
    monkeypatch.setenv("PATH", str(server.programs if there else tmp_path) + (":/bin" if there else ""))
    async with EngineClient("ssh://root@127.0.0.1:1") as client:
        expected = "refused" if there else "ssh cannot be started: No such file"
        with pytest.raises(EngineUnreachable, match=f"cannot connect to ssh://root@127.0.0.1:1.*{expected}"):
            await client.system_ping()
    assert forwards() == []


async def test_one_that_does_not_obey_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """#!/bin/sh
echo $$ >"$0.pid"
trap '' TERM
for argument; do case $argument in */s:*) : >"${argument%%:*}";; esac; done
while :; do sleep 0.1; done
"""
    (tmp_path / "ssh").write_text(script)
    (tmp_path / "ssh").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("lightrunner.engine.ssh._STOP_TIMEOUT", 0.5)
    async with EngineClient("ssh://root@127.0.0.1:1") as client:
        with pytest.raises(EngineUnreachable):
            await client.system_ping()
    pid = int((tmp_path / "ssh.pid").read_text())
    with pytest.raises(ProcessLookupError):  # It is not even a zombie.
        os.kill(pid, 0)


async def test_a_socket_that_is_not_there(host: str) -> None:
    async with EngineClient(f"{host}-not") as client:
        with pytest.raises(EngineUnreachable):
            await client.system_ping()
