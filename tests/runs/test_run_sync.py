"""`run_sync`: one run from a script or from any thread, without trio in the caller's code."""

import threading

import pytest

from lightrunner import LightRunnerError, LightRunnerErrorCode, LogLine, RunResult, run_sync
from tests.runs.shell_runs import shell

pytestmark = pytest.mark.usefixtures("daemon_clean")


def test_a_run(engine_host: str, busybox: str) -> None:
    lines: list[LogLine] = []
    result = run_sync(shell(busybox, "cat; exit 3", input=[1]), on_log=lines.append, host=engine_host)
    assert (result.exit_code, result.stdout, lines) == (3, b"[1]", [LogLine("stdout", "[1]")])


def test_options_reach_the_runner(engine_host: str, busybox: str) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
    assert run_sync(shell(busybox, script), host=engine_host, memory="64m").stdout == b"67108864\n"


def test_errors_come_out_bare(engine_host: str, busybox: str) -> None:
    with pytest.raises(LightRunnerError) as raised:
        run_sync(shell(busybox, "true", timeout=0), host=engine_host)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    with pytest.raises(LightRunnerError, match="memory"):
        run_sync(shell(busybox, "true"), host=engine_host, memory="lots")


def test_what_a_callback_raises_comes_out_bare(engine_host: str, busybox: str) -> None:
    def fail(_: LogLine) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_sync(shell(busybox, "echo one; sleep 60"), on_log=fail, host=engine_host)


def test_threads(engine_host: str, busybox: str) -> None:
    results: dict[int, RunResult] = {}

    def run(number: int) -> None:
        results[number] = run_sync(shell(busybox, f"echo {number}"), host=engine_host)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: result.stdout for number, result in results.items()} == {0: b"0\n", 1: b"1\n", 2: b"2\n"}
