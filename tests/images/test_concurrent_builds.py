"""Concurrent requests for the same steps: one build per process, and a complete image in any case."""

import os
import subprocess
import sys

import pytest
import trio
import trio.testing

from lightrunner import DockerRunner, LightRunnerError, RunRequest, RunResult
from lightrunner.images import steps
from lightrunner.images.cache_usage import last_uses
from tests.images.builds import Daemon, with_steps
from tests.runs.conftest import MakeRunner

build_locks = steps._locks.get  # pyright: ignore[reportPrivateUsage] - that nothing piles up shows nowhere else
PREPARE = """
import sys, trio
from lightrunner import DockerRunner, RunRequest

async def main(host, image, *steps):
    async with DockerRunner(host=host) as runner:
        print(await runner.prepare(RunRequest(image=image, run=steps)))

trio.run(main, *sys.argv[1:])
"""


async def test_one_runner_builds_once(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    results: list[RunResult] = []

    async def run(number: int) -> None:
        results.append(
            await runner.run(with_steps(busybox, "sleep 1; date > /file", script=f"cat /file; exit {number}"))
        )

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(run, number)
    assert daemon.actions().count("image tag") == 1
    assert len({result.stdout for result in results}) == 1
    assert sorted(result.exit_code for result in results) == [0, 1, 2, 3]


async def test_two_runners_of_a_process_build_once(make_runner: MakeRunner, busybox: str, daemon: Daemon) -> None:
    async with make_runner() as first, make_runner() as second, trio.open_nursery() as nursery:
        for runner in (first, second):
            nursery.start_soon(runner.prepare, with_steps(busybox, "sleep 1"))
    assert daemon.actions().count("image tag") == 1


async def test_other_steps_do_not_wait(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.prepare, with_steps(busybox, "sleep 600"))
        await trio.testing.wait_all_tasks_blocked(0.1)
        await runner.prepare(with_steps(busybox, "true"))
        nursery.cancel_scope.cancel()


async def test_where_the_first_is_cancelled_the_second_builds(
    runner: DockerRunner, busybox: str, daemon: Daemon
) -> None:
    request = with_steps(busybox, "sleep 1")
    async with trio.open_nursery() as nursery:
        scope = await nursery.start(cancellable, runner, request)
        nursery.start_soon(runner.prepare, request)
        await trio.testing.wait_all_tasks_blocked(0.1)
        scope.cancel()
    assert len(daemon.tags()) == 1


async def test_where_the_first_fails_the_second_tries(runner: DockerRunner, busybox: str) -> None:
    errors: list[LightRunnerError] = []

    async def prepare() -> None:
        with pytest.raises(LightRunnerError) as raised:
            await runner.prepare(with_steps(busybox, "sleep 1; exit 5"))
        errors.append(raised.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(prepare)
        nursery.start_soon(prepare)
    assert len(errors) == 2
    assert not build_locks()
    assert all("returned a non-zero code: 5" in error.message for error in errors)


async def test_two_processes(runner: DockerRunner, busybox: str, engine_host: str, daemon: Daemon) -> None:
    steps = ("sleep 1; date > /file",)
    command = [sys.executable, "-c", PREPARE, engine_host, busybox, *steps]
    outputs: list[bytes] = []

    async def prepare() -> None:
        done = await trio.run_process(command, capture_stdout=True, env=dict(os.environ), stdin=subprocess.DEVNULL)
        outputs.append(done.stdout)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(prepare)
    (tag,) = daemon.tags()
    assert outputs == [f"{tag}\n".encode()] * 2
    assert last_uses().keys() == {tag}

    daemon.forget_actions()
    result = await runner.run(with_steps(busybox, *steps, script="test -s /file"))
    assert result.success
    assert "image tag" not in daemon.actions()


async def cancellable(
    runner: DockerRunner, request: RunRequest, task_status: trio.TaskStatus[trio.CancelScope]
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await runner.prepare(request)
