"""Commands in a sandbox, beside the daemon's own exec; and a sandbox's first output, cold and warm."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from bench.full_pools import FullPools, refilled
from bench.job import Job
from bench.libraries import DockerPy
from bench.programs import DockerCli
from bench.sampling import Case, Contender, Goal, Sample, blocking, timed
from bench.stage import Stage
from lightrunner import RunRequest, Sandbox
from lightrunner.engine import EngineClient

_SIZE = 2
_FIRST, _REST = "first byte", "rest"


@asynccontextmanager
async def execs(stage: Stage) -> AsyncGenerator[Case]:
    """``echo`` in a container that runs, from the call to the result."""
    async with stage.runner.sandbox(RunRequest(image=stage.image, network="none")) as box:
        contenders = {"lightrunner": _exec(box)}
        if stage.cli is not None:
            contenders["docker exec"] = timed(partial(stage.cli.call, "exec", box.container_id, "echo"))
        for peer in stage.peers:
            if isinstance(peer, DockerPy):
                contenders[peer.name] = timed(partial(peer.exec, box.container_id, ["echo"]))
        yield Case(
            name="exec",
            title="A command in a running container, from the call to its result",
            contenders=contenders,
            rounds=stage.rounds(30, 3),
            goals=(Goal("lightrunner", "docker exec", 1 / 10), Goal("lightrunner", "docker-py", 1 / 10)),
        )


@asynccontextmanager
async def sandboxes(stage: Stage) -> AsyncGenerator[Case]:
    """From the dispatch to the first command's output: a sandbox from nothing, and one that waits."""
    request = RunRequest(image=stage.image, network="none")
    async with (
        stage.runner.warm_sandboxes(request, size=_SIZE) as pool,
        EngineClient(stage.host) as engine,
    ):
        contenders = {
            "warm": refilled(_opened(pool.sandbox), await FullPools.seen_full(engine)),
            "cold": _opened(partial(stage.runner.sandbox, request)),
        }
        if stage.cli is not None:
            job = Job(RunRequest(image=stage.image, entrypoint="echo", network="none"))
            contenders[stage.cli.name] = blocking(partial(_piped, stage.cli, job))
        yield Case(
            name="sandbox",
            title="From the dispatch of a sandbox to its first command's output, and on to its removal",
            contenders=contenders,
            rounds=stage.rounds(30, 3),
            goals=(Goal("warm", "docker run", 1 / 8, phase=_FIRST, whole_base=True),),
        )


def _exec(box: Sandbox) -> Contender:
    async def contender() -> Sample:
        begin = time.perf_counter()
        result = await box.exec(["echo"])
        total = time.perf_counter() - begin
        assert result.stdout == b"\n", "no output"
        return Sample(total)

    return contender


def _opened(open_box: Callable[[], AbstractAsyncContextManager[Sandbox]]) -> Contender:
    async def contender() -> Sample:
        begin = time.perf_counter()
        async with open_box() as box:
            await box.exec(["echo"])
            first = time.perf_counter() - begin
        total = time.perf_counter() - begin
        return Sample(total, {_FIRST: first, _REST: total - first})

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
    return Sample(total, {_FIRST: first, _REST: total - first})
