"""Many runs held at once by one process: ``python -m bench.holding HOST IMAGE COUNT`` prints what it took, as JSON.

A process of its own, as `bench.probes` has: its peak of memory is nobody else's.
"""

import os
import sys
import time
from functools import partial

import msgspec
import trio

from lightrunner import DockerRunner, Execution, LogLine, RunRequest
from lightrunner.engine import EngineClient

from .full_pools import own_containers, own_label
from .probes import peak_megabytes

AT_ONCE = 8
"""Starts under way at the same time. More do not make it faster: the daemon's work is bound by the processors."""

_KILLED = 137


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What it took.

    Attributes:
        megabytes: the most memory that the process ever had, in MB; the cancellation of all of them is included.
        megabytes_held: the same until then.
        descriptors: how many files the process had open while all runs slept.
        starting: seconds until all of them ran.
        ending: seconds from the cancellation of all of them to the last result.
    """

    megabytes: float
    megabytes_held: float
    descriptors: int
    starting: float
    ending: float


async def hold(host: str, image: str, count: int) -> Held:
    """Start so many runs that sleep, cancel all of them at once, and see that nothing of them is left.

    Their output is listened to, as a service would: each keeps a connection open.
    """
    request = RunRequest(image=image, entrypoint="exec sleep 86400", network="none", timeout=None)
    executions: list[Execution] = []
    limiter = trio.CapacityLimiter(AT_ONCE)
    begin = time.monotonic()
    async with DockerRunner(host=host) as runner, trio.open_nursery() as runs:

        async def start_one() -> None:
            async with limiter:
                executions.append(await runs.start(partial(runner.run, request, on_log=_unexpected)))

        async with trio.open_nursery() as starts:
            for _ in range(count):
                starts.start_soon(start_one)
        all_run, megabytes_held = time.monotonic(), peak_megabytes()
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is wanted
        for execution in executions:
            execution.cancel()
        results = [await execution.wait() for execution in executions]
    over = time.monotonic()
    assert all(result.cancelled and result.exit_code == _KILLED for result in results), "a run ended by itself"
    async with EngineClient(host) as engine:
        assert not await own_containers(engine), "containers are left"
        assert not await engine.volume_list(filters=own_label()), "volumes are left"
    return Held(
        megabytes=peak_megabytes(),
        megabytes_held=megabytes_held,
        descriptors=descriptors,
        starting=all_run - begin,
        ending=over - all_run,
    )


def _unexpected(line: LogLine) -> None:
    raise AssertionError(f"a sleeping run said {line.text!r}")


async def main(host: str, image: str, count: int) -> None:
    """Hold them and print what it took."""
    print(msgspec.json.encode(await hold(host, image, count)).decode())


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
