"""What a cold run costs: no-ops, a small project."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from bench.job import Job, archived, no_op
from bench.sampling import Case, Contender, Goal, Sample, blocking, timed
from bench.stage import Stage
from lightrunner import DockerRunner, ExtractSpec, RunRequest

_PROJECT_FILES = 20
_PROJECT_FILE_BYTES = 2000


def ours(runner: DockerRunner, request: RunRequest) -> Contender:
    """One run by lightrunner, with its own timings as phases."""

    async def contender() -> Sample:
        begin = time.perf_counter()
        result = (await runner.run(request)).check()
        return Sample(time.perf_counter() - begin, msgspec.structs.asdict(result.timings))

    return contender


@asynccontextmanager
async def noop(stage: Stage, *, network: str | None) -> AsyncGenerator[Case]:
    """``true``, with its output read to its end, on no network or the default one."""
    job = no_op(stage.image, network)
    contenders = {
        "lightrunner": ours(stage.runner, job.request),
        "floor": blocking(partial(stage.floor.run, job)),
        **{peer.name: timed(partial(peer.run, job)) for peer in stage.peers},
    }
    if network == "none" and stage.runc is not None:
        contenders[stage.runc.name] = timed(partial(stage.runc.run, job))
    # Before anything else: it makes the isolated network, which the others use as well.
    await stage.runner.run(job.request)
    yield Case(
        name=f"noop-{network or 'isolated'}",
        title=f"A run that does nothing, network: {network or 'the isolated bridge'}",
        contenders=contenders,
        rounds=stage.rounds(60, 3),
        goals=(
            Goal("lightrunner", "floor", 1.03),
            Goal("lightrunner", "docker run", 0.97),
            Goal("lightrunner", "docker-py", 1.0),
            Goal("lightrunner", "aiodocker", 1.0),
        ),
    )


@asynccontextmanager
async def usage(stage: Stage) -> AsyncGenerator[Case]:
    """``true`` without a network, with and without the accounting of what it used."""
    job = no_op(stage.image, "none")
    async with DockerRunner(host=stage.host, usage=True) as accounting:
        await accounting.run(job.request)  # It installs the init program on the daemon, once.
        yield Case(
            name="usage",
            title="A run that does nothing, network none, with usage=True and without",
            contenders={"usage=True": ours(accounting, job.request), "lightrunner": ours(stage.runner, job.request)},
            rounds=stage.rounds(60, 5),
        )


@asynccontextmanager
async def project(stage: Stage) -> AsyncGenerator[Case]:
    """A folder of 20 files, an input, one extract; beside a ``docker run`` that does nothing."""
    folder, out = stage.places["disk"] / "project", stage.places["disk"] / "project-out"
    _write_project(folder)
    request = RunRequest(
        image=stage.image,
        entrypoint="cat > result.json",
        network="none",
        dir=folder,
        input={"task": "compute", "n": 20},
        extract=[ExtractSpec("/app/result.json", out)],
        capture_output=True,
    )
    nothing = Job(RunRequest(image=stage.image, entrypoint="true", network="none"))
    contenders = {
        "lightrunner": ours(stage.runner, request),
        "floor": blocking(partial(stage.floor.run, Job(request, archived(folder)))),
    }
    if stage.cli is not None:
        contenders["docker run, no-op"] = timed(partial(stage.cli.run, nothing))
    yield Case(
        name="project",
        title="20 files in, an input, one file out, no network",
        contenders=contenders,
        rounds=stage.rounds(60, 3),
        goals=(Goal("lightrunner", "floor", 1.05), Goal("lightrunner", "docker run, no-op", 1.5)),
    )


def _write_project(folder: Path) -> None:
    folder.mkdir()
    for number in range(_PROJECT_FILES):
        (folder / f"module_{number}.py").write_text("#" * _PROJECT_FILE_BYTES)
