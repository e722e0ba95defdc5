"""One contract, on every engine: the fake one in memory, and the real one that the tests run on."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lightrunner import DockerRunner
from lightrunner.testing import FakeEngine
from tests.conftest import ours
from tests.contract.places import FakePlace, Place, RealPlace
from tests.runs.shell_runs import Run, awaited, started
from tools.images import BUSYBOX
from tools.raw_engine import RawEngine


class RealEngine(NamedTuple):
    """The real engine's URL, an oracle, and the tag of an image with a shell."""

    host: str
    raw: RawEngine
    image: str


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def real_engine(request: pytest.FixtureRequest) -> Iterator[RealEngine | None]:
    """The real engine; None: the test runs on the fake one. After the test nothing of it is on the daemon."""
    if request.param == "fake":
        yield None
        return
    host: str = request.getfixturevalue("engine_host")
    image: str = request.getfixturevalue("busybox")
    raw: RawEngine = request.getfixturevalue("raw")
    before = ours(raw)
    yield RealEngine(host, raw, image)
    left = ours(raw) - before
    assert not left, f"left on the daemon: {', '.join(sorted(left))}"


@pytest.fixture
async def place(real_engine: RealEngine | None) -> AsyncIterator[Place]:
    """Where the contract is checked."""
    if real_engine is not None:
        yield RealPlace(real_engine.host, real_engine.raw, real_engine.image)
        return
    async with FakeEngine(images=[BUSYBOX], registry=[]) as engine:
        place = FakePlace(engine, BUSYBOX)
        yield place
        assert not place.left()
    assert engine.open_connections == 0


@pytest.fixture
async def runner(place: Place) -> AsyncIterator[DockerRunner]:
    """A runner with the default options, open."""
    async with place.runner() as runner:
        yield runner


@pytest.fixture(params=[awaited, started])
def run(request: pytest.FixtureRequest, runner: DockerRunner) -> Run:
    """One request to its result, over ``await runner.run(…)`` and over ``nursery.start``."""
    shape: Callable[[DockerRunner], Run] = request.param
    return shape(runner)


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, of the test's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(folder))
    return folder
