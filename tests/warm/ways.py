"""The ways that a request can be run: cold, from a warm pool, with a prepared network; and both shapes of the API.

What a caller sees is meant to be the same in all of them.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import trio

from lightrunner import DockerRunner, Execution, LogLine, RunRequest, RunResult
from lightrunner.results import LogCallback
from lightrunner.runs.run import StartedStatus


class Start(Protocol):
    """What `DockerRunner.run` and `WarmPool.run` have in common."""

    async def __call__(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run it."""
        ...


Way = Callable[[DockerRunner, RunRequest], AbstractAsyncContextManager[Start]]
"""A block in which requests like this one are run; others may fail."""


@asynccontextmanager
async def cold(runner: DockerRunner, _: RunRequest) -> AsyncGenerator[Start]:
    """Each in a container that is made for it."""
    yield runner.run


@asynccontextmanager
async def warm(runner: DockerRunner, request: RunRequest) -> AsyncGenerator[Start]:
    """In a container that waits for it."""
    async with runner.warm(request, size=1) as pool:
        yield pool.run


@asynccontextmanager
async def prepared(runner: DockerRunner, request: RunRequest) -> AsyncGenerator[Start]:
    """With a network that waits for it."""
    async with runner.prepared_networks(1, network=request.network):
        yield runner.run


class Run(Protocol):
    """One request to its result, or its bare exception."""

    async def __call__(self, request: RunRequest, *, on_log: LogCallback | None = None) -> RunResult:
        """Run it."""
        ...


def awaited(runner: DockerRunner, way: Way) -> Run:
    """The first shape: ``await run(request)``."""

    async def run(request: RunRequest, *, on_log: LogCallback | None = None) -> RunResult:
        async with way(runner, request) as start:
            return await start(request, on_log=on_log)

    return run


def started(runner: DockerRunner, way: Way) -> Run:
    """The second one: ``execution = await nursery.start(run, request)``, then ``await execution.wait()``."""

    async def run(request: RunRequest, *, on_log: LogCallback | None = None) -> RunResult:
        try:
            async with way(runner, request) as start, trio.open_nursery() as nursery:
                return await (await handle(nursery, start, request, on_log=on_log)).wait()
        except ExceptionGroup as group:
            # The nursery's: what came out of `start`; or of `wait` and of the run, which are the same.
            failure, *others = group.exceptions
        assert all(repr(other) == repr(failure) for other in others)
        raise failure

    return run


async def handle(
    nursery: trio.Nursery, start: Start, request: RunRequest, *, on_log: LogCallback | None = None
) -> Execution:
    """The handle of a run that has started."""
    execution: Execution = await nursery.start(partial(start, request, on_log=on_log))
    return execution


async def ready_handle(nursery: trio.Nursery, start: Start, request: RunRequest) -> tuple[Execution, str]:
    """The handle of a run that has said its first line, and the line."""
    said = list[str]()
    ready = trio.Event()

    def note(line: LogLine) -> None:
        said.append(line.text)
        ready.set()

    execution = await handle(nursery, start, request, on_log=note)
    await ready.wait()
    return execution, said[0]
