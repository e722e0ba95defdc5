"""A server in the test's own process, on a socket of the test's own, and a client of it."""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from lightrunner import RunnerOptions
from lightrunner.serve.policy import ServePolicy
from lightrunner.serve.server import Address, serve
from tools.raw_engine import RawEngine

HOST = "http://server"


class Client(httpx.AsyncClient):
    """An HTTP client with shorthands for runs."""

    async def start(self, image: str, script: str, **fields: Any) -> str:
        """Start a run. Return its id."""
        response = await self.post("/runs", json={"image": image, "entrypoint": script, "network": "none", **fields})
        assert response.status_code == 202, response.text
        assert response.headers["location"] == f"/runs/{response.json()['id']}"
        return str(response.json()["id"])

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Wait for a run's end. Return it."""
        run: dict[str, Any] = (await self.get(f"/runs/{run_id}", params={"wait": 60})).json()
        assert run["state"] in {"finished", "failed"}, run
        return run

    async def run(self, image: str, script: str, **fields: Any) -> dict[str, Any]:
        """Run to the end."""
        return await self.ended(await self.start(image, script, **fields))

    async def until(self, run_id: str, state: str) -> None:
        """Wait until a run is in a state."""
        while (await self.get(f"/runs/{run_id}")).json()["state"] != state:  # noqa: ASYNC110 - it is asked over HTTP
            await trio.sleep(0.02)


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """The events of a response: id, name, data."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


class Server:
    """A server that runs; `stop` ends it."""

    def __init__(self, host: str, address: Address, scope: trio.CancelScope) -> None:
        self.host = host
        self.address = address
        self.scope = scope
        self.ended = trio.Event()

    def client(self, **keywords: Any) -> Client:
        """Return a new client."""
        if self.address.path is None:
            return Client(base_url=str(self.address), timeout=60, **keywords)
        transport = httpx.AsyncHTTPTransport(uds=str(self.address.path))
        return Client(transport=transport, base_url=HOST, timeout=60, **keywords)

    async def stop(self) -> None:
        """End the server."""
        self.scope.cancel()
        with trio.fail_after(60):
            await self.ended.wait()


@asynccontextmanager
async def running_server(
    host: str, address: Address, policy: ServePolicy, token: str | None = None, **options: Any
) -> AsyncGenerator[Server]:
    """Run a server while the block lasts."""
    scope = trio.CancelScope()
    servers: list[Server] = []

    async def run(task_status: trio.TaskStatus[Address]) -> None:
        try:
            with scope:
                await serve(address, RunnerOptions(host=host, **options), policy, token=token, task_status=task_status)
        finally:
            servers[0].ended.set()

    async with trio.open_nursery() as nursery:
        servers.append(Server(host, address, scope))
        servers[0].address = await nursery.start(run)
        yield servers[0]
        await servers[0].stop()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server has its temporary files; after the test it has none."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return temporary


@pytest.fixture
def policy() -> ServePolicy:
    """What clients may ask for; test modules have their own."""
    return ServePolicy(max_concurrent=2, max_queued=2, max_timeout=60.0)


@pytest.fixture
async def server(
    engine_host: str, daemon_clean: RawEngine, tmp_path: Path, folder: Path, policy: ServePolicy
) -> AsyncGenerator[Server]:
    """A server on a Unix socket. After the test nothing of it is left, neither on the daemon nor on the host."""
    daemon_clean.ping()
    path = tmp_path / "s"
    async with running_server(engine_host, Address(path), policy) as running:
        yield running
    assert not path.exists()
    assert os.listdir(folder) == []  # noqa: PTH208 - a list, at once


@pytest.fixture
async def client(server: Server) -> AsyncGenerator[Client]:
    """A client of it."""
    async with server.client() as opened:
        yield opened
