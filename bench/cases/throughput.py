"""Many runs at once: how long they take together, and what becomes of the throughput as more are under way."""

import itertools
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager

import trio

from bench.floor import Floor
from bench.job import Job, no_op
from bench.sampling import Case, Contender, Goal, Sample, timed
from bench.stage import Stage
from lightrunner import DockerRunner, RunRequest

_AT_ONCE = 8
_LEVELS = (1, 2, 4, 8, 16)
_QUICK_LEVELS = (1, 2, 4)
_LEAST_RUNS = 8
_TURNS = 3
"""How many runs follow each other at each place, at the least: the first and the last have less company."""


@asynccontextmanager
async def parallel(stage: Stage) -> AsyncGenerator[Case]:
    """40 no-ops, 8 at a time."""
    job, runs = no_op(stage.image, "none"), stage.rounds(40, 16)
    with _floor(stage.host, job, runs, _AT_ONCE) as floor, ThreadPoolExecutor(_AT_ONCE) as threads:
        contenders = {"lightrunner": _ours(stage.runner, job.request, runs, _AT_ONCE), "floor": floor}
        if stage.cli is not None:
            contenders[stage.cli.name] = _in_threads(threads, stage.cli.run, job, runs)
        yield Case(
            name="parallel",
            title=f"{runs} runs that do nothing, {_AT_ONCE} at a time, no network",
            contenders=contenders,
            rounds=stage.rounds(10, 1),
            # At least 0.95 of the floor's throughput.
            goals=(Goal("lightrunner", "floor", 1 / 0.95), Goal("lightrunner", "docker run", 1.0)),
            warm_up=not stage.quick,
        )


@asynccontextmanager
async def scaling(stage: Stage) -> AsyncGenerator[Case]:
    """No-ops a second, at several concurrencies."""
    job = no_op(stage.image, "none")
    levels = _QUICK_LEVELS if stage.quick else _LEVELS
    curves: dict[str, dict[int, str]] = {"lightrunner": {}, "floor": {}}
    contenders: dict[str, Contender] = {}
    with ExitStack() as stack:
        for level in levels:
            runs = max(_LEAST_RUNS, _TURNS * level)
            peers = {
                "lightrunner": _ours(stage.runner, job.request, runs, level),
                "floor": stack.enter_context(_floor(stage.host, job, runs, level)),
            }
            for peer, contender in peers.items():
                curves[peer][level] = name = f"{peer}, {level} at a time"
                contenders[name] = _a_second(contender, runs)
        yield Case(
            name="scaling",
            title="Runs a second that do nothing, no network",
            contenders=contenders,
            rounds=stage.rounds(5, 1),
            unit="runs/s",
            curves=curves,
            warm_up=not stage.quick,
        )


def _ours(runner: DockerRunner, request: RunRequest, runs: int, at_once: int) -> Contender:
    """So many runs by lightrunner, in one process."""
    limiter = trio.CapacityLimiter(at_once)

    async def one() -> None:
        async with limiter:
            (await runner.run(request)).check()

    async def contender() -> Sample:
        begin = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(runs):
                nursery.start_soon(one)
        return Sample(time.perf_counter() - begin)

    return contender


@contextmanager
def _floor(host: str, job: Job, runs: int, at_once: int) -> Generator[Contender]:
    """So many runs at the floor, in threads, each with a connection of its own."""
    floors = threading.local()
    opened: list[Floor] = []

    def open_floor() -> None:
        floors.own = Floor(host)
        opened.append(floors.own)

    def run(job: Job) -> None:
        floors.own.run(job)

    with ThreadPoolExecutor(at_once, initializer=open_floor) as threads:
        yield _in_threads(threads, run, job, runs)
    for floor in opened:
        floor.close()


def _in_threads(threads: ThreadPoolExecutor, run: Callable[[Job], None], job: Job, runs: int) -> Contender:
    """So many blocking runs, as many at a time as there are threads."""

    def run_all() -> None:
        for _ in threads.map(run, itertools.repeat(job, runs)):
            pass

    return timed(run_all)


def _a_second(contender: Contender, runs: int) -> Contender:
    """So many runs and their seconds, as runs a second."""

    async def throughput() -> Sample:
        return Sample(runs / (await contender()).value)

    return throughput
