"""A web application on asyncio that runs its visitors' Python: FastAPI and lightrunner.

    uvicorn --factory examples.web:create_app
    curl -d 'print(6 * 7)' localhost:8000/run

At most four runs are under way, and further requests wait. A visitor who goes away takes the run along: FastAPI cancels
the streaming response, and lightrunner removes the container.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from lightrunner.asyncio import DockerRunner, LogLine, RunRequest

MAX_SOURCE_BYTES = 64 * 1024
TIME_LIMIT = 5.0
"""Seconds."""


def create_app(host: str | None = None, image: str = "python:3.12-alpine") -> FastAPI:
    """Make the application; its runner lives as long as it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with DockerRunner(memory="128m", cpus=0.5, max_concurrent=4, host=host) as runner:
            app.state.runner = runner
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/run")
    async def run(request: Request) -> StreamingResponse:  # pyright: ignore[reportUnusedFunction]
        source = (await request.body())[:MAX_SOURCE_BYTES]
        return StreamingResponse(output(app.state.runner, image, source), media_type="text/plain")

    return app


async def output(runner: DockerRunner, image: str, source: bytes) -> AsyncGenerator[str]:
    """Run Python source from stdin, and yield its output line by line, and at the end what became of it."""
    send, receive = anyio.create_memory_object_stream[str](16)
    request = RunRequest(image=image, entrypoint="exec python -", input=source, network="none", timeout=TIME_LIMIT)

    async def show(line: LogLine) -> None:
        await send.send(f"{line.text}\n")

    async def run() -> None:
        async with send:
            result = await runner.run(request, on_log=show)
            await send.send(f"-- {result.explain()}\n")

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(run)
        async for text in receive:
            yield text
