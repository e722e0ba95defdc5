"""`MapResults`: the items of `DockerRunner.map`."""

import contextvars
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Self, TypeVar

from lightrunner.runs.mapping import MapItem, MapProgress, iterate
from lightrunner.runs.mapping import MapResults as TrioMapResults

from .bridge import Bridge

T = TypeVar("T")


class MapResults:
    """An async iterator of one `MapItem` per request. `DockerRunner.map` yields it."""

    def __init__(self, bridge: Bridge, results: TrioMapResults) -> None:
        self._bridge = bridge
        self._results = results

    @property
    def progress(self) -> MapProgress:
        """How far the map is."""
        return self._results.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MapItem:
        item = await self.receive()
        if item is None:
            raise StopAsyncIteration
        return item

    async def receive(self) -> MapItem | None:
        """Wait for the next item; None at the end."""
        return await self._bridge.call(self._results.receive)


class HomeIterator(AsyncIterator[T]):
    """Values that the trio thread takes one by one, and that are iterated in the asyncio loop."""

    def __init__(self, bridge: Bridge, values: Iterable[T] | AsyncIterable[T]) -> None:
        self._bridge = bridge
        self._values = iterate(values)
        self._context = contextvars.copy_context()

    async def __anext__(self) -> T:
        value = await self._bridge.call_home(self._take, context=self._context)
        if value is None:
            raise StopAsyncIteration
        return value[0]

    async def _take(self) -> tuple[T] | None:
        # In a tuple: whatever the iterable yields is not its end.
        try:
            return (await anext(self._values),)
        except StopAsyncIteration:
            return None
