"""The blocks of docs/swarm.md run on a swarm."""

import inspect
from typing import Any

import pytest

from tests.docs.test_code_blocks import SWARM, blocks
from tests.swarm.conftest import Swarm

pytestmark = pytest.mark.private_engine


async def test_the_pages_blocks_run(swarm: Swarm) -> None:
    async with swarm.runner() as runner:
        names: dict[str, Any] = {"swarm": runner, "request": swarm.request("true")}
        for block in blocks(SWARM):
            outcome = eval(block.compiled(), names)  # noqa: S307 - the project's own text
            if inspect.isawaitable(outcome):
                await outcome
    assert names["result"].success
