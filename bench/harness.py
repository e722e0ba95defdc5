"""Spawn latency of your own image and command: how long it takes from a dispatch to the first output and the result.

From Python, on trio::

    from bench.harness import Plan, measure

    plan = Plan(RunRequest(image="python:3.12-alpine", entrypoint="python -c 'print(1)'"), samples=100, concurrency=4)
    latencies = await measure(plan)
    latencies.summaries["warm"].total.p99  # seconds

From a shell, on the daemon that the docker CLI would use::

    python -m bench.harness python:3.12-alpine --samples 100 --json out.json -- python -c 'print(1)'

A sample is one run, whole: a container of its own, its output read to its end, and everything of it removed. Samples
are taken in bursts of `concurrency` runs that are dispatched at the same moment. Between two bursts there is a pause in
which pools are filled again, so that every burst finds them full; the variants take turns in shuffled order.

`bench.latencies` has the shapes of what comes out.
"""

import argparse
import random
import shlex
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import trio

from lightrunner import DockerRunner, LightRunnerError, LogLine, RunnerOptions, RunRequest, RunResult
from lightrunner.engine import EngineClient
from lightrunner.nurseries import open_bare_nursery
from lightrunner.results import LogCallback
from lightrunner.rules.limits import PAUSE_KIND

from .full_pools import FullPools
from .latencies import VARIANTS, Latencies, Latency, Variant
from .machine import describe
from .sampling import PAUSE


class HarnessError(ValueError):
    """An argument that cannot be measured with.

    Attributes:
        argument: its name.
        value: what was given.
    """

    def __init__(self, argument: str, value: object, why: str) -> None:
        super().__init__(f"{argument} {value!r}: {why}")
        self.argument = argument
        self.value = value


@dataclass(frozen=True)
class Plan:
    """What to measure, and how often.

    Args:
        request: what is run. It has to succeed; for `warm` its image needs ``sh``.
        variants: how it is started; each of ``cold``, ``prepared``, ``warm`` at most once.
        samples: runs of each variant that count, from 1; 100 or more for a p99 that says something.
        warm_up: bursts of each variant before them that do not count, from 0.
        concurrency: runs in a burst, from 1 to `samples`, and the size of the pools of `prepared` and `warm`. The last
            burst is smaller where `samples` is no multiple of it.
        seed: of the shuffling.

    Raises:
        HarnessError: an argument is out of its range.
    """

    request: RunRequest
    variants: Sequence[Variant] = VARIANTS
    samples: int = 30
    warm_up: int = 1
    concurrency: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"samples": 1, "warm_up": 0, "concurrency": 1}.items():
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise HarnessError(name, value, f"not a whole number from {least} up")
        if self.concurrency > self.samples:
            raise HarnessError("concurrency", self.concurrency, f"more than samples, which is {self.samples}")
        if not self.variants or not set(self.variants) <= set(VARIANTS):
            raise HarnessError("variants", self.variants, f"not some of {', '.join(VARIANTS)}")
        if len(set(self.variants)) < len(self.variants):
            raise HarnessError("variants", self.variants, "one of them is named twice")

    @property
    def bursts(self) -> list[int]:
        """The sizes of the bursts that count."""
        whole, rest = divmod(self.samples, self.concurrency)
        return [self.concurrency] * whole + [rest] * (rest > 0)


class Dispatched(NamedTuple):
    """A run that is over: seconds from its dispatch to its result and to its first output, None without any."""

    total: float
    first_output: float | None
    result: RunResult


class Start(Protocol):
    """What runs a request: `DockerRunner.run`, `WarmPool.run`."""

    async def __call__(self, request: RunRequest, *, on_log: LogCallback | None = None) -> RunResult:
        """Run it, from its dispatch to its result."""
        ...


async def dispatch(start: Start, request: RunRequest) -> Dispatched:
    """Run a request once, and time it.

    Raises:
        LightRunnerError: as `start`; RUN_UNSUCCESSFUL where the run is no success.
    """
    first: list[float] = []

    def note(_: LogLine) -> None:
        if not first:
            first.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    result = await start(request, on_log=note)
    total = time.perf_counter() - begin
    return Dispatched(total, first[0] if first else None, result.check())


