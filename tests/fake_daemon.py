"""The fake engine on a real socket: for what depends on sockets, threads at them, and their timing.

async with fake_daemon({"container_archive": archive(hostile_tar)}) as daemon:
async with DockerRunner(host=daemon.host) as runner:
...
assert daemon.requests("container_archive")[0].query == {"path": "/out"}
"""

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import trio

from lightrunner.nurseries import open_bare_nursery
from lightrunner.testing import Answer, FakeEngine


class FakeDaemon(FakeEngine):
    """A fake engine that listens at `host`."""

    host = ""


@asynccontextmanager
async def fake_daemon(script: Mapping[str, Answer] | None = None, *, tcp: bool = False) -> AsyncGenerator[FakeDaemon]:
    """Listen on a Unix socket, or on a port of this machine; `script` has the answers that are not the engine's own."""
    # Bare, so that a test that fails inside shows its own error and no group.
    async with FakeDaemon(script=script) as daemon, open_bare_nursery() as nursery:
        with tempfile.TemporaryDirectory() as folder:
            if tcp:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                daemon.host = f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
            else:
                listener = await _listen(f"{folder}/s")
                daemon.host = f"unix://{folder}/s"
            await nursery.start(trio.serve_listeners, daemon.serve, [listener])
            yield daemon
            nursery.cancel_scope.cancel()


async def _listen(path: str) -> trio.SocketListener:
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(path)
    sock.listen(1024)
    return trio.SocketListener(sock)
