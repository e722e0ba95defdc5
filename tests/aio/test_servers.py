"""Web servers on asyncio, whose client goes away in the middle of a run."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import fastapi
import fastapi.responses
import uvicorn
from aiohttp import web

from lightrunner.asyncio import DockerRunner, LogLine
from tests.aio.conftest import MakeRunner
from tests.aio.programs import container_ids, run_program, until
from tests.runs.shell_runs import shell
from tools.raw_engine import RawEngine

SCRIPT = "echo up; sleep 60"


async def disconnect_during_a_run(port: int, raw: RawEngine, *, ready: asyncio.Event) -> None:
    """Send a request, hang up in the middle of its run, and wait until nothing is left of it."""
    before = await container_ids(raw)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    await ready.wait()
    assert await container_ids(raw) != before
    writer.close()

    async def is_gone() -> bool:
        return await container_ids(raw) == before

    async with asyncio.timeout(30):
        await until(is_gone)


def test_aiohttp_cancels_the_handlers_task(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    async def main() -> list[str]:
        ends: list[str] = []
        ready = asyncio.Event()

        async def handle(_: web.Request) -> web.Response:
            try:
                await runner.run(shell(busybox, SCRIPT), on_log=lambda _: ready.set())
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise
            return web.Response()

        async with make_runner() as runner:
            application = web.Application()
            application.router.add_get("/", handle)
            server = web.AppRunner(application, handler_cancellation=True)
            await server.setup()
            with socket.create_server(("127.0.0.1", 0)) as listening:
                await web.SockSite(server, listening).start()
                await disconnect_during_a_run(listening.getsockname()[1], raw, ready=ready)
                await server.cleanup()
        return ends

    assert run_program(main()) == ["cancelled"]


def test_fastapi_cancels_a_streaming_response(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    """Starlette cancels by anyio's scope when the client hangs up. The runner lives as long as the application."""

    async def main() -> None:
        ready = asyncio.Event()
        runners: list[DockerRunner] = []

        @asynccontextmanager
        async def lifespan(_: fastapi.FastAPI) -> AsyncGenerator[None]:
            async with make_runner() as runner:
                runners.append(runner)
                yield

        application = fastapi.FastAPI(lifespan=lifespan)

        async def stream() -> AsyncIterator[str]:
            lines = asyncio.Queue[LogLine](maxsize=100)

            async with asyncio.TaskGroup() as group:
                group.create_task(runners[0].run(shell(busybox, SCRIPT), on_log=lines.put))
                while True:
                    line = await lines.get()
                    ready.set()
                    yield line.text

        @application.get("/")
        async def handle() -> fastapi.responses.StreamingResponse:  # pyright: ignore[reportUnusedFunction]
            return fastapi.responses.StreamingResponse(stream())

        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=30))
            serving = asyncio.create_task(server.serve([listening]))
            await disconnect_during_a_run(listening.getsockname()[1], raw, ready=ready)
            server.should_exit = True
            await serving

    run_program(main())
