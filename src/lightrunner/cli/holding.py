"""``sandbox``: hold a sandbox in the foreground, and serve the commands that use it."""

import argparse
import errno
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Sandbox, SandboxProcess
from lightrunner.engine.frames import StreamName
from lightrunner.nurseries import open_bare_nursery

from . import exits, tables
from .copying import copy_in, copy_out
from .exits import CommandError
from .messages import (
    MAX_DATA_BYTES,
    Copied,
    CopyIn,
    CopyOut,
    Describe,
    Description,
    Ended,
    Exec,
    Failed,
    FromClient,
    Input,
    InputTaken,
    Kill,
    Output,
    ProtocolError,
    Resize,
    Started,
)
from .progress import open_display
from .request import runner_options, sandbox_request
from .signals import Signals
from .sockets import Connection, listening, live_sandboxes
from .stdio import put

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
"""A shell's exit codes for a command that cannot be executed (POSIX, 2.8.2)."""

_MAX_TEXT = 4096
"""Characters of an error's text: it may quote a whole command."""

_FAREWELL = 1.0
"""Seconds for clients to be told that the sandbox is lost."""

Client = Connection[FromClient]


async def sandbox(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Hold a sandbox until a signal comes, or until it is lost."""
    request = sandbox_request(args, os.environ)
    options = msgspec.structs.asdict(runner_options(args))
    await trio.to_thread.run_sync(live_sandboxes)  # Remove what dead processes have left.
    with open_display(quiet=args.quiet) as display:
        async with (
            DockerRunner(**options) as runner,
            runner.sandbox(request, expose=args.expose, on_progress=display.update) as box,
            listening(box.id) as listener,
            open_bare_nursery() as clients,
        ):
            display.close()
            description = Description(
                id=box.id,
                container=box.container_id,
                image=request.image,
                pid=os.getpid(),
                started_at=time.time(),
                exposed={port: f"{address.host}:{address.port}" for port, address in box.exposed.items()},
            )
            async with open_bare_nursery() as nursery:
                serve = partial(trio.serve_listeners, partial(_serve, box, description), [listener])
                nursery.start_soon(partial(serve, handler_nursery=clients))
                put(tables.to_json(tables.untagged(description)) if args.json else _shown(description))
                why = await box.wait_closed()
                nursery.cancel_scope.cancel()
            clients.cancel_scope.deadline = trio.current_time() + _FAREWELL
    raise CommandError(f"the sandbox is gone: {why}")


def _shown(description: Description) -> str:
    return "\n".join([description.id, *(f"{port} {address}" for port, address in description.exposed.items())])


async def _serve(box: Sandbox, description: Description, stream: trio.SocketStream) -> None:
    """Serve one client. If it leaves, what it has asked for is cancelled."""
    client: Client = Connection(stream, FromClient)  # type: ignore[arg-type]  # a union is no type to mypy
    try:
        try:
            await _answer(box, description, client)
        except LightRunnerError as error:
            await client.send(_failed(exits.status_of_error(error), str(error)))
        except CommandError as error:
            await client.send(_failed(error.status, str(error)))
        except (ProtocolError, OSError) as error:
            await client.send(_failed(exits.FAILED, str(error)))
    except trio.BrokenResourceError:
        return  # The client has left.


def _failed(status: int, text: str) -> Failed:
    """Return a message that can be sent, whatever the text quotes."""
    return Failed(status, text[:_MAX_TEXT].encode(errors="backslashreplace").decode())


async def _answer(box: Sandbox, description: Description, client: Client) -> None:
    match await client.receive():
        case Exec() as order:
            await _exec(box, client, order)
        case CopyIn() as order:
            await _copy(client, partial(copy_in, box, order))
        case CopyOut() as order:
            await _copy(client, partial(copy_out, box, order))
        case Describe():
            await client.send(description)
        case None:
            return
        case message:
            raise ProtocolError(f"{type(message).__name__} is no request")


async def _exec(box: Sandbox, client: Client, order: Exec) -> None:
    start = partial(
        box.start,
        order.command,
        env=order.env,
        workdir=order.workdir,
        user=order.user,
        timeout=order.timeout,
        terminal=order.terminal,
    )
    async with open_bare_nursery() as nursery:
        try:
            process: SandboxProcess = await nursery.start(start)
        except LightRunnerError as error:
            if error.code is not LightRunnerErrorCode.FILE_FAILED:
                raise
            # As a shell has it.
            is_missing = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOENT
            await client.send(_failed(_NOT_FOUND if is_missing else _NOT_EXECUTABLE, error.message))
            return
        await client.send(Started())
        nursery.start_soon(_obey, client, process)
        async with open_bare_nursery() as outputs:
            outputs.start_soon(_pass_on, client, process.stdout, "stdout")
            if process.stderr is not None:
                outputs.start_soon(_pass_on, client, process.stderr, "stderr")
        result = await process.wait()
        async with client.sending:
            nursery.cancel_scope.cancel()
    is_told = result.timed_out or result.oom_killed
    await client.send(Ended(result.exit_code, result.explain() if is_told else ""))


async def _pass_on(client: Client, output: trio.abc.ReceiveStream, name: StreamName) -> None:
    """Send a stream's output, as fast as the client takes it."""
    while True:
        try:
            data = await output.receive_some(MAX_DATA_BYTES)
        except trio.BrokenResourceError:
            return  # The sandbox is lost, as the process's end tells.
        if not data:
            return
        await client.send(Output(name, bytes(data)))


async def _obey(client: Client, process: SandboxProcess) -> None:
    """Take input and orders for a command.

    Raises:
        trio.BrokenResourceError: the client has left.
    """
    send, receive = trio.open_memory_channel[bytes](1)
    async with open_bare_nursery() as nursery:
        nursery.start_soon(_feed, client, process, receive)
        while True:
            match await client.receive():
                case Input(data):
                    try:
                        send.send_nowait(data)
                    except trio.WouldBlock as error:
                        raise ProtocolError("input came before the last was taken") from error
                case Resize(rows, columns):
                    await process.resize(rows, columns)
                case Kill():
                    await process.kill()
                case None:
                    raise trio.BrokenResourceError
                case message:
                    raise ProtocolError(f"{type(message).__name__} is no order")


async def _feed(client: Client, process: SandboxProcess, inputs: trio.MemoryReceiveChannel[bytes]) -> None:
    async for data in inputs:
        if not data:
            await process.stdin.aclose()
            return
        try:
            await process.stdin.send_all(data)
        except trio.BrokenResourceError:  # It reads no more.
            await client.send(InputTaken(more=False))
            return
        await client.send(InputTaken(more=True))


async def _copy(client: Client, copy: Callable[[], Awaitable[int]]) -> None:
    async with open_bare_nursery() as nursery:
        nursery.start_soon(_watch, client)
        skipped = await copy()
        nursery.cancel_scope.cancel()
    await client.send(Copied(skipped))


async def _watch(client: Client) -> None:
    """Wait until the client leaves: it has nothing to say."""
    message = await client.receive()
    if message is None:
        raise trio.BrokenResourceError
    raise ProtocolError(f"{type(message).__name__} is no order")
