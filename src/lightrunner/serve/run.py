"""One run, from its admission to the time when it is forgotten."""

import logging
import math
import time
from http import HTTPStatus
from pathlib import Path

import trio

from lightrunner import DockerRunner, Execution, LightRunnerError, RunRequest
from lightrunner.nurseries import open_bare_nursery

from .backlog import Backlog
from .messages import ErrorView, ResultView, RunView, State, aborted_view, error_view, internal_error_view, result_view
from .problems import Problem

_logger = logging.getLogger(__name__)


class ServedRun:
    """A run that the server has.

    Attributes:
        id: its id.
        folder: holds its files.
        seed: the folder of those that came with the request.
        files: the folder of those that were extracted.
        output: its output.
        cancel_on_disconnect: whether clients that leave cancel it.
        ended: set when it has a result or an error, and nothing of it is on the daemon.
        ended_at: `trio.current_time` of that; infinity before.
        files_bytes: the size of its extracted files.
    """

    def __init__(self, run_id: str, folder: Path, *, backlog_bytes: int, cancel_on_disconnect: bool) -> None:
        self.id = run_id
        self.folder = folder
        self.seed = folder / "seed"
        self.files = folder / "files"
        self.output = Backlog(backlog_bytes)
        self.cancel_on_disconnect = cancel_on_disconnect
        self.ended = trio.Event()
        self.ended_at = math.inf
        self.files_bytes = 0
        self._created = time.time()
        self._scope = trio.CancelScope()
        self._execution: Execution | None = None
        self._state: State = "queued"
        self._result: ResultView | None = None
        self._error: ErrorView | None = None

    def view(self) -> RunView:
        """Return the run for clients."""
        run_id = self._execution.id if self._execution else None
        return RunView(
            id=self.id,
            state=self._state,
            run_id=run_id,
            created=self._created,
            result=self._result,
            error=self._error,
        )

    def cancel(self) -> None:
        """Kill the run, or take it out of the queue."""
        if self._execution is not None:
            self._execution.cancel()
        else:
            self._scope.cancel()

    async def stop(self, signal: str, grace: float) -> None:
        """Send a signal, then SIGKILL, and wait for the exit. A run that has not started is cancelled."""
        if self._execution is None:
            self.cancel()
        else:
            await self._execution.stop(signal, grace)

    async def pause(self) -> None:
        """Freeze the run. Raise a 409 if it has not started."""
        await self._started().pause()
        self._note_pause("paused")

    async def resume(self) -> None:
        """Thaw the run. Raise a 409 if it has not started."""
        await self._started().resume()
        self._note_pause("running")

    async def go(self, runner: DockerRunner, request: RunRequest, limiter: trio.CapacityLimiter) -> None:
        """Wait for a place, and run. Whatever fails is the run's error."""
        error = aborted_view()
        try:
            with self._scope:
                async with limiter:
                    self._state = "starting"
                    await self._start_and_wait(runner, request)
        except LightRunnerError as failure:
            error = error_view(failure, self.folder)
        except Exception:  # One run's failure must not end the others. The log has it whole.
            _logger.exception("run %s failed", self.id)
            error = internal_error_view()
        finally:
            if self._result is None:
                self._error = error
            self._state = "failed" if self._result is None else "finished"
            self.output.end()
            self.ended_at = trio.current_time()
            self.ended.set()

    async def _start_and_wait(self, runner: DockerRunner, request: RunRequest) -> None:
        async def attend(task_status: trio.TaskStatus[Execution]) -> None:
            result = await runner.run(request, on_output=self.output.add, task_status=task_status)
            self.files_bytes = sum(entry.bytes or 0 for entry in result.extracted or ())
            self._result = result_view(result, self.files)

        async with open_bare_nursery() as nursery:
            self._execution = await nursery.start(attend)
            self._state = "running"

    def _started(self) -> Execution:
        if self._execution is None:
            raise Problem(HTTPStatus.CONFLICT, f"the run is {self._state}")
        return self._execution

    def _note_pause(self, state: State) -> None:
        if self._state in {"running", "paused"}:
            self._state = state
