"""`SandboxProcess`: a command of a sandbox that the caller talks to while it runs."""

import asyncio
from types import TracebackType
from typing import Self

import trio

from lightrunner.results import RunResult
from lightrunner.sandbox.process import ProcessInput as TrioInput
from lightrunner.sandbox.process import ProcessOutput as TrioOutput
from lightrunner.sandbox.process import SandboxProcess as TrioProcess

from .bridge import Bridge, cancel_and_wait


class ProcessInput:
    """A process's stdin."""

    def __init__(self, bridge: Bridge, stream: TrioInput) -> None:
        self._bridge = bridge
        self._stream = stream

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write, as fast as the process reads. A call that is cancelled may have written a part.

        Raises:
            BrokenPipeError: the process reads no more, the input is closed, or the sandbox is.
        """
        try:
            await self._bridge.call(self._stream.send_all, bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BrokenPipeError(str(error) or "the input is closed") from error

    async def close(self) -> None:
        """End the input: an end of file to the process, on a terminal Ctrl-D."""
        await self._bridge.call(self._stream.aclose)


class ProcessOutput:
    """A process's stdout or stderr. An async iterator of chunks as they come, up to the end; they are no lines."""

    def __init__(self, bridge: Bridge, stream: TrioOutput) -> None:
        self._bridge = bridge
        self._stream = stream
        self._reading = asyncio.Lock()
        self._held = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if data := await self._next(None):
            return data
        raise StopAsyncIteration

    async def read(self, max_bytes: int = -1) -> bytes:
        """Read as `asyncio.StreamReader.read` does. A call that is cancelled loses nothing.

        Args:
            max_bytes: how many to return at most; without, everything up to the end.

        Returns:
            The next bytes, as soon as there are any; none at the end.

        Raises:
            ConnectionResetError: the sandbox is closed.
        """
        if max_bytes >= 0:
            return await self._next(max_bytes) if max_bytes else b""
        data = bytearray()
        try:
            while part := await self._next(None):
                data += part
        except BaseException:
            self._held = bytes(data) + self._held
            raise
        return bytes(data)

    async def _next(self, max_bytes: int | None) -> bytes:
        async with self._reading:
            if not self._held:
                try:
                    await self._bridge.call(self._receive)
                except trio.BrokenResourceError as error:
                    raise ConnectionResetError(str(error)) from error
            data, self._held = self._held[:max_bytes], self._held[max_bytes:] if max_bytes is not None else b""
            return data

    async def _receive(self) -> None:
        # In the trio thread. A call that is cancelled returns nothing, so what has come is kept for the next one.
        self._held = await self._stream.receive_some()


class SandboxProcess:
    """A running command, as ``await box.start(command)`` returns it.

    The process belongs to its sandbox's block, whose end kills it. As ``async with await box.start(...) as process``
    the end of that block kills it, also if its task is cancelled: then the process and all that it has started are
    gone.

    Attributes:
        pid: its process id inside the sandbox.
        stdin: what it reads.
        stdout: what it writes; on a terminal also what it writes to stderr.
        stderr: None on a terminal.
    """

    def __init__(self, bridge: Bridge, process: TrioProcess, task: asyncio.Task[RunResult]) -> None:
        self.pid = process.pid
        self.stdin = ProcessInput(bridge, process.stdin)
        self.stdout = ProcessOutput(bridge, process.stdout)
        self.stderr = None if process.stderr is None else ProcessOutput(bridge, process.stderr)
        self._bridge = bridge
        self._process = process
        self._task = task

    def __repr__(self) -> str:
        return repr(self._process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            await cancel_and_wait(self._task)
            raise

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exit_code

    async def wait(self) -> RunResult:
        """Wait for its end, as `lightrunner.SandboxProcess.wait` does. Cancelling this does not affect the process."""
        return await self._bridge.call(self._process.wait)

    async def kill(self) -> None:
        """Kill it with all that it started, as `lightrunner.SandboxProcess.kill` does."""
        await self._bridge.call(self._process.kill)

    async def send_signal(self, signal: int) -> None:
        """Send a signal to the process alone, as `lightrunner.SandboxProcess.send_signal` does."""
        await self._bridge.call(self._process.send_signal, signal)

    async def terminate(self) -> None:
        """Send SIGTERM."""
        await self._bridge.call(self._process.terminate)

    async def resize(self, rows: int, columns: int) -> None:
        """Change the size of its terminal, as `lightrunner.SandboxProcess.resize` does."""
        await self._bridge.call(self._process.resize, rows, columns)
