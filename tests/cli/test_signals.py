"""Ctrl-C, SIGTERM and SIGHUP: the container is gone, and the process ends as the signal would have ended it."""

import json
import signal
import subprocess
import time

import pytest

from tests.cli.conftest import Cli, send, wait_for
from tools.raw_engine import RawEngine

TRAPS = "trap 'echo term; exit 5' TERM; trap 'echo int; exit 6' INT; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' INT TERM HUP; echo up; sleep 60"


def runs(raw: RawEngine) -> list[object]:
    return [*raw.containers(label="light-runner.run-id"), *raw.volumes(label="light-runner.run-id")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_kills_the_container_at_once(cli: Cli, busybox: str, raw: RawEngine, number: signal.Signals) -> None:
    with cli.started("run", busybox, "--network", "none", "-c", STUBBORN) as process:
        wait_for(process, b"up\n")
        begin = time.monotonic()
        send(process, number)
    assert time.monotonic() - begin < 20
    assert process.returncode == -number
    assert runs(raw) == []


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.05, 0.2])
def test_a_second_ctrl_c_does_not_break_the_clean_up(cli: Cli, busybox: str, raw: RawEngine, pause: float) -> None:
    with cli.started("run", busybox, "--network", "none", "-c", STUBBORN) as process:
        wait_for(process, b"up\n")
        for _ in range(3):
            send(process, signal.SIGINT)
            time.sleep(pause)
    assert process.returncode == -signal.SIGINT
    assert runs(raw) == []


@pytest.mark.parametrize("pause", [0.15, 0.3, 0.45, 0.6])
def test_ctrl_c_before_the_start(cli: Cli, busybox: str, raw: RawEngine, pause: float) -> None:
    with cli.started("run", busybox, "-c", "sleep 60") as process:
        time.sleep(pause)
        send(process, signal.SIGINT)
    assert process.returncode == -signal.SIGINT
    assert runs(raw) == []


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, b"int\n"), (signal.SIGTERM, b"term\n")])
def test_with_a_grace_period_the_signal_is_passed_on(
    cli: Cli, busybox: str, number: signal.Signals, word: bytes
) -> None:
    with cli.started("run", busybox, "--network", "none", "--grace", "30", "-c", TRAPS) as process:
        wait_for(process, b"up\n")
        send(process, number)
        assert process.stdout is not None
        assert process.stdout.read() == word
    assert process.returncode == -number


def test_a_second_signal_cuts_the_grace_period_short(cli: Cli, busybox: str, raw: RawEngine) -> None:
    with cli.started("run", busybox, "--network", "none", "--grace", "10m", "-c", STUBBORN) as process:
        wait_for(process, b"up\n")
        send(process, signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        send(process, signal.SIGINT)
    assert process.returncode == -signal.SIGTERM
    assert runs(raw) == []


def test_json_has_the_result_of_a_run_that_was_interrupted(cli: Cli, busybox: str, raw: RawEngine) -> None:
    with cli.started("run", busybox, "--network", "none", "--json", "-c", "echo up; sleep 60") as process:
        while not any(container["State"] == "running" for container in raw.containers(label="light-runner.run-id")):
            time.sleep(0.05)
        time.sleep(0.3)
        send(process, signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    result = json.loads(out)
    assert (result["cancelled"], result["exit_code"], result["stdout"]) == (True, 137, "up\n")
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_while_nobody_reads_the_output(cli: Cli, busybox: str, raw: RawEngine) -> None:
    with cli.started("run", busybox, "--network", "none", "--", "yes") as process:
        wait_for(process, b"y\n")
        time.sleep(0.5)
        send(process, signal.SIGINT)
        process.wait(30)
    assert process.returncode == -signal.SIGINT
    assert runs(raw) == []


def test_a_signal_that_the_caller_ignores_is_ignored(cli: Cli, busybox: str) -> None:
    command = cli.command("run", busybox, "--network", "none", "-c", "echo up; sleep 1; echo end")
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    with subprocess.Popen(ignoring, env=cli.env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        wait_for(process, b"up\n")
        send(process, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.read() == b"end\n"
    assert process.returncode == 0


def test_ctrl_c_while_stdin_is_awaited(cli: Cli, busybox: str, raw: RawEngine) -> None:
    with cli.started("run", busybox, "--input", "-", "--", "cat", stdin=subprocess.PIPE) as process:
        time.sleep(1.0)
        send(process, signal.SIGINT)
        process.wait(30)
    assert process.returncode == -signal.SIGINT
    assert runs(raw) == []
