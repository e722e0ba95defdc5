"""`SwarmRunner`: the entry point for a Docker Swarm, with the methods of `DockerRunner`."""

import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

import trio

from lightrunner.admission import Admission
from lightrunner.engine import EngineClient, EngineError
from lightrunner.errors import (
    LightRunnerError,
    LightRunnerErrorCode,
    LightRunnerWarning,
    invalid_request,
    warn_of_dropped_env,
)
from lightrunner.files.seed import check_source
from lightrunner.images.cache import cleanup_cache
from lightrunner.keywords import keywords_of
from lightrunner.nurseries import run_in_child
from lightrunner.plan import RunPlan
from lightrunner.requests import RunRequest
from lightrunner.results import (
    CacheCleanup,
    LogCallback,
    OutputCallback,
    ProgressCallback,
    ReapResult,
    RunResult,
)
from lightrunner.rules.limits import DEFAULT_CACHE_AGE
from lightrunner.rules.sizes import parse_age, parse_count
from lightrunner.rules.violation import RuleViolation
from lightrunner.runs.mapping import DEFAULT_IN_FLIGHT, MapResults, Requests, check_map, open_map
from lightrunner.runs.output import Listeners
from lightrunner.runs.run import StartedStatus

from .claims import Claims
from .cluster import Cluster
from .images import ServiceImages
from .managers import Managers
from .network import ensure_network
from .nodes import Nodes
from .options import SwarmOptions, check_swarm_options, check_swarm_request
from .pool import SwarmPool
from .reap import reap_swarm
from .run import run_claimed
from .service import running_service


