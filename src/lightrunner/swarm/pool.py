"""A warm pool on a swarm: a service's containers, claimed ahead, each for one run."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from lightrunner.admission import Admission
from lightrunner.errors import invalid_request, warn_of_dropped_env
from lightrunner.files.seed import check_source
from lightrunner.nurseries import run_in_child
from lightrunner.plan import RunPlan
from lightrunner.pool import PoolSize, SingleUsePool
from lightrunner.requests import RunRequest
from lightrunner.results import LogCallback, OutputCallback, RunResult, Timings
from lightrunner.rules.limits import CLEANUP_TIMEOUT, WARM_REFILL_DELAY
from lightrunner.runs.output import Listeners
from lightrunner.runs.run import StartedStatus
from lightrunner.warm.pool import check_template

from .claims import Claim, Claims
from .cluster import Cluster
from .run import run_claimed


class SwarmPool:
    """Runs requests in containers that have already started on a swarm's nodes. `SwarmRunner.warm` creates it.

    Each container is used once; Swarm then replaces it, on the node that suits it. What its program sees is as in
    `WarmPool`.

    Attributes:
        service_id: the swarm's id of the service, with which other processes join the pool.
    """

    def __init__(
        self,
        cluster: Cluster,
        service_id: str,
        claims: Claims,
        template: RunPlan,
        *,
        size: int,
        check: Callable[[RunRequest], RunPlan],
        limiter: trio.CapacityLimiter | None,
    ) -> None:
        self.service_id = service_id
        self._cluster = cluster
        self._claims = claims
        self._template = template
        self._check = check
        self._admission = Admission(limiter, "pool")
        self._pool: SingleUsePool[Claim] = SingleUsePool(
            claims.claim, _discard, _is_waiting, size=PoolSize(size, size, math.inf), delay=WARM_REFILL_DELAY
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["SwarmPool"]:
        """Claim the containers, and remove those that are left at the end of the block."""
        async with self._pool.open(), self._admission.block():
            self._claims.is_strict = False
            yield self
            self._pool.close()  # The runs that are under way go on.

    async def run(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run one request as `WarmPool.run` does, on whichever node has a container.

        Raises:
            LightRunnerError: as `WarmPool.run`. NODE_LOST: the run's node was lost; the run may go on there.
        """
        with invalid_request():
            plan = self._check(request)
            check_template(plan, request, self._template)
        await check_source(plan.source)
        warn_of_dropped_env(plan.dropped_env)
        async with self._admission.admitted():
            return await run_in_child(self._run, plan, Listeners(on_log, on_output), task_status)

    async def _run(self, plan: RunPlan, listeners: Listeners, task_status: StartedStatus) -> RunResult:
        claim = await self._pool.take()
        try:
            claim.phases.timings = Timings()  # The claim's times do not belong to the run.
            return await run_claimed(claim, self._cluster, plan, listeners=listeners, task_status=task_status)
        finally:
            self._pool.discard_used(claim)


async def _discard(claim: Claim) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
        await claim.streams.aclose()
    await claim.remove()


def _is_waiting(claim: Claim) -> bool:
    return not claim.attached.is_readable()  # A readable stream means that the container has ended.
