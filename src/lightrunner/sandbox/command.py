"""Run one command in a sandbox to its end: input, output, time-out, and the end of all that it started."""

import math
import os
from typing import Final

import trio

from lightrunner.engine import OutputPiece
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, invalid_request
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.results import LogCallback, OutputCallback, RunLimits, RunResult
from lightrunner.rules.limits import KILL_TIMEOUT
from lightrunner.rules.verdict import SIGKILL, Outcome
from lightrunner.rules.violation import RuleViolation
from lightrunner.runs.capture import Capture
from lightrunner.runs.output import Listeners, Output

from .order import CommandPlan
from .protocol import Exit, ExitFlag, ExitKind, Spawn, Stage
from .session import Channel, Session

_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
"""A shell's exit codes for a command that cannot be executed (POSIX, 2.8.2)."""

_ENOENT: Final = 2
"""Linux' errno, whatever the host is."""


async def spawn(session: Session, order: Spawn) -> Channel:
    """Send a command.

    Raises:
        LightRunnerError: INVALID_REQUEST: it is too large. SANDBOX_CLOSED.
    """
    try:
        return await session.spawn(order)
    except ValueError as error:
        with invalid_request():
            raise RuleViolation("command", order.argv[0][:100], str(error)) from error


async def run_command(
    session: Session,
    plan: CommandPlan,
    *,
    on_log: LogCallback | None,
    on_output: OutputCallback | None,
    capture_output: bool,
) -> RunResult:
    """Run a command. When this returns or raises, none of its processes is left, those in the background excepted.

    Raises:
        LightRunnerError: SANDBOX_CLOSED; INVALID_REQUEST: no such user or workdir; RUN_FAILED: there is no room for
            one more process.
    """
    channel = await spawn(session, plan.spawn)
    listeners = Listeners(on_log=on_log, on_output=on_output)
    output = Output(listeners, capture=capture_output, since=trio.current_time())
    try:
        async with open_bare_nursery() as readers:
            readers.start_soon(protected, output.read, _WithRefusal(channel, plan.shown))
            if listeners.are_there:
                # Not protected from Ctrl-C: the callback is the caller's code and may never return.
                readers.start_soon(output.deliver)
            async with open_bare_nursery() as watchers:
                watchers.start_soon(protected, kill_after, session, channel, plan.timeout)
                if plan.input is not None:
                    watchers.start_soon(protected, _feed, channel, plan.input)
                ended = await channel.wait_exited()
                watchers.cancel_scope.cancel()
            output.container_exited()
    finally:
        await end_channel(session, channel)
    check_started(ended, plan, session.container_id)
    return make_result(session, channel, ended, timeout=plan.timeout, captured=output.captured)


async def kill_after(session: Session, channel: Channel, seconds: float) -> None:
    """Kill a command at its time-out. Close the sandbox if it does not end then."""
    await trio.sleep(seconds)
    await channel.kill(Outcome.TIMED_OUT)
    await trio.sleep(KILL_TIMEOUT)
    session.close(f"a command did not end within {KILL_TIMEOUT:g} s of its kill")


async def end_channel(session: Session, channel: Channel) -> None:
    """Kill the command if it runs, and drop the output that nobody waits for. Shielded and bounded."""
    if channel.is_over or session.error is not None:
        return
    with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
        try:
            await channel.kill(Outcome.CANCELLED)
            await channel.discard_output()
            await channel.wait_exited()
        except LightRunnerError:
            return  # The sandbox is closed: nothing of it runs.
    if not channel.is_over:
        session.close(f"a command did not end within {KILL_TIMEOUT:g} s of its kill")


def check_started(ended: Exit, plan: CommandPlan, container_id: str, *, executed: bool = False) -> None:
    """Raise what kept a command from starting; one that cannot be executed only where it has to be `executed`."""
    if ended.kind is ExitKind.STUCK:
        raise LightRunnerError(
            LightRunnerErrorCode.SANDBOX_CLOSED,
            "a command's processes could not be killed",
            container_id=container_id,
        )
    if ended.kind is not ExitKind.FAILED:
        return
    reason = os.strerror(ended.errno)
    if ended.stage is Stage.EXEC:
        if executed:
            raise LightRunnerError(
                LightRunnerErrorCode.FILE_FAILED, f"{plan.shown}: {reason}", container_id=container_id
            ) from OSError(ended.errno, reason, plan.shown)
        return
    with invalid_request():
        if ended.stage is Stage.USER:
            raise RuleViolation("user", plan.spawn.user.decode(), f"no user of the sandbox: {reason}")
        if ended.stage is Stage.WORKDIR:
            raise RuleViolation("workdir", plan.spawn.workdir.decode(), f"no folder of the sandbox: {reason}")
    raise LightRunnerError(
        LightRunnerErrorCode.RUN_FAILED,
        f"no process could be started in the sandbox ({ended.stage.name.lower()}): {reason}",
        container_id=container_id,
    )


def make_result(
    session: Session, channel: Channel, ended: Exit, *, timeout: float, captured: Capture | None = None
) -> RunResult:
    """Return a command's result. Unlike a container's, a command's wait status tells signals from exit codes."""
    signal = ended.status & 0x7F if ended.kind is not ExitKind.FAILED else 0
    if ended.kind is ExitKind.FAILED:
        exit_code = _NOT_FOUND if ended.errno == _ENOENT else _NOT_EXECUTABLE
    else:
        exit_code = 128 + signal if signal else ended.status >> 8 & 0xFF
    oom_killed = ExitFlag.OOM in ended.flags
    outcome = Outcome.SIGNALED if signal else Outcome.EXITED
    if ExitFlag.WAS_KILLED in ended.flags and channel.killed_for is not None:
        # The kill found the command alive: it may have exited at the same moment.
        outcome = channel.killed_for
    elif oom_killed and signal == SIGKILL:
        outcome = Outcome.OUT_OF_MEMORY
    return RunResult(
        success=exit_code == 0 and outcome is Outcome.EXITED,
        exit_code=exit_code,
        duration=ended.duration,
        outcome=outcome,
        signal=signal or None,
        cancelled=outcome is Outcome.CANCELLED,
        timed_out=outcome is Outcome.TIMED_OUT,
        oom_killed=oom_killed,
        limits=RunLimits(timeout=None if math.isinf(timeout) else timeout, memory=session.memory_bytes),
        stdout=captured.bytes_of("stdout") if captured else None,
        stderr=captured.bytes_of("stderr") if captured else None,
        output=captured.chunks() if captured else None,
        stdout_truncated=bool(captured and captured.is_truncated("stdout")),
        stderr_truncated=bool(captured and captured.is_truncated("stderr")),
        output_truncated=bool(captured and captured.chunks_are_truncated),
    )


class _WithRefusal:
    """A command's output, and why it could not be executed, as a shell says it on stderr."""

    def __init__(self, channel: Channel, shown: str) -> None:
        self._channel = channel
        self._shown = shown
        self._told = False

    async def receive(self) -> list[OutputPiece]:
        pieces = await self._channel.receive()
        if pieces or self._told:
            return pieces
        ended = await self._channel.wait_exited()
        self._told = True
        if ended.kind is not ExitKind.FAILED or ended.stage is not Stage.EXEC:
            return []
        text = f"light-runner: {self._shown}: {os.strerror(ended.errno)}\n"
        return [OutputPiece("stderr", memoryview(text.encode()))]


async def _feed(channel: Channel, data: bytes) -> None:
    """Write the input, then end it. A command that does not read it is no error."""
    if await channel.send_all(data):
        await channel.end_input()
