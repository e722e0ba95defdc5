"""Setup steps on a swarm: built on a manager, pushed to a registry, and pulled by the nodes by digest."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Progress, RegistryAuth, RunRequest
from tests.contract import test_images
from tests.swarm.conftest import Swarm, SwarmPlace
from tools.images import ensure_busybox
from tools.registry import Registry, running_registry
from tools.swarm import PrivateSwarm

pytestmark = pytest.mark.private_engine

REGISTRY = "10.77.0.1:5000"
"""On the first node. The nodes speak plain HTTP with it."""

REPOSITORY = f"{REGISTRY}/lightrunner-test/steps"
USER, PASSWORD = "puller", "s3cret"

for name, value in vars(test_images).items():
    # Swarm's own error for a missing image, and its own name for a built one.
    if name.startswith("test_") and name not in {"test_an_image_that_cannot_be_pulled", "test_prepare_builds_ahead"}:
        globals()[name] = value
building = test_images.building


class RegistryPlace(SwarmPlace):
    """The swarm with a registry."""

    def runner(self, **options: Any) -> DockerRunner:
        """Make a runner that pushes."""
        return super().runner(image_repository=REPOSITORY, **options)


@pytest.fixture(scope="module")
def pulling_swarm() -> Iterator[Swarm]:
    """A swarm whose nodes pull."""
    config = {"no-new-privileges": True, "insecure-registries": [REGISTRY]}
    with PrivateSwarm(config=config, pulls=True) as private:
        yield Swarm(private, private.load(ensure_busybox))


@pytest.fixture
def swarm(pulling_swarm: Swarm) -> Iterator[Swarm]:
    """That swarm; after the test nothing of lightrunner is left there."""
    yield pulling_swarm
    assert not pulling_swarm.left()


@pytest.fixture
def registry(swarm: Swarm) -> Iterator[Registry]:
    """An empty registry, for one test: what it has is not built again."""
    with running_registry(swarm.raw[0], address=REGISTRY) as registry:
        yield registry


@pytest.fixture
def place(swarm: Swarm, registry: Registry) -> SwarmPlace:  # noqa: ARG001 - it has to run
    """Where the contract is checked."""
    return RegistryPlace(swarm)


@pytest.fixture
async def steps(swarm: Swarm) -> AsyncIterator[RunRequest]:
    """A request with a setup step. Its images are removed from the nodes after the test."""
    yield swarm.request("cat /built; hostname", run=["echo built >/built"])
    async with swarm.runner() as runner:
        await runner.cleanup_orphan_cache(max_age=0)
    assert not any(image["RepoDigests"] for raw in swarm.raw for image in raw.images())


async def test_the_nodes_pull_by_digest(swarm: Swarm, registry: Registry, steps: RunRequest) -> None:
    async with swarm.runner(image_repository=REPOSITORY) as runner:
        image = await runner.prepare(steps)
        assert image.startswith(f"{registry.address}/lightrunner-test/steps@sha256:")
        async with runner.warm(steps, size=6) as pool:
            results = [await pool.run(steps) for _ in range(3)]
            for raw in swarm.raw:
                assert REPOSITORY not in str([one["RepoTags"] for one in raw.images()])
                assert raw.get(f"/images/{image}/json")["Config"]["Labels"] == {"light-runner.kind": "cache"}
    assert all(result.stdout.startswith(b"built\n") for result in results if result.stdout is not None)
    assert len({result.stdout for result in results}) == 3


async def test_what_the_registry_has_is_not_built_again(swarm: Swarm, registry: Registry, steps: RunRequest) -> None:
    del registry
    progress = list[Progress]()
    async with swarm.runner(image_repository=REPOSITORY) as runner:
        image = await runner.prepare(steps, on_progress=progress.append)
        assert "Step 2/3 : RUN echo built >/built" in [message.status for message in progress]
        assert any(message.status == "Pushed" for message in progress)
        assert await runner.prepare(steps, on_progress=progress.append) == image
        await runner.cleanup_orphan_cache(max_age=0)
    async with swarm.runner(image_repository=REPOSITORY) as other:
        progress.clear()
        assert await other.prepare(steps, on_progress=progress.append) == image
        assert (await other.run(steps)).success
    assert progress == []


@pytest.mark.usefixtures("registry")
async def test_several_runners_push_the_same(swarm: Swarm, steps: RunRequest) -> None:
    """Each tags the image, pushes it, and removes the tag: one may find it gone."""
    images = set[str]()

    async def prepare() -> None:
        async with swarm.runner(image_repository=REPOSITORY) as runner:
            images.add(await runner.prepare(steps))

    async with trio.open_nursery() as nursery:
        for _ in range(3):  # The registry itself fails under many more.
            nursery.start_soon(prepare)
    assert len(images) == 1
    assert REPOSITORY not in str([one["RepoTags"] for one in swarm.raw[0].images()])


async def test_a_registry_that_asks_who_it_is(swarm: Swarm, steps: RunRequest) -> None:
    """The nodes get the runner's own credentials with the service."""
    auth = {REGISTRY: RegistryAuth(username=USER, password=PASSWORD)}
    with running_registry(swarm.raw[0], {USER: PASSWORD}, address=REGISTRY):
        async with swarm.runner(image_repository=REPOSITORY) as stranger:
            with pytest.raises(LightRunnerError, match="no basic auth") as raised:
                await stranger.run(steps)
            assert (raised.value.code, raised.value.docker_op) == (LightRunnerErrorCode.BUILD_FAILED, "image_push")
        async with swarm.runner(image_repository=REPOSITORY, registry_auth=auth) as runner:
            async with runner.warm(steps, size=3) as pool:
                assert (await pool.run(steps)).success
            assert (await runner.run(steps)).success


async def test_a_registry_that_is_not_there(swarm: Swarm, steps: RunRequest) -> None:
    async with swarm.runner(image_repository=REPOSITORY) as runner:
        with pytest.raises(LightRunnerError, match="connection refused") as raised:
            await runner.run(steps)
    assert (raised.value.code, raised.value.docker_op) == (LightRunnerErrorCode.BUILD_FAILED, "distribution_inspect")


async def test_without_a_repository(swarm: Swarm, steps: RunRequest) -> None:
    async with swarm.runner() as runner:
        with pytest.raises(LightRunnerError, match="image_repository") as raised:
            await runner.run(steps)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
