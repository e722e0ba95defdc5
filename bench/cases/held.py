"""The cost of hundreds of sleeping runs at once in one process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

import bench.holding
from bench.holding import Held
from bench.sampling import Case, Goal, Sample
from bench.stage import Stage

from .processes import python

_MOST_MEGABYTES = 80.0


@asynccontextmanager
async def held(stage: Stage) -> AsyncGenerator[Case]:
    """Memory and open files. Once: the peak varies little, and the containers take their time to start."""
    count = stage.rounds(500, 50)
    name = f"{count} runs"
    yield Case(
        name="held",
        title=f"Peak memory of a process while it holds {count} sleeping runs; then they are cancelled all at once",
        contenders={
            name: python("-m", bench.holding.__name__, stage.host, stage.image, str(count), sample=_sample),
        },
        rounds=1,
        unit="MB",
        goals=(Goal(name, None, _MOST_MEGABYTES),),
        warm_up=False,
    )


def _sample(printed: str) -> Sample:
    it = msgspec.json.decode(printed, type=Held)
    return Sample(
        it.megabytes_held,
        extra={
            "MB at the end": it.megabytes,
            "open files": it.descriptors,
            "s to start": it.starting,
            "s to end": it.ending,
        },
    )
