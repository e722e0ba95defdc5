"""The containers that wait on the daemon for a run, according to the oracle."""

from collections.abc import Callable

import trio

from tools.raw_engine import RawEngine


def warm_containers(raw: RawEngine) -> set[str]:
    """The ids of the runs' containers that are running."""
    found = raw.containers(all=False, label="light-runner.run-id")
    return {container["Id"] for container in found if "light-runner.kind" not in container["Labels"]}


def pause_containers(raw: RawEngine) -> set[str]:
    """The ids of the pause containers of prepared networks."""
    return {container["Id"] for container in raw.containers(label="light-runner.kind=pause")}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the daemon does not announce."""
    while not condition():  # noqa: ASYNC110 - the oracle has no events
        await trio.sleep(0.05)
