"""One run, in order: the story of the library, readable from top to bottom.

    image, network -> create -> seed -> attach, wait, start -> output and exit -> extract -> removal

Whatever happens on the way, the removal happens.
"""

import time
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager

import trio

from .engine import (
    AttachedStream,
    EngineClient,
    EngineConflict,
    EngineNotFound,
    EngineResponseError,
    EngineUnreachable,
    PendingExit,
)
from .engine.wire import ContainerWaitResponse
from .errors import LightRunnerError, LightRunnerErrorCode, invalid_request, mapped_errors
from .execution import Execution
from .extract import extract
from .models import ExtractResult, LogCallback, ProgressCallback, RunResult, Timings
from .networks import IsolatedNetwork
from .output import Output
from .removal import remove_run
from .rules.limits import CREATE_TIMEOUT, KILL_TIMEOUT, NAME_PREFIX
from .seed import check_source, seed
from .spec import RunPlan, Sandbox, container_spec
from .steps import ensure_run_image
from .tasks import open_bare_nursery, protected

StartedStatus = trio.TaskStatus[Execution]


class _NetworkGoneError(Exception):
    """The isolated network was removed between the look and the start."""


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
        self.id = str(uuid.uuid4())
        self._engine = engine
        self._isolated_network = isolated_network
        self._plan = plan
        self._sandbox = sandbox
        self._on_log = on_log
        self._on_progress = on_progress
        self._timings = Timings()
        self._execution: Execution | None = None
        self._may_exist = False  # Whether the daemon may have something of this run.
        self._timed_out = False
        self._network_was_renewed = False

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
            await self._remove()
            if self._execution is not None:
                self._execution.finish(outcome)
        return result

    async def _live(self, task_status: StartedStatus) -> RunResult:
        if self._plan.source is not None:
            with invalid_request():
                await trio.to_thread.run_sync(check_source, self._plan.source)
        with self._phase("image"):
            image, found = await ensure_run_image(
                self._engine, self._plan, self._sandbox.build_timeout, self._on_progress
            )
        user = found.config.user if found.config is not None else ""
        try:
            return await self._attempt(image, user, task_status)
        except _NetworkGoneError:
            self._isolated_network.forget()
            await self._remove()
            return await self._attempt(image, user, task_status)

    async def _attempt(self, image: str, user: str, task_status: StartedStatus) -> RunResult:
        network_mode = await self._network_mode()
        container_id = await self._create(image, network_mode)
        await self._seed(container_id, user)
        async with self._started(container_id, network_mode) as (attached, pending):
            self._execution = execution = Execution(self._engine, self.id, container_id)
            task_status.started(execution)
            output = Output(self._on_log, capture=self._plan.capture_output)
            with self._phase("run"):
                exit_code, duration = await self._attend(execution, attached, pending, output)
        oom_killed = await self._was_oom_killed(container_id)
        extracted: list[ExtractResult] = []
        if exit_code == 0 and not (execution.cancelled or self._timed_out):
            with self._phase("extract"):
                await self._extract(execution, extracted)
        return self._result(execution.seal(), exit_code, duration, output, extracted, oom_killed=oom_killed)

    # --- before the start -----------------------------------------------------------------------------------------

    async def _network_mode(self) -> str:
        if self._plan.network is not None:
            return self._plan.network
        with self._phase("network"):
            return await self._isolated_network.ensure()

    async def _create(self, image: str, network_mode: str) -> str:
        """Create container and volume; the container's id.

        The answer is awaited shielded: a create that is cut off still happens, and would overtake its own removal.
        """
        body = container_spec(self._plan, self._sandbox, image=image, run_id=self.id, network_mode=network_mode)
        name = NAME_PREFIX + self.id
        container_id: str | None = None
        with self._phase("create"):
            self._may_exist = True
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CREATE_TIMEOUT), _create_errors(name):
                container_id = (await self._engine.container_create(body, name=name, platform=self._plan.platform)).id
            await trio.lowlevel.checkpoint_if_cancelled()
        if container_id is None:
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                f"container_create: no answer within {CREATE_TIMEOUT:g} s",
                docker_op="container_create",
            )
        return container_id

    async def _seed(self, container_id: str, user: str) -> None:
        with self._phase("seed"):
            await seed(
                self._engine,
                container_id,
                source=self._plan.source,
                ignore=self._plan.ignore,
                workdir=self._plan.workdir,
                user=user,
            )

    # --- from the start to the exit -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _started(
        self, container_id: str, network_mode: str
    ) -> AsyncGenerator[tuple[AttachedStream | None, PendingExit]]:
        """Attach, wait for the next exit, start: in this order, or output and exit code can be missed."""
        async with AsyncExitStack() as stack:
            with self._phase("attach"), self._mapped("container_attach", container_id):
                attached = None
                if self._reads_output or self._plan.input is not None:
                    attaching = self._engine.container_attach(container_id, stdin=self._plan.input is not None)
                    attached = await stack.enter_async_context(attaching)
            with self._phase("attach"), self._mapped("container_wait", container_id):
                pending = await stack.enter_async_context(
                    self._engine.container_wait(container_id, condition="next-exit")
                )
            with self._phase("start"), self._mapped("container_start", container_id):
                try:
                    await self._engine.container_start(container_id)
                except EngineNotFound as error:
                    # A network that is unknown shows here, not at the create.
                    if self._plan.network is None and network_mode in error.message and not self._network_was_renewed:
                        self._network_was_renewed = True
                        raise _NetworkGoneError from error
                    raise
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
        if await execution.kill("SIGKILL"):
            self._timed_out = scope.cancelled_caught
        await trio.sleep(KILL_TIMEOUT)
        raise LightRunnerError(
            LightRunnerErrorCode.RUN_FAILED,
            f"the container did not exit within {KILL_TIMEOUT:g} s of SIGKILL",
            docker_op="container_kill",
            container_id=execution.container_id,
        )

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
                    run_id=self.id,
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
            timings=self._timings,
        )

    async def _remove(self) -> None:
        if self._may_exist:
            with self._phase("cleanup"):
                self._may_exist = not await remove_run(self._engine, self.id)

    # --- helpers --------------------------------------------------------------------------------------------------

    @property
    def _reads_output(self) -> bool:
        return self._on_log is not None or self._plan.capture_output

    @contextmanager
    def _phase(self, name: str) -> Generator[None]:
        """Add the time of the block to a field of `Timings`."""
        begin = time.monotonic()
        try:
            yield
        finally:
            setattr(self._timings, name, getattr(self._timings, name) + time.monotonic() - begin)

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


@contextmanager
def _create_errors(name: str) -> Generator[None]:
    """A create makes the volume as well; an error that speaks of the volume has a code of its own."""
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_create"):
            yield
    except LightRunnerError as error:
        cause = error.__cause__
        is_conflict = isinstance(cause, EngineConflict)  # That is the container's name, which is the volume's, too.
        if isinstance(cause, EngineResponseError) and name in cause.message and not is_conflict:
            error.code = LightRunnerErrorCode.VOLUME_CREATE_FAILED
        raise