class SwarmRunner:
    """Run requests on the nodes of a Docker Swarm, each in one disposable container. Use as ``async with``.

    The keywords are the fields of `SwarmOptions`, which `options` holds. Swarm places and replaces the
    containers; each run is dispatched on its node's own daemon, which has to be reachable at `node_hosts`.

    Resource handling: as `DockerRunner`.

    Raises:
        LightRunnerError: INVALID_REQUEST: an option breaks a rule, or is not for Swarm.
    """

    @keywords_of(SwarmOptions)
    def __init__(self, options: SwarmOptions) -> None:
        self.options = options
        with invalid_request():
            sandbox = check_swarm_options(options)
            hosts = [options.host, *options.other_managers]
            managers = Managers([EngineClient(host, tls=options.tls) for host in hosts])
        nodes = Nodes(managers, options.node_hosts, options.tls)
        self._cluster = Cluster(managers, nodes, options, sandbox)
        self._images = ServiceImages(self._cluster)
        self._admission = Admission(options.max_concurrent)

    async def __aenter__(self) -> Self:
        self._admission.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self._admission.close(abort=kind is not None)
        finally:
            await self._cluster.aclose()

    async def is_available(self) -> bool:
        """Return whether a manager responds, and has a swarm to manage."""
        self._check_open()
        try:
            await self._cluster.managers.call(lambda manager: manager.swarm_inspect())
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
        retry_lost: bool = False,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run one request in a new container on a node that Swarm chooses, as `DockerRunner.run` does on one machine.

        Args:
            request: what to run. Terminals, secrets and `platform` are not for Swarm, and setup steps need an
                `image_repository`.
            on_log: as in `DockerRunner.run`.
            on_output: as in `DockerRunner.run`.
            on_progress: called with the messages of a build and a push. The nodes pull by themselves, and tell nobody
                how far they are.
            retry_lost: if the node is lost, run once more, with a `LightRunnerWarning`: the lost node may run the first
                attempt to its end, at the same time. The callbacks get the output of both. Not with a handle.
            task_status: trio's, for ``nursery.start``.

        Raises:
            LightRunnerError: as `DockerRunner.run`. NODE_LOST: the node was lost during the run, which may go on there.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
            if retry_lost and task_status is not trio.TASK_STATUS_IGNORED:
                raise RuleViolation("retry_lost", retry_lost, "a run with a handle is one run")
        await check_source(plan.source)
        warn_of_dropped_env(plan.dropped_env)
        listeners = Listeners(on_log, on_output)
        async with self._admission.admitted():
            try:
                return await run_in_child(self._run, plan, listeners, on_progress, task_status)
            except LightRunnerError as error:
                if error.code is not LightRunnerErrorCode.NODE_LOST or not retry_lost:
                    raise
                warnings.warn(f"running once more: {error.message}", LightRunnerWarning, stacklevel=2)
            return await run_in_child(self._run, plan, listeners, on_progress, task_status)

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

        They are a replicated service: Swarm spreads them, and replaces each after its run, also from a node that is
        drained or lost. The template counts as in `DockerRunner.warm`.

        Args:
            template: the request that the containers are created for.
            size: how many containers there are for this process, those with a run included.
            shared: how many more there are, for other processes that `join` the pool.
            on_progress: as in `run`.

        Raises:
            LightRunnerError: as `DockerRunner.warm`. CONTAINER_START_FAILED also if Swarm has no room for `size`, or
                the containers' walls are not the sandbox's.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(template)
            count = parse_count("size", size)
            replicas = count + (parse_count("shared", shared) if shared != 0 else 0)
        with self._admission.under_way():
            async with (
                self._service(plan, replicas, on_progress) as (service_id, claims),
                self._pool(service_id, claims, plan, count).open() as pool,
            ):
                yield pool

    @asynccontextmanager
    async def join(self, service_id: str, template: RunRequest, *, size: int = 1) -> AsyncGenerator[SwarmPool]:
        """Use the containers of another process's pool.

        Each container goes to one run of one process. The owner of the pool makes some for others: see `warm`.

        Args:
            service_id: the pool's `SwarmPool.service_id`.
            template: the request that the pool was made with.
            size: how many containers to claim ahead.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(template)
            count = parse_count("size", size)
        claims = self._claims(service_id, plan)
        with self._admission.under_way():
            async with self._pool(service_id, claims, plan, count).open() as pool:
                yield pool

    @asynccontextmanager
    async def map(
        self, requests: Requests, *, max_in_flight: int = DEFAULT_IN_FLIGHT, ordered: bool = False, retries: int = 0
    ) -> AsyncGenerator[MapResults]:
        """Run many requests, some at a time, as `DockerRunner.map` does.

        `retries` does not repeat a run whose node was lost (NODE_LOST): it may have had its effects.
        """
        self._check_open()
        with invalid_request():
            plan = check_map(max_in_flight, ordered, retries)
        async with open_map(self.run, requests, plan) as results:
            yield results

    async def prepare(self, request: RunRequest, *, on_progress: ProgressCallback | None = None) -> str:
        """Build and push a request's setup steps, without running it.

        Returns:
            The reference of the image that the nodes pull: of setup steps, a name with a digest.

        Raises:
            LightRunnerError: INVALID_REQUEST, INVALID_RUN_STEP, IMAGE_PULL_FAILED, or BUILD_FAILED, the latter also if
                the image cannot be pushed.
        """
        self._check_open()
        with invalid_request():
            plan = self._check(request)
        return await self._images.ensure(plan, on_progress)

    async def cleanup_orphan_cache(self, max_age: float = DEFAULT_CACHE_AGE) -> CacheCleanup:
        """Remove the images of setup steps from all nodes, as `DockerRunner.cleanup_orphan_cache` does from one daemon.

        An image that a node has pulled counts as unused since its creation; if a run needs it, the node pulls it anew.
        The registry's images stay.

        Raises:
            LightRunnerError: as `DockerRunner.cleanup_orphan_cache`.
        """
        self._check_open()
        with invalid_request():
            seconds = parse_age("max_age", max_age)
        cleanups = [await cleanup_cache(daemon.engine, seconds) for daemon in await self._cluster.nodes.all()]
        removed = tuple(name for one in cleanups for name in one.removed)
        return CacheCleanup(removed, sum(one.freed_bytes for one in cleanups))

    async def reap_orphans(self, *, dry_run: bool = False) -> ReapResult:
        """Remove the services and claims of dead processes of this host. With `dry_run`, only list them.

        Returns:
            The names of the services, as `containers`, and of the volumes that marked the claims.

        Raises:
            LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: a manager or a node's daemon failed.
        """
        self._check_open()
        return await reap_swarm(self._cluster, dry_run=dry_run)

    async def _run(
        self,
        plan: RunPlan,
        listeners: Listeners,
        on_progress: ProgressCallback | None,
        task_status: StartedStatus,
    ) -> RunResult:
        begin = trio.current_time()
        async with self._service(plan, 1, on_progress, once=True) as (_, claims):
            created = trio.current_time()
            claim = await claims.claim()
            timings = claim.phases.timings
            timings.create, timings.start = created - begin, trio.current_time() - created
            return await run_claimed(claim, self._cluster, plan, listeners=listeners, task_status=task_status)

    @asynccontextmanager
    async def _service(
        self, plan: RunPlan, size: int, on_progress: ProgressCallback | None, *, once: bool = False
    ) -> AsyncGenerator[tuple[str, Claims]]:
        image = await self._images.ensure(plan, on_progress)
        network = await ensure_network(self._cluster, plan.network)
        async with running_service(
            self._cluster, plan, image=image, network=network, size=size, once=once
        ) as service_id:
            yield service_id, self._claims(service_id, plan)

    def _pool(self, service_id: str, claims: Claims, plan: RunPlan, size: int) -> SwarmPool:
        limiter = self._admission.limiter
        return SwarmPool(self._cluster, service_id, claims, plan, size=size, check=self._check, limiter=limiter)

    def _claims(self, service_id: str, plan: RunPlan) -> Claims:
        return Claims(self._cluster, service_id, plan)

    def _check(self, request: RunRequest) -> RunPlan:
        return check_swarm_request(request, self.options, self._cluster.sandbox)

    def _check_open(self) -> None:
        if not self._admission.is_open:
            raise RuntimeError("use a SwarmRunner inside its block: async with SwarmRunner(...) as swarm")
