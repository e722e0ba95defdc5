"""Run many requests, some at a time: what `DockerRunner.map` does with `DockerRunner.run`.

A context manager, and not an async generator that ``async for`` iterates bare: the runs need a nursery, and a generator
that yields inside a nursery leaves its runs behind when the loop is left early, until it is garbage collected
(https://trio.readthedocs.io/en/stable/reference-core.html#cancel-scopes-and-nurseries).
"""

import random
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple, Self, TypeVar

import msgspec
import trio

from lightrunner.engine import EngineResponseError
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.nurseries import open_bare_nursery
from lightrunner.requests import RunRequest
from lightrunner.results import RunResult
from lightrunner.rules.sizes import parse_count
from lightrunner.rules.violation import RuleViolation

T = TypeVar("T")

Requests = Iterable[RunRequest] | AsyncIterable[RunRequest]

DEFAULT_IN_FLIGHT = 8

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds before a retry, doubled each time: a daemon restarts in 2 to 5 s."""

_DAEMONS = {
    LightRunnerErrorCode.DOCKER_UNREACHABLE,
    LightRunnerErrorCode.VOLUME_CREATE_FAILED,
    LightRunnerErrorCode.RUN_FAILED,
    LightRunnerErrorCode.EXTRACT_FAILED,
}
"""Codes that tell of the daemon alone."""

_EITHERS = {LightRunnerErrorCode.CONTAINER_START_FAILED, LightRunnerErrorCode.IMAGE_PULL_FAILED}
"""Codes of the daemon or of the request, as the daemon's status tells."""


class MapItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request of `DockerRunner.map`: a result, or an error.

    Attributes:
        index: the request's place in the iterable, from 0.
        request: the request.
        result: its result, also for a non-zero exit code; None if there is an error.
        error: why there is no result; None if there is one.
        attempts: how many runs it took, the last included.
    """

    index: int
    request: RunRequest
    result: RunResult | None = None
    error: LightRunnerError | None = None
    attempts: int = 1

    def unwrap(self) -> RunResult:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class MapProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a `DockerRunner.map` is.

    Attributes:
        taken: requests taken from the iterable.
        finished: requests that have a result or an error.
        failed: those with an error.
        retries: runs that were repeated.
        exhausted: the iterable has ended, so that `taken` is the total.
    """

    taken: int = 0
    finished: int = 0
    failed: int = 0
    retries: int = 0
    exhausted: bool = False


class MapPlan(NamedTuple):
    """The checked arguments of a map."""

    max_in_flight: int
    ordered: bool
    retries: int


def check_map(max_in_flight: object, ordered: object, retries: object) -> MapPlan:
    """Check the arguments of a map.

    Raises:
        RuleViolation: one of them breaks a rule.
    """
    if not isinstance(ordered, bool):
        raise RuleViolation("ordered", ordered, "neither True nor False")
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise RuleViolation("retries", retries, "not a number from 0 up")
    return MapPlan(parse_count("max_in_flight", max_in_flight), ordered, retries)


class MapResults:
    """An async iterator of one `MapItem` per request. `DockerRunner.map` yields it.

    Attributes:
        progress: how far the map is.
    """

    def __init__(
        self, run: Callable[[RunRequest], Awaitable[RunResult]], requests: AsyncIterator[RunRequest], plan: MapPlan
    ) -> None:
        self.progress = MapProgress()
        self._run = run
        self._requests = requests
        self._plan = plan
        self._slots = trio.Semaphore(plan.max_in_flight)
        self._send, self._receive = trio.open_memory_channel[MapItem](0)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MapItem:
        item = await self.receive()
        if item is None:
            raise StopAsyncIteration
        return item

    async def receive(self) -> MapItem | None:
        """Wait for the next item; None at the end."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return None

    # --- for the map's block --------------------------------------------------------------------------------------

    async def run_all(self) -> None:
        """Run every request, and send its item."""
        # Closed without a checkpoint: a consumer that leaves at the end of the items cancels this task.
        with self._send:
            async with open_bare_nursery() as nursery:
                await self._start_runs(nursery)

    async def _start_runs(self, nursery: trio.Nursery) -> None:
        # A slot is taken before a request is, and given back when the request's item has been received.
        previous = trio.Event()
        previous.set()
        index = 0
        while True:
            await self._slots.acquire()
            try:
                request = await anext(self._requests)
            except StopAsyncIteration:
                self.progress = msgspec.structs.replace(self.progress, exhausted=True)
                return
            if not isinstance(request, RunRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"requests[{index}] is a {type(request).__name__}, not a RunRequest")
            self._count(taken=1)
            sent = trio.Event()
            nursery.start_soon(self._run_one, index, request, previous, sent)
            previous = sent
            index += 1

    async def _run_one(self, index: int, request: RunRequest, previous: trio.Event, sent: trio.Event) -> None:
        item = await self._attempt(index, request)
        self._count(finished=1, failed=int(item.error is not None))
        if self._plan.ordered:
            await previous.wait()
        await self._send.send(item)
        sent.set()
        self._slots.release()

    async def _attempt(self, index: int, request: RunRequest) -> MapItem:
        pause = _FIRST_PAUSE
        attempt = 1
        while True:
            try:
                result = await self._run(request)
            except LightRunnerError as error:
                if attempt > self._plan.retries or not is_daemons_failure(error):
                    return MapItem(index=index, request=request, error=error, attempts=attempt)
            else:
                return MapItem(index=index, request=request, result=result, attempts=attempt)
            self._count(retries=1)
            await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - it only spreads the load
            pause = min(2 * pause, _LONGEST_PAUSE)
            attempt += 1

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.progress, name) + number for name, number in more.items()}
        self.progress = msgspec.structs.replace(self.progress, **counts)


@asynccontextmanager
async def open_map(
    run: Callable[[RunRequest], Awaitable[RunResult]], requests: Requests, plan: MapPlan
) -> AsyncGenerator[MapResults]:
    """Run requests in tasks of this block. Leaving it early aborts those in flight."""
    results = MapResults(run, iterate(requests), plan)
    async with open_bare_nursery() as nursery:
        nursery.start_soon(results.run_all)
        yield results
        nursery.cancel_scope.cancel()


def iterate(values: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """An async iterator over either kind of iterable."""
    return aiter(values) if isinstance(values, AsyncIterable) else _Iterator(values)


class _Iterator(AsyncIterator[T]):
    """An iterable's iterator, made async. (A generator would have to be closed.)"""

    def __init__(self, values: Iterable[T]) -> None:
        self._values = iter(values)

    async def __anext__(self) -> T:
        try:
            return next(self._values)
        except StopIteration:
            raise StopAsyncIteration from None


def is_daemons_failure(error: LightRunnerError) -> bool:
    """Whether the daemon has failed, and not the request or its code: another attempt may succeed."""
    cause = error.__cause__
    is_server_error = isinstance(cause, EngineResponseError) and cause.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return error.code in _DAEMONS or (error.code in _EITHERS and is_server_error)
