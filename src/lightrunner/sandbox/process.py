"""`SandboxProcess`: a command that the caller talks to while it runs."""

import signal as signals

import trio

from lightrunner.errors import LightRunnerError, invalid_request
from lightrunner.nurseries import run_in_child
from lightrunner.results import RunResult
from lightrunner.rules.verdict import Outcome

from .command import make_result
from .order import check_signal, check_size
from .protocol import MAX_DATA_BYTES, Exit
from .session import Channel, Session


class ProcessInput(trio.abc.SendStream):
    """A process's stdin. Closing it is an end of file to the process; on a terminal, Ctrl-D."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._conflicts = trio.Lock()
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write, as fast as the process reads.

        Raises:
            trio.BrokenResourceError: the process reads no more, or the sandbox is closed.
            trio.ClosedResourceError: this end is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError
        try:
            was_sent = await run_in_child(self._channel.send_all, bytes(data))
        except LightRunnerError as error:
            raise trio.BrokenResourceError(str(error)) from error
        if not was_sent:
            raise trio.BrokenResourceError("the process reads no more")

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: nothing tells what a process will read."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """End the input."""
        if not self._closed:
            self._closed = True
            try:
                await run_in_child(self._channel.end_input)
            except LightRunnerError:
                return  # With the sandbox the process is gone as well.
        await trio.lowlevel.checkpoint()


class ProcessOutput(trio.abc.ReceiveStream):
    """A process's stdout or stderr."""

    def __init__(self, channel: Channel, stream: int) -> None:
        self._channel = channel
        self._stream = stream
        self._closed = False
        self._held = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive the next bytes; none at the end. A call that is cancelled loses nothing.

        Raises:
            trio.BrokenResourceError: the sandbox is closed.
            trio.ClosedResourceError: this end is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError
        size = MAX_DATA_BYTES if max_bytes is None else max_bytes
        try:
            await run_in_child(self._receive, size)
        except LightRunnerError as error:
            raise trio.BrokenResourceError(str(error)) from error
        data, self._held = self._held[:size], self._held[size:]
        return data

    async def _receive(self, size: int) -> None:
        # The child may have received what its parent, which was cancelled meanwhile, does not return.
        if not self._held:
            self._held = await self._channel.receive_some(self._stream, size)

    async def aclose(self) -> None:
        """Stop reading. A process that writes on then waits for ever, until it is killed."""
        self._closed = True
        await trio.lowlevel.checkpoint()


class SandboxProcess:
    """A running command, as ``await nursery.start(box.start, command)`` returns it.

    Attributes:
        pid: its process id inside the sandbox.
        stdin: what it reads.
        stdout: what it writes; on a terminal also what it writes to stderr.
        stderr: None on a terminal.
    """

    def __init__(self, session: Session, channel: Channel, *, timeout: float, is_tty: bool) -> None:
        self._session = session
        self._timeout = timeout
        self._channel = channel
        self.pid = channel.pid
        self.stdin = ProcessInput(channel)
        self.stdout = ProcessOutput(channel, 1)
        self.stderr = None if is_tty else ProcessOutput(channel, 2)

    def __repr__(self) -> str:
        return f"<SandboxProcess {self.pid} {'running' if self._channel.exit is None else 'exited'}>"

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self._channel.exit is None else self._result(self._channel.exit).exit_code

    async def wait(self) -> RunResult:
        """Wait for its end, and return its result. Its output is in the streams: read them, or it may wait for you.

        Raises:
            LightRunnerError: SANDBOX_CLOSED.
        """
        return self._result(await self._channel.wait_exited())

    async def kill(self) -> None:
        """Kill it with all that it started, and wait until nothing is left. Its outcome is then ``cancelled``.

        Nothing happens if it has ended.

        Raises:
            LightRunnerError: SANDBOX_CLOSED.
        """
        await run_in_child(self._end)

    async def send_signal(self, signal: int) -> None:
        """Send a signal to the process alone.

        Raises:
            LightRunnerError: INVALID_REQUEST: no signal's number; SANDBOX_CLOSED.
        """
        with invalid_request():
            check_signal(signal)
        await run_in_child(self._channel.signal, int(signal))

    async def terminate(self) -> None:
        """Send SIGTERM."""
        await self.send_signal(signals.SIGTERM)

    async def resize(self, rows: int, columns: int) -> None:
        """Change the size of its terminal.

        Raises:
            LightRunnerError: INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            check_size((rows, columns))
        await run_in_child(self._channel.resize, rows, columns)

    def _result(self, ended: Exit) -> RunResult:
        return make_result(self._session, self._channel, ended, timeout=self._timeout)

    async def _end(self) -> None:
        if self._channel.exit is None:
            await self._channel.kill(Outcome.CANCELLED)
            await self._channel.wait_exited()
