"""`WarmPool` and `SwarmPool`: runs in containers that have started already."""

from lightrunner.requests import RunRequest
from lightrunner.results import LogCallback, OutputCallback, RunResult
from lightrunner.swarm.pool import SwarmPool as TrioSwarmPool
from lightrunner.warm.pool import WarmPool as TrioWarmPool

from .bridge import Bridge
from .callbacks import Callbacks
from .handle import Execution, StartedRuns


class WarmPool:
    """Runs requests in containers that have already started. `DockerRunner.warm` creates it."""

    def __init__(self, bridge: Bridge, pool: TrioWarmPool | TrioSwarmPool, started: StartedRuns) -> None:
        self._bridge = bridge
        self._pool = pool
        self._started = started

    async def run(
        self, request: RunRequest, *, on_log: LogCallback | None = None, on_output: OutputCallback | None = None
    ) -> RunResult:
        """Run one request as `DockerRunner.run` does, but in a started container.

        Its image, setup steps, network, workdir and platform must be the template's. The time-out counts from the
        dispatch. If no container is ready, wait for one.

        Raises:
            LightRunnerError: as `DockerRunner.run`. INVALID_REQUEST also if the request differs from the template.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output)
        return await self._bridge.call(callbacks.call, self._pool.run, request)

    async def start(
        self, request: RunRequest, *, on_log: LogCallback | None = None, on_output: OutputCallback | None = None
    ) -> Execution:
        """Run one request in the background, as `DockerRunner.start` does. The run belongs to the pool's block."""
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output)
        return await self._started.start(lambda status: callbacks.call(self._pool.run, request, task_status=status))


class SwarmPool(WarmPool):
    """Runs requests in containers that have already started on a swarm's nodes. `SwarmRunner.warm` creates it.

    Attributes:
        service_id: the swarm's id of the service, with which other processes join the pool.
    """

    def __init__(self, bridge: Bridge, pool: TrioSwarmPool, started: StartedRuns) -> None:
        super().__init__(bridge, pool, started)
        self.service_id = pool.service_id
