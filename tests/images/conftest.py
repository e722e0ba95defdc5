"""Fixtures for setup steps: a state folder and a cache, both removed after the test."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lightrunner import DockerRunner
from lightrunner.rules.limits import STATE_DIR_VARIABLE
from tests.images.builds import Daemon
from tests.runs.conftest import MakeRunner, committed_image, image_variant, run, runner
from tools.raw_engine import RawEngine

__all__ = [
    "committed_image",
    "image_variant",
    "run",
    "runner",
]  # as for cold runs, with the `make_runner` below


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, which is not there yet."""
    folder = tmp_path / "state"
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(folder))
    return folder


@pytest.fixture
def unusable_state_dir(state_dir: Path) -> Path:
    """The state folder cannot be made: a file is in its place. (Root may write whatever the modes say.)"""
    state_dir.write_text("a file")
    return state_dir


@pytest.fixture
def daemon(daemon_clean: RawEngine) -> Iterator[Daemon]:
    """What the daemon did and holds. After the test no container is there, and the test's images are removed."""
    daemon = Daemon(daemon_clean)
    yield daemon
    try:
        daemon.assert_no_containers()
    finally:
        daemon.remove_images()


@pytest.fixture
def make_runner(
    engine_host: str,
    daemon: Daemon,  # noqa: ARG001 - it looks after the test
) -> MakeRunner:
    """Runners with options."""
    return partial(DockerRunner, host=engine_host)
