"""A runner whose detached runs are kept in a folder of the test's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lightrunner import DockerRunner
from tests.detached.state_folder import leftovers
from tools.raw_engine import RawEngine


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, not made yet. After the test it holds states, and nothing of processes at work."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(folder))
    yield folder
    assert leftovers(folder) == set()


@pytest.fixture
async def runner(
    engine_host: str,
    daemon_clean: RawEngine,  # noqa: ARG001 - it looks after the test
) -> AsyncIterator[DockerRunner]:
    """A runner, open. After the test nothing of its runs is on the daemon: whoever detaches one sees to its end."""
    async with DockerRunner(host=engine_host) as runner:
        yield runner
