"""The contract: images that are not there, and setup steps."""

from collections.abc import AsyncIterator

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Progress, RunRequest
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import nothing, prints
from tests.runs.shell_runs import Run

NOWHERE = "127.0.0.1:1/no/such/image:1"
STEP = "echo built >/built; echo a line"


async def build(container: FakeContainer) -> None:
    container.files.write("/built", b"built\n")
    await container.stdout(b"a line\n")


async def tell(container: FakeContainer) -> None:
    await container.stdout(container.files.read("/built"))


@pytest.fixture
async def building(place: Place, runner: DockerRunner) -> AsyncIterator[RunRequest]:
    """A request with a setup step. Cache images are removed after the test."""
    place.request(STEP, build)
    yield place.request("cat /built", tell, run=[STEP], capture_output=True)
    await runner.cleanup_orphan_cache(max_age=0)


async def test_an_image_that_cannot_be_pulled(place: Place, run: Run) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await run(RunRequest(image=NOWHERE, network="none"))
    assert raised.value.code is LightRunnerErrorCode.IMAGE_PULL_FAILED
    assert raised.value.docker_op == "image_create"
    assert not place.left()


async def test_a_setup_step_is_in_the_image(building: RunRequest, runner: DockerRunner) -> None:
    progress = list[Progress]()
    result = await runner.run(building, on_progress=progress.append)
    assert result.stdout == b"built\n"
    assert "a line" in [message.status for message in progress]
    again = list[Progress]()
    assert (await runner.run(building, on_progress=again.append)).stdout == b"built\n"
    assert again == []


async def test_prepare_builds_ahead(building: RunRequest, runner: DockerRunner) -> None:
    image = await runner.prepare(building)
    assert image.startswith("light-runner-cache:")
    assert (await runner.run(building)).timings.image < 1


@pytest.mark.needs("image_removal")
async def test_requests_at_the_same_time_share_one_build(building: RunRequest, runner: DockerRunner) -> None:
    progress = list[Progress]()
    results = list[bytes | None]()

    async def one() -> None:
        results.append((await runner.run(building, on_progress=progress.append)).stdout)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    assert results == [b"built\n"] * 3
    assert [message.status for message in progress].count("a line") == 1


async def test_a_step_that_fails(place: Place, run: Run) -> None:
    place.request("echo why; exit 9", prints(b"why\n", code=9))
    with pytest.raises(LightRunnerError, match=r"(?s)step 1 of 1.*\nwhy") as raised:
        await run(place.request("true", nothing, run=["echo why; exit 9"]))
    assert raised.value.code is LightRunnerErrorCode.BUILD_FAILED
    assert not place.left()


@pytest.mark.parametrize("step", ["", "a\nRUN b", "--mount=type=bind x", "cat <<EOF", "a \\"])
async def test_a_step_that_is_more_than_one(place: Place, run: Run, step: str) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await run(place.request("true", nothing, run=[step]))
    assert raised.value.code is LightRunnerErrorCode.INVALID_RUN_STEP


async def test_a_build_that_takes_too_long(place: Place) -> None:
    async def endless(_: FakeContainer) -> None:
        await trio.sleep(300)

    place.request("sleep 300", endless)
    async with place.runner(build_timeout=0.5) as runner:
        with pytest.raises(LightRunnerError, match="build_timeout") as raised:
            await runner.run(place.request("true", nothing, run=["sleep 300"]))
    assert raised.value.code is LightRunnerErrorCode.BUILD_FAILED
    assert not place.left()
