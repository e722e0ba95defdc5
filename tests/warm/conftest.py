"""What runs in prepared containers and networks are tested with."""

from collections.abc import AsyncIterator

import pytest

from lightrunner import DockerRunner
from tests.runs.conftest import committed_image, image_variant
from tests.warm.number_factory import Factory
from tests.warm.ways import Run, Way, awaited, cold, prepared, started, warm
from tools.raw_engine import RawEngine

__all__ = ["committed_image", "image_variant"]  # the same images as for cold runs


@pytest.fixture
async def runner(
    engine_host: str,
    daemon_clean: RawEngine,  # noqa: ARG001 - it looks after the test
) -> AsyncIterator[DockerRunner]:
    """A runner with the default options, open. After the test nothing of it is on the daemon."""
    async with DockerRunner(host=engine_host) as runner:
        yield runner


@pytest.fixture
def factory() -> Factory:
    """What a stock's things come from, and go back to."""
    return Factory()


@pytest.fixture(params=[cold, warm, prepared], ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Way:
    """One contract: the test that uses it runs in each way."""
    one: Way = request.param
    return one


@pytest.fixture(
    params=[(cold, awaited), (warm, awaited), (warm, started), (prepared, awaited), (prepared, started)],
    ids=lambda param: "-".join(function.__name__ for function in param),
)
def run(request: pytest.FixtureRequest, runner: DockerRunner) -> Run:
    """The same contract, over both shapes of the API."""
    way, shape = request.param
    one: Run = shape(runner, way)
    return one
