"""What asyncio programs are tested with: a runner, not yet open."""

from collections.abc import Callable
from functools import partial

import pytest

from lightrunner.asyncio import DockerRunner
from tools.raw_engine import RawEngine

MakeRunner = Callable[..., DockerRunner]


@pytest.fixture
def make_runner(
    engine_host: str,
    daemon_clean: RawEngine,  # noqa: ARG001 - it looks after the test
) -> MakeRunner:
    """What makes runners with options, yet to be opened. After the test nothing of their runs is on the daemon."""
    return partial(DockerRunner, host=engine_host)
