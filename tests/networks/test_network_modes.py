"""Networks: the isolated bridge by default, none, or a named network; and what isolation prevents."""

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, LogLine
from tests.runs.shell_runs import Run, shell, start
from tools.raw_engine import RawEngine

ISOLATED = "light-runner-isolated"

# The last thing on the first line is the address; then it answers whoever comes.
SERVER = "ip -4 -o addr show dev eth0 | tr '/' ' ' | awk '{print $4}'; while :; do nc -l -p 7000 -e echo hello; done"
CLIENT = "for attempt in 1 2 3; do nc -w 1 $SERVER 7000 && exit 0; sleep 0.2; done; exit 1"


async def networks_of(runner: DockerRunner, raw: RawEngine, image: str, network: str | None) -> list[str]:
    """Start a run and ask the daemon which networks its container is in."""
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(image, "sleep 60", network=network))
        inspected = raw.get(f"/containers/{execution.container_id}/json")
        execution.cancel()
    return [*inspected["NetworkSettings"]["Networks"]]


async def test_the_default_is_the_isolated_bridge(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    assert await networks_of(runner, raw, busybox, None) == [ISOLATED]
    network = raw.get(f"/networks/{ISOLATED}")
    assert network["Driver"] == "bridge"
    assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"


async def test_a_named_network_is_joined(
    runner: DockerRunner, raw: RawEngine, busybox: str, plain_network: str
) -> None:
    assert await networks_of(runner, raw, busybox, plain_network) == [plain_network]


async def test_none_has_the_loopback_alone(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "ip -o addr | awk '{print $2}' | sort -u; ip route", network="none"))
    assert result.stdout == b"lo\n"


async def test_an_unknown_network_is_the_daemons_error(run: Run, busybox: str) -> None:
    with pytest.raises(LightRunnerError, match="network no-such-network not found") as raised:
        await run(shell(busybox, "true", network="no-such-network"))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED


async def reaches(runner: DockerRunner, image: str, network: str | None) -> bool:
    """Whether a container gets an answer from another one, by address, both in this network."""
    address = ""
    told = trio.Event()

    def note_address(line: LogLine) -> None:
        nonlocal address
        address = line.text
        told.set()

    async with trio.open_nursery() as nursery:
        server = await start(nursery, runner, shell(image, SERVER, network=network), on_log=note_address)
        await told.wait()
        assert address.count(".") == 3
        client = await runner.run(shell(image, CLIENT, network=network, env={"SERVER": address}))
        server.cancel()
    assert client.stdout == (b"hello\n" if client.success else b"")
    return client.success


async def test_isolated_containers_cannot_reach_each_other(runner: DockerRunner, busybox: str) -> None:
    assert not await reaches(runner, busybox, None)


async def test_on_a_plain_bridge_they_can(runner: DockerRunner, busybox: str, plain_network: str) -> None:
    # The same two containers, so that the test above is one that can fail.
    assert await reaches(runner, busybox, plain_network)
