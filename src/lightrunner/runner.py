"""`DockerRunner`: the entry point, which delegates to the packages below it."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import trio

from .admission import Admission
from .detached.attach import attach
from .detached.detach import detach
from .detached.reap import reap, reap_age, reap_volumes, reconcile_states
from .detached.state import RunState, list_states
from .engine import EngineClient, EngineError
from .errors import LightRunnerErrorCode, invalid_request, mapped_errors, warn_of_dropped_env
from .images.cache import cleanup_cache, list_cache
from .images.steps import ensure_run_image
from .init.volume import InitVolume
from .keywords import keywords_of
from .networks.allocation import Networks
from .nurseries import run_in_child
from .plan import RunPlan, check_detachable, check_mounts, check_options, check_request, check_stdin
from .pool import check_pool_size
from .requests import RunnerOptions, RunRequest
from .results import (
    CacheCleanup,
    CacheImage,
    LogCallback,
    OutputCallback,
    ProgressCallback,
    ReapResult,
    RunResult,
)
from .rules.limits import DEFAULT_CACHE_AGE, DEFAULT_IDLE_TIME
from .rules.names import check_network
from .rules.sizes import parse_age, parse_count
from .runs.mapping import DEFAULT_IN_FLIGHT, MapResults, Requests, check_map, open_map
from .runs.output import Listeners
from .runs.prepare import Preparation
from .runs.run import Run, StartedStatus
from .sandbox.box import Sandbox
from .sandbox.launch import Launcher
from .sandbox.lifecycle import open_sandbox
from .sandbox.order import check_ports, check_sandbox
from .sandbox.pool import SandboxPool, discard
from .telemetry import observed_run
from .warm.pool import WarmPool


class DockerRunner:
    """Run requests on one daemon, each in one disposable container. Use as ``async with``.

    The keywords are the fields of `RunnerOptions`, which `options` holds.

    Resource handling: a runner owns connections, not tasks. The end of its block waits for runs in other tasks. An
    exception or a cancellation that leaves the block aborts those runs and waits for their removal.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option breaks a rule.
    """

    @keywords_of(RunnerOptions)
    def __init__(self, options: RunnerOptions) -> None:
        self.options = options
        with invalid_request():
            self._sandbox = check_options(self.options)
            self._engine = EngineClient(self.options.host, tls=self.options.tls, connect=self.options.connect)
        self._networks = Networks(self._engine)
        self._init_volume = InitVolume(self._engine)
        self._admission = Admission(self.options.max_concurrent)

    async def __aenter__(self) -> Self:
        self._admission.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self._admission.close(abort=kind is not None)
        finally:
            await self._engine.aclose()

    async def is_available(self) -> bool:
        """Return whether the daemon responds."""
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
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
        stdin: AsyncIterable[bytes] | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run one request in a new container, and remove everything that the run created.

        ``execution = await nursery.start(runner.run, request)`` returns an `Execution` once the daemon has started the
        container, and raises what failed before that.

        Args:
            request: what to run.
            on_log: called with each line of output, in order per stream, as it arrives. A slow callback loses nothing:
                up to 8 MiB are buffered for it, then the container blocks.
            on_output: called with each chunk of output, in the daemon's order, neither decoded nor split; as `on_log`,
                it may be slow. Of output that both get, `on_output` has each chunk first.
            on_progress: called with the messages of a pull or a build.
            stdin: yields the run's stdin while it runs, in place of the request's `input`. Its end is the end of file.
                It is cancelled when the container exits.
            task_status: trio's, for ``nursery.start``.

        Returns:
            The result, also for a non-zero exit code.

        Resource handling: when `run` returns or raises, its container and volume have been removed. Cancelling the
        surrounding scope kills the container and waits, for a bounded time, for its removal.

        Error handling: an exception from a callback, or from `stdin`, ends the run and propagates unchanged.

        Raises:
            LightRunnerError: the request breaks a rule (INVALID_REQUEST), or the daemon failed (the other codes).
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
            if stdin is not None:
                plan = check_stdin(plan, request, stdin)
        warn_of_dropped_env(plan.dropped_env)
        lifecycle = Run(
            self._engine,
            self._networks,
            plan,
            self._sandbox,
            listeners=Listeners(on_log, on_output),
            on_progress=on_progress,
            init_volume=self._init_volume,
            stdin=stdin,
        )
        async with self._admission.admitted():
            return await run_in_child(lifecycle.run, task_status)

    async def detach(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Start a run that outlives this process. Return its id once the container has started.

        The run's state is written to the state folder before the container is created, and the daemon keeps the last 16
        to 32 MB of its output. `attach` finds the run from any process on this host.

        Raises:
            LightRunnerError: as `run` before the start; nothing is left on the daemon. INVALID_REQUEST also for
                `input`, `capture_output`, `cpu_timeout`, `output_limit` and `tty`, which need a live caller.
                STATE_FAILED: the state cannot be written.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
            check_detachable(request)
        warn_of_dropped_env(plan.dropped_env)
        preparation = Preparation(
            self._engine, self._networks, plan, self._sandbox, on_progress=on_progress, detached=True
        )
        with self._admission.under_way(), observed_run("detach", preparation.id) as observation:
            run_id = await run_in_child(detach, preparation, plan, self._sandbox)
            observation.detached()
        return run_id

    async def attach(
        self,
        run_id: str,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Wait for a detached run, extract its files, remove its container, and return its result.

        A run that exited unattended yields its true exit code, duration and files. A finished run yields the result in
        its state file. Several processes may attach to one run: all get the same result, and the files are extracted
        once. ``execution = await nursery.start(runner.attach, run_id)`` returns the run's `Execution`.

        Args:
            run_id: the id that `detach` returned.
            on_log: called with each line of output, from the start of the run.
            on_output: called with each chunk of output, from the start of the run.
            task_status: trio's, for ``nursery.start``.

        Resource handling: cancelling `attach` does not affect the run. The run's time-out is enforced while a process
        is attached, and by `reap_orphans`.

        Raises:
            LightRunnerError: RUN_NOT_FOUND: no such run on this host. RUN_FAILED: the exit code is lost.
                STATE_FAILED: the result cannot be written; the run can be attached to again.
        """
        self._check_open()
        with self._admission.under_way():
            attached = partial(attach, self._engine, run_id, Listeners(on_log, on_output), task_status=task_status)
            with observed_run("attach", run_id) as observation:
                result = await run_in_child(attached)
                observation.ended(result)
        return result

    async def list(self) -> list[RunState]:
        """Return the detached runs of this host from their state files, oldest first."""
        return await trio.to_thread.run_sync(list_states)

    async def reap_orphans(self, *, dry_run: bool = False) -> ReapResult:
        """Remove orphans: what dead runs left on the daemon. With `dry_run`, only list them.

        Orphans are: runs whose process on this host is dead; detached runs past their time-out, which are killed and
        then finished as `attach` does; detached runs that exited more than ``LIGHT_RUNNER_REAP_AGE_MS`` ago, which are
        finished with their files; and what light-runner for Node left idle for that long. Runs of a live process,
        detached runs within their time-out, runs of another host, and anything without lightrunner's labels are never
        touched.

        Raises:
            LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
        """
        self._check_open()
        return await run_in_child(partial(reap, self._engine, reap_age(), dry_run=dry_run))

    async def cleanup_orphan_states(self) -> int:
        """Finish the state files of detached runs whose container is gone. Return their number."""
        self._check_open()
        return await run_in_child(reconcile_states, self._engine)

    async def cleanup_orphan_volumes(self) -> int:
        """Remove the volumes of runs whose container is gone. Return their number."""
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
        """Keep started containers ready, each for one run: ``async with runner.warm(template) as pool``.

        The containers have the template's image, setup steps, network, workdir, platform, user, hostname, extra hosts
        and labels, and this runner's limits, walls and runtime. Other fields of the template are ignored.
        `WarmPool.run` runs a request in one of them and then discards it. The end of the block waits for runs in
        progress and removes every container.

        Args:
            template: the request that the containers are created for.
            size: how many containers to keep ready.
            max_size: how many to keep ready at most, after runs had to wait for one; by default `size`.
            idle_time: seconds without a run after which the pool shrinks by one, down to `size`.

        Raises:
            LightRunnerError: INVALID_REQUEST: an argument breaks a rule. CONTAINER_START_FAILED: the image has no
                working sh. Otherwise as `run` before the start.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(template)
            pool_size = check_pool_size(size, max_size, idle_time)
        pool = WarmPool(
            self._engine,
            self._networks,
            plan,
            self._sandbox,
            pool_size,
            init_volume=self._init_volume,
            limiter=self._admission.limiter,
        )
        with self._admission.under_way():
            async with pool.open():
                yield pool

    @asynccontextmanager
    async def sandbox(
        self,
        request: RunRequest,
        *,
        expose: Sequence[int] = (),
        on_progress: ProgressCallback | None = None,
    ) -> AsyncGenerator[Sandbox]:
        """Open a container for any number of commands: ``async with runner.sandbox(request) as box``.

        It has the walls and limits of a run, and `timeout` of the request is its whole time. `dir` is copied in before
        the block begins. The end of the block removes the container with all that runs in it.

        Args:
            request: image, setup steps, `dir`, network, env, workdir, `timeout` and platform. A sandbox has no
                entrypoint, input and extract.
            expose: TCP ports of the sandbox that this host shall reach; `Sandbox.exposed` has the addresses.
            on_progress: called with the messages of a pull or a build.

        Raises:
            LightRunnerError: as `run` before its start.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
            check_sandbox(plan)
            ports = check_ports("expose", expose)
        warn_of_dropped_env(plan.dropped_env)
        launcher = Launcher(
            self._engine, self._networks, self._init_volume, plan, self._sandbox, on_progress=on_progress
        )
        opened = open_sandbox(launcher.launch, discard, timeout=plan.timeout, expose=ports)
        async with self._admission.admitted(), opened as box:
            yield box

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

        Args:
            request: as for `sandbox`; its `dir` is copied into each of them.
            size: as for `warm`.
            max_size: as for `warm`.
            idle_time: as for `warm`.

        Raises:
            LightRunnerError: as `sandbox`.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
            check_sandbox(plan)
            pool_size = check_pool_size(size, max_size, idle_time)
        warn_of_dropped_env(plan.dropped_env)
        launcher = Launcher(self._engine, self._networks, self._init_volume, plan, self._sandbox)
        pool = SandboxPool(launcher, pool_size, admit=self._admission.admitted)
        with self._admission.under_way():
            async with pool.open():
                yield pool

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

        ``async for item in results`` then yields one `MapItem` per request, as each ends. A request is taken from the
        iterable when there is room for its run, and a run's place is given back when its item has been received: a slow
        consumer holds up the runs, and memory stays bounded. Leaving the block early aborts the runs in flight.

        Args:
            requests: an iterable or an async iterable, endless ones included.
            max_in_flight: how many requests to have in flight at most, items that wait for the consumer included.
            ordered: yield the items in the requests' order. A slow run then holds up those after it.
            retries: how often to repeat a run that the daemon failed (DOCKER_UNREACHABLE, RUN_FAILED, a 5xx status).
                What the code did, and what is wrong with a request, is never repeated.

        Error handling: a `LightRunnerError` is its item's. What else is raised, as by the iterable, aborts the runs and
        propagates from the block.

        Raises:
            LightRunnerError: INVALID_REQUEST: an argument breaks a rule.
        """
        self._check_open()
        with invalid_request():
            plan = check_map(max_in_flight, ordered, retries)
        async with open_map(self.run, requests, plan) as results:
            yield results

    @asynccontextmanager
    async def prepared_networks(self, size: int = 4, *, network: str | None = None) -> AsyncGenerator[None]:
        """Keep network namespaces ready. Cold runs of any image then take about half the time.

        Inside the block, each run of this runner on `network` (None: the isolated bridge) joins a namespace that was
        made for it ahead of time and is removed with it. If none is ready, the run makes its own.

        Raises:
            LightRunnerError: INVALID_REQUEST: an argument breaks a rule. CONTAINER_START_FAILED: the daemon cannot make
                the namespaces.
        """
        self._check_open()
        with invalid_request():
            count = parse_count("size", size)
            name = None if network is None else check_network("network", network)
            prepared = self._networks.prepared(name, count)
        with self._admission.under_way():
            async with prepared:
                yield

    async def prepare(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Pull a request's image and build its setup steps, without running it.

        Returns:
            The reference of the image that a run of this request starts from.

        Raises:
            LightRunnerError: INVALID_REQUEST, INVALID_RUN_STEP, IMAGE_PULL_FAILED, BUILD_FAILED.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
        return (await ensure_run_image(self._engine, plan, self._sandbox, on_progress))[0]

    async def list_cache(self) -> Sequence[CacheImage]:
        """Return the cache images of setup steps, those that were used last first.

        Raises:
            LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
        """
        self._check_open()
        return await list_cache(self._engine)

    async def cleanup_orphan_cache(self, max_age: float = DEFAULT_CACHE_AGE) -> CacheCleanup:
        """Remove the cache images of setup steps that have not been used for `max_age` seconds, by default a week.

        An image is used when a run on this host builds or finds it; ``cache-usage.json`` in the state folder has the
        times. For an image that is not in it, the time of its creation counts. An image with a container stays.

        Raises:
            LightRunnerError: INVALID_REQUEST: `max_age` is negative or not a number. RUN_FAILED or DOCKER_UNREACHABLE:
                the daemon failed.
        """
        self._check_open()
        with invalid_request():
            seconds = parse_age("max_age", max_age)
        return await cleanup_cache(self._engine, seconds)

    def _check(self, request: RunRequest) -> RunPlan:
        plan = check_request(request)
        check_mounts(plan, self._sandbox)
        return plan

    def _check_open(self) -> None:
        if not self._admission.is_open:
            raise RuntimeError("use a DockerRunner inside its block: async with DockerRunner(...) as runner")
