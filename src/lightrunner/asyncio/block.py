"""`RunnerBlock`: a runner's block with its trio thread, and the calls that are the same on a daemon and on a swarm."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

from lightrunner.errors import invalid_request
from lightrunner.requests import RunRequest
from lightrunner.results import CacheCleanup, ProgressCallback, ReapResult
from lightrunner.rules.limits import DEFAULT_CACHE_AGE
from lightrunner.rules.violation import RuleViolation
from lightrunner.runner import DockerRunner as TrioDockerRunner
from lightrunner.runs.mapping import DEFAULT_IN_FLIGHT, Requests
from lightrunner.swarm.runner import SwarmRunner as TrioSwarmRunner

from .bridge import Bridge
from .callbacks import Callbacks
from .handle import StartedRuns
from .mapping import HomeIterator, MapResults

R = TypeVar("R", TrioDockerRunner, TrioSwarmRunner)


class RunnerBlock(Generic[R]):
    """Runs a trio runner in a thread of its own, for the time of an ``async with``.

    Raises:
        LightRunnerError: INVALID_REQUEST: `max_concurrent` is a limiter of trio's.
    """

    def __init__(self, runner: R) -> None:
        limit = runner.options.max_concurrent
        if isinstance(limit, trio.CapacityLimiter):
            with invalid_request():
                reason = "a trio limiter, which belongs to a trio loop: give a number"
                raise RuleViolation("max_concurrent", limit, reason)
        self._runner: R = runner
        self._opened: Bridge | None = None
        self._block = AsyncExitStack()
        self._started: StartedRuns | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            bridge = Bridge()
            stack.push_async_callback(bridge.close)
            await stack.enter_async_context(bridge.hold(self._runner))
            self._started = stack.enter_context(StartedRuns(bridge))
            self._block = stack.pop_all()
        self._opened = bridge
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._block.__aexit__(kind, error, traceback)
        self._opened = None

    async def is_available(self) -> bool:
        """Return whether the daemon, or a manager of the swarm, responds."""
        return await self._bridge.call(self._runner.is_available)

    @asynccontextmanager
    async def map(
        self,
        requests: Requests,
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        ordered: bool = False,
        retries: int = 0,
    ) -> AsyncGenerator[MapResults]:
        """Run many requests, some at a time: ``async with runner.map(requests) as results``.

        As `lightrunner.DockerRunner.map`. The requests are iterated in the event loop's thread.
        """
        bridge = self._bridge
        source = HomeIterator(bridge, requests)
        mapping = self._runner.map(source, max_in_flight=max_in_flight, ordered=ordered, retries=retries)
        async with bridge.hold(mapping) as results:
            yield MapResults(bridge, results)

    async def prepare(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Pull a request's image and build its setup steps, without running it. Return the image's reference.

        As `lightrunner.DockerRunner.prepare`, and on a swarm as `lightrunner.SwarmRunner.prepare`.
        """
        callbacks = Callbacks(self._bridge, on_progress=on_progress)
        return await self._bridge.call(callbacks.call, self._runner.prepare, request)

    async def reap_orphans(self, *, dry_run: bool = False) -> ReapResult:
        """Remove what dead runs left on the daemon or the swarm, as `lightrunner.DockerRunner.reap_orphans` does."""
        return await self._bridge.call(partial(self._runner.reap_orphans, dry_run=dry_run))

    async def cleanup_orphan_cache(self, max_age: float = DEFAULT_CACHE_AGE) -> CacheCleanup:
        """Remove the cache images of setup steps that have not been used for `max_age` seconds.

        As `lightrunner.DockerRunner.cleanup_orphan_cache`, and on a swarm from all nodes.
        """
        return await self._bridge.call(self._runner.cleanup_orphan_cache, max_age)

    @property
    def _bridge(self) -> Bridge:
        # Another loop's futures would never wake up.
        if self._opened is None:
            name = type(self).__name__
            raise RuntimeError(f"use a {name} inside its block: async with {name}(...) as runner")
        return self._opened

    @property
    def _runs(self) -> StartedRuns:
        assert self._started is not None
        return self._started
