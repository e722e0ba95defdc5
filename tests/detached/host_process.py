"""Start `host_program` in other processes, and talk to it."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from lightrunner.nurseries import open_bare_nursery

ROOT = Path(__file__).parents[2]


class HostProcess:
    """A process under way. What it tells is read as it comes."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.told: list[Any] = []
        self.errors = b""
        self._unfinished = b""
        self._news = trio.lowlevel.ParkingLot()
        self._ended = False

    async def read(self) -> None:
        """Read all that it tells."""
        assert self.process.stdout is not None
        async for chunk in self.process.stdout:
            *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
            self.told += [json.loads(line) for line in lines]
            self._news.unpark_all()
        self._ended = True
        self._news.unpark_all()

    async def read_errors(self) -> None:
        """Read what Python says of its end."""
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.errors += chunk

    async def next_told(self, count: int = 1) -> Any:
        """Wait until it has told that much, and return the last of it."""
        while len(self.told) < count:
            assert not self._ended, f"it ended after {self.told}: {self.errors.decode()}"
            await self._news.park()
        return self.told[count - 1]

    async def close_stdin(self) -> None:
        """Tell it that this is enough."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()


@asynccontextmanager
async def host_process(engine_host: str, action: str, keywords: Mapping[str, object]) -> AsyncGenerator[HostProcess]:
    """A process that does this. The block ends when the process has ended; one that leaves it by an error kills it."""
    environment = os.environ | {"DOCKER_HOST": engine_host, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "tests.detached.host_program", action, json.dumps(keywords)]
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    host = HostProcess(process)
    try:
        async with open_bare_nursery() as nursery:
            nursery.start_soon(host.read)
            nursery.start_soon(host.read_errors)
            yield host
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def told_by(engine_host: str, action: str, keywords: Mapping[str, object]) -> list[Any]:
    """All that a process tells that does this and then ends well."""
    async with host_process(engine_host, action, keywords) as host:
        pass
    assert host.process.returncode == 0, host.errors.decode()
    return host.told


async def detached_by_another(engine_host: str, keywords: Mapping[str, object]) -> str:
    """The id of a run whose process is gone."""
    _, run_id = await told_by(engine_host, "detach", keywords)
    assert isinstance(run_id, str)
    return run_id


def as_keywords(image: str, text: str, **fields: object) -> dict[str, object]:
    """The keywords of a shell script's request."""
    return {"image": image, "entrypoint": text, "network": "none", **fields}
