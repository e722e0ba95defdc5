"""asyncio programs, for the tests: how one is run, and what it waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from lightrunner.asyncio import DockerRunner, Execution, LogLine, RunRequest, RunResult
from tools.raw_engine import RawEngine

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for one program."""


def run_program(program: Coroutine[Any, Any, T]) -> T:
    """Run a program in a new asyncio event loop."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await program

    return asyncio.run(bounded())


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds; of a daemon it can only be asked again and again."""
    while not await condition():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def container_ids(raw: RawEngine) -> set[str]:
    """The ids of all containers on the daemon."""
    return {container["Id"] for container in await asyncio.to_thread(raw.containers)}


async def start_ready(runner: DockerRunner, request: RunRequest) -> Execution:
    """Start a run and wait for its first line of output."""
    ready = asyncio.Event()

    def set_ready(_: LogLine) -> None:
        ready.set()

    execution = await runner.start(request, on_log=set_ready)
    await ready.wait()
    return execution


class ReadyRun:
    """A run in a task of its own, as a program would await it; `ready` after its first line of output."""

    def __init__(self, runner: DockerRunner, request: RunRequest) -> None:
        self.ready = asyncio.Event()
        self.runner = runner
        self.request = request

    async def __call__(self) -> RunResult:
        """Run it."""
        return await self.runner.run(self.request, on_log=lambda _: self.ready.set())
