"""`run_sync`: one run for scripts and REPLs, without trio in the caller's code."""

import signal
import threading
from collections.abc import Awaitable, Callable

import trio

from .keywords import keywords_of
from .nurseries import open_bare_nursery
from .requests import RunnerOptions, RunRequest
from .results import LogCallback, OutputCallback, ProgressCallback, RunResult
from .runner import DockerRunner


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
        async with DockerRunner(**{name: getattr(options, name) for name in RunnerOptions.__struct_fields__}) as runner:
            return await runner.run(
                request, on_log=options.on_log, on_output=options.on_output, on_progress=options.on_progress
            )

    return trio.run(_until_sigterm, main)


async def _until_sigterm(main: Callable[[], Awaitable[RunResult]]) -> RunResult:
    """Run `main`. On SIGTERM, cancel it, wait for its clean-up, and exit as a terminated program does."""
    # A handler other than the default belongs to the program, and only the main thread can set one.
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.Handlers.SIG_DFL
    )
    if not is_ours:
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
