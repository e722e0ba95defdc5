"""Ports of a sandbox on the host: a listener on the loopback device, relayed through process 1 of the sandbox.

It needs no network in the sandbox and no route to the daemon: the bytes take the connection that the commands' output
takes.
"""

from functools import partial
from typing import NamedTuple

import trio

from lightrunner.errors import LightRunnerError
from lightrunner.nurseries import protected

from .protocol import MAX_DATA_BYTES, ExitKind
from .session import Channel, Session

LOOPBACK = "127.0.0.1"


class ExposedPort(NamedTuple):
    """Where the host reaches a port of a sandbox: ``trio.open_tcp_stream(*address)``."""

    host: str
    port: int


async def listen(session: Session, port: int, nursery: trio.Nursery) -> ExposedPort:
    """Listen on a free port of the loopback device until the nursery is cancelled."""
    listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
    address: tuple[str, int] = listeners[0].socket.getsockname()
    serve = partial(trio.serve_listeners, partial(_relay, session, port), listeners)
    nursery.start_soon(protected, serve)
    return ExposedPort(address[0], address[1])


async def _relay(session: Session, port: int, stream: trio.SocketStream) -> None:
    """Relay one connection. If nothing listens inside, or the sandbox is gone, the connection is closed."""
    channel: Channel | None = None
    try:
        channel = await session.connect(port)
        await channel.wait_started()
        if channel.exit is None or channel.exit.kind is not ExitKind.FAILED:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_copy_in, channel, stream)
                await _copy_out(channel, stream)
                # The server inside has closed: nothing that still comes in would be read.
                nursery.cancel_scope.cancel()
    except* (LightRunnerError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # One of the two ends is gone: so is the connection.
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            if channel is not None and not channel.is_over and session.error is None:
                await _abort(channel)


async def _copy_in(channel: Channel, stream: trio.SocketStream) -> None:
    try:
        async for data in stream:
            if not await channel.send_all(data):
                return
        await channel.end_input()
    except trio.BrokenResourceError:
        await channel.kill()  # The client has reset its connection.


async def _copy_out(channel: Channel, stream: trio.SocketStream) -> None:
    while data := await channel.receive_some(1, MAX_DATA_BYTES):
        await stream.send_all(data)
    await stream.send_eof()


async def _abort(channel: Channel) -> None:
    try:
        await channel.kill()
        await channel.discard_output()
    except LightRunnerError:
        return  # The sandbox is closed.
