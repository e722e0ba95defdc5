"""`run_sync` and `map_sync`: runs for scripts and REPLs, without trio in the caller's code."""

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NoReturn

import trio

from .keywords import keywords_of
from .nurseries import open_bare_nursery
from .requests import RunnerOptions, RunRequest
from .results import LogCallback, OutputCallback, ProgressCallback, RunResult
from .runner import DockerRunner
from .runs.mapping import DEFAULT_IN_FLIGHT, MapItem, MapResults
from .trio_thread import TrioThread


class SyncOptions(RunnerOptions, frozen=True, kw_only=True):
    """The keywords of `run_sync`: the runner's, and those of its `run`."""

    on_log: LogCallback | None = None
    on_output: OutputCallback | None = None
    on_progress: ProgressCallback | None = None


@keywords_of(SyncOptions)
def run_sync(request: RunRequest, options: SyncOptions) -> RunResult:
    """Run one request with a new runner in a new event loop.

    Ctrl-C, and SIGTERM unless the program handles it, kill and remove the container, and then raise KeyboardInterrupt
    or SystemExit(143).

    Args:
        request: what to run.
        options: the keywords of `DockerRunner`, and `on_log`, `on_output` and `on_progress` of its `run`.

    Returns:
        The result.

    Raises:
        LightRunnerError: as `DockerRunner` and its `run`.
        SystemExit: on SIGTERM.
    """

    async def main() -> RunResult:
        async with _runner(options) as runner:
            return await runner.run(
                request, on_log=options.on_log, on_output=options.on_output, on_progress=options.on_progress
            )

    return trio.run(_until_sigterm, main)


class MapOptions(RunnerOptions, frozen=True, kw_only=True):
    """The keywords of `map_sync`: the runner's, and those of its `map`."""

    max_in_flight: int = DEFAULT_IN_FLIGHT
    ordered: bool = False
    retries: int = 0


@contextmanager
@keywords_of(MapOptions)
def map_sync(requests: Iterable[RunRequest], options: MapOptions) -> Generator[Iterator[MapItem]]:
    """Run many requests with a new runner, some at a time. Use as ``with``; it yields an iterator.

    ``for item in results`` yields one `MapItem` per request, as each ends. Leaving the block early, Ctrl-C, and
    SIGTERM unless the program handles it, abort the runs in flight and wait for their removal.

    Args:
        requests: an iterable, which is iterated in another thread.
        options: the keywords of `DockerRunner`, and `max_in_flight`, `ordered` and `retries` of its `map`.

    Raises:
        LightRunnerError: INVALID_REQUEST: an argument breaks a rule.
        SystemExit: on SIGTERM.
    """
    runner = _runner(options)
    opened: Future[MapResults] = Future()
    leave = trio.Event()

    async def main() -> None:
        try:
            source = _InThreads(requests)
            mapping = runner.map(
                source, max_in_flight=options.max_in_flight, ordered=options.ordered, retries=options.retries
            )
            async with runner, mapping as results:
                opened.set_result(results)
                await leave.wait()
        except BaseException as error:
            if not opened.done():
                opened.set_exception(error)
            raise

    thread = TrioThread()
    thread.start()
    with _exit_at_sigterm():
        try:
            mapping = thread.submit(main)
            results = opened.result()

            def items() -> Iterator[MapItem]:
                while (item := thread.submit(results.receive).future.result()) is not None:
                    yield item

            yield items()
            thread.soon(leave.set)
            mapping.future.result()
        finally:
            thread.stop()
            thread.finished.result()


class _InThreads(AsyncIterator[RunRequest]):
    """An iterable that may block, iterated in worker threads."""

    def __init__(self, requests: Iterable[RunRequest]) -> None:
        self._requests = iter(requests)

    async def __anext__(self) -> RunRequest:
        request = await trio.to_thread.run_sync(self._next, abandon_on_cancel=True)
        if request is None:
            raise StopAsyncIteration
        return request[0]

    def _next(self) -> tuple[RunRequest] | None:
        # In a tuple: whatever the iterable yields is not its end.
        for request in self._requests:
            return (request,)
        return None


@contextmanager
def _exit_at_sigterm() -> Generator[None]:
    """Raise SystemExit in the block at SIGTERM, as a terminated program exits."""
    if not _sigterm_is_ours():
        yield
        return

    def leave(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _runner(options: RunnerOptions) -> DockerRunner:
    """A runner with the options that are its own."""
    return DockerRunner(**{name: getattr(options, name) for name in RunnerOptions.__struct_fields__})


def _sigterm_is_ours() -> bool:
    # A handler other than the default is the program's own, and only the main thread can set one.
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.Handlers.SIG_DFL
    )


async def _until_sigterm(main: Callable[[], Awaitable[RunResult]]) -> RunResult:
    """Run `main`. On SIGTERM, cancel it, wait for its clean-up, and exit as a terminated program does."""
    if not _sigterm_is_ours():
        return await main()

    async def watch(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                # Further signals have no effect: the clean-up is bounded.
                scope.cancel()

    result: RunResult | None = None
    async with open_bare_nursery() as nursery:
        with trio.CancelScope() as scope:
            await nursery.start(watch, scope)
            result = await main()
        nursery.cancel_scope.cancel()
    if result is None:
        raise SystemExit(128 + signal.SIGTERM)
    return result
