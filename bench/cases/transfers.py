"""Folders in and files out, beside ``docker cp``, beside the standard library's tarfile, and beside the daemon alone.

A sample is a round trip, and its phases are the two ways: into a created container's volume, and out of it when it has
exited. What lies between, the container's start and exit, does not count.
"""

import io
import os
import shutil
import tarfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.floor import Floor, PartsReader
from bench.job import Job, archived
from bench.programs import DockerCli
from bench.sampling import Case, Contender, Goal, Sample, blocking
from bench.stage import Stage
from lightrunner import DockerRunner, ExtractSpec, RunRequest

_WORKDIR = "/app"
_FILES = 3000
_FOLDERS = 30
_SMALL_BYTES = 2000
_MIB = 1 << 20


class RoundTrip:
    """One folder, there and back.

    Args:
        source: the folder on the host.
        path: what to fetch back, in the container.
        out: where to, on the host; made by every sample, and gone after it.
    """

    def __init__(self, image: str, source: Path, path: str, out: Path) -> None:
        self.source = source
        self.path = path
        self.out = out
        self._expected = _contents(source)
        self.request = RunRequest(
            image=image,
            entrypoint="true",
            network="none",
            workdir=_WORKDIR,
            dir=source,
            extract=[ExtractSpec(path, out)],
        )
        self.job = Job(RunRequest(image=image, entrypoint="true", network="none", workdir=_WORKDIR))

    def sample(self, seed: float, extract: float) -> Sample:
        """The sample, once all that should have come has come."""
        assert _contents(self.out) == self._expected, "what came back is not what went in"
        shutil.rmtree(self.out)
        return Sample(seed + extract, {"seed": seed, "extract": extract})


@asynccontextmanager
async def big_file(
    stage: Stage, *, megabytes: int, seed_goal: float = 1.0, extract_goal: float = 1.0
) -> AsyncGenerator[Case]:
    """One large file. The goals are ratios to ``docker cp``."""
    place = stage.places["disk"]
    source = place / f"big-{megabytes}"
    source.mkdir()
    block = os.urandom(_MIB)
    with (source / "big.bin").open("wb") as file:
        for _ in range(megabytes):
            file.write(block)
    trip = RoundTrip(stage.image, source, f"{_WORKDIR}/big.bin", place / "out")
    yield Case(
        name=f"transfer-{megabytes}",
        title=f"One file of {megabytes} MiB in and out, on disk",
        contenders=_contenders(stage, trip),
        rounds=stage.rounds(8, 1),
        goals=(
            Goal("lightrunner", "docker cp", seed_goal, phase="seed"),
            Goal("lightrunner", "docker cp", extract_goal, phase="extract"),
        ),
        warm_up=not stage.quick,
    )
    shutil.rmtree(source)


@asynccontextmanager
async def small_files(stage: Stage, *, place: str) -> AsyncGenerator[Case]:
    """3,000 small files."""
    if place not in stage.places:
        yield Case(name=f"small-files-{place}", title=stage.missing[place], contenders={}, rounds=0)
        return
    folder = stage.places[place]
    source = folder / "small"
    for number in range(_FILES):
        path = source / f"package_{number % _FOLDERS}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#" * _SMALL_BYTES)
    trip = RoundTrip(stage.image, source, _WORKDIR, folder / "out")
    yield Case(
        name=f"small-files-{place}",
        title=f"{_FILES:,} files of {_SMALL_BYTES:,} bytes in and out; the host's side on {place}",
        contenders={**_contenders(stage, trip), "floor": _daemon_alone(stage.floor, trip)},
        rounds=stage.rounds(8, 1),
        goals=(
            Goal("lightrunner", "docker cp", 1.0, phase="seed"),
            Goal("lightrunner", "tarfile", 1.0, phase="seed"),
            Goal("lightrunner", "docker cp", 0.65, phase="extract"),
        ),
        warm_up=not stage.quick,
    )
    shutil.rmtree(source)


def _contenders(stage: Stage, trip: RoundTrip) -> dict[str, Contender]:
    contenders = {"lightrunner": _ours(stage.runner, trip)}
    if stage.cli is not None:
        contenders["docker cp"] = _docker_cp(stage.cli, stage.floor, trip)
    contenders["tarfile"] = _standard_library(stage.floor, trip)
    return contenders


def _ours(runner: DockerRunner, trip: RoundTrip) -> Contender:
    async def contender() -> Sample:
        result = (await runner.run(trip.request)).check()
        return trip.sample(result.timings.seed, result.timings.extract)

    return contender


def _docker_cp(cli: DockerCli, floor: Floor, trip: RoundTrip) -> Contender:
    def sample() -> Sample:
        trip.out.mkdir()
        what = trip.path if trip.path != _WORKDIR else f"{_WORKDIR}/."
        with floor.created(trip.job) as container:
            seed = _seconds(lambda: cli.call("cp", f"{trip.source}/.", f"{container}:{_WORKDIR}"))
            floor.run_created(container)
            extract = _seconds(lambda: cli.call("cp", f"{container}:{what}", str(trip.out)))
        return trip.sample(seed, extract)

    return blocking(sample)


def _standard_library(floor: Floor, trip: RoundTrip) -> Contender:
    def pack(container: str) -> None:
        with (
            floor.upload(container, _WORKDIR) as writer,
            tarfile.open(fileobj=writer, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_MIB) as archive,
        ):
            archive.add(trip.source, arcname=".")

    def unpack(container: str) -> None:
        reader = io.BufferedReader(PartsReader(floor.download(container, trip.path)), _MIB)
        with tarfile.open(fileobj=reader, mode="r|", bufsize=_MIB) as archive:
            archive.extractall(trip.out, filter="data")
            while reader.read(_MIB):  # the end's padding
                pass
        if (folder := trip.out / trip.path.rpartition("/")[2]).is_dir():
            folder.rename(trip.out.with_name("flat"))
            trip.out.rmdir()
            trip.out.with_name("flat").rename(trip.out)

    def sample() -> Sample:
        with floor.created(trip.job) as container:
            seed = _seconds(lambda: pack(container))
            floor.run_created(container)
            extract = _seconds(lambda: unpack(container))
        return trip.sample(seed, extract)

    return blocking(sample)


def _daemon_alone(floor: Floor, trip: RoundTrip) -> Contender:
    """An archive that was made before goes in, and what comes out is thrown away."""
    archive = archived(trip.source)

    def send(container: str) -> None:
        with floor.upload(container, _WORKDIR) as writer:
            writer.write(archive)

    def receive(container: str) -> None:
        received = sum(len(part) for part in floor.download(container, trip.path))
        assert received >= len(archive) // 2, "half of it is missing"

    def sample() -> Sample:
        with floor.created(trip.job) as container:
            seed = _seconds(lambda: send(container))
            floor.run_created(container)
            extract = _seconds(lambda: receive(container))
        return Sample(seed + extract, {"seed": seed, "extract": extract})

    return blocking(sample)


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _contents(folder: Path) -> dict[str, int]:
    """Every file's size, by its name in the folder."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
