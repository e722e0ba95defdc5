"""`DockerRunner`: the entry point, which delegates to the packages below it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import trio

from .detached.attach import attach
from .detached.detach import detach
from .detached.reap import reap, reap_age, reap_volumes, reconcile_states
from .detached.state import RunState, list_states
from .engine import EngineClient, EngineError
from .errors import LightRunnerError, LightRunnerErrorCode, invalid_request, mapped_errors, warn_of_dropped_env
from .images.cache import cleanup_cache
from .images.steps import ensure_run_image
from .networks.allocation import Networks
from .nurseries import run_in_child
from .plan import check_detachable, check_options, check_request
from .pool import PoolSize
from .requests import RunnerOptions, RunRequest
from .results import CacheCleanup, LogCallback, ProgressCallback, ReapResult, RunResult
from .rules.limits import (
    CLOSE_TIMEOUT,
    DEFAULT_BUILD_TIMEOUT,
    DEFAULT_CACHE_AGE,
    DEFAULT_CPUS,
    DEFAULT_IDLE_TIME,
    DEFAULT_MAX_EXTRACT_BYTES,
    DEFAULT_MEMORY,
    DEFAULT_RUNTIME,
)
from .rules.names import check_network
from .rules.sizes import parse_age, parse_count, parse_timeout
from .rules.violation import RuleViolation
from .runs.prepare import Preparation
from .runs.run import Run, StartedStatus
from .warm.pool import WarmPool


class DockerRunner:
    """Runs requests, each in one disposable container, on one daemon. Use as ``async with``.

    Keywords are the fields of `RunnerOptions`, and are kept in `options`.

    Resource handling: it owns connections, not tasks. Leaving the block waits for the runs that are under way in other
    tasks; leaving it by an exception or a cancellation aborts them, and waits for their removal.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option breaks a rule.
    """

    def __init__(
        self,
        *,
        memory: str | int = DEFAULT_MEMORY,
        cpus: float | str = DEFAULT_CPUS,
        runtime: str = DEFAULT_RUNTIME,
        gpus: str | int | None = None,
        no_new_privileges: bool = True,
        max_extract_bytes: int = DEFAULT_MAX_EXTRACT_BYTES,
        max_concurrent: int | trio.CapacityLimiter | None = None,
        build_timeout: float | None = DEFAULT_BUILD_TIMEOUT,
        host: str | None = None,
    ) -> None:
        self.options = RunnerOptions(
            memory=memory,
            cpus=cpus,
            runtime=runtime,
            gpus=gpus,
            no_new_privileges=no_new_privileges,
            max_extract_bytes=max_extract_bytes,
            max_concurrent=max_concurrent,
            build_timeout=build_timeout,
            host=host,
        )
        with invalid_request():
            self._sandbox = check_options(self.options)
            self._engine = EngineClient(self.options.host)
        limit = self.options.max_concurrent
        self._limiter = trio.CapacityLimiter(limit) if isinstance(limit, int) else limit
        self._networks = Networks(self._engine)
        self._open = False
        self._active: set[trio.CancelScope] = set()
        self._idle = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open = False
        try:
            if kind is not None:
                self._abort()
            while self._active:
                await self._idle.park()
        finally:
            self._abort()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                while self._active:
                    await self._idle.park()
            await self._engine.aclose()

    async def is_available(self) -> bool:
        """Whether the daemon answers."""
        self._check_open()
        try:
            await self._engine.system_ping()
        except EngineError:
            return False
        return True

    async def run(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_progress: ProgressCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run one request, from its check to the removal of all that it made.

        As ``execution = await nursery.start(runner.run, request)`` it hands out an `Execution` as soon as the daemon
        has accepted the start; what fails before comes out of ``nursery.start``.

        Args:
            request: what to run.
            on_log: gets each line of output, in order for each stream, as it comes. A slow one loses nothing: 8 MiB are
                held for it, then the container has to wait.
            on_progress: gets the messages of a pull.
            task_status: trio's, for ``nursery.start``.

        Returns:
            The result; a non-zero exit code is one.

        Resource handling: when it returns or raises, its container and its volume are gone from the daemon. Cancelling
        the surrounding scope kills the container, and waits for its removal, which is bounded.

        Error handling: what a callback raises ends the run and comes out as it is.

        Raises:
            LightRunnerError: the request breaks a rule (INVALID_REQUEST), or the daemon failed (the other codes).
        """
        self._check_open()
        with invalid_request():
            plan = check_request(request)
        warn_of_dropped_env(plan.dropped_env)
        lifecycle = Run(self._engine, self._networks, plan, self._sandbox, on_log=on_log, on_progress=on_progress)
        async with self._admitted():
            return await run_in_child(lifecycle.run, task_status)

    async def detach(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Start a run that outlives this process; its id, as soon as the daemon has accepted the start.

        What is to be known of it is written to the state folder before the container is created, and the daemon keeps
        its output (the last 16 to 32 MB). `attach` finds it again, from any process of this host.

        Raises:
            LightRunnerError: as `run` does before the start, with nothing left. INVALID_REQUEST also for an `input`,
                which nobody is left to write, and for `capture_output`. STATE_FAILED: the state cannot be written.
        """
        self._check_open()
        with invalid_request():
            plan = check_request(request)
            check_detachable(request)
        warn_of_dropped_env(plan.dropped_env)
        preparation = Preparation(
            self._engine, self._networks, plan, self._sandbox, on_progress=on_progress, detached=True
        )
        async with self._under_way():
            return await run_in_child(detach, preparation, plan, self._sandbox)

    async def attach(
        self,
        run_id: str,
        *,
        on_log: LogCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Wait for a detached run, pull its files out, remove it, and return its result.

        A running one is waited for; one that exited while nobody watched yields its true exit code, duration and files;
        a finished one answers from its state file. Several may attach to one run: all get the same result, and the
        files are pulled out once. As ``execution = await nursery.start(runner.attach, run_id)`` it hands out the
        `Execution`.

        Args:
            run_id: what `detach` returned.
            on_log: gets each line of output from the start of the run, and then as it comes.
            task_status: trio's, for ``nursery.start``.

        Resource handling: cancelling it leaves the run alone. The run's time-out holds while somebody is attached, and
        at `reap_orphans`.

        Raises:
            LightRunnerError: RUN_NOT_FOUND: no such run on this host. RUN_FAILED: no exit code is to be had.
                STATE_FAILED: the result cannot be written; the run can be attached to again.
        """
        self._check_open()
        async with self._under_way():
            return await run_in_child(partial(attach, self._engine, run_id, on_log=on_log, task_status=task_status))

    async def list(self) -> list[RunState]:
        """The detached runs of this host as their state files tell, oldest first."""
        return await trio.to_thread.run_sync(list_states)

    async def reap_orphans(self, *, dry_run: bool = False) -> ReapResult:
        """Remove what runs have left on the daemon: with `dry_run` only list it.

        These are runs whose process on this host is dead; detached runs whose time-out has passed (killed and finished
        as `attach` does), or that exited longer than ``LIGHT_RUNNER_REAP_AGE_MS`` ago (finished, files and all); and
        what light-runner of Node left idle for that long. Runs of a living process, detached runs within their
        time-out, runs of another host, and whatever has no label of ours are never touched.

        Raises:
            LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
        """
        self._check_open()
        return await run_in_child(partial(reap, self._engine, reap_age(), dry_run=dry_run))

    async def cleanup_orphan_states(self) -> int:
        """Finish the states of detached runs whose container is gone or never came; how many there were."""
        self._check_open()
        return await run_in_child(reconcile_states, self._engine)

    async def cleanup_orphan_volumes(self) -> int:
        """Remove the volumes of runs that have no container any more; how many there were."""
        self._check_open()
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "volume_delete"):
            return len(await reap_volumes(self._engine, reap_age()))

    @asynccontextmanager
    async def warm(
        self,
        template: RunRequest,
        *,
        size: int = 4,
        max_size: int | None = None,
        idle_time: float = DEFAULT_IDLE_TIME,
    ) -> AsyncGenerator[WarmPool]:
        """Keep containers ready that only wait for their command: ``async with runner.warm(template) as pool``.

        They are made of the template's image, setup steps, network, workdir and platform, and of this runner's limits
        and runtime; the rest of the template is not looked at. `WarmPool.run` then runs a request in one of them, each
        used once. At the block's end it waits for what is under way, and nothing is left.

        Args:
            template: what the containers are made for.
            size: how many are ready.
            max_size: up to how many are kept ready after callers had to wait; by default `size`.
            idle_time: seconds without a run after which one of those more is given up.

        Raises:
            LightRunnerError: INVALID_REQUEST, or as `run` before its start; CONTAINER_START_FAILED where the image has
                no working sh.
        """
        self._check_open()
        with invalid_request():
            plan = check_request(template)
            pool_size = PoolSize(
                parse_count("size", size),
                parse_count("max_size", size if max_size is None else max_size),
                parse_timeout("idle_time", idle_time),
            )
            if pool_size.maximum < pool_size.minimum:
                raise RuleViolation("max_size", max_size, f"less than size, which is {size}")
        pool = WarmPool(self._engine, self._networks, plan, self._sandbox, pool_size, admit=self._admitted)
        async with self._under_way(), pool.open():
            yield pool

    @asynccontextmanager
    async def prepared_networks(self, size: int = 4, *, network: str | None = None) -> AsyncGenerator[None]:
        """Keep network namespaces ready, for cold runs of any image at about half the time.

        While the block is open, each run of this runner on that network (None: the isolated bridge) takes one that was
        made ahead of time: fresh, for this run alone, thrown away with it. Where none is ready a run makes its own, as
        without the block.

        Raises:
            LightRunnerError: INVALID_REQUEST; CONTAINER_START_FAILED where they cannot be made.
        """
        self._check_open()
        with invalid_request():
            count = parse_count("size", size)
            name = None if network is None else check_network("network", network)
            prepared = self._networks.prepared(name, count)
        async with self._under_way(), prepared:
            yield

    async def prepare(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Make ready what a run of this request starts from, without running it: pull its image, build its steps.

        Returns:
            The reference of the image that a run would start from.

        Raises:
            LightRunnerError: INVALID_REQUEST, INVALID_RUN_STEP, IMAGE_PULL_FAILED, BUILD_FAILED.
        """
        self._check_open()
        with invalid_request():
            plan = check_request(request)
        return (await ensure_run_image(self._engine, plan, self._sandbox.build_timeout, on_progress))[0]

    async def cleanup_orphan_cache(self, max_age: float = DEFAULT_CACHE_AGE) -> CacheCleanup:
        """Remove the cache images of setup steps that were not used for `max_age` seconds (by default a week).

        Used means built or found by a run of this host, as ``cache-usage.json`` in the state folder has it; where that
        says nothing of an image, its creation counts. What a container uses stays.

        Raises:
            LightRunnerError: INVALID_REQUEST: `max_age` is no number from 0 up. RUN_FAILED or DOCKER_UNREACHABLE: the
                daemon failed.
        """
        self._check_open()
        with invalid_request():
            seconds = parse_age("max_age", max_age)
        return await cleanup_cache(self._engine, seconds)

    @asynccontextmanager
    async def _admitted(self) -> AsyncGenerator[None]:
        async with self._under_way(), self._place():
            yield

    @asynccontextmanager
    async def _under_way(self) -> AsyncGenerator[None]:
        """What leaving the runner's block waits for, or aborts."""
        with trio.CancelScope() as scope:
            self._active.add(scope)
            try:
                yield
            finally:
                self._active.remove(scope)
                self._idle.unpark_all()
        if scope.cancelled_caught:
            raise LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the runner was closed before the run was over")

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        """One of `max_concurrent` places; the run's own, whichever task it is taken from."""
        if self._limiter is None:
            yield
            return
        borrower = object()
        await self._limiter.acquire_on_behalf_of(borrower)
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(borrower)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("a DockerRunner is used inside its block: async with DockerRunner(...) as runner")

    def _abort(self) -> None:
        for scope in self._active:
            scope.cancel()
