"""The cost to the embedding process: memory and imports. Each sample is a fresh process."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import bench.probes
from bench.sampling import Case, Contender, Goal, Sample, blocking
from bench.stage import Stage

_TIMED_IMPORT = "import time; begin = time.perf_counter(); import {}; print(time.perf_counter() - begin)"
_ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def imports(stage: Stage) -> AsyncGenerator[Case]:
    """Importing it, beside importing what it stands on."""
    modules = {"lightrunner": "lightrunner", "its dependencies": "httpx, trio, msgspec"}
    # Byte code for both, as an installed package has it: some environments switch it off for what is checked out.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(stage.places["disk"] / "byte-code")
    yield Case(
        name="imports",
        title="import lightrunner, beside: import httpx, trio, msgspec",
        contenders={
            name: python("-c", _TIMED_IMPORT.format(what), environment=environment) for name, what in modules.items()
        },
        rounds=stage.rounds(30, 5),
        goals=(Goal("lightrunner", "its dependencies", 1.2),),
    )


@asynccontextmanager
async def memory(stage: Stage) -> AsyncGenerator[Case]:
    """The most memory that a process ever had while 1 GiB went through it."""
    contenders = {
        name: python("-m", bench.probes.__name__, name, stage.host, stage.image, str(stage.places["disk"]))
        for name in bench.probes.PROBES
    }
    yield Case(
        name="memory",
        title="Peak memory of a process through which 1 GiB goes",
        contenders=contenders,
        rounds=stage.rounds(3, 1),
        unit="MB",
        goals=tuple(Goal(name, None, 80.0) for name in bench.probes.PROBES),
        warm_up=False,
    )


def python(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    sample: Callable[[str], Sample] = lambda printed: Sample(float(printed)),
) -> Contender:
    """A fresh Python, and what becomes of what it prints."""
    command = [sys.executable, *arguments]

    def run() -> Sample:
        done = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return sample(done.stdout)

    return blocking(run)
