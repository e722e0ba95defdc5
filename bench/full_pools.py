"""Wait until warm pools are full before the next sample.

A refill is not measured, but it would disturb the measurement: the next contender would compete with it for the
machine, a contender that blocks the event loop would stop it half-way, and a sample that found the pool empty would
measure the wait.
"""

from typing import NamedTuple, Self

import trio

from lightrunner.engine import EngineClient
from lightrunner.host.owner import current_owner
from lightrunner.rules.limits import LABEL_KIND, LABEL_OWNER

from .sampling import Contender, Sample

REFILL_TIMEOUT = 60.0
"""Seconds; a refill of one takes less than half of one."""
_POLL = 0.05


class Kept(NamedTuple):
    """A container that is there: its state, and its kind."""

    state: str
    kind: str


States = dict[str, Kept]


class FullPools:
    """The containers that this process keeps ready, in warm pools and for prepared networks.

    The daemon is asked, since neither tells how many it has ready. Where a container runs it may be some milliseconds
    until the pool has it: `bench.sampling.PAUSE` is longer.

    Args:
        engine: where they are.
        states: their states by id, when all pools were full.
    """

    def __init__(self, engine: EngineClient, states: States) -> None:
        self._engine = engine
        self._full = states

    @classmethod
    async def seen_full(cls, engine: EngineClient) -> Self:
        """Look while no run is under way and all pools are full, as they are when their blocks begin."""
        return cls(engine, await own_containers(engine))

    async def wait_full(self, used: int = 1, *, kind: str = "") -> None:
        """Wait until so many of a kind are gone, as many others run in their place, and no run is under way.

        Raises:
            trio.TooSlowError: that is not so after `REFILL_TIMEOUT`: a run did without a pool, or refilling failed.
        """
        with trio.fail_after(REFILL_TIMEOUT):
            now = await own_containers(self._engine)
            while not self._are_refilled(now, used, kind):
                await trio.sleep(_POLL)
                now = await own_containers(self._engine)
        self._full = now

    def _are_refilled(self, now: States, used: int, kind: str) -> bool:
        all_run = all(kept.state == "running" for kept in now.values())
        new = [id_ for id_, kept in now.items() if kept.kind == kind and id_ not in self._full]
        return all_run and len(now) == len(self._full) and len(new) >= used


def refilled(contender: Contender, pools: FullPools, *, kind: str = "") -> Contender:
    """A contender that uses one of a pool: its sample is handed over when the pool is full again."""

    async def contender_and_refill() -> Sample:
        sample = await contender()
        await pools.wait_full(kind=kind)
        return sample

    return contender_and_refill


async def own_containers(engine: EngineClient) -> States:
    """All containers that this process has there, by id."""
    return {
        it.id: Kept(it.state, (it.labels or {}).get(LABEL_KIND, ""))
        for it in await engine.container_list(all=True, filters=own_label())
    }


def own_label() -> dict[str, list[str]]:
    """The filter for what this process has on a daemon: containers and their volumes."""
    return {"label": [f"{LABEL_OWNER}={current_owner()}"]}
