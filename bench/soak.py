"""A soak: thousands of runs on one runner, a fault in every tenth, and what is left of them afterwards.

Counted on the daemon: containers, volumes, networks. Counted in this process: descriptors (connections are among
them), threads, tasks. Memory has to be flat: its median over the last quarter of the runs is compared with that over
the second one.
"""

import gc
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import trio

from lightrunner import DockerRunner
from lightrunner.engine import EngineClient
from tools.images import ensure_busybox
from tools.raw_engine import RawEngine

from .soak_runs import FAULTS, ORDINARY, Ground, SoakRun

DEFAULT_RUNS: Final = 2000
CONCURRENCY: Final = 8
FAULT_EVERY: Final = 10

MAX_GROWTH: Final = 4.0
"""MiB of resident memory from the second quarter of the runs to the last one: CPython's own noise is 1 to 2."""

_WARM_UP: Final = 2 * len(FAULTS)
"""Runs before the first count: what is imported, cached and pooled once is no leak."""

_THREADS_IDLE: Final = 11.0
"""Seconds after which trio has ended its idle worker threads: 10 (trio/_core/_thread_cache.py), and a bit."""

_SAMPLE_EVERY: Final = 10
_MIB: Final = 1 << 20


class Sample(NamedTuple):
    """What this process holds after so many runs. `memory` is resident, in MiB."""

    runs: int
    memory: float
    descriptors: int
    threads: int
    tasks: int


@dataclass
class Soak:
    """What a soak has found.

    Attributes:
        runs: how many were made.
        seconds: the time that they took.
        outcomes: how many runs of each kind ended as they have to.
        surprises: the runs that did not, and how they ended.
        leaked: what is there afterwards beyond what was there before, by kind.
        samples: one in every ten runs.
    """

    runs: int
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    surprises: list[str] = field(default_factory=list[str])
    leaked: dict[str, int] = field(default_factory=dict[str, int])
    samples: list[Sample] = field(default_factory=list[Sample])

    @property
    def growth(self) -> float:
        """MiB of memory from the second quarter to the last one."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        if not early:
            return 0.0
        return statistics.median(it.memory for it in late) - statistics.median(it.memory for it in early)

    @property
    def failures(self) -> list[str]:
        """What is not as it has to be."""
        leaks = [f"leaked: {count} {kind}" for kind, count in self.leaked.items() if count > 0]
        grown = [f"memory grew by {self.growth:.1f} MiB"] if self.growth > MAX_GROWTH else []
        return [*self.surprises, *leaks, *grown]

    def lines(self) -> list[str]:
        """The report."""
        last = self.samples[-1] if self.samples else Sample(0, 0, 0, 0, 0)
        most = max((it.descriptors for it in self.samples), default=0)
        return [
            f"soak: {self.runs} runs at {CONCURRENCY} in {self.seconds:.0f} s, a fault in every {FAULT_EVERY}th",
            "ended as they have to: " + ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items())),
            "leaked: " + ", ".join(f"{count} {kind}" for kind, count in self.leaked.items()),
            f"memory: {last.memory:.1f} MiB at the end, {self.growth:+.1f} from the second quarter to the last",
            f"descriptors: at most {most} at a time; threads: {last.threads}",
            *(f"FAILED: {failure}" for failure in self.failures),
        ]

    def write(self, folder: Path) -> None:
        """Write the figures and the chart."""
        from .plots import plot_soak  # noqa: PLC0415 - matplotlib is the bench's own dependency, and not the tests'

        # A dict, since asdict takes a Counter apart.
        figures = asdict(replace(self, outcomes=Counter())) | {"outcomes": dict(self.outcomes)}
        (folder / "soak.json").write_text(json.dumps(figures, indent=1))
        plot_soak(self.samples, folder)


async def soak(host: str, runs: int = DEFAULT_RUNS, *, on_progress: Callable[[int], None] = lambda _: None) -> Soak:
    """Make the runs on the daemon behind a Unix socket, and count what is left."""
    raw = RawEngine(host)
    image = ensure_busybox(raw)
    found = Soak(runs)
    folder = Path(tempfile.mkdtemp(prefix="lightrunner-soak-"))
    try:
        _lay_out(folder / "source")
        await _make(host, image, folder, _WARM_UP, Soak(_WARM_UP), lambda _: None)
        daemon_before, own_before = _on_daemon(raw), await _own()
        begin = time.monotonic()
        await _make(host, image, folder, runs, found, on_progress)
        found.seconds = time.monotonic() - begin
        daemon_after, own_after = _on_daemon(raw), await _own()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found.leaked = {kind: len(daemon_after[kind] - daemon_before[kind]) for kind in daemon_after}
    found.leaked |= {
        "descriptors": own_after.descriptors - own_before.descriptors,
        "threads": own_after.threads - own_before.threads,
        "tasks": own_after.tasks - own_before.tasks,
    }
    return found


async def _make(  # noqa: PLR0917
    host: str, image: str, folder: Path, runs: int, found: Soak, on_progress: Callable[[int], None]
) -> None:
    """Make the runs on one runner, `CONCURRENCY` at a time."""
    numbers = iter(range(1, runs + 1))
    done = 0

    async def work(ground: Ground) -> None:
        nonlocal done
        for number in numbers:
            run = _kind(number)
            try:
                await run(ground, number)
            except Exception as error:  # noqa: BLE001 - reported with all others at the end
                found.surprises.append(f"run {number}, {run.__name__}: {error!r}")
            else:
                found.outcomes[run.__name__] += 1
            for name in ("out", "bad"):
                await trio.to_thread.run_sync(_remove, folder / f"{name}-{number}")
            done += 1
            if done % _SAMPLE_EVERY == 0:
                found.samples.append(_sample(done))
                on_progress(done)

    async with DockerRunner(host=host) as runner, EngineClient(host) as engine:
        ground = Ground(host.removeprefix("unix://"), runner, engine, image, folder)
        async with trio.open_nursery() as nursery:
            for _ in range(CONCURRENCY):
                nursery.start_soon(work, ground)


def _kind(number: int) -> SoakRun:
    if number % FAULT_EVERY == 0:
        return FAULTS[number // FAULT_EVERY % len(FAULTS)]
    return ORDINARY[number % len(ORDINARY)]


def _sample(runs: int) -> Sample:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        runs=runs,
        memory=pages * os.sysconf("SC_PAGE_SIZE") / _MIB,
        descriptors=len(os.listdir("/proc/self/fd")) - 1,  # noqa: PTH208 - one of them lists the folder
        threads=threading.active_count(),
        tasks=trio.lowlevel.current_statistics().tasks_living,
    )


async def _own() -> Sample:
    """What this process holds when nothing is under way and idle threads have ended."""
    await trio.sleep(_THREADS_IDLE)
    gc.collect()
    return _sample(0)


def _on_daemon(raw: RawEngine) -> dict[str, set[str]]:
    return {
        "containers": {it["Id"] for it in raw.containers()},
        "volumes": {it["Name"] for it in raw.volumes()},
        "networks": {it["Id"] for it in raw.get("/networks")},
    }


def _lay_out(source: Path) -> None:
    source.mkdir()
    for number in range(20):
        (source / f"file-{number}").write_bytes(b"x" * 1000 * number)


def _remove(folder: Path) -> None:
    """Remove what a run has extracted, if it has."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
