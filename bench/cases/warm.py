"""From the dispatch to the first output and to the result: in a container that waits for it, and from nothing."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from bench.full_pools import FullPools, refilled
from bench.harness import Start, dispatch
from bench.job import Job
from bench.programs import DockerCli
from bench.sampling import Case, Contender, Goal, Sample, blocking
from bench.stage import Stage
from lightrunner import RunRequest
from lightrunner.engine import EngineClient

_SIZE = 4
FIRST, _REST = "first byte", "rest"


@asynccontextmanager
async def warm(stage: Stage, *, network: str | None) -> AsyncGenerator[Case]:
    """A line of output, to a callback or a pipe."""
    job = Job(RunRequest(image=stage.image, entrypoint="echo", network=network))
    async with stage.runner.warm(job.request, size=_SIZE) as pool, EngineClient(stage.host) as engine:
        contenders = {
            "warm": refilled(dispatched(pool.run, job.request), await FullPools.seen_full(engine)),
            "cold": dispatched(stage.runner.run, job.request),
        }
        if stage.cli is not None:
            contenders[stage.cli.name] = blocking(partial(_piped, stage.cli, job))
        yield Case(
            name=f"warm-{network or 'isolated'}",
            title=f"From dispatch to first byte and on to result, network: {network or 'the isolated bridge'}",
            contenders=contenders,
            rounds=stage.rounds(30, 3),
            goals=(
                Goal("warm", "docker run", 1 / 75, phase=FIRST, whole_base=True),
                Goal("warm", "docker run", 1 / 5),
            ),
        )


def dispatched(start: Start, request: RunRequest) -> Contender:
    """A run of a request, with the time to its first output."""

    async def contender() -> Sample:
        done = await dispatch(start, request)
        assert done.first_output is not None, "no output"
        return _sample(done.first_output, done.total)

    return contender


def _piped(cli: DockerCli, job: Job) -> Sample:
    begin = time.perf_counter()
    with cli.piped("run", "--rm", *job.cli_arguments()) as process:
        assert process.stdout is not None
        assert process.stdout.read(1), "no output"
        first = time.perf_counter() - begin
        process.stdout.read()
    total = time.perf_counter() - begin
    assert process.returncode == 0, "the CLI failed"
    return _sample(first, total)


def _sample(first: float, total: float) -> Sample:
    return Sample(total, {FIRST: first, _REST: total - first})
