"""`Execution`: the handle of a run that has started."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.results import RunResult
from lightrunner.rules.limits import STOP_GRACE
from lightrunner.runs.handle import Execution as TrioExecution
from lightrunner.runs.run import StartedStatus

from .bridge import Bridge


class Execution:
    """A started run, as ``await runner.start(request)`` returns it.

    The run belongs to its runner's block, which waits for it or aborts it. Call the methods from any task of the event
    loop, at any time. On a finished run they do nothing.

    Attributes:
        id: the run's id; its container and volume are named ``light-runner-<id>``.
        container_id: the daemon's id of the container.
    """

    def __init__(self, bridge: Bridge, execution: TrioExecution, task: asyncio.Task[RunResult]) -> None:
        self.id = execution.id
        self.container_id = execution.container_id
        self._bridge = bridge
        self._execution = execution
        self._task = task

    def __repr__(self) -> str:
        return repr(self._execution)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` or `stop` took effect before the run ended."""
        return self._execution.cancelled

    def cancel(self) -> None:
        """Kill the container with SIGKILL, soon. The run then ends with `cancelled` True, and extracts nothing."""
        self._bridge.soon(self._execution.cancel)

    async def stop(self, signal: str = "SIGTERM", grace: float = STOP_GRACE) -> None:
        """Stop the container, as `lightrunner.Execution.stop` does."""
        await self._bridge.call(self._execution.stop, signal, grace)

    async def pause(self) -> None:
        """Freeze the container's processes, unless they are frozen. The time-out continues to count."""
        await self._bridge.call(self._execution.pause)

    async def resume(self) -> None:
        """Thaw the container's processes, if they are frozen."""
        await self._bridge.call(self._execution.resume)

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal, in characters, as `lightrunner.Execution.resize` does."""
        await self._bridge.call(self._execution.resize, rows, columns)

    async def wait(self) -> RunResult:
        """Wait for the run to end. Return what `DockerRunner.run` returns, or raise what it raises.

        Cancelling this does not affect the run. The exception of a run that nobody waits for goes to the event loop's
        exception handler, which logs it.

        Raises:
            LightRunnerError: RUN_ABORTED: the runner's block or the event loop ended before the run. Otherwise as
                `DockerRunner.run`.
        """
        await asyncio.wait([self._task])
        if self._task.cancelled():
            raise LightRunnerError(
                LightRunnerErrorCode.RUN_ABORTED,
                f"the run {self.id} was aborted before it had a result",
                container_id=self.container_id,
            )
        return self._task.result()


class StartedRuns:
    """The runs that a runner, or a pool, has started in the background: their tasks' owner.

    A context manager: an exception that leaves its block aborts them, and their own exceptions are then no news.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._tasks: set[asyncio.Task[RunResult]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for task in self._tasks:
                task.add_done_callback(_retrieve)

    async def start(self, run: Callable[[StartedStatus], Awaitable[RunResult]]) -> Execution:
        """Start a run, and return its handle once the daemon has started the container."""
        started, task = await self._bridge.start(run)
        self._tasks.add(task)  # The loop itself keeps weak references alone.
        task.add_done_callback(self._tasks.discard)
        return Execution(self._bridge, started, task)


def _retrieve(task: asyncio.Task[RunResult]) -> None:
    if not task.cancelled():
        task.exception()
