"""The client under test, on the engine that all tests share."""

from collections.abc import AsyncIterator

import pytest

from lightrunner.engine import EngineClient


@pytest.fixture
async def client(engine_host: str) -> AsyncIterator[EngineClient]:
    """A client of the real engine."""
    async with EngineClient(engine_host) as client:
        yield client
