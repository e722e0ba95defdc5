"""A runner whose detached runs are kept in a folder of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.detached.state_folder import leftovers
from tests.runs.conftest import make_runner, runner

__all__ = ["make_runner", "runner"]  # whoever detaches a run sees to its end: the daemon is to be clean after the test


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, not made yet. After the test it holds states, and nothing of processes at work."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(folder))
    yield folder
    assert leftovers(folder) == set()
