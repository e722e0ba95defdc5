"""`run_sync`: one run for scripts and REPLs, without trio in the caller's code."""

import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .nurseries import open_bare_nursery
from .requests import RunRequest
from .results import LogCallback, ProgressCallback, RunResult
from .runner import DockerRunner


def run_sync(
    request: RunRequest,
    *,
    on_log: LogCallback | None = None,
    on_progress: ProgressCallback | None = None,
    **options: Any,
) -> RunResult:
    """Run one request in an event loop of its own, with a runner of its own.

    SIGTERM, where it would end the process, and Ctrl-C kill the container and remove it first; then SystemExit(143) or
    KeyboardInterrupt is raised.

    Args:
        request: what to run.
        on_log: as for `DockerRunner.run`.
        on_progress: as for `DockerRunner.run`.
        options: the keywords of `DockerRunner`.

    Returns:
        The result.

    Raises:
        LightRunnerError: as `DockerRunner` and its `run`.
        SystemExit: on SIGTERM.
    """

    async def main() -> RunResult:
        async with DockerRunner(**options) as runner:
            return await runner.run(request, on_log=on_log, on_progress=on_progress)

    return trio.run(_until_sigterm, main)


async def _until_sigterm(main: Callable[[], Awaitable[RunResult]]) -> RunResult:
    """Cancel `main` at SIGTERM, wait for its clean-up, and leave as a terminated program does."""
    # Another handler than the default is the program's own way to end, and is left alone; threads cannot have one.
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
                # Further ones change nothing: the clean-up that is under way is bounded.
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
