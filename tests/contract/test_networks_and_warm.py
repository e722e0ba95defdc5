"""The contract: networks, prepared ones, and warm pools."""

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import SLEEP, nothing, prints, sleep
from tests.runs.shell_runs import Run


@pytest.mark.needs("isolated_network")
async def test_the_isolated_network_is_the_default(place: Place, run: Run) -> None:
    assert (await run(place.request("true", nothing, network=None))).success


async def test_a_network_that_there_is_not(place: Place, run: Run) -> None:
    with pytest.raises(LightRunnerError, match="no-such-network") as raised:
        await run(place.request("true", nothing, network="no-such-network"))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert not place.left()


@pytest.mark.parametrize("network", [pytest.param(None, marks=pytest.mark.needs("isolated_network")), "none"])
async def test_prepared_networks(place: Place, runner: DockerRunner, network: str | None) -> None:
    async with runner.prepared_networks(1, network=network):
        for _ in range(2):
            assert (await runner.run(place.request("true", nothing, network=network))).success
    assert not place.left()


async def echo(container: FakeContainer) -> int:
    await container.stdout(container.env.get("WORD", "").encode() + b"|" + await container.stdin())
    return 5


ECHO = 'printf "%s|" "$WORD"; cat; exit 5'


def same(place: Place, **fields: object) -> RunRequest:
    return place.request(ECHO, echo, capture_output=True, **fields)


@pytest.mark.parametrize("network", [pytest.param(None, marks=pytest.mark.needs("isolated_network")), "none"])
async def test_a_warm_run_is_like_a_cold_one(place: Place, runner: DockerRunner, network: str | None) -> None:
    fields = {"env": {"WORD": 'it\'s "a"\nword$'}, "input": b"the input", "network": network}
    request = same(place, **fields)
    async with runner.warm(request, size=1) as pool:
        warm = await pool.run(request)
    cold = await runner.run(request)
    for result in (warm, cold):
        assert (result.exit_code, result.stdout) == (5, b'it\'s "a"\nword$|the input')
    assert not place.left()


async def test_a_pool_serves_more_runs_than_it_has_containers(place: Place, runner: DockerRunner) -> None:
    results = list[RunResult]()

    async def one() -> None:
        results.append(await pool.run(same(place, input=b"x")))

    async with runner.warm(same(place), size=2) as pool, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert [result.stdout for result in results] == [b"|x"] * 5


async def test_a_warm_run_without_an_input(place: Place, runner: DockerRunner) -> None:
    async with runner.warm(same(place), size=1) as pool:
        assert (await pool.run(same(place))).stdout == b"|"


async def test_a_warm_run_times_out(place: Place, runner: DockerRunner) -> None:
    async with runner.warm(place.request(SLEEP, sleep), size=1) as pool:
        result = await pool.run(place.request(SLEEP, sleep, timeout=0.3))
    assert (result.timed_out, result.exit_code) == (True, 137)


async def test_a_request_that_differs_from_the_template(place: Place, runner: DockerRunner) -> None:
    async with runner.warm(place.request("true", nothing), size=1) as pool:
        with pytest.raises(LightRunnerError, match="workdir") as raised:
            await pool.run(place.request("true", nothing, workdir="/other"))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


async def test_a_cancelled_pool_leaves_nothing(place: Place, runner: DockerRunner) -> None:
    with trio.CancelScope() as scope:
        async with runner.warm(place.request("exit 1", prints(code=1)), size=2):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not place.left()
