"""Fixtures for whole runs: a runner, both shapes of its API, and images that differ in one property."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest

from lightrunner import DockerRunner
from tests.runs.shell_runs import Run, awaited, started
from tools.images import BUSYBOX_PACKAGES, PATH, rootfs
from tools.raw_engine import RawEngine

MakeRunner = Callable[..., DockerRunner]
ImageVariant = Callable[..., str]
CommittedImage = Callable[..., str]

PLAIN = "lightrunner-test-plain"
"""The name of `plain_network`."""


@pytest.fixture
def make_runner(
    engine_host: str,
    daemon_clean: RawEngine,  # noqa: ARG001 - it looks after the test
) -> MakeRunner:
    """Runners with options: ``make_runner(memory="32m")``. After the test nothing of their runs is on the daemon."""
    return partial(DockerRunner, host=engine_host)


@pytest.fixture
async def runner(make_runner: MakeRunner) -> AsyncIterator[DockerRunner]:
    """A runner with the default options, open."""
    async with make_runner() as runner:
        yield runner


@pytest.fixture(params=[awaited, started])
def run(request: pytest.FixtureRequest, runner: DockerRunner) -> Run:
    """One contract: the test that uses it runs over ``await runner.run(…)`` and over ``nursery.start``."""
    shape: Callable[[DockerRunner], Run] = request.param
    return shape(runner)


@pytest.fixture(scope="module")
def plain_network(raw: RawEngine) -> Iterator[str]:
    """A bridge as Docker makes it, with traffic between its containers."""
    network_id = raw.json("POST", "/networks/create", json={"Name": PLAIN, "Driver": "bridge"})["Id"]
    yield PLAIN
    raw.request("DELETE", f"/networks/{network_id}")


@pytest.fixture(scope="session")
def image_variant(raw: RawEngine) -> ImageVariant:
    """Busybox with other settings: ``image_variant("as-app", "USER app")``."""
    files = rootfs(BUSYBOX_PACKAGES)  # Once: to find it takes a second.

    def ensure(name: str, *changes: str) -> str:
        tag = f"lightrunner-test/{name}:1"
        if not raw.has_image(tag):
            raw.import_image(tag, files, [PATH, *changes])
        return tag

    return ensure


@pytest.fixture(scope="session")
def committed_image(raw: RawEngine, busybox: str) -> CommittedImage:
    """An image after a script has changed its files: ``committed_image("linked", "ln -s /real /link", User="app")``."""

    def ensure(name: str, script: str, base: str = busybox, **config: object) -> str:
        tag = f"lightrunner-test/{name}"
        if not raw.has_image(f"{tag}:1"):
            body = {"Image": base, "Cmd": ["sh", "-ec", script], "HostConfig": {"NetworkMode": "none"}}
            container_id: str = raw.json("POST", "/containers/create", json=body)["Id"]
            raw.request("POST", f"/containers/{container_id}/start")
            assert raw.json("POST", f"/containers/{container_id}/wait")["StatusCode"] == 0
            raw.request("POST", "/commit", query={"container": container_id, "repo": tag, "tag": 1}, json=config)
            raw.remove_container(container_id)
        return f"{tag}:1"

    return ensure
