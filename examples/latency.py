"""Spawn latency: how long until an image's first output, cold, on a prepared network and from a warm pool.

    python examples/latency.py --image python:3.12-alpine --samples 20 -- python -c 'print(1)'

The ways take turns, so that the load of the machine falls on all of them alike.
"""

import argparse
import statistics
from collections.abc import Awaitable, Callable, Sequence
from shlex import join
from time import perf_counter

import trio

from lightrunner import DockerRunner, LogLine, RunRequest, RunResult

Way = Callable[[RunRequest, Callable[[LogLine], None]], Awaitable[RunResult]]


async def sample(way: Way, request: RunRequest) -> float:
    """Run the request once; return the seconds from the call to the first line of output."""
    begin = perf_counter()
    first: list[float] = []

    def note(_line: LogLine) -> None:
        if not first:
            first.append(perf_counter() - begin)

    (await way(request, note)).check()
    if not first:
        raise SystemExit("the command prints nothing, so that there is no first output to wait for")
    return first[0]


async def main(host: str | None, image: str, command: Sequence[str], samples: int) -> None:
    """Measure, and print a table in milliseconds."""
    request = RunRequest(image=image, entrypoint=join(command), network="none")
    latencies: dict[str, list[float]] = {"cold": [], "prepared network": [], "warm": []}
    async with (
        DockerRunner(host=host) as cold,
        DockerRunner(host=host) as prepared,
        prepared.prepared_networks(size=2, network="none"),
        prepared.warm(request, size=2) as pool,
    ):
        ways: dict[str, Way] = {
            "cold": lambda request, note: cold.run(request, on_log=note),
            "prepared network": lambda request, note: prepared.run(request, on_log=note),
            "warm": lambda request, note: pool.run(request, on_log=note),
        }
        for _ in range(samples):
            for name, way in ways.items():
                latencies[name].append(await sample(way, request))
                await trio.sleep(0.5)  # The pools refill.
    print(f"{'ms':>18} {'min':>8} {'median':>8} {'max':>8}")
    for name, seconds in latencies.items():
        figures = (min(seconds), statistics.median(seconds), max(seconds))
        print(f"{name:>18} " + " ".join(f"{figure * 1000:8.1f}" for figure in figures))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", help="the daemon's URL; default: as lightrunner chooses")
    parser.add_argument("--image", default="python:3.12-alpine")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("command", nargs="*", default=["python", "-c", "print(1)"])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse()
    trio.run(main, options.host, options.image, options.command, options.samples)
