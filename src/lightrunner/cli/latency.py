"""``bench``: the time from the dispatch of a run to its first output and to its result, in three ways."""

import argparse
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import msgspec
import trio

from lightrunner import DockerRunner, LogLine, RunRequest, RunResult
from lightrunner.engine import EngineClient
from lightrunner.host.owner import current_owner
from lightrunner.rules.limits import LABEL_OWNER

from . import exits, tables
from .exits import CommandError
from .progress import open_display
from .request import bench_request, runner_options
from .signals import Signals
from .stdio import put

Way = Literal["cold", "prepared", "warm"]
WAYS: tuple[Way, ...] = ("cold", "prepared", "warm")
_REFILL_TIMEOUT = 60.0
_POLL = 0.05
_PAUSE = 0.1

Figures = dict[str, dict[str, float]]
"""``{"total": {"p50": seconds, …}, …}``."""

Start = Callable[..., Awaitable[RunResult]]


class Sample(msgspec.Struct, frozen=True):
    """Seconds from the dispatch to the first line of output, None without any, and to the result."""

    first_output: float | None
    total: float


async def bench(args: argparse.Namespace, command: Sequence[str] | None, _signals: Signals) -> int:
    """Measure, and print a table."""
    request = bench_request(args, command)
    options = msgspec.structs.asdict(runner_options(args))
    ways: list[Way] = list(dict.fromkeys(args.way or WAYS))
    samples: dict[Way, list[Sample]] = {way: [] for way in ways}
    with open_display(quiet=args.quiet) as display:
        async with DockerRunner(**options) as runner, EngineClient(args.host) as engine:
            await runner.prepare(request, on_progress=display.update)
            display.close()
            async with _started(ways, runner, DockerRunner(**options), request) as starts:
                full = await _own_containers(engine)
                for number in range(args.samples + 1):
                    for way in ways:
                        sample = await _sample(starts[way], request)
                        if number > 0:  # The first of each only warms up.
                            samples[way].append(sample)
                        await _refilled(engine, full)
    summaries: dict[Way, Figures] = {way: summary(taken) for way, taken in samples.items()}
    if args.json:
        put(
            tables.to_json(
                {"image": args.image, "command": request.entrypoint, "seconds": summaries, "samples": samples}
            )
        )
    else:
        put(table(summaries))
    return exits.OK


def summary(samples: Sequence[Sample]) -> Figures:
    """Median, 90th percentile, least and most, in seconds, of the first output (if there is any) and the total."""
    first = [sample.first_output for sample in samples if sample.first_output is not None]
    parts = {"first_output": first, "total": [sample.total for sample in samples]}
    return {name: _figures(seconds) for name, seconds in parts.items() if seconds}


def table(summaries: Mapping[Way, Figures]) -> str:
    """The summaries in milliseconds, and each median as a share of the cold one."""
    cold = summaries.get("cold", {})
    rows = [
        (
            way,
            name.replace("_", " "),
            *(f"{figures[figure] * 1000:.0f}" for figure in ("p50", "p90", "min", "max")),
            f"{figures['p50'] / cold[name]['p50']:.2f}" if name in cold else "",
        )
        for way, parts in summaries.items()
        for name, figures in parts.items()
    ]
    return tables.table(("WAY", "MS UNTIL", "P50", "P90", "MIN", "MAX", "OF COLD"), rows)


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    # Inclusive: of a few samples, no figure lies beyond what was seen.
    deciles = statistics.quantiles(seconds, n=10, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 9
    return {"p50": statistics.median(seconds), "p90": deciles[8], "min": min(seconds), "max": max(seconds)}


@asynccontextmanager
async def _started(
    ways: Sequence[Way], runner: DockerRunner, prepared: DockerRunner, request: RunRequest
) -> AsyncGenerator[dict[Way, Start]]:
    """What runs each way, with one of everything kept ready. Prepared networks serve a whole runner: a second one."""
    starts: dict[Way, Start] = {"cold": runner.run}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(prepared)
        if "prepared" in ways:
            await stack.enter_async_context(prepared.prepared_networks(1, network=request.network))
            starts["prepared"] = prepared.run
        if "warm" in ways:
            starts["warm"] = (await stack.enter_async_context(runner.warm(request, size=1))).run
        yield starts


async def _sample(start: Start, request: RunRequest) -> Sample:
    """Run once, and time it."""
    first: list[float] = []

    def note(_: LogLine) -> None:
        if not first:
            first.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    result = await start(request, on_log=note)
    total = time.perf_counter() - begin
    if not result.success:
        raise CommandError(f"the command does not succeed (exit code {result.exit_code}): its latency says nothing")
    return Sample(first[0] if first else None, total)


async def _own_containers(engine: EngineClient) -> int:
    """How many containers of this process run."""
    found = await engine.container_list(filters={"label": [f"{LABEL_OWNER}={current_owner()}"]})
    return len(found)


async def _refilled(engine: EngineClient, full: int) -> None:
    """Wait until what was used has been replaced: the refill must not compete with the next sample."""
    await trio.sleep(_PAUSE)
    with trio.move_on_after(_REFILL_TIMEOUT):
        while await _own_containers(engine) < full:  # noqa: ASYNC110 - the daemon tells of no such event
            await trio.sleep(_POLL)
