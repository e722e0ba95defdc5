"""The isolated network of a daemon that has none, has another one of its name, or loses it.

On an engine of their own: other tests' networks are nobody's to remove.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult
from tests.conftest import ours
from tests.runs.shell_runs import shell
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

pytestmark = pytest.mark.private_engine

ISOLATED = "light-runner-isolated"
DEVICE = "light-runner0"
BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"


class OwnEngine(RawEngine):
    """The oracle of this module's engine."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


@pytest.fixture(scope="module")
def own_engine() -> Iterator[OwnEngine]:
    with PrivateEngine() as engine:
        yield OwnEngine(engine.host)


@pytest.fixture
def bare(own_engine: OwnEngine) -> Iterator[OwnEngine]:
    """An engine without any network but Docker's own; after the test nothing of a run is left on it."""
    yield own_engine
    assert ours(own_engine) == set()
    for network in own_engine.get("/networks"):
        if network["Name"] not in {"bridge", "host", "none"}:
            own_engine.request("DELETE", f"/networks/{network['Id']}")


def request(raw: RawEngine) -> RunRequest:
    return shell(ensure_busybox(raw), "ip -o link | grep -c eth0", network=None)


def isolated(raw: RawEngine) -> list[dict[str, Any]]:
    return [network for network in raw.get("/networks") if network["Name"] == ISOLATED]


def create(raw: RawEngine, name: str, options: dict[str, str]) -> str:
    body = {"Name": name, "Driver": "bridge", "Options": options}
    network_id: str = raw.json("POST", "/networks/create", json=body)["Id"]
    return network_id


async def run_once(host: str, request: RunRequest, results: list[RunResult]) -> None:
    async with DockerRunner(host=host) as runner:
        results.append(await runner.run(request))


async def test_six_runners_at_once_make_one_network(bare: OwnEngine) -> None:
    results: list[RunResult] = []
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(run_once, bare.host, request(bare), results)
    assert [result.stdout for result in results] == [b"1\n"] * 6
    (network,) = isolated(bare)
    assert network["Driver"] == "bridge"
    assert network["Options"].items() >= {ICC: "false", BRIDGE_NAME: DEVICE}.items()
    assert network["Labels"] == {"light-runner.kind": "network"}


async def test_it_stays_and_is_found_again(bare: OwnEngine) -> None:
    results: list[RunResult] = []
    await run_once(bare.host, request(bare), results)
    (first,) = isolated(bare)
    await run_once(bare.host, request(bare), results)
    (second,) = isolated(bare)
    assert first["Id"] == second["Id"]
    assert [result.exit_code for result in results] == [0, 0]


@pytest.mark.parametrize("options", [{}, {ICC: "true"}, {ICC: "true", BRIDGE_NAME: DEVICE}])
async def test_a_network_of_its_name_that_isolates_nothing_is_refused(bare: OwnEngine, options: dict[str, str]) -> None:
    foreign = create(bare, ISOLATED, options)
    async with DockerRunner(host=bare.host) as runner:
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(request(bare))
        assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
        assert foreign[:12] in raised.value.message
        assert "is not a bridge with com.docker.network.bridge.enable_icc=false; remove it" in raised.value.message
        # It is left alone; and once somebody has removed it, the same runner goes on.
        assert [network["Id"] for network in isolated(bare)] == [foreign]
        bare.request("DELETE", f"/networks/{foreign}")
        assert (await runner.run(request(bare))).success


async def test_a_network_of_its_name_that_isolates_is_used(bare: OwnEngine) -> None:
    theirs = create(bare, ISOLATED, {ICC: "false"})
    results: list[RunResult] = []
    await run_once(bare.host, request(bare), results)
    assert results[0].success
    assert [network["Id"] for network in isolated(bare)] == [theirs]


async def test_another_network_on_its_device_is_told(bare: OwnEngine) -> None:
    create(bare, "somebody-elses", {BRIDGE_NAME: DEVICE})
    with pytest.raises(LightRunnerError, match=DEVICE) as raised:
        await run_once(bare.host, request(bare), [])
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert raised.value.docker_op == "network_create"


async def test_it_is_made_again_where_it_was_removed_between_two_runs(bare: OwnEngine) -> None:
    async with DockerRunner(host=bare.host) as runner:
        assert (await runner.run(request(bare))).success
        (first,) = isolated(bare)
        bare.request("DELETE", f"/networks/{first['Id']}")
        result = await runner.run(request(bare))
        assert result.stdout == b"1\n"
        (second,) = isolated(bare)
        assert second["Id"] != first["Id"]


async def test_prepared_networks_make_it_again(bare: OwnEngine) -> None:
    async with DockerRunner(host=bare.host) as runner:
        await runner.run(request(bare))  # From now on the runner knows the network.
        bare.request("DELETE", f"/networks/{ISOLATED}")
        async with runner.prepared_networks(2):
            assert (await runner.run(request(bare))).stdout == b"1\n"
    assert len(isolated(bare)) == 1


async def test_several_runs_of_one_runner_that_lose_it_make_one(bare: OwnEngine) -> None:
    results: list[RunResult] = []
    async with DockerRunner(host=bare.host) as runner:

        async def run() -> None:
            results.append(await runner.run(request(bare)))

        await run()
        bare.request("DELETE", f"/networks/{ISOLATED}")
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(run)
    assert [result.exit_code for result in results] == [0] * 5
    assert len(isolated(bare)) == 1
