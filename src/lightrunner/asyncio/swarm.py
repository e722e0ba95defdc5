"""`SwarmRunner` for asyncio: each method calls the trio runner's of that name."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec

from lightrunner.keywords import keywords_of
from lightrunner.requests import RunRequest
from lightrunner.results import LogCallback, OutputCallback, ProgressCallback, RunResult
from lightrunner.swarm.options import SwarmOptions
from lightrunner.swarm.pool import SwarmPool as TrioSwarmPool
from lightrunner.swarm.runner import SwarmRunner as TrioSwarmRunner

from .block import RunnerBlock
from .callbacks import Callbacks
from .handle import Execution, StartedRuns
from .pool import SwarmPool


class SwarmRunner(RunnerBlock[TrioSwarmRunner]):
    """Run requests on the nodes of a Docker Swarm, each in one disposable container. Use as ``async with``.

    The keywords are the fields of `SwarmOptions`, which `options` holds. What a swarm does is as in
    `lightrunner.SwarmRunner`; the thread, callbacks and cancellation are as in `DockerRunner`.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option breaks a rule, or is not for Swarm.
    """

    @keywords_of(SwarmOptions)
    def __init__(self, options: SwarmOptions) -> None:
        super().__init__(TrioSwarmRunner(**msgspec.structs.asdict(options)))

    @property
    def options(self) -> SwarmOptions:
        """The options of all runs."""
        return self._runner.options

    async def run(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
        retry_lost: bool = False,
    ) -> RunResult:
        """Run one request in a new container on a node that Swarm chooses, as `lightrunner.SwarmRunner.run` does.

        Cancelling the awaiting task kills the container; `asyncio.CancelledError` is raised after its removal.

        Raises:
            LightRunnerError: as `DockerRunner.run`. NODE_LOST: the node was lost during the run, which may go on there.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output, on_progress=on_progress)
        return await self._bridge.call(partial(callbacks.call, self._runner.run, request, retry_lost=retry_lost))

    async def start(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Execution:
        """Run one request in the background. Return its handle as soon as its code has been dispatched.

        As `DockerRunner.start`.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output, on_progress=on_progress)
        return await self._runs.start(lambda status: callbacks.call(self._runner.run, request, task_status=status))

    @asynccontextmanager
    async def warm(
        self,
        template: RunRequest,
        *,
        size: int = 4,
        shared: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> AsyncGenerator[SwarmPool]:
        """Keep started containers on the nodes, each for one run: ``async with swarm.warm(template) as pool``.

        As `lightrunner.SwarmRunner.warm`.
        """
        callbacks = Callbacks(self._bridge, on_progress=on_progress)
        async with self._pool(callbacks.hold(self._runner.warm, template, size=size, shared=shared)) as pool:
            yield pool

    @asynccontextmanager
    async def join(self, service_id: str, template: RunRequest, *, size: int = 1) -> AsyncGenerator[SwarmPool]:
        """Use the containers of another process's pool, as `lightrunner.SwarmRunner.join` does."""
        async with self._pool(self._runner.join(service_id, template, size=size)) as pool:
            yield pool

    @asynccontextmanager
    async def _pool(self, opening: AbstractAsyncContextManager[TrioSwarmPool]) -> AsyncGenerator[SwarmPool]:
        bridge = self._bridge
        async with bridge.hold(opening) as pool:
            with StartedRuns(bridge) as started:
                yield SwarmPool(bridge, pool, started)
