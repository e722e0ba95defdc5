"""Detached runs from the command line: each step by another process."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightrunner.cli import exits
from tests.cli.conftest import Cli, send, wait_for
from tools.raw_engine import RawEngine

Detach = Callable[..., str]


@pytest.fixture
def detach(cli: Cli, busybox: str) -> Detach:
    """Start a shell script detached, and return its id."""

    def start(script: str, *arguments: str) -> str:
        return cli.ok("run", busybox, "--network", "none", "--detach", *arguments, "-c", script).strip()

    return start


def state_of(raw: RawEngine, run_id: str) -> str:
    (found,) = (it for it in raw.containers() if it["Labels"].get("light-runner.run-id") == run_id)
    return str(found["State"])


def test_a_run_through_its_life(cli: Cli, detach: Detach, raw: RawEngine, tmp_path: Path) -> None:
    script = r"echo out; echo err >&2; trap go=1 USR1; while [ -z $go ]; do sleep 0.1; done; echo hi > f; printf end"
    run_id = detach(script, "--extract", f"f:{tmp_path}/out")
    short = run_id[:6]
    shown = cli.ok("ps")
    assert shown.splitlines()[0].split()[:2] == ["ID", "IMAGE"]
    assert run_id[:12] in shown
    assert "running" in shown
    assert cli.ok("ps", "--quiet").split() == [run_id]

    assert cli.ok("pause", short).strip() == run_id
    assert state_of(raw, run_id) == "paused"
    (listed,) = json.loads(cli.ok("ps", "--json"))["runs"]
    assert (listed["id"], listed["status"]) == (run_id, "paused")
    assert json.loads(cli.ok("resume", "--json", short)) == {"runs": [{"id": run_id, "status": "running"}]}
    assert state_of(raw, run_id) == "running"

    done = cli("logs", short)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"err\n")
    with cli.started("logs", "--follow", short) as process:
        wait_for(process, b"out\n")
        raw.request("POST", f"/containers/light-runner-{run_id}/kill", query={"signal": "USR1"})
        assert process.communicate(timeout=60) == (b"end", b"err\n")
    assert process.returncode == 0
    done = cli("logs", short)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\nend", b"err\n")
    assert "exited" in cli.ok("ps"), "nobody has attached"

    done = cli("attach", short)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\nend", b"err\n")
    assert (tmp_path / "out" / "f").read_text() == "hi\n"
    assert cli.ok("ps", "--quiet") == ""
    assert "exited (0)" in cli.ok("ps", "--all")
    assert cli("attach", run_id).returncode == 0, "the result is in the state file"
    done = cli("logs", run_id)
    assert (done.returncode, b"is gone" in done.stderr) == (exits.FAILED, True)
    done = cli("pause", run_id)
    assert (done.returncode, b"is not running" in done.stderr) == (exits.FAILED, True)


def test_attach_reports_the_exit_code_and_json_the_output(cli: Cli, detach: Detach) -> None:
    run_id = detach("echo out; echo err >&2; exit 9", "--json")
    run_id = json.loads(run_id)["id"]
    done = cli("attach", "--json", run_id)
    assert (done.returncode, done.stderr) == (9, b"")
    result = json.loads(done.stdout)
    assert (result["id"], result["exit_code"], result["stdout"], result["stderr"]) == (run_id, 9, "out\n", "err\n")


def test_ctrl_c_ends_attach_and_not_the_run(cli: Cli, detach: Detach, raw: RawEngine) -> None:
    run_id = detach("echo up; sleep 60")
    with cli.started("attach", run_id) as process:
        wait_for(process, b"up\n")
        send(process, signal.SIGINT)
    assert process.returncode == -signal.SIGINT
    assert state_of(raw, run_id) == "running"
    assert cli.ok("stop", "--grace", "0", run_id).strip() == run_id


def test_stop_sends_the_signal_and_removes_the_run(cli: Cli, detach: Detach, raw: RawEngine) -> None:
    trap = "trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done"
    ids = [detach(trap), detach(trap)]
    for run_id in ids:
        while cli("logs", run_id).stdout != b"up\n":
            time.sleep(0.1)
    stopped = json.loads(cli.ok("stop", "--json", "--signal", "USR1", "--grace", "30", *ids, ids[0]))["runs"]
    assert [(it["id"], it["exit_code"], it["cancelled"]) for it in stopped] == [(it, 7, True) for it in ids]
    assert raw.containers(label="light-runner.run-id") == []
    assert "cancelled (7)" in cli.ok("ps", "--all")


def test_a_signal_that_does_not_exist(cli: Cli, detach: Detach) -> None:
    run_id = detach("sleep 60")
    done = cli("stop", "--signal", "NOSUCH", run_id)
    assert (done.returncode, b"signal='NOSUCH'" in done.stderr) == (exits.USAGE, True)
    cli.ok("stop", "--grace", "0", run_id)


def test_a_run_that_there_is_not(cli: Cli) -> None:
    for command in ("attach", "logs", "stop", "pause", "resume"):
        done = cli(command, "beef")
        assert (done.returncode, done.stdout) == (exits.USAGE, b"")
        assert b"no detached run 'beef'" in done.stderr
    assert cli.ok("ps") == "ID  IMAGE  COMMAND  STARTED  STATUS\n"
    assert json.loads(cli.ok("ps", "--json")) == {"runs": []}


def test_ps_without_a_daemon_tells_what_the_files_tell(cli: Cli, detach: Detach) -> None:
    run_id = detach("sleep 60")
    done = cli("ps", "--host", "unix:///nowhere.sock")
    assert (done.returncode, b"running" in done.stdout) == (0, True)
    assert b"/nowhere.sock" in done.stderr
    cli.ok("stop", "--grace", "0", run_id)


def test_input_is_refused_for_a_run_that_nobody_feeds(cli: Cli, busybox: str) -> None:
    done = cli("run", busybox, "--detach", "--input", "1", "--", "cat")
    assert (done.returncode, b"a detached run has no stdin" in done.stderr) == (exits.USAGE, True)
