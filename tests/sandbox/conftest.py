"""What sandboxes are tested with: an open runner, and an open sandbox without a network."""

from collections.abc import AsyncIterator

import pytest

from lightrunner import DockerRunner, RunRequest, Sandbox
from tests.runs.conftest import committed_image, image_variant, make_runner, runner

__all__ = ["committed_image", "image_variant", "make_runner", "runner"]


@pytest.fixture
async def box(runner: DockerRunner, busybox: str) -> AsyncIterator[Sandbox]:
    """A sandbox with a shell and the usual tools."""
    async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
        yield box


@pytest.fixture
async def python_box(runner: DockerRunner, python_image: str) -> AsyncIterator[Sandbox]:
    """A sandbox with Python."""
    async with runner.sandbox(RunRequest(image=python_image, network="none")) as box:
        yield box