async def measure(plan: Plan, options: RunnerOptions | None = None) -> Latencies:
    """Measure by a plan. The image is pulled and its setup steps are built beforehand.

    Args:
        plan: what to measure.
        options: of the runners: the daemon, limits, runtime; by default `RunnerOptions()`.

    Returns:
        A row for each run that counts: ``len(plan.variants) * plan.samples`` of them.

    Raises:
        LightRunnerError: as `DockerRunner.run`, `warm` and `prepared_networks`; RUN_UNSUCCESSFUL for a run that is no
            success. The measurement is void then, and nothing is left on the daemon.
    """
    options = options or RunnerOptions()
    rng = random.Random(plan.seed)  # noqa: S311 - an order, not a secret
    rows: list[Latency] = []
    async with _ways(plan, options) as ways, EngineClient(options.host) as engine:
        where = await trio.to_thread.run_sync(describe, str(engine.endpoint))
        pools = await FullPools.seen_full(engine)
        for burst, size in enumerate([plan.concurrency] * plan.warm_up + plan.bursts, start=-plan.warm_up):
            for variant in rng.sample(plan.variants, len(plan.variants)):
                await trio.sleep(PAUSE)
                done = await _burst(ways[variant], plan.request, size)
                await pools.wait_full(
                    used=0 if variant == "cold" else size, kind=PAUSE_KIND if variant == "prepared" else ""
                )
                if burst >= 0:
                    rows += (
                        Latency(
                            variant=variant,
                            burst=burst,
                            total=it.total,
                            first_output=it.first_output,
                            timings=it.result.timings,
                        )
                        for it in done
                    )
    return Latencies(where=where, what={"plan": plan, "options": options}, samples=rows)


@asynccontextmanager
async def _ways(plan: Plan, options: RunnerOptions) -> AsyncGenerator[dict[Variant, Start]]:
    """What runs each variant. All pools are full when the block begins."""
    settings = msgspec.structs.asdict(options)
    ways: dict[Variant, Start] = {}
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(DockerRunner(**settings))
        await runner.prepare(plan.request)
        for variant in plan.variants:
            match variant:
                case "cold":
                    ways[variant] = runner.run
                case "prepared":
                    # A runner of its own: a block of prepared networks serves every run of its runner.
                    own = await stack.enter_async_context(DockerRunner(**settings))
                    await stack.enter_async_context(
                        own.prepared_networks(plan.concurrency, network=plan.request.network)
                    )
                    ways[variant] = own.run
                case "warm":
                    warm = runner.warm(plan.request, size=plan.concurrency)
                    ways[variant] = (await stack.enter_async_context(warm)).run
        yield ways


async def _burst(start: Start, request: RunRequest, size: int) -> list[Dispatched]:
    """So many runs, dispatched at the same moment; in the order of their ends."""
    done: list[Dispatched] = []

    async def one() -> None:
        done.append(await dispatch(start, request))

    async with open_bare_nursery() as nursery:
        for _ in range(size):
            nursery.start_soon(one)
    return done


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: measure, print a table in Markdown, write what is asked for."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # By hand: argparse takes what follows the image for the command, options included.
    own, command = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = argparse.ArgumentParser(
        "python -m bench.harness",
        usage="%(prog)s IMAGE [options] [-- COMMAND ...]",
        description="Measure the spawn latency of an image and a command (by default the image's own).",
    )
    parser.add_argument("image", help="the image; it is pulled where it is missing")
    parser.add_argument("--samples", type=int, default=30, help="runs of each variant (default: 30)")
    parser.add_argument("--warm-up", type=int, default=1, help="bursts that do not count (default: 1)")
    parser.add_argument("--concurrency", type=int, default=1, help="runs dispatched at once (default: 1)")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="one of them; default: all")
    parser.add_argument("--network", help="default: the isolated bridge")
    parser.add_argument("--memory", default=RunnerOptions().memory, help="the limit (default: %(default)s)")
    parser.add_argument("--cpus", default=RunnerOptions().cpus, help="the limit (default: %(default)s)")
    parser.add_argument("--runtime", default=RunnerOptions().runtime, help="default: %(default)s")
    parser.add_argument("--host", help="the daemon; default: DOCKER_HOST, or the usual sockets")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every run there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run and the percentiles there")
    parsed = parser.parse_args(own)
    try:
        plan = Plan(
            RunRequest(image=parsed.image, entrypoint=shlex.join(command) or None, network=parsed.network),
            variants=parsed.variant or VARIANTS,
            samples=parsed.samples,
            warm_up=parsed.warm_up,
            concurrency=parsed.concurrency,
        )
        options = RunnerOptions(memory=parsed.memory, cpus=parsed.cpus, runtime=parsed.runtime, host=parsed.host)
        latencies = trio.run(measure, plan, options)
    except HarnessError as error:
        parser.error(str(error))
    except LightRunnerError as error:
        sys.exit(f"{parser.prog}: {error}")
    print("\n".join(latencies.to_markdown()))
    if parsed.csv is not None:
        parsed.csv.write_text(latencies.to_csv())
    if parsed.json is not None:
        parsed.json.write_bytes(latencies.to_json())


if __name__ == "__main__":
    main()
