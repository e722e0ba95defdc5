"""The server: the SDK's protocol over stdio, on trio, and the toolbox behind it."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

import msgspec
import trio

from lightrunner import DockerRunner, RunnerOptions

from .arguments import TOOLS
from .stdio import Lines, Text, is_pollable
from .toolbox import AgentPolicy, Toolbox, open_toolbox

INSTRUCTIONS = (
    "Runs untrusted code in disposable containers. run_code runs one program. For several steps on the same files, "
    "start_sandbox, then exec, write_file and read_file, and stop_sandbox when done."
)


async def serve_stdio(options: RunnerOptions, policy: AgentPolicy) -> None:
    """Serve the client behind stdin and stdout until it leaves. Then nothing of its runs and sandboxes is left.

    A call that the client cancels is cancelled, and its container is removed.
    """
    async with (
        DockerRunner(**msgspec.structs.asdict(options)) as runner,
        open_toolbox(runner, policy) as toolbox,
        _streams() as (incoming, outgoing),
    ):
        server = make_server(toolbox)
        await server.run(incoming, outgoing, server.create_initialization_options())


def make_server(toolbox: Toolbox) -> Any:
    """Return the SDK's server (`mcp.server.Server`) for a toolbox."""
    # With the extra alone there is an SDK.
    import mcp_types as types  # noqa: PLC0415
    from mcp.server import Server, ServerRequestContext  # noqa: PLC0415

    async def list_tools(
        _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        tools = [types.Tool(name=it.name, description=it.description, input_schema=it.schema) for it in TOOLS]
        return types.ListToolsResult(tools=tools)

    async def call_tool(_: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        reply = await toolbox.call(params.name, params.arguments or {})
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=reply.text)],
            structured_content=reply.structured,
            is_error=reply.is_error,
        )

    return Server(
        "lightrunner",
        version=version("lightrunner"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


@asynccontextmanager
async def _streams() -> AsyncGenerator[tuple[Any, Any]]:
    """Open the SDK's streams of messages over stdin and stdout."""
    from mcp.server.stdio import stdio_server  # noqa: PLC0415

    if not (is_pollable(0) and is_pollable(1)):
        async with stdio_server() as streams:
            yield streams
        return
    async with (
        trio.lowlevel.FdStream(os.dup(0)) as stdin,
        trio.lowlevel.FdStream(os.dup(1)) as stdout,
        # Typed for anyio's files; it reads lines, and writes and flushes text.
        stdio_server(cast("Any", Lines(stdin)), cast("Any", Text(stdout))) as streams,
    ):
        yield streams
