"""`outcome`: what ended a run, in each hostile case, with its evidence beside it."""

import math
from collections.abc import AsyncIterator

import pytest
import trio

from lightrunner import DockerRunner, LogLine, Outcome, RunResult
from tests.runs.conftest import MakeRunner
from tests.runs.shell_runs import shell, start, start_ready
from tests.runs.test_limits import CHILD_HOG, HOG
from tools.raw_engine import RawEngine

FORK_AND_HOG = f"echo ready; while :; do {CHILD_HOG}; done"
"""A parent that outlives one child after the other, each killed for its memory."""


@pytest.fixture
async def small(make_runner: MakeRunner) -> AsyncIterator[DockerRunner]:
    """A runner whose containers have 32 MiB."""
    async with make_runner(memory="32m") as runner:
        yield runner


def verdict(result: RunResult) -> tuple[Outcome, int | None, int]:
    return result.outcome, result.signal, result.exit_code


@pytest.mark.parametrize("code", [0, 3, 137, 143])
async def test_a_program_that_exits(runner: DockerRunner, busybox: str, code: int) -> None:
    result = await runner.run(shell(busybox, f"exit {code}"))
    assert verdict(result) == (Outcome.EXITED, None, code)
    assert result.success == (code == 0)
    assert result.explain().startswith(f"exited with code {code}")


async def test_process_1_survives_its_own_sigkill(runner: DockerRunner, busybox: str) -> None:
    # The rule of the kernel that the verdict on a code of 137 stands on.
    result = await runner.run(shell(busybox, "kill -KILL $$; kill -KILL 1; kill -TERM 1; exit 5"))
    assert verdict(result) == (Outcome.EXITED, None, 5)


async def test_a_child_that_kills_itself_is_not_taken_for_an_oom_kill(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "sh -c 'kill -KILL $$'; exit $?"))
    assert verdict(result) == (Outcome.EXITED, None, 137)
    assert not result.oom_killed
    assert "a shell's code for a child killed by SIGKILL" in result.explain()


async def test_a_fault_of_the_program(runner: DockerRunner, python_image: str) -> None:
    result = await runner.run(shell(python_image, "exec python -c 'import ctypes; ctypes.string_at(0)'"))
    assert verdict(result) == (Outcome.SIGNALED, 11, 139)
    assert result.explain().startswith("killed by SIGSEGV (segmentation fault) after ")


@pytest.mark.parametrize("attempt", range(3))
async def test_the_program_at_its_memory_limit(small: DockerRunner, busybox: str, attempt: int) -> None:
    result = await small.run(shell(busybox, f": {attempt}; exec {HOG}"))
    assert verdict(result) == (Outcome.OUT_OF_MEMORY, 9, 137)
    assert result.oom_killed
    assert result.explain().endswith("for using more than 32 MiB")


async def test_a_child_at_the_memory_limit_under_a_living_parent(small: DockerRunner, busybox: str) -> None:
    result = await small.run(shell(busybox, f"{CHILD_HOG}; exit 4"))
    assert verdict(result) == (Outcome.EXITED, None, 4)
    assert result.oom_killed
    assert result.explain().endswith("the kernel had killed a process of it for using more than 32 MiB")


async def test_a_time_out_while_the_oom_killer_works(small: DockerRunner, busybox: str) -> None:
    result = await small.run(shell(busybox, FORK_AND_HOG, timeout=1.5))
    assert verdict(result) == (Outcome.TIMED_OUT, 9, 137)
    assert (result.timed_out, result.oom_killed) == (True, True)


async def test_a_time_out(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "sleep 60", timeout=0.4))
    assert verdict(result) == (Outcome.TIMED_OUT, 9, 137)
    assert result.explain() == f"killed after {result.duration:.1f} s: the time limit"
    assert (result.limits.timeout, result.limits.memory) == (0.4, 512 * 1024**2)


async def test_a_cancellation(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 60"))
        execution.cancel()
        result = await execution.wait()
    assert verdict(result) == (Outcome.CANCELLED, 9, 137)
    assert result.cancelled


@pytest.mark.parametrize(
    ("on_term", "grace", "signal", "code"),
    [("exit 7", 10.0, None, 7), ("exit 0", 10.0, None, 0), ("", 0.2, 9, 137)],
)
async def test_a_stop(
    runner: DockerRunner,
    busybox: str,
    *,
    on_term: str,
    grace: float,
    signal: int | None,
    code: int,
) -> None:
    script = f"trap '{on_term}' TERM; echo ready; while :; do sleep 0.05; done"
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, script))
        await execution.stop(grace=grace)
        result = await execution.wait()
    assert verdict(result) == (Outcome.STOPPED, signal, code)
    assert (result.cancelled, result.success) == (True, False)


async def test_a_kill_by_another_client(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(busybox, "sleep 60"))
        raw.request("POST", f"/containers/{execution.container_id}/kill")
        result = await execution.wait()
    assert verdict(result) == (Outcome.SIGNALED, 9, 137)
    assert not result.cancelled


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["1", "2"])
async def test_the_output_limit_kills_and_drops_what_is_over_it(
    runner: DockerRunner, busybox: str, stream: str
) -> None:
    lines: list[LogLine] = []
    request = shell(busybox, f"exec yes 0123456 >&{stream}", output_limit=100_000)
    result = await runner.run(request, on_log=lines.append)
    assert verdict(result) == (Outcome.OUTPUT_LIMIT, 9, 137)
    assert len((result.stdout or b"") + (result.stderr or b"")) == 100_000
    assert "".join(f"{line.text}\n" for line in lines) == "0123456\n" * 12_500
    assert result.explain().endswith("the output limit of 97.66 KiB")


async def test_the_output_limit_counts_both_streams_and_whoever_listens(runner: DockerRunner, busybox: str) -> None:
    script = "head -c 600 /dev/zero; head -c 600 /dev/zero >&2; sleep 60"
    result = await runner.run(shell(busybox, script, output_limit=1000, capture_output=False))
    assert result.outcome is Outcome.OUTPUT_LIMIT
    assert (await runner.run(shell(busybox, script, output_limit=1200, timeout=1))).outcome is Outcome.TIMED_OUT


async def test_a_program_that_is_quicker_to_exit_than_to_be_killed(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "head -c 5000 /dev/zero", output_limit=4999))
    assert (result.outcome, result.success) == (Outcome.OUTPUT_LIMIT, False)
    assert (await runner.run(shell(busybox, "head -c 5000 /dev/zero", output_limit=5000))).success


async def test_the_cpu_limit_kills_what_computes(runner: DockerRunner, busybox: str) -> None:
    # In children, which no RLIMIT_CPU would count together.
    script = "while :; do (i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done); done"
    result = await runner.run(shell(busybox, script, cpu_timeout=0.5, timeout=60))
    assert verdict(result) == (Outcome.CPU_TIMED_OUT, 9, 137)
    assert result.duration > 0.4
    assert result.explain().endswith("the CPU time limit of 0.5 s")


async def test_the_cpu_limit_does_not_count_sleep(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, "sleep 1.5", cpu_timeout=0.5))
    assert (result.outcome, result.success) == (Outcome.EXITED, True)
    assert math.isclose(result.limits.cpu_timeout or 0, 0.5)
