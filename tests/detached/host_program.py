"""A process of its own that uses the library, for tests to watch from outside, and to kill.

    python -m tests.detached.host_program ACTION JSON

JSON holds the keywords of one of the actions below. What it tells are lines of JSON.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import trio

from lightrunner import DockerRunner, ExtractSpec, LogLine, RunRequest, RunState
from lightrunner.detached.state import reading_logs, run_lock, write_state
from lightrunner.host.state_dir import state_dir


def tell(value: object) -> None:
    """Write one line to the parent."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def request_of(fields: dict[str, Any]) -> RunRequest:
    """A request from JSON, where an extract is a pair of paths."""
    given: dict[str, Any] = fields | {"extract": [ExtractSpec(*entry) for entry in fields.get("extract", [])]}
    return RunRequest(**given)


async def detach(**fields: Any) -> None:
    """Start a run, tell its id, and be gone, without any good-bye."""
    async with DockerRunner() as runner:
        tell("ready")
        tell(await runner.detach(request_of(fields)))
        os._exit(0)


async def detach_and_be_interrupted(**fields: Any) -> None:
    """Detach, with a Ctrl-C while the start is noted in the state."""

    def write_interrupted(state: RunState) -> None:
        if not state.starting:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
            tell("interrupted")
        write_state(state)

    with patch("lightrunner.detached.finish.write_state", write_interrupted):
        async with DockerRunner() as runner:
            tell(await runner.detach(request_of(fields)))


async def run(**fields: Any) -> None:
    """Run attached; tell each line, and then the exit code."""
    async with DockerRunner() as runner:
        tell("ready")
        result = await runner.run(request_of(fields), on_log=lambda line: tell(line.text))
        tell(result.exit_code)


async def detach_and_attach(**fields: Any) -> None:
    """Detach, tell the id, and attach; tell each line, and then the exit code."""
    async with DockerRunner() as runner:
        tell("ready")
        run_id = await runner.detach(request_of(fields))
        tell(run_id)
        result = await runner.attach(run_id, on_log=lambda line: tell(line.text))
        tell(result.exit_code)


async def attach(run_id: str, *, seconds_each: float = 0.0) -> None:
    """Attach with a slow callback; tell each line, and then exit code, duration and what became of the extracts."""

    async def on_log(line: LogLine) -> None:
        tell(line.text)
        await trio.sleep(seconds_each)

    async with DockerRunner() as runner:
        tell("ready")
        result = await runner.attach(run_id, on_log=on_log)
    tell([result.exit_code, result.duration, [entry.status for entry in result.extracted or ()]])


async def runs(count: int, **fields: Any) -> None:
    """Run one after the other; tell each exit code."""
    async with DockerRunner() as runner:
        for _ in range(count):
            tell((await runner.run(request_of(fields))).exit_code)


async def reap() -> None:
    """Reap until stdin is closed; tell what was reaped."""
    async with DockerRunner() as runner, trio.open_nursery() as nursery:

        async def until_closed() -> None:
            await trio.to_thread.run_sync(sys.stdin.read)
            nursery.cancel_scope.cancel()

        tell("ready")
        nursery.start_soon(until_closed)
        while True:
            reaped = await runner.reap_orphans()
            tell([*reaped.containers, *reaped.volumes])


async def count(run_id: str, times: int) -> None:
    """Count in a file, under the run's lock. No step of it is atomic but for the lock."""
    counter = state_dir() / "counter.json"
    for _ in range(times):
        async with run_lock(run_id):
            before = int(counter.read_text())
            await trio.lowlevel.checkpoint()
            counter.write_text(str(before + 1))


async def hold(run_id: str) -> None:
    """Hold both locks of a run for ever."""
    async with run_lock(run_id), reading_logs(run_id):
        tell("ready")
        await trio.sleep_forever()


async def keep_ready(seconds: float, **fields: Any) -> None:
    """Two prepared networks, two warm containers, and a run in one of each; told when they have had time to refill."""
    request = request_of(fields)
    async with (
        DockerRunner() as runner,
        trio.open_nursery() as nursery,
        runner.prepared_networks(2, network=request.network),
        runner.warm(request, size=2) as pool,
    ):
        await nursery.start(pool.run, request)
        await nursery.start(runner.run, request)
        await trio.sleep(seconds)
        tell("ready")
        await trio.sleep_forever()


ACTIONS: dict[str, Callable[..., Awaitable[None]]] = {
    action.__name__: action
    for action in (
        detach,
        detach_and_be_interrupted,
        run,
        detach_and_attach,
        attach,
        runs,
        reap,
        count,
        hold,
        keep_ready,
    )
}


async def main() -> None:
    """Do as the command line says."""
    action, keywords = sys.argv[1:]
    await ACTIONS[action](**json.loads(keywords))


if __name__ == "__main__":
    trio.run(main)
