"""Ctrl-C and SIGTERM, at any moment and in processes of their own, leave nothing on the daemon."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pytest

from tools.raw_engine import RawEngine

SEED = random.SystemRandom().randrange(10**6)
MOMENTS = 13
SHORT = "echo up; sleep 0.2"

PRELUDE = """
import sys, time
import trio
from lightrunner import DockerRunner, RunRequest, run_sync

host, image, script = sys.argv[1:]
request = RunRequest(image=image, entrypoint=script, network="none")

def tell(line):
    print("line", flush=True)

def block(line):
    print("line", flush=True)
    while True:
        time.sleep(0.01)
"""

AWAITED = """
async def main():
    async with DockerRunner(host=host) as runner:
        print("ready", flush=True)
        await runner.run(request, on_log=tell)

trio.run(main)
"""

BLOCKED = """
async def main():
    async with DockerRunner(host=host) as runner:
        print("ready", flush=True)
        await runner.run(request, on_log=block)

trio.run(main)
"""

SYNC = """
print("ready", flush=True)
run_sync(request, host=host, on_log=tell)
"""

SYNC_WITH_A_HANDLER = """
import signal
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
print("ready", flush=True)
run_sync(request, host=host, on_log=tell)
"""


@pytest.fixture
def clean(daemon_clean: RawEngine, busybox: str, engine_host: str) -> tuple[str, str]:
    """Host and image; after the test nothing of ours is on the daemon."""
    daemon_clean.ping()
    return engine_host, busybox


@contextmanager
def process(program: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A Python process, ready to be disturbed; it has to end within a minute of the block."""
    command = [sys.executable, "-c", PRELUDE + program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
            running.wait(60)
        finally:
            running.kill()


def wait_for_line(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    assert running.stdout.readline() == "line\n"


def send(running: subprocess.Popen[str], number: signal.Signals, pauses: Sequence[float]) -> None:
    for pause in pauses:
        time.sleep(pause)
        running.send_signal(number)


def moments(longest: float, *, twice: bool) -> list[list[float]]:
    """When to interrupt: somewhere in the run; and once more, some milliseconds later."""
    dice = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    second = ([dice.uniform(0, 0.02)] if twice else [] for _ in range(MOMENTS))
    return [[dice.uniform(0, longest), *pause] for pause in second]


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_at_any_moment(clean: tuple[str, str], daemon_clean: RawEngine, *, twice: bool) -> None:
    with process(AWAITED, *clean, SHORT) as running:
        begin = time.monotonic()
    assert running.returncode == 0
    ends: list[int] = []
    for pauses in moments(time.monotonic() - begin, twice=twice):
        with process(AWAITED, *clean, SHORT) as running:
            send(running, signal.SIGINT, pauses)
        left = daemon_clean.containers(label="light-runner.run-id"), daemon_clean.volumes(label="light-runner.run-id")
        assert left == ([], []), f"after {pauses}, seed {SEED}"
        assert running.returncode in {0, -signal.SIGINT}, f"after {pauses}, seed {SEED}: {running.returncode}"
        ends.append(running.returncode)
    assert -signal.SIGINT in ends


@pytest.mark.parametrize("pauses", [[0.0], [0.0, 0.002], [0.0, 0.0, 0.0, 0.005, 0.05]], ids=len)
def test_ctrl_c_while_the_container_runs(clean: tuple[str, str], pauses: list[float]) -> None:
    with process(AWAITED, *clean, "echo up; sleep 60") as running:
        wait_for_line(running)
        send(running, signal.SIGINT, pauses)
    assert running.returncode == -signal.SIGINT


def test_ctrl_c_while_a_callback_blocks(clean: tuple[str, str]) -> None:
    with process(BLOCKED, *clean, "echo up; sleep 60") as running:
        wait_for_line(running)
        send(running, signal.SIGINT, [0.1])
    assert running.returncode == -signal.SIGINT


def test_ctrl_c_ends_run_sync(clean: tuple[str, str]) -> None:
    with process(SYNC, *clean, "echo up; sleep 60") as running:
        wait_for_line(running)
        send(running, signal.SIGINT, [0.0, 0.003])
    assert running.returncode == -signal.SIGINT


@pytest.mark.parametrize("pauses", [[0.0], [0.0, 0.001, 0.01]], ids=len)
def test_sigterm_ends_run_sync(clean: tuple[str, str], pauses: list[float]) -> None:
    with process(SYNC, *clean, "trap '' TERM; echo up; sleep 60") as running:
        wait_for_line(running)
        send(running, signal.SIGTERM, pauses)
    assert running.returncode == 143


def test_sigterm_before_the_start_ends_run_sync(clean: tuple[str, str]) -> None:
    with process(SYNC, *clean, "sleep 60") as running:
        send(running, signal.SIGTERM, [0.2])
    assert running.returncode == 143


def test_a_program_that_handles_sigterm_itself_is_left_alone(clean: tuple[str, str]) -> None:
    with process(SYNC_WITH_A_HANDLER, *clean, "echo up; sleep 1; echo end") as running:
        wait_for_line(running)
        send(running, signal.SIGTERM, [0.0])
    assert running.returncode == 0
    assert running.stdout is not None
