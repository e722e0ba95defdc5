"""Runs of shell scripts, for the tests: short requests, both shapes of the API, and a look at what the daemon did."""

import time
from functools import partial
from typing import Any, Protocol

import trio

from lightrunner import DockerRunner, Execution, LogLine, RunRequest, RunResult
from lightrunner.results import LogCallback, OutputCallback, ProgressCallback
from tools.raw_engine import RawEngine


class Run(Protocol):
    """One request to its result or its bare exception, whichever shape of the API is under it."""

    async def __call__(
        self, request: RunRequest, *, on_log: LogCallback | None = None, on_progress: ProgressCallback | None = None
    ) -> RunResult:
        """Run it."""
        ...


def shell(image: str, script: str, **fields: Any) -> RunRequest:
    """A request for a script whose output is captured. Without a network, which is half of a start, unless named."""
    settings: dict[str, Any] = {"network": "none", "capture_output": True}
    return RunRequest(image=image, entrypoint=script, **(settings | fields))


def awaited(runner: DockerRunner) -> Run:
    """The first shape: ``await runner.run(request)``."""
    return runner.run


def started(runner: DockerRunner) -> Run:
    """The second one: ``execution = await nursery.start(runner.run, request)``, then ``await execution.wait()``."""

    async def run(
        request: RunRequest, *, on_log: LogCallback | None = None, on_progress: ProgressCallback | None = None
    ) -> RunResult:
        try:
            async with trio.open_nursery() as nursery:
                execution = await start(nursery, runner, request, on_log=on_log, on_progress=on_progress)
                return await execution.wait()
        except ExceptionGroup as group:
            # The nursery's. In it is what came out of `start`; or of `wait` and of `run`, which are the same.
            failures = group.exceptions
        assert len({repr(failure) for failure in failures}) == 1
        raise failures[0]

    return run


async def start(
    nursery: trio.Nursery,
    runner: DockerRunner,
    request: RunRequest,
    *,
    on_log: LogCallback | None = None,
    on_output: OutputCallback | None = None,
    on_progress: ProgressCallback | None = None,
) -> Execution:
    """Start a run and return its handle."""
    execution: Execution = await nursery.start(
        partial(runner.run, request, on_log=on_log, on_output=on_output, on_progress=on_progress)
    )
    return execution


async def start_ready(nursery: trio.Nursery, runner: DockerRunner, request: RunRequest) -> Execution:
    """Start a run and wait for its first line of output: before that its traps may not be set."""
    ready = trio.Event()

    def set_ready(_: LogLine) -> None:
        ready.set()

    execution = await start(nursery, runner, request, on_log=set_ready)
    await ready.wait()
    return execution


class EventLog:
    """What the daemon did since the object was made."""

    def __init__(self, raw: RawEngine) -> None:
        self._raw = raw
        self._since = time.time()

    def actions(self) -> list[str]:
        """Each event as "container create", in order."""
        events = self._raw.events(self._since, time.time())
        return [f"{event['Type']} {event['Action']}" for event in events]
