"""`Execution`: the handle of a run that has started."""

import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, invalid_request, mapped_errors
from lightrunner.results import RunResult
from lightrunner.rules.limits import KILL_TIMEOUT, STOP_GRACE
from lightrunner.rules.sizes import parse_terminal_size
from lightrunner.rules.verdict import Outcome
from lightrunner.rules.violation import RuleViolation

_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9+-]{1,15}|[1-9][0-9]?")


class Execution:
    """A started run, as ``await nursery.start(runner.run, request)`` returns it.

    Call its methods from any task, at any time. On a finished run they do nothing.

    Attributes:
        id: the run's id; its container and volume are named ``light-runner-<id>``.
        container_id: the daemon's id of the container.
    """

    def __init__(self, engine: EngineClient, run_id: str, container_id: str, *, tty: bool = False) -> None:
        self.id = run_id
        self.container_id = container_id
        self._engine = engine
        self._tty = tty
        self._asked_for: Outcome | None = None
        self._stopping = 0
        self._sealed = False
        self._kill_reason = Outcome.CANCELLED
        self._kill_requested = trio.Event()
        self._exited = trio.Event()
        self._finished = trio.Event()
        self._outcome: RunResult | BaseException | None = None
        self.extract_scope = trio.CancelScope()

    def __repr__(self) -> str:
        state = "finished" if self._finished.is_set() else "exited" if self._exited.is_set() else "running"
        return f"<Execution {self.id} {state}>"

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` or `stop` was called before the run ended."""
        return self.asked_for is not None

    def cancel(self) -> None:
        """Kill the container with SIGKILL. The run then ends with `cancelled` True, and extracts nothing."""
        if not self._sealed:
            self._asked_for = self.asked_for or Outcome.CANCELLED
            self.request_kill(Outcome.CANCELLED)
            self.extract_scope.cancel()

    async def stop(self, signal: str = "SIGTERM", grace: float = STOP_GRACE) -> None:
        """Stop the container: send `signal`, wait up to `grace` seconds, send SIGKILL. Return once it has exited.

        The run counts as cancelled and extracts nothing; the exit code is the process's own. A paused container is
        resumed, to handle the signal.

        Args:
            signal: a signal's name, with or without SIG, or its number.
            grace: seconds from the signal to SIGKILL; infinity: never.

        Raises:
            LightRunnerError: INVALID_REQUEST: unknown signal, or negative grace; nothing was sent.
                RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
        """
        with invalid_request():
            _check_stop(signal, grace)
        if self._exited.is_set():
            await trio.lowlevel.checkpoint()
            return
        self._stopping += 1
        try:
            with _refused_signal(signal):
                was_sent = await self.kill_as_asked(signal)
            if was_sent and not self._sealed:
                self._asked_for = self._asked_for or Outcome.STOPPED
        finally:
            self._stopping -= 1
        if was_sent:
            # If the image sets a stop signal, any other signal stays pending while the container is paused.
            await self.resume()
            with trio.move_on_after(grace):
                await self._exited.wait()
            if not self._exited.is_set():
                await self.kill("SIGKILL")
        await self._exited.wait()

    async def pause(self) -> None:
        """Freeze the container's processes, unless they are frozen. The time-out continues to count."""
        if self._exited.is_set():
            await trio.lowlevel.checkpoint()
            return
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_pause", container_id=self.container_id):
            try:
                await self._engine.container_pause(self.container_id)
            except EngineResponseError:
                # Engines differ in the status for "already paused" and "not running": inspect.
                if await self.is_running(paused=False):
                    raise

    async def resume(self) -> None:
        """Thaw the container's processes, if they are frozen."""
        if self._exited.is_set():
            await trio.lowlevel.checkpoint()
            return
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_unpause", container_id=self.container_id):
            try:
                await self._engine.container_unpause(self.container_id)
            except EngineResponseError:
                if await self.is_running(paused=True):
                    raise

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal, in characters; its programs get SIGWINCH.

        Raises:
            LightRunnerError: INVALID_REQUEST: the run has no terminal, or no terminal has that size.
        """
        with invalid_request():
            if not self._tty:
                raise RuleViolation("tty", self._tty, "the run has no terminal to resize")
            parse_terminal_size("tty_size", (rows, columns))
        if self._exited.is_set():
            await trio.lowlevel.checkpoint()
            return
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_resize", container_id=self.container_id):
            try:
                await self._engine.container_resize(self.container_id, height=rows, width=columns)
            except EngineResponseError:
                # As for `pause`. A paused terminal can be resized.
                if await self.is_running():
                    raise

    async def wait(self) -> RunResult:
        """Wait for the run to end. Return what `run` returns, or raise what it raises.

        Raises:
            LightRunnerError: RUN_ABORTED: the task that runs it was cancelled. Otherwise as `DockerRunner.run`.
        """
        await self._finished.wait()
        if isinstance(self._outcome, RunResult):
            return self._outcome
        if isinstance(self._outcome, Exception):
            raise self._outcome
        raise LightRunnerError(
            LightRunnerErrorCode.RUN_ABORTED,
            f"the run {self.id} was aborted before it had a result",
            container_id=self.container_id,
        ) from self._outcome

    # --- for the run itself ---------------------------------------------------------------------------------------

    async def kill(self, signal: str) -> bool:
        """Send a signal. Return False if the container is not running."""
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_kill", container_id=self.container_id):
            try:
                if await self._engine.is_podman() and await self.is_running(paused=True):
                    # podman leaves a paused container frozen, and waits in vain for its exit.
                    await self._engine.container_unpause(self.container_id)
                await self._engine.container_kill(self.container_id, signal=signal)
            except (EngineNotFound, EngineConflict):
                return False
        return True

    @property
    def asked_for(self) -> Outcome | None:
        """What the caller asked for first, CANCELLED or STOPPED; None: neither."""
        # A stop counts from its call: the daemon may respond to it after it has reported the exit.
        return self._asked_for or (Outcome.STOPPED if self._stopping else None)

    async def kill_as_asked(self, signal: str) -> bool:
        """Send a signal for `cancel` or `stop`. Return False if the container is not running."""
        return await self.kill(signal)

    def request_kill(self, reason: Outcome) -> None:
        """Ask for the container to be killed. The first reason counts."""
        if not self._kill_requested.is_set():
            self._kill_reason = reason
            self._kill_requested.set()

    async def wait_kill_requested(self) -> Outcome:
        """Wait until there is a reason to kill the container, and return it."""
        await self._kill_requested.wait()
        return self._kill_reason

    async def wait_exited(self) -> None:
        """Wait for the container's exit."""
        await self._exited.wait()

    def set_exited(self) -> None:
        """Note that the daemon has reported the exit."""
        self._exited.set()

    def seal(self) -> Outcome | None:
        """Return whether the run was cancelled, and ignore later cancellations."""
        self._asked_for = self.asked_for
        self._sealed = True
        return self._asked_for

    def finish(self, outcome: RunResult | BaseException | None) -> None:
        """Record how the run ended: a result, an exception, or None if its task was cancelled."""
        self._outcome = outcome
        self._sealed = True
        self._exited.set()
        self._finished.set()

    async def is_running(self, *, paused: bool | None = None) -> bool:
        """Ask the daemon whether the container runs, and is or is not paused; None: either.

        Raises:
            EngineError: the daemon failed.
        """
        try:
            state = (await self._engine.container_inspect(self.container_id)).state
        except EngineNotFound:
            return False
        return state.running and paused in {None, state.paused}


@contextmanager
def _refused_signal(signal: str) -> Generator[None]:
    """Turn the daemon's refusal of an unknown signal into INVALID_REQUEST."""
    try:
        yield
    except LightRunnerError as error:
        cause = error.__cause__
        if isinstance(cause, EngineResponseError) and cause.status == HTTPStatus.BAD_REQUEST:
            with invalid_request():
                raise RuleViolation("signal", signal, cause.message) from cause
        raise


def _check_stop(signal: object, grace: object) -> None:
    if not isinstance(signal, str) or _SIGNAL.fullmatch(signal) is None:
        raise RuleViolation("signal", signal, "not a signal's name or number, such as 'SIGTERM' or '15'")
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or math.isnan(grace) or grace < 0:
        raise RuleViolation("grace", grace, "not a number of seconds, 0 or more")


def no_exit_error(container_id: str) -> LightRunnerError:
    """Return the error for a container that SIGKILL does not end."""
    return LightRunnerError(
        LightRunnerErrorCode.RUN_FAILED,
        f"the container did not exit within {KILL_TIMEOUT:g} s of SIGKILL",
        docker_op="container_kill",
        container_id=container_id,
    )
