"""Fixtures for runs in warm containers and prepared networks."""

import pytest

from lightrunner import DockerRunner
from tests.runs.conftest import committed_image, image_variant, make_runner, plain_network, runner
from tests.warm.number_factory import Factory
from tests.warm.ways import Run, Way, awaited, cold, prepared, started, warm

__all__ = ["committed_image", "image_variant", "make_runner", "plain_network", "runner"]  # the same as for cold runs


@pytest.fixture
def factory() -> Factory:
    """What a pool's things come from, and go back to."""
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
