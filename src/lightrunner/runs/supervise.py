"""Supervise a started container: write its stdin, read its output, enforce its time-out, extract its files."""

import math
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio

from lightrunner.engine import AttachedStream, EngineClient, EngineResponseError, EngineUnreachable
from lightrunner.engine.wire import ContainerState
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.extract import extract
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.results import ExtractResult, RunLimits, RunResult
from lightrunner.rules.limits import KILL_TIMEOUT, OUTPUT_END_TIMEOUT
from lightrunner.rules.verdict import Evidence, Outcome, Status, is_success, judge

from .cpu_time import wait_cpu_time_used
from .handle import Execution, no_exit_error
from .kills import explained
from .measure import usage_of
from .output import Listeners, Output
from .phases import Phases
from .prepare import Preparation
from .stdin import feed


class StartedContainer(NamedTuple):
    """A running container. `attached` is None if the run needs no streams; `since` is the start, on trio's clock."""

    id: str
    attached: AttachedStream | None
    since: float


@asynccontextmanager
async def start_container(
    engine: EngineClient,
    preparation: Preparation,
    container_id: str,
    *,
    attach: bool,
    stdin: bool,
    tty: bool = False,
) -> AsyncGenerator[StartedContainer]:
    """Attach, then start: the other order can lose output."""
    async with AsyncExitStack() as stack:
        attached = None
        if attach:
            code = LightRunnerErrorCode.CONTAINER_START_FAILED
            with preparation.phase("attach"), mapped_errors(code, "container_attach", container_id=container_id):
                attached = await stack.enter_async_context(
                    engine.container_attach(
                        container_id, stdin=stdin, tty=tty, detach_keys=_unguessable_keys() if tty else None
                    )
                )
        await preparation.start(container_id)
        yield StartedContainer(container_id, attached, trio.current_time())


def _unguessable_keys() -> str:
    """Return detach keys that no input has: by the daemon's own, an input could end the attach, and lose the output."""
    return ",".join(secrets.token_hex(16))


