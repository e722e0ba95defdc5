"""The limits hold: memory (the result reports an OOM kill), processes, and CPU time."""

from collections.abc import AsyncIterator

import pytest
import trio

from lightrunner import DockerRunner
from tests.runs.conftest import MakeRunner
from tests.runs.shell_runs import Run, shell, start
from tools.raw_engine import RawEngine

# tail keeps the whole of a line without an end.
HOG = "tail -n 1 </dev/zero"
# Of several processes this makes it the kernel's choice, and not the shell that started it.
CHILD_HOG = f"sh -c 'echo 1000 >/proc/self/oom_score_adj; exec {HOG}'"

FORKS = """
import os, signal
children = 0
try:
    for _ in range(300):
        if os.fork() == 0:
            signal.pause()
        children += 1
except BlockingIOError:
    pass
print(children, flush=True)
"""

BURN = """
import time
begin, used = time.monotonic(), time.process_time()
while time.monotonic() < begin + 1.5:
    pass
print((time.process_time() - used) / 1.5)
"""


@pytest.fixture
async def small(make_runner: MakeRunner) -> AsyncIterator[DockerRunner]:
    """A runner whose containers have 32 MiB."""
    async with make_runner(memory="32m") as runner:
        yield runner


async def test_the_daemon_is_told_all_of_them(make_runner: MakeRunner, raw: RawEngine, busybox: str) -> None:
    async with make_runner(memory="64m", cpus="0.5") as runner, trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 60"))
        told = raw.get(f"/containers/{execution.container_id}/json")["HostConfig"]
        execution.cancel()
    assert told["Memory"] == told["MemorySwap"] == 64 * 1024**2  # so that there is no swap
    assert (told["NanoCpus"], told["PidsLimit"]) == (500_000_000, 100)


@pytest.mark.needs("oom")
async def test_a_process_over_the_memory_limit_is_killed_and_it_is_told(small: DockerRunner, busybox: str) -> None:
    result = await small.run(shell(busybox, f"exec {HOG}"))
    assert (result.exit_code, result.oom_killed, result.success) == (137, True, False)


@pytest.mark.parametrize("attempt", range(4))
@pytest.mark.needs("oom")
async def test_a_killed_child_is_told_as_well(small: DockerRunner, busybox: str, attempt: int) -> None:
    script = f"{CHILD_HOG}; echo survived {attempt}; exit 0"
    result = await small.run(shell(busybox, script))
    assert (result.exit_code, result.oom_killed, result.stdout) == (0, True, f"survived {attempt}\n".encode())


async def test_within_the_limit_nothing_is_killed(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "head -c 50000000 /dev/zero | tail -n 1 | wc -c"))
    assert (result.exit_code, result.oom_killed, result.stdout) == (0, False, b"50000000\n")


async def test_a_kill_that_is_none_for_memory_is_not_told_as_one(run: Run, busybox: str) -> None:
    assert not (await run(shell(busybox, "sleep 60", timeout=0.3))).oom_killed


async def test_there_are_at_most_100_processes(runner: DockerRunner, python_image: str) -> None:
    result = await runner.run(shell(python_image, "exec python -", input=FORKS.encode(), timeout=60))
    assert result.stdout is not None
    assert 90 <= int(result.stdout) < 100


async def test_a_fork_bomb_is_contained(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "bomb() { bomb | bomb & }; bomb; sleep 3600 & wait", timeout=2))
    assert result.timed_out or not result.success
    assert (await runner.run(shell(busybox, "echo alive"))).stdout == b"alive\n"


async def test_cpus_are_shares_of_time(make_runner: MakeRunner, python_image: str) -> None:
    used: dict[float, float] = {}
    for cpus in (0.1, 1):
        async with make_runner(cpus=cpus) as runner:
            result = await runner.run(shell(python_image, "exec python -", input=BURN.encode()))
            assert result.stdout is not None
            used[cpus] = float(result.stdout)
    assert used[0.1] < 0.2, "of a CPU"
    # By how much depends on who else on the machine wants it.
    assert used[1] > used[0.1]
