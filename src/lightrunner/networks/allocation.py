"""Allocate a network to a run: a prepared namespace from a pool, or a new one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from lightrunner.engine import EngineClient
from lightrunner.errors import invalid_request
from lightrunner.pool import SingleUsePool
from lightrunner.rules.violation import RuleViolation
from lightrunner.telemetry import count

from .isolated import IsolatedNetwork
from .pause_containers import PauseContainer, PauseContainers


class Allocation(NamedTuple):
    """A run's network: the container's network mode, and the pause container whose namespace it joins, if any."""

    mode: str
    pause_container: PauseContainer | None = None


def allocation_of(pause_container: PauseContainer) -> Allocation:
    """Return the allocation that joins a pause container's namespace."""
    return Allocation(f"container:{pause_container.container_id}", pause_container)


class Networks:
    """The networks of one runner."""

    def __init__(self, engine: EngineClient) -> None:
        self._isolated = IsolatedNetwork(engine)
        self.pause_containers = PauseContainers(engine, self._isolated)
        self._pools: dict[str | None, SingleUsePool[PauseContainer]] = {}

    @asynccontextmanager
    async def prepared(self, network: str | None, size: int) -> AsyncGenerator[None]:
        """Keep pause containers ready on a network; None is the isolated network.

        Raises:
            LightRunnerError: INVALID_REQUEST: a block for this network is open. Other codes: the daemon failed.
        """
        with invalid_request():
            if network in self._pools:
                raise RuleViolation("network", network, "a block of prepared networks is already open for this network")
        pool = self.pause_containers.pool(network, size)
        self._pools[network] = pool
        try:
            async with pool.open():
                yield
        finally:
            del self._pools[network]

    async def allocate(self, network: str | None, *, prepared: bool) -> Allocation:
        """Allocate a network for one run: a ready namespace if `prepared` allows it, otherwise a new one."""
        pool = self._pools.get(network)
        if prepared and pool is not None:
            pause_container = pool.take_nowait()
            count("lightrunner.pool.takes", pool="networks", hit=pause_container is not None)
            if pause_container is not None:
                return allocation_of(pause_container)
        return Allocation(network or await self._isolated.ensure())

    def release(self, network: str | None, allocation: Allocation) -> None:
        """Discard the pause container of a finished run, in the pool's task."""
        pool = self._pools.get(network)
        if pool is not None and allocation.pause_container is not None:
            pool.discard_used(allocation.pause_container)

    def forget_isolated(self) -> None:
        """Forget the isolated network, which was removed. The next run finds or creates it."""
        self._isolated.forget()
