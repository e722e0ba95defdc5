"""Detached runs of shell scripts for the tests: short requests, and a container that continues on a signal."""

import io
import tarfile
from functools import partial
from typing import Any

import trio

from lightrunner import DockerRunner, Execution, LogLine, RunRequest, read_state
from lightrunner.results import LogCallback
from tools.raw_engine import RawEngine

UNTIL_RELEASED = "until [ -e /app/released ]; do sleep 0.05; done"
"""A script's wait for `release`."""


def script(image: str, text: str, **fields: Any) -> RunRequest:
    """A request for a shell script, without a network, which is half of a start, unless it is named."""
    given: dict[str, Any] = {"network": "none"} | fields
    return RunRequest(image=image, entrypoint=text, **given)


def name_of(run_id: str) -> str:
    """What container and volume of a run are called."""
    return f"light-runner-{run_id}"


def is_running(raw: RawEngine, run_id: str) -> bool:
    """Whether the run's container is there and runs."""
    containers = raw.containers(label=f"light-runner.run-id={run_id}")
    return [container["State"] for container in containers] == ["running"]


def is_gone(raw: RawEngine, run_id: str) -> bool:
    """Whether neither container nor volume of the run is on the daemon."""
    label = f"light-runner.run-id={run_id}"
    return not raw.containers(label=label) and not raw.volumes(label=label)


def release(raw: RawEngine, run_id: str) -> None:
    """Let a script go on that waits `UNTIL_RELEASED`."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("released"))
    raw.request("PUT", f"/containers/{name_of(run_id)}/archive", query={"path": "/app"}, body=archive.getvalue())


def status_of(run_id: str) -> str | None:
    """What the run's state says; None where it cannot be read."""
    state = read_state(run_id)
    return state.status if state is not None else None


async def exited(raw: RawEngine, run_id: str) -> None:
    """Wait until nobody's container has exited: as the daemon tells, not the library."""
    await trio.to_thread.run_sync(raw.json, "POST", f"/containers/{name_of(run_id)}/wait")


async def attach(
    nursery: trio.Nursery, runner: DockerRunner, run_id: str, *, on_log: LogCallback | None = None
) -> Execution:
    """Attach in the nursery's background, and return the handle."""
    execution: Execution = await nursery.start(partial(runner.attach, run_id, on_log=on_log))
    return execution


async def end(runner: DockerRunner, run_id: str) -> None:
    """Kill a run and look after it."""
    async with trio.open_nursery() as nursery:
        (await attach(nursery, runner, run_id)).cancel()


class Lines:
    """A log callback that keeps the lines, and tells when one has come."""

    def __init__(self, seconds_each: float = 0.0) -> None:
        self.texts: list[str] = []
        self._seconds_each = seconds_each
        self._news = trio.lowlevel.ParkingLot()

    async def __call__(self, line: LogLine) -> None:
        """Take one line, as slowly as was asked for."""
        self.texts.append(line.text)
        self._news.unpark_all()
        await trio.sleep(self._seconds_each)

    async def wait_for(self, text: str) -> None:
        """Wait until this line was there."""
        while text not in self.texts:
            await self._news.park()
