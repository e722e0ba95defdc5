"""Runs on a swarm of three nodes beside one daemon of the same kind, and the throughput by the number of nodes.

The nodes share this machine's cores: throughput grows with them until those are full.
"""

import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Self

import trio

from bench.full_pools import FullPools, refilled
from bench.harness import Start
from bench.sampling import Case, Contender, Goal, Sample
from bench.stage import Stage
from lightrunner import DockerRunner, RunRequest, SwarmRunner
from lightrunner.engine import EngineClient
from lightrunner.rules.limits import LABEL_CLAIM
from tools.images import ensure_busybox
from tools.swarm import PrivateSwarm

from .warm import FIRST, dispatched

_SIZE = 4
_LIMITS: Mapping[str, str | float] = {"memory": "64m", "cpus": 0.1}
"""Swarm reserves what runs may use, and each node counts all cores as its own."""

_REFILL_TIMEOUT = 60.0
_POLL = 0.05


@asynccontextmanager
async def swarm(stage: Stage, *, network: str | None) -> AsyncGenerator[Case]:
    """A line of output, to a callback: warm and cold, on the swarm and on the daemon of its first node."""
    with _three_nodes() as (private, image):
        request = RunRequest(image=image, entrypoint="echo", network=network)
        local = private.nodes[0].host
        async with (
            _runner(private) as runner,
            runner.warm(request, size=_SIZE) as pool,
            DockerRunner(host=local, **_LIMITS) as alone,  # type: ignore[arg-type]
            alone.warm(request, size=_SIZE) as local_pool,
            EngineClient(local) as engine,
            Claimed(private) as claimed,
        ):
            full = await FullPools.seen_full(engine)
            yield Case(
                name=f"swarm-{network or 'isolated'}",
                title=f"A swarm of three nodes, and one of its daemons, network: {network or 'the isolated bridge'}",
                contenders={
                    "swarm, warm": claimed.refilled(dispatched(pool.run, request)),
                    "one daemon, warm": refilled(dispatched(local_pool.run, request), full),
                    "swarm, cold": dispatched(runner.run, request),
                    "one daemon, cold": dispatched(alone.run, request),
                },
                rounds=stage.rounds(30, 3),
                goals=(Goal("swarm, warm", "one daemon, warm", 2.0, phase=FIRST),),
            )


@asynccontextmanager
async def swarm_nodes(stage: Stage) -> AsyncGenerator[Case]:
    """Runs of half a second, as many at a time as there are containers: four for each node."""
    nodes = (1, 2) if stage.quick else (1, 2, 3)
    curves: dict[str, dict[int, str]] = {"swarm": {}, "one daemon": {}}
    contenders: dict[str, Contender] = {}
    with _three_nodes() as (private, image):
        request = RunRequest(image=image, entrypoint="sleep 0.5", network="none")
        async with AsyncExitStack() as stack:
            claimed = Claimed(private)
            alone = await stack.enter_async_context(DockerRunner(host=private.nodes[0].host, **_LIMITS))  # type: ignore[arg-type]
            for count in nodes:
                size = _SIZE * count
                runner = await stack.enter_async_context(_runner(private, nodes=count))
                pool = await stack.enter_async_context(runner.warm(request, size=size))
                local_pool = await stack.enter_async_context(alone.warm(request, size=size))
                for peer, start in (("swarm", pool.run), ("one daemon", local_pool.run)):
                    curves[peer][count] = name = f"{peer}, {size} at a time"
                    contenders[name] = _a_second(start, request, size)
            await stack.enter_async_context(claimed)
            swarms = {name: claimed.refilled(it) for name, it in contenders.items() if name.startswith("swarm")}
            yield Case(
                name="swarm-nodes",
                title="Runs of half a second, four at a time for each node",
                contenders=contenders | swarms,
                rounds=stage.rounds(8, 1),
                unit="runs/s",
                curves=curves,
                curve_axis="nodes, or fours at a time on one daemon",
                warm_up=not stage.quick,
            )


class Claimed:
    """The claims of this process on all nodes: how to wait until every pool has claimed its containers anew."""

    def __init__(self, private: PrivateSwarm) -> None:
        self._engines = [EngineClient(node.host) for node in private.nodes]
        self._full = frozenset[str]()

    async def __aenter__(self) -> Self:
        self._full = await self._marks()
        return self

    async def __aexit__(self, *_: object) -> None:
        for engine in self._engines:
            await engine.aclose()

    def refilled(self, contender: Contender) -> Contender:
        """A contender whose sample is handed over when all its containers have been replaced."""

        async def contender_and_refill() -> Sample:
            before = self._full
            sample = await contender()
            with trio.fail_after(_REFILL_TIMEOUT):
                while len(self._full) != len(before) or self._full == before:
                    await trio.sleep(_POLL)
                    self._full = await self._marks()
            return sample

        return contender_and_refill

    async def _marks(self) -> frozenset[str]:
        filters = {"label": [LABEL_CLAIM]}
        return frozenset([mark.name for engine in self._engines for mark in await engine.volume_list(filters=filters)])


@contextmanager
def _three_nodes() -> Generator[tuple[PrivateSwarm, str]]:
    # Before API 1.44 Swarm cannot set no-new-privileges.
    with PrivateSwarm(3, config={"no-new-privileges": True}) as private:
        yield private, private.load(ensure_busybox)


def _runner(private: PrivateSwarm, *, nodes: int = 3) -> SwarmRunner:
    others = list(private.hosts)[nodes:]
    return SwarmRunner(
        host=private.manager.host,
        node_hosts=private.host_of,
        constraints=[f"node.hostname!={name}" for name in others],
        **_LIMITS,  # type: ignore[arg-type]
    )


def _a_second(start: Start, request: RunRequest, size: int) -> Contender:
    """So many runs at once, as runs a second."""

    async def one() -> None:
        (await start(request)).check()

    async def throughput() -> Sample:
        begin = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(one)
        return Sample(size / (time.perf_counter() - begin))

    return throughput
