"""The nodes' daemons, and the managers, behind ssh and TLS."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightrunner import LightRunnerError, LightRunnerErrorCode, SwarmRunner
from lightrunner.engine.endpoint import TlsFiles
from lightrunner.engine.tls import tls_context
from lightrunner.engine.wire import Node
from tests.swarm.conftest import LIMITS, Swarm
from tools.certificates import Certificates
from tools.images import ensure_busybox
from tools.ssh_server import SshServer
from tools.swarm import PrivateSwarm

pytestmark = pytest.mark.private_engine


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def behind_tls(certificates: Certificates) -> Iterator[Swarm]:
    """A swarm of two nodes that also listen on TCP, for clients with a certificate."""
    with PrivateSwarm(2, config={"no-new-privileges": True}, tls=certificates.server) as private:
        yield Swarm(private, private.load(ensure_busybox))


async def check(runner: SwarmRunner, swarm: Swarm, source: Path) -> None:
    """Run what needs each kind of call: an attach, archives both ways, short calls."""
    (source / "in.txt").write_text("from the host\n")
    request = swarm.request("hostname >name; cat in.txt; cat", dir=source, input="and stdin")
    async with runner:
        async with runner.warm(request, size=len(swarm.raw)) as pool:
            results = [await pool.run(request) for _ in swarm.raw]
        results.append(await runner.run(request))
    assert {result.stdout for result in results} == {b'from the host\n"and stdin"'}
    assert not swarm.left()


async def test_ssh(swarm: Swarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SshServer() as server:
        monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
        place = f"ssh://{server.destination}:{server.port}"
        sockets = {f"node{number}": node.socket for number, node in enumerate(swarm.private.nodes, 1)}

        def host_of(node: Node) -> str:
            return f"{place}{sockets[node.description.hostname]}"

        runner = SwarmRunner(host=f"{place}{sockets['node1']}", node_hosts=host_of, **LIMITS)
        await check(runner, swarm, tmp_path)


async def test_tls(behind_tls: Swarm, certificates: Certificates, tmp_path: Path) -> None:
    addresses = {f"node{number}": node.tcp_host for number, node in enumerate(behind_tls.private.nodes, 1)}

    def host_of(node: Node) -> str:
        return addresses[node.description.hostname]

    context = tls_context(TlsFiles(ca=str(certificates.client / "ca.pem")))
    context.load_cert_chain(certificates.client / "cert.pem", certificates.client / "key.pem")
    runner = SwarmRunner(host=addresses["node1"], node_hosts=host_of, tls=context, **LIMITS)
    await check(runner, behind_tls, tmp_path)


async def test_a_client_without_a_certificate(behind_tls: Swarm, certificates: Certificates) -> None:
    context = tls_context(TlsFiles(ca=str(certificates.client / "ca.pem")))
    host = behind_tls.private.manager.tcp_host
    async with SwarmRunner(host=host, node_hosts=host, tls=context, **LIMITS) as runner:
        assert not await runner.is_available()
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(behind_tls.request("true"))
    assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE
