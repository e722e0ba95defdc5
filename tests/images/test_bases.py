"""Base images of setup steps: by tag, id or digest, present or pulled, of the daemon's or another platform."""

from collections.abc import Iterator

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from tests.images.builds import Daemon, Lines, with_steps
from tools.raw_engine import RawEngine
from tools.registry import Registry, running_registry

NAME = "steps/base"


@pytest.fixture(scope="module")
def registry(raw: RawEngine) -> Iterator[Registry]:
    with running_registry(raw) as registry:
        yield registry


@pytest.fixture
def digest(registry: Registry, busybox: str, raw: RawEngine) -> Iterator[str]:
    """Of an image that the registry has, and the engine has not."""
    digest = registry.push(busybox, NAME, "1")
    yield digest
    for reference in (f"{registry.address}/{NAME}:1", f"{registry.address}/{NAME}@{digest}"):
        raw.request("DELETE", f"/images/{reference}", ok={200, 404})


async def test_by_id(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    image: str = daemon.raw.get(f"/images/{busybox}/json")["Id"]
    result = await runner.run(with_steps(image, "echo made > /file", script="cat /file"))
    assert result.stdout == b"made\n"


async def test_by_digest(runner: DockerRunner, registry: Registry, digest: str, daemon: Daemon) -> None:
    request = with_steps(f"{registry.address}/{NAME}@{digest}", "echo made > /file", script="cat /file")
    assert (await runner.run(request)).stdout == b"made\n"
    daemon.forget_actions()
    assert (await runner.run(request)).stdout == b"made\n"
    assert "image tag" not in daemon.actions()


@pytest.mark.usefixtures("digest")
async def test_a_missing_base_is_pulled_with_progress(runner: DockerRunner, registry: Registry) -> None:
    lines = Lines()
    await runner.prepare(with_steps(f"{registry.address}/{NAME}:1", "true"), on_progress=lines)
    pulled = next(at for at, text in enumerate(lines.texts) if text.startswith("Status: Downloaded newer image"))
    assert lines.texts.index(f"Step 1/3 : FROM {registry.address}/{NAME}:1") > pulled


async def test_a_base_that_cannot_be_pulled(runner: DockerRunner, registry: Registry, daemon: Daemon) -> None:
    with pytest.raises(LightRunnerError, match="not found") as raised:
        await runner.run(with_steps(f"{registry.address}/steps/nowhere:1", "true"))
    assert raised.value.code is LightRunnerErrorCode.IMAGE_PULL_FAILED
    assert daemon.tags() == []


async def test_the_engines_platform_by_name(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    found = daemon.raw.get(f"/images/{busybox}/json")
    platform = f"{found['Os']}/{found['Architecture']}"
    request = with_steps(busybox, "echo made > /file", script="cat /file", platform=platform)
    assert (await runner.run(request)).stdout == b"made\n"
    assert await runner.prepare(with_steps(busybox, "echo made > /file")) != await runner.prepare(request)


@pytest.mark.usefixtures("digest")
async def test_another_platform(runner: DockerRunner, registry: Registry, daemon: Daemon) -> None:
    with pytest.raises(LightRunnerError, match="linux/s390x") as raised:
        await runner.run(with_steps(f"{registry.address}/{NAME}:1", "true", platform="linux/s390x"))
    assert raised.value.code is LightRunnerErrorCode.IMAGE_PULL_FAILED
    assert daemon.tags() == []
