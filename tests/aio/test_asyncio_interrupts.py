"""Signals to asyncio programs, in processes of their own: nothing is left, however often Ctrl-C is pressed."""

import signal
import subprocess
import sys
import time

import pytest

from tools.raw_engine import RawEngine

PRELUDE = """
import asyncio, sys, time
from lightrunner.asyncio import DockerRunner, RunRequest

host, image = sys.argv[1:]
request = RunRequest(image=image, entrypoint="echo up; sleep 60", network="none")

def tell(line):
    print("up", flush=True)
"""

RUN = """
async def main():
    async with DockerRunner(host=host) as runner:
        await runner.run(request, on_log=tell)

asyncio.run(main())
"""

STARTED = """
async def main():
    async with DockerRunner(host=host) as runner:
        await runner.start(request, on_log=tell)

asyncio.run(main())
"""

UVLOOP = RUN.replace("asyncio.run(", "import uvloop\nuvloop.run(")

# What asyncio.run spares a program: the interrupt breaks the loop, whose tasks are never cancelled.
BARE_LOOP = """
async def main():
    async with DockerRunner(host=host) as runner:
        await runner.run(request, on_log=tell)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""

# The program ends in the middle of a run, with the block still open.
LEFT_OPEN = """
async def main():
    runner = await DockerRunner(host=host).__aenter__()
    await runner.start(request, on_log=tell)
    await asyncio.sleep(1)
    sys.exit(130)

asyncio.run(main())
"""


@pytest.mark.parametrize("presses", [1, 2, 5])
@pytest.mark.parametrize("program", [RUN, STARTED, UVLOOP, BARE_LOOP], ids=["run", "start", "uvloop", "bare loop"])
def test_ctrl_c(daemon_clean: RawEngine, engine_host: str, busybox: str, program: str, presses: int) -> None:
    daemon_clean.ping()
    with _started(program, engine_host, busybox) as running:
        for _ in range(presses):
            running.send_signal(signal.SIGINT)
            time.sleep(0.03)
        _, said = running.communicate(timeout=60)
    assert running.returncode in {130, -signal.SIGINT}, said
    assert "KeyboardInterrupt" in said


def test_a_block_that_is_never_left(daemon_clean: RawEngine, engine_host: str, busybox: str) -> None:
    daemon_clean.ping()
    with _started(LEFT_OPEN, engine_host, busybox) as running:
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said


def _started(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + program, *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    return running
