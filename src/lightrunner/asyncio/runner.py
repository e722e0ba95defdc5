"""`DockerRunner` for asyncio: each method calls the trio runner's of that name."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from lightrunner.detached.state import RunState
from lightrunner.keywords import keywords_of
from lightrunner.requests import RunnerOptions, RunRequest
from lightrunner.results import (
    CacheImage,
    LogCallback,
    OutputCallback,
    ProgressCallback,
    RunResult,
)
from lightrunner.rules.limits import DEFAULT_IDLE_TIME
from lightrunner.runner import DockerRunner as TrioDockerRunner

from .block import RunnerBlock
from .callbacks import Callbacks
from .handle import Execution, StartedRuns
from .mapping import HomeIterator
from .pool import WarmPool
from .sandbox import Sandbox, SandboxPool


class DockerRunner(RunnerBlock[TrioDockerRunner]):
    """Run requests on one daemon, each in one disposable container. Use as ``async with``, in one event loop.

    The keywords are the fields of `RunnerOptions`, which `options` holds. (`max_concurrent` is a number here: trio's
    limiters belong to a trio loop. Share the runner instead.)

    Resource handling: a runner owns a thread with a trio event loop, connections, and the runs that `start` has
    started. The end of its block waits for runs in progress. An exception or a cancellation that leaves the block
    aborts those runs and waits for their removal.

    Callbacks: they are called in the event loop's thread and may be async. Slow ones lose nothing: up to 9 MiB are
    buffered for them, then the container blocks.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option breaks a rule.
    """

    @keywords_of(RunnerOptions)
    def __init__(self, options: RunnerOptions) -> None:
        super().__init__(TrioDockerRunner(**msgspec.structs.asdict(options)))

    @property
    def options(self) -> RunnerOptions:
        """The options of all runs."""
        return self._runner.options

    async def run(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
        stdin: AsyncIterable[bytes] | None = None,
    ) -> RunResult:
        """Run one request in a new container, and remove everything that the run created.

        Args:
            request: what to run.
            on_log: called with each line of output, in order per stream, as it arrives.
            on_output: called with each chunk of output, in the daemon's order, neither decoded nor split. Of output
                that both get, `on_output` has each chunk first.
            on_progress: called with the messages of a pull or a build.
            stdin: yields the run's stdin while it runs, in place of the request's `input`. Its end is the end of file.
                It is iterated in the event loop, and cancelled when the container exits.

        Returns:
            The result, also for a non-zero exit code.

        Resource handling: when `run` returns or raises, its container and volume have been removed. Cancelling the
        awaiting task kills the container; `asyncio.CancelledError` is raised after its removal, which is bounded.

        Error handling: an exception from a callback, or from `stdin`, ends the run and propagates unchanged.

        Raises:
            LightRunnerError: the request breaks a rule (INVALID_REQUEST), or the daemon failed (the other codes).
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output, on_progress=on_progress)
        source = None if stdin is None else HomeIterator(self._bridge, stdin)
        return await self._bridge.call(partial(callbacks.call, self._runner.run, request, stdin=source))

    async def start(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
        stdin: AsyncIterable[bytes] | None = None,
    ) -> Execution:
        """Run one request in the background. Return its handle as soon as the daemon has started the container.

        The run belongs to this runner's block, which waits for it. Arguments and errors are those of `run`; what fails
        before the start is raised here, and the rest from `Execution.wait`.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output, on_progress=on_progress)
        source = None if stdin is None else HomeIterator(self._bridge, stdin)
        return await self._runs.start(
            lambda status: callbacks.call(self._runner.run, request, stdin=source, task_status=status)
        )

    async def detach(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Start a run that outlives this process. Return its id once the container has started.

        As `lightrunner.DockerRunner.detach`.
        """
        callbacks = Callbacks(self._bridge, on_progress=on_progress)
        return await self._bridge.call(callbacks.call, self._runner.detach, request)

    async def attach(
        self, run_id: str, *, on_log: LogCallback | None = None, on_output: OutputCallback | None = None
    ) -> RunResult:
        """Wait for a detached run, extract its files, remove its container, and return its result.

        As `lightrunner.DockerRunner.attach`. Cancelling this does not affect the run.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output)
        return await self._bridge.call(callbacks.call, self._runner.attach, run_id)

    async def start_attach(
        self, run_id: str, *, on_log: LogCallback | None = None, on_output: OutputCallback | None = None
    ) -> Execution:
        """Attach to a detached run in the background, and return its handle."""
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output)
        return await self._runs.start(lambda status: callbacks.call(self._runner.attach, run_id, task_status=status))

    async def list(self) -> list[RunState]:
        """Return the detached runs of this host from their state files, oldest first."""
        return await self._bridge.call(self._runner.list)

    async def cleanup_orphan_states(self) -> int:
        """Finish the state files of detached runs that have no container. Return how many there were."""
        return await self._bridge.call(self._runner.cleanup_orphan_states)

    async def cleanup_orphan_volumes(self) -> int:
        """Remove the volumes of runs that have no container. Return how many there were."""
        return await self._bridge.call(self._runner.cleanup_orphan_volumes)

    @asynccontextmanager
    async def warm(
        self,
        template: RunRequest,
        *,
        size: int = 4,
        max_size: int | None = None,
        idle_time: float = DEFAULT_IDLE_TIME,
    ) -> AsyncGenerator[WarmPool]:
        """Keep started containers ready, each for one run: ``async with runner.warm(template) as pool``.

        As `lightrunner.DockerRunner.warm`.
        """
        bridge = self._bridge
        warm = self._runner.warm(template, size=size, max_size=max_size, idle_time=idle_time)
        async with bridge.hold(warm) as pool:
            with StartedRuns(bridge) as started:
                yield WarmPool(bridge, pool, started)

    @asynccontextmanager
    async def sandbox(
        self,
        request: RunRequest,
        *,
        expose: Sequence[int] = (),
        on_progress: ProgressCallback | None = None,
    ) -> AsyncGenerator[Sandbox]:
        """Open a container for any number of commands: ``async with runner.sandbox(request) as box``.

        As `lightrunner.DockerRunner.sandbox`. A cancellation that leaves the block is raised once the container and its
        volume have been removed.
        """
        bridge = self._bridge
        callbacks = Callbacks(bridge, on_progress=on_progress)
        async with bridge.hold(callbacks.hold(self._runner.sandbox, request, expose=expose)) as box:
            yield Sandbox(bridge, box)

    @asynccontextmanager
    async def warm_sandboxes(
        self,
        request: RunRequest,
        *,
        size: int = 4,
        max_size: int | None = None,
        idle_time: float = DEFAULT_IDLE_TIME,
    ) -> AsyncGenerator[SandboxPool]:
        """Keep started sandboxes ready, each for one use: ``async with runner.warm_sandboxes(request) as pool``.

        As `lightrunner.DockerRunner.warm_sandboxes`.
        """
        bridge = self._bridge
        warm = self._runner.warm_sandboxes(request, size=size, max_size=max_size, idle_time=idle_time)
        async with bridge.hold(warm) as pool:
            yield SandboxPool(bridge, pool)

    @asynccontextmanager
    async def prepared_networks(self, size: int = 4, *, network: str | None = None) -> AsyncGenerator[None]:
        """Keep network namespaces ready. Cold runs of any image then take about half the time.

        As `lightrunner.DockerRunner.prepared_networks`.
        """
        async with self._bridge.hold(self._runner.prepared_networks(size, network=network)):
            yield

    async def list_cache(self) -> Sequence[CacheImage]:
        """Return the cache images of setup steps, as `lightrunner.DockerRunner.list_cache` does."""
        return await self._bridge.call(self._runner.list_cache)
