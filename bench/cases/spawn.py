"""What a run costs: no-ops, a small project, many at once."""

import io
import itertools
import tarfile
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from bench.floor import Floor
from bench.job import Job
from bench.sampling import Case, Contender, Goal, Sample, blocking, timed
from bench.stage import Stage
from lightrunner import DockerRunner, ExtractSpec, RunRequest

RUNS = 40
AT_ONCE = 8
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
    job = Job(RunRequest(image=stage.image, entrypoint="true", network=network, capture_output=True))
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
        rounds=stage.rounds(30, 3),
        goals=(
            Goal("lightrunner", "floor", 1.05),
            Goal("lightrunner", "docker run", 1.0),
            Goal("lightrunner", "docker-py", 1.0),
            Goal("lightrunner", "aiodocker", 1.0),
        ),
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
        "floor": blocking(partial(stage.floor.run, Job(request, _archive(folder)))),
    }
    if stage.cli is not None:
        contenders["docker run, no-op"] = timed(partial(stage.cli.run, nothing))
    yield Case(
        name="project",
        title="20 files in, an input, one file out, no network",
        contenders=contenders,
        rounds=stage.rounds(30, 3),
        goals=(Goal("lightrunner", "docker run, no-op", 1.5), Goal("lightrunner", "floor", 1.05)),
    )


@asynccontextmanager
async def parallel(stage: Stage) -> AsyncGenerator[Case]:
    """40 no-ops, 8 at a time."""
    job = Job(RunRequest(image=stage.image, entrypoint="true", network="none", capture_output=True))
    floors = threading.local()
    opened: list[Floor] = []

    def open_floor() -> None:
        floors.own = Floor(stage.host)
        opened.append(floors.own)

    def on_own_floor(_: int) -> None:
        floors.own.run(job)

    with ThreadPoolExecutor(AT_ONCE, initializer=open_floor) as pool:
        contenders = {
            "lightrunner": _at_once(stage.runner, job.request),
            "floor": timed(lambda: _exhaust(pool.map(on_own_floor, range(RUNS)))),
        }
        if (cli := stage.cli) is not None:
            run: Callable[[Job], None] = cli.run
            contenders[cli.name] = timed(lambda: _exhaust(pool.map(run, itertools.repeat(job, RUNS))))
        yield Case(
            name="parallel",
            title=f"{RUNS} runs that do nothing, {AT_ONCE} at a time, no network",
            contenders=contenders,
            rounds=stage.rounds(10, 1),
            # At least 0.97 of the floor's throughput.
            goals=(Goal("lightrunner", "floor", 1 / 0.97), Goal("lightrunner", "docker run", 1.0)),
            warm_up=not stage.quick,
        )
    for floor in opened:
        floor.close()


def _at_once(runner: DockerRunner, request: RunRequest) -> Contender:
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def one() -> None:
        async with limiter:
            (await runner.run(request)).check()

    async def contender() -> Sample:
        begin = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(RUNS):
                nursery.start_soon(one)
        return Sample(time.perf_counter() - begin)

    return contender


def _exhaust(results: Iterable[object]) -> None:
    for _ in results:
        pass


def _write_project(folder: Path) -> None:
    folder.mkdir()
    for number in range(_PROJECT_FILES):
        (folder / f"module_{number}.py").write_text("#" * _PROJECT_FILE_BYTES)


def _archive(folder: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, arcname=".")
    return made.getvalue()
