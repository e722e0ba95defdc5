"""Cold runs on prepared networks, compared with the same runs without."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from bench.full_pools import FullPools, refilled
from bench.job import no_op
from bench.sampling import Case, Goal, timed
from bench.stage import Stage
from lightrunner import DockerRunner
from lightrunner.engine import EngineClient
from lightrunner.rules.limits import PAUSE_KIND

from .spawn import ours

_SIZE = 1
"""There is one sample at a time, and the pool is full again before the next."""


@asynccontextmanager
async def prepared(stage: Stage, *, network: str | None) -> AsyncGenerator[Case]:
    """``true`` on a prepared network. Its block has a runner of its own, whose every run it serves."""
    job = no_op(stage.image, network)
    async with (
        DockerRunner(host=stage.host) as runner,
        runner.prepared_networks(_SIZE, network=network),
        EngineClient(stage.host) as engine,
    ):
        contenders = {
            "prepared": refilled(ours(runner, job.request), await FullPools.seen_full(engine), kind=PAUSE_KIND),
            "without": ours(stage.runner, job.request),
        }
        if stage.cli is not None:
            contenders[stage.cli.name] = timed(partial(stage.cli.run, job))
        limit = 0.40 if network is None else 0.65  # Making a bridge's end takes longer than making a bare namespace.
        goals = [Goal("prepared", "without", limit)]
        if network is None:
            goals.append(Goal("prepared", "docker run", limit))
        yield Case(
            name=f"prepared-{network or 'isolated'}",
            title=f"A run that does nothing on a prepared network: {network or 'the isolated bridge'}",
            contenders=contenders,
            rounds=stage.rounds(30, 3),
            goals=tuple(goals),
        )
