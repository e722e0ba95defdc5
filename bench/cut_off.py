"""A socket before the daemon's own, which passes everything on until it is told to cut all connections."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import trio

_PIECE_BYTES = 64 * 1024


class Proxy:
    """A socket that leads to the daemon's. `cut` breaks its connections; later ones work."""

    def __init__(self, host: str, socket: str) -> None:
        self.host = host
        self._socket = socket
        self._open: set[trio.CancelScope] = set()

    def cut(self) -> None:
        """Break every connection, in the middle of whatever it carries."""
        for scope in self._open:
            scope.cancel()

    async def serve(self, client: trio.SocketStream) -> None:
        """Pass one connection on."""
        with trio.CancelScope() as scope:
            self._open.add(scope)
            try:
                async with client, await trio.open_unix_socket(self._socket) as daemon, trio.open_nursery() as nursery:
                    nursery.start_soon(_copy, daemon, client)
                    await _copy(client, daemon)
            finally:
                self._open.discard(scope)


@asynccontextmanager
async def proxy_to(socket: str) -> AsyncGenerator[Proxy]:
    """Listen in front of the daemon's Unix socket."""
    with tempfile.TemporaryDirectory(prefix="lr-") as folder:
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.bind(f"{folder}/s")
        sock.listen(64)
        proxy = Proxy(f"unix://{folder}/s", socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, proxy.serve, [trio.SocketListener(sock)])
            yield proxy
            nursery.cancel_scope.cancel()


async def _copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
    # Either side may hang up at any time, which ends this direction alone.
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(_PIECE_BYTES):
            await target.send_all(data)
        await target.send_eof()