class Supervisor:
    """Supervises one run. Call `result` once."""

    def __init__(
        self,
        engine: EngineClient,
        phases: Phases,
        container: StartedContainer,
        plan: RunPlan,
        sandbox: Sandbox,
        *,
        listeners: Listeners,
        stdin: Sequence[bytes] = (),
        stdin_source: AsyncIterable[bytes] | None = None,
        closes_stdin: bool = True,
    ) -> None:
        """Supervise a container that has started.

        Args:
            engine: the daemon.
            phases: the run's id and its clock.
            container: the container.
            plan: the run.
            sandbox: its limits.
            listeners: the callbacks.
            stdin: what is written to the container first.
            stdin_source: yields what is written to it while it runs.
            closes_stdin: whether the end of stdin follows. Without StdinOnce that would be the end of the output too.
        """
        self.execution = Execution(engine, phases.id, container.id, tty=plan.tty_size is not None)
        self._engine = engine
        self._phases = phases
        self._container = container
        self._plan = plan
        self._sandbox = sandbox
        self._listeners = listeners
        self._stdin = stdin
        self._stdin_source = stdin_source
        self._closes_stdin = closes_stdin
        self._killed_for: Outcome | None = None
        self._is_fed = not stdin and stdin_source is None

    async def result(self) -> RunResult:
        """Supervise until the exit, then extract the files. Return the result."""
        measured = self._phases.measured
        output = Output(
            self._listeners,
            capture=self._plan.capture_output,
            since=self._container.since,
            limit=math.inf if self._plan.output_limit is None else self._plan.output_limit,
            on_over_limit=partial(self.execution.request_kill, Outcome.OUTPUT_LIMIT),
            nonce=measured.nonce if measured is not None else None,
        )
        with self._phases.phase("run"):
            if self._plan.tty_size is not None:
                await self.execution.resize(*self._plan.tty_size)
            state, duration = await self._supervise(output)
            evidence = await self._evidence(state, output)
        extracted: list[ExtractResult] = []
        if is_success(evidence):
            with self._phases.phase("extract"):
                await self._extract(extracted)
        evidence = evidence._replace(asked_for=self.execution.seal())
        verdict = judge(evidence)
        captured = output.captured
        return RunResult(
            success=is_success(evidence),
            exit_code=evidence.exit_code,
            duration=duration,
            outcome=verdict.outcome,
            signal=verdict.signal,
            cancelled=evidence.asked_for is not None,
            timed_out=verdict.outcome is Outcome.TIMED_OUT,
            oom_killed=evidence.oom_killed,
            limits=self._limits(),
            usage=usage_of(output.report) if measured is not None else None,
            extracted=tuple(extracted) or None,
            stdout=captured.bytes_of("stdout") if captured else None,
            stderr=captured.bytes_of("stderr") if captured else None,
            output=captured.chunks() if captured else None,
            stdout_truncated=bool(captured and captured.is_truncated("stdout")),
            stderr_truncated=bool(captured and captured.is_truncated("stderr")),
            output_truncated=bool(captured and captured.chunks_are_truncated),
            timings=self._phases.timings,
        )

    async def _evidence(self, state: ContainerState, output: Output) -> Evidence:
        """Collect what is known about the exit."""
        evidence = Evidence(
            state.exit_code,
            killed_for=self._killed_for,
            asked_for=self.execution.asked_for,
            over_output_limit=output.over_limit,
            oom_killed=state.oom_killed,
        )
        if (report := output.report) is not None:
            # The kernel's own count: it cannot come late.
            evidence = evidence._replace(
                oom_killed=state.oom_killed or bool(report.oom_kills), status=Status(report.exit_code, report.signal)
            )
        with self._mapped("container_inspect"):
            return await explained(self._engine, self._container.id, state, evidence)

    def _limits(self) -> RunLimits:
        plan = self._plan
        return RunLimits(
            timeout=None if math.isinf(plan.timeout) else plan.timeout,
            cpu_timeout=None if math.isinf(plan.cpu_timeout) else plan.cpu_timeout,
            memory=self._sandbox.memory_bytes,
            output=plan.output_limit,
        )

    async def _supervise(self, output: Output) -> tuple[ContainerState, float]:
        """Write, read, and enforce the time-out until the container has exited and all output is delivered."""
        attached = self._container.attached
        has_input = bool(self._stdin) or self._stdin_source is not None
        async with open_bare_nursery() as readers:
            if attached is not None:
                readers.start_soon(protected, self._read, output, attached)
                if self._listeners.are_there:
                    # Not protected from Ctrl-C: a callback is the caller's code and may never return.
                    readers.start_soon(output.deliver)
            async with open_bare_nursery() as watchers:
                watchers.start_soon(protected, self._watch)
                if self._plan.cpu_timeout < math.inf:
                    watchers.start_soon(protected, self._watch_cpu_time)
                if attached is not None and has_input:
                    watchers.start_soon(self._feed, attached)
                state = await self._exit(output)
                duration = trio.current_time() - self._container.since
                self.execution.set_exited()
                watchers.cancel_scope.cancel()  # Nothing is left to kill or to read the input.
        return state, duration

    async def _exit(self, output: Output) -> ContainerState:
        """Wait for the exit, and return the container's state.

        The state tells what the exit code cannot: 137 is any SIGKILL, and the kernel may have killed a child for its
        memory.

        With output, wait for its end first: a second connection for the life of the run would double the descriptors
        and memory of a process that holds hundreds of runs.
        """
        if self._container.attached is not None:
            await output.exit_is_due.wait()
            # The daemon ends the output while it handles the exit, and an inspect blocks until it has (80 times of 80
            # on 20.10), so one call is enough. A process that closes its output and lives on needs the wait below.
            if output.ended:
                state = await self._state()
                if state.status == "exited" and not state.error:
                    return state
        with self._mapped("container_wait"):
            async with self._engine.container_wait(self._container.id) as pending:
                status = await pending.result()
        if status.error is not None and status.error.message:
            raise LightRunnerError(
                LightRunnerErrorCode.RUN_FAILED,
                f"container_wait: {status.error.message}",
                docker_op="container_wait",
                container_id=self._container.id,
            )
        output.container_exited()
        return await self._state()

    async def _state(self) -> ContainerState:
        with self._mapped("container_inspect"):
            return (await self._engine.container_inspect(self._container.id)).state

    async def _read(self, output: Output, attached: AttachedStream) -> None:
        with self._mapped("container_attach"):
            await output.read(attached)
            if output.is_wanted or not self._is_fed:
                await self._check_ended()

    async def _check_ended(self) -> None:
        """Raise if the output has ended and the container lives on: something on the way to the daemon has ended it.

        A proxy does so after some time without output, and closes a Unix socket as cleanly as the daemon does.
        """
        with trio.move_on_after(OUTPUT_END_TIMEOUT):
            await self.execution.wait_exited()
            return
        # A daemon that is busy with the exit responds after it.
        if (await self._state()).running:
            raise EngineUnreachable("container_attach: the connection was closed while the container ran")

    async def _watch(self) -> None:
        """Kill the container at its time-out, or when the execution asks for it. Raise if it does not exit then."""
        reason = Outcome.TIMED_OUT
        with trio.move_on_after(self._plan.timeout):
            reason = await self.execution.wait_kill_requested()
        # Shielded: the daemon responds after the exit, which cancels this task, and only the response tells whether
        # this kill made the container exit.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
            if await self.execution.kill("SIGKILL"):
                self._killed_for = reason
        await trio.sleep(KILL_TIMEOUT)
        raise no_exit_error(self._container.id)

    async def _watch_cpu_time(self) -> None:
        plan = self._plan
        with self._mapped("container_stats"):
            try:
                await wait_cpu_time_used(
                    self._engine, self._container.id, plan.cpu_timeout, cpus=self._sandbox.nano_cpus / 1e9
                )
            except EngineResponseError:
                if await self.execution.is_running():
                    raise  # A limit that nobody watches would be none.
                return
        self.execution.request_kill(Outcome.CPU_TIMED_OUT)

    async def _feed(self, attached: AttachedStream) -> None:
        is_tty = self._plan.tty_size is not None
        self._is_fed = await feed(attached, self._stdin, self._stdin_source, tty=is_tty, closes=self._closes_stdin)

    async def _extract(self, extracted: list[ExtractResult]) -> None:
        with self.execution.extract_scope:
            for plan in self._plan.extracts:
                done = await extract(
                    self._engine,
                    self._container.id,
                    plan,
                    run_id=self._phases.id,
                    max_bytes=self._sandbox.max_extract_bytes,
                )
                extracted.append(done)  # One by one: a cancellation keeps what was extracted.

    def _mapped(self, operation: str) -> AbstractContextManager[None]:
        return mapped_errors(LightRunnerErrorCode.RUN_FAILED, operation, container_id=self._container.id)
