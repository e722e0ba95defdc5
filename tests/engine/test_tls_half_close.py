"""stdin's end over TLS at the moment when output arrives: neither may be lost.

The daemon is a TLS server in this process, since only that can time both to one pass of the event loop.
"""

import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from lightrunner.engine import EngineClient
from lightrunner.engine.endpoint import TlsFiles
from lightrunner.engine.tls import tls_context
from tools.certificates import Certificates

pytestmark = pytest.mark.timeout(30)

PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
OUTPUT = b"\1\0\0\0\0\0\0\2{}"
RECORDS = 100


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class EchoingDaemon:
    """Answers a ping and an attach, sends output when told to, and more of it after the client's end of stdin."""

    def __init__(self) -> None:
        self.output_is_due = trio.Event()
        self.has_sent = trio.Event()
        self.stdin = b""

    async def serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """Serve one connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some()
        if b"/_ping" in head:
            await stream.send_all(PING)
            await self.serve(stream)
            return
        await stream.send_all(UPGRADED)
        await self.output_is_due.wait()
        for _ in range(RECORDS):  # Each is a TLS record of its own.
            await stream.send_all(OUTPUT)
        self.has_sent.set()
        while data := await stream.receive_some():
            self.stdin += data
        await stream.send_all(OUTPUT)
        await stream.aclose()


@asynccontextmanager
async def serving(certificates: Certificates, daemon: EchoingDaemon) -> AsyncGenerator[tuple[str, ssl.SSLContext]]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.server / "cert.pem", certificates.server / "key.pem")
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, daemon.serve, 0, server, host="127.0.0.1", https_compatible=True)
        (listener,) = await nursery.start(serve)
        port: int = listener.transport_listener.socket.getsockname()[1]
        yield f"tcp://127.0.0.1:{port}", tls_context(TlsFiles(ca=str(certificates.client / "ca.pem")))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("attempt", range(20))  # trio shuffles the tasks that one pass wakes
@pytest.mark.parametrize("is_reading", [True, False])
async def test_neither_output_nor_eof_is_lost(certificates: Certificates, *, is_reading: bool, attempt: int) -> None:
    daemon = EchoingDaemon()
    received: list[bytes] = []
    async with (
        serving(certificates, daemon) as (host, context),
        EngineClient(host, tls=context) as client,
        client.container_attach("c", stdin=True) as attached,
        trio.open_nursery() as nursery,
    ):

        async def read() -> None:
            while pieces := await attached.receive():
                received.extend(bytes(piece.data) for piece in pieces)

        await attached.send_all(b"input")
        if is_reading:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
        # A second descriptor of the socket wakes this task in the same pass as the reader.
        sock = attached._connection._stream.get_extra_info("socket")  # pyright: ignore[reportPrivateUsage]
        assert isinstance(sock, trio.socket.SocketType)
        second = os.dup(sock.fileno())
        daemon.output_is_due.set()
        await trio.lowlevel.wait_readable(second)
        os.close(second)
        if not is_reading:
            received.append(bytes((await attached.receive())[0].data))  # The other records are unread.
        attached.send_eof()
        if not is_reading:
            nursery.start_soon(read)
    assert daemon.stdin == b"input"
    assert received == [b"{}"] * (RECORDS + 1), attempt
