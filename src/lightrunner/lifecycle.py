"""One run, in order: the story of the library, readable from top to bottom.

    launch: image, network, create, seed -> attach, wait, start -> output and exit -> extract -> removal

Whatever happens on the way, the removal happens.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager

import trio

from .engine import (
    AttachedStream,
    EngineClient,
    EngineUnreachable,
    PendingExit,
)
from .engine.wire import ContainerWaitResponse
from .errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from .execution import Execution, no_exit_error
from .extract import extract
from .launch import Launch
from .models import ExtractResult, LogCallback, ProgressCallback, RunResult
from .networks import IsolatedNetwork
from .output import Output
from .rules.limits import KILL_TIMEOUT
from .spec import RunPlan, Sandbox
from .tasks import open_bare_nursery, protected

StartedStatus = trio.TaskStatus[Execution]


class Run:
    """One run of a checked request. `run` is called once."""

    def __init__(
        self,
        engine: EngineClient,
        isolated_network: IsolatedNetwork,
        plan: RunPlan,
        sandbox: Sandbox,
        *,
        on_log: LogCallback | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._sandbox = sandbox
        self._on_log = on_log
        self._launch = Launch(engine, isolated_network, plan, sandbox, on_progress=on_progress)
        self._execution: Execution | None = None
        self._timed_out = False

    async def run(self, task_status: StartedStatus) -> RunResult:
        """The whole story.

        Raises:
            LightRunnerError: what failed, with nothing left on the daemon.
            Exception: what a callback raised.
        """
        outcome: RunResult | Exception | None = None
        try:
            result = outcome = await self._live(task_status)
        except Exception as error:
            outcome = error
            raise
        finally:
            await self._launch.remove()
            if self._execution is not None:
                self._execution.finish(outcome)
        return result

    async def _live(self, task_status: StartedStatus) -> RunResult:
        image, user = await self._launch.ensure_image()
        return await self._launch.use_container(image, user, lambda made: self._use(made, task_status))

    async def _use(self, container_id: str, task_status: StartedStatus) -> RunResult:
        async with self._started(container_id) as (attached, pending):
            self._execution = execution = Execution(self._engine, self._launch.id, container_id)
            task_status.started(execution)
            output = Output(self._on_log, capture=self._plan.capture_output)
            with self._launch.phase("run"):
                exit_code, duration = await self._attend(execution, attached, pending, output)
        oom_killed = await self._was_oom_killed(container_id)
        extracted: list[ExtractResult] = []
        if exit_code == 0 and not (execution.cancelled or self._timed_out):
            with self._launch.phase("extract"):
                await self._extract(execution, extracted)
        return self._result(execution.seal(), exit_code, duration, output, extracted, oom_killed=oom_killed)

    # --- from the start to the exit -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _started(self, container_id: str) -> AsyncGenerator[tuple[AttachedStream | None, PendingExit]]:
        """Attach, wait for the next exit, start: in this order, or output and exit code can be missed."""
        async with AsyncExitStack() as stack:
            attached = None
            if self._on_log is not None or self._plan.capture_output or self._plan.input is not None:
                with self._launch.phase("attach"), self._mapped("container_attach", container_id):
                    attaching = self._engine.container_attach(container_id, stdin=self._plan.input is not None)
                    attached = await stack.enter_async_context(attaching)
            with self._launch.phase("attach"), self._mapped("container_wait", container_id):
                waiting = self._engine.container_wait(container_id, condition="next-exit")
                pending = await stack.enter_async_context(waiting)
            await self._launch.start(container_id)
            yield attached, pending

    async def _attend(
        self, execution: Execution, attached: AttachedStream | None, pending: PendingExit, output: Output
    ) -> tuple[int, float]:
        """Feed, read, enforce the time-out, until the exit code is told, the output ended, and all of it delivered."""
        started = time.monotonic()
        async with open_bare_nursery() as readers:
            if attached is not None:
                readers.start_soon(protected, self._read, output, attached, execution.container_id)
                if self._on_log is not None:
                    # Not protected from Ctrl-C: the callback is the caller's code, and may never return.
                    readers.start_soon(output.deliver, self._on_log)
            async with open_bare_nursery() as watchers:
                watchers.start_soon(protected, self._watch, execution)
                if attached is not None and self._plan.input is not None:
                    watchers.start_soon(protected, _feed, attached, self._plan.input)
                exit_status = await self._exit_status(pending, execution.container_id)
                duration = time.monotonic() - started
                execution.set_exited()
                output.container_exited()
                watchers.cancel_scope.cancel()  # Nobody is left to kill, nor to read an input.
        return exit_status.status_code, duration

    async def _exit_status(self, pending: PendingExit, container_id: str) -> ContainerWaitResponse:
        with self._mapped("container_wait", container_id, LightRunnerErrorCode.RUN_FAILED):
            status = await pending.result()
        if status.error is not None and status.error.message:
            raise LightRunnerError(
                LightRunnerErrorCode.RUN_FAILED,
                f"container_wait: {status.error.message}",
                docker_op="container_wait",
                container_id=container_id,
            )
        return status

    async def _read(self, output: Output, attached: AttachedStream, container_id: str) -> None:
        with self._mapped("container_attach", container_id, LightRunnerErrorCode.RUN_FAILED):
            await output.read(attached)

    async def _watch(self, execution: Execution) -> None:
        """Kill at the time-out or at `Execution.cancel`, and give up where no exit follows."""
        with trio.move_on_after(self._plan.timeout) as scope:
            await execution.wait_cancel_requested()
        # Shielded: the daemon answers after the exit, which ends this task; and only the answer tells whether it was
        # this kill that made the container exit.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
            if await execution.kill("SIGKILL"):
                self._timed_out = scope.cancelled_caught
        await trio.sleep(KILL_TIMEOUT)
        raise no_exit_error(execution.container_id)

    # --- after the exit -------------------------------------------------------------------------------------------

    async def _was_oom_killed(self, container_id: str) -> bool:
        # The exit code cannot tell: 137 is any SIGKILL, and a child may have been killed where the process was not.
        with self._mapped("container_inspect", container_id, LightRunnerErrorCode.RUN_FAILED):
            return (await self._engine.container_inspect(container_id)).state.oom_killed

    async def _extract(self, execution: Execution, extracted: list[ExtractResult]) -> None:
        with execution.extract_scope:
            for plan in self._plan.extracts:
                done = await extract(
                    self._engine,
                    execution.container_id,
                    plan,
                    run_id=self._launch.id,
                    max_bytes=self._sandbox.max_extract_bytes,
                )
                extracted.append(done)  # One by one: a cancellation keeps what has landed.

    def _result(
        self,
        cancelled: bool,  # noqa: FBT001
        exit_code: int,
        duration: float,
        output: Output,
        extracted: list[ExtractResult],
        *,
        oom_killed: bool,
    ) -> RunResult:
        captured = output.captured
        return RunResult(
            success=exit_code == 0 and not cancelled and not self._timed_out,
            exit_code=exit_code,
            duration=duration,
            cancelled=cancelled,
            timed_out=self._timed_out,
            oom_killed=oom_killed,
            extracted=tuple(extracted) or None,
            stdout=captured["stdout"].value() if captured else None,
            stderr=captured["stderr"].value() if captured else None,
            stdout_truncated=bool(captured and captured["stdout"].truncated),
            stderr_truncated=bool(captured and captured["stderr"].truncated),
            timings=self._launch.timings,
        )

    @staticmethod
    def _mapped(
        operation: str, container_id: str, code: LightRunnerErrorCode = LightRunnerErrorCode.CONTAINER_START_FAILED
    ) -> AbstractContextManager[None]:
        return mapped_errors(code, operation, container_id=container_id)


async def _feed(attached: AttachedStream, data: bytes | memoryview) -> None:
    """Write the input, then end of file."""
    try:
        await attached.send_all(data)
        attached.send_eof()
    except EngineUnreachable:
        # The container does not read on: it closed its stdin, or exited. If it is the daemon that is gone, the reader
        # and the wait say so.
        return
