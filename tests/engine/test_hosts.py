"""The daemon's address: invalid sockets, unusable hosts, and TCP."""

import socket
from pathlib import Path

import pytest
import trio

from lightrunner.engine import Endpoint, EngineClient, EngineEndpointError, EngineUnreachable
from lightrunner.engine.calls import MAX_API_VERSION
from lightrunner.testing import attached, frame
from tests.fake_daemon import fake_daemon
from tools.raw_engine import RawEngine


async def assert_unreachable(host: str, reason: str) -> None:
    async with EngineClient(host) as client:
        for call in (client.system_ping, client.system_info):  # The second one has to ask for the version first.
            with pytest.raises(EngineUnreachable, match=reason) as caught:
                await call()
            assert host in str(caught.value)


async def test_no_socket(tmp_path: Path) -> None:
    await assert_unreachable(f"unix://{tmp_path}/none", "cannot connect to unix://.*No such file")


async def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
    await assert_unreachable(f"unix://{tmp_path}/s", "cannot connect to unix://.*refused")


async def test_a_file_in_the_place_of_a_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    await assert_unreachable(f"unix://{tmp_path}/file", "cannot connect to unix://.*refused")
    await assert_unreachable(f"unix://{tmp_path}", "cannot connect to unix://")


async def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await assert_unreachable(f"tcp://127.0.0.1:{sock.getsockname()[1]}", "cannot connect to tcp://")


async def test_a_socket_with_a_full_queue(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as first:
        sock.bind(str(tmp_path / "s"))
        sock.listen(0)
        first.connect(str(tmp_path / "s"))
        await assert_unreachable(f"unix://{tmp_path}/s", "connect")


@pytest.mark.parametrize(
    "host", ["ssh://user:password@somewhere", "npipe:////./pipe/x", "fd://3", "http://a", "/a/socket", ""]
)
def test_a_host_that_cannot_be_used_names_itself(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineEndpointError) as caught:
        EngineClient(host)
    assert repr(host) in str(caught.value)
    if host:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(EngineEndpointError) as caught:
            EngineClient()
        assert repr(host) in str(caught.value)


@pytest.mark.parametrize("scheme", ["https", "npipe", "fd"])
def test_an_unsupported_scheme_is_named(scheme: str) -> None:
    with pytest.raises(EngineEndpointError, match=f"unsupported scheme '{scheme}'; supported: unix, tcp, ssh"):
        EngineClient(f"{scheme}://somewhere")


async def test_docker_host_is_used_and_an_explicit_host_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_daemon() as named, fake_daemon() as explicit:
        monkeypatch.setenv("DOCKER_HOST", named.host)
        async with EngineClient() as client:
            await client.system_info()
        async with EngineClient(explicit.host) as client:
            await client.system_info()
        assert len(named.requests("system_info")) == len(explicit.requests("system_info")) == 1


async def test_tcp_carries_calls_and_attached_streams() -> None:
    script = {"container_attach": attached(frame(1, b"out") + frame(2, b"err"))}
    async with fake_daemon(script, tcp=True) as daemon, EngineClient(daemon.host) as client:
        assert (await client.system_version()).api_version == "1.41"
        async with client.container_attach("c", stdin=True) as attachment:
            await attachment.send_all(b"input")
            attachment.send_eof()
            pieces = await attachment.receive()
            assert [(piece.stream, bytes(piece.data)) for piece in pieces] == [("stdout", b"out"), ("stderr", b"err")]
            assert await attachment.receive() == []
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.requests("container_attach")[0].body == b"input"
        assert daemon.requests("container_attach")[0].headers["host"] == "docker"


async def test_the_real_engine_over_tcp_and_what_it_is_asked(engine_host: str, raw: RawEngine) -> None:
    """Through a forwarder: the engine itself listens where only its own network namespace can reach it."""
    sent = bytearray()
    async with EngineClient(engine_host) as direct, trio.open_nursery() as nursery:

        async def forward(outer: trio.SocketStream) -> None:
            async with outer, await open_endpoint(direct.endpoint) as inner, trio.open_nursery() as both:
                both.start_soon(copy, outer, inner, sent)
                both.start_soon(copy, inner, outer, bytearray())

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, forward, [listener])
        async with EngineClient(f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}") as client:
            assert await client.system_version() == await direct.system_version()
        nursery.cancel_scope.cancel()
    ping, call = bytes(sent).lower().split(b"\r\n\r\n")[:2]
    newest = tuple(map(int, raw.version()["ApiVersion"].split(".")))
    assert ping.startswith(b"get /_ping http/1.1\r\n")
    assert call.startswith(b"get /v%d.%d/version http/1.1\r\n" % min(newest, MAX_API_VERSION))
    assert b"accept-encoding: identity" in call


async def open_endpoint(endpoint: Endpoint) -> trio.SocketStream:
    if endpoint.socket:
        return await trio.open_unix_socket(endpoint.socket)
    return await trio.open_tcp_stream(endpoint.address, endpoint.port)


async def copy(source: trio.SocketStream, target: trio.SocketStream, log: bytearray) -> None:
    async for data in source:
        log += data
        await target.send_all(data)
    await target.send_eof()
