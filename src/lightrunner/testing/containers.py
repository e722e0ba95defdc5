"""`FakeContainer`: a container whose program is a Python async function."""

import signal
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol

import trio

from .files import FileSystem
from .http import frame
from .pipes import Pipe

STDIN_BYTES: Final = 64 * 1024
"""The capacity of a Linux pipe."""

OUTPUT_BYTES: Final = 64 * 1024
"""How far a program's output may be ahead of its reader."""

READERS_GRACE: Final = 2.0
"""Seconds for which a daemon waits, after the exit, for slow readers of the output."""

SIGKILL_CODE: Final = 128 + signal.SIGKILL


class Program(Protocol):
    """A container's program: ``async def program(container: FakeContainer) -> int | None``."""

    def __call__(self, container: "FakeContainer", /) -> Awaitable[int | None]:
        """Run, and return the exit code; None is 0."""
        ...


class Attachment:
    """One reader of a container's output: an attach, or a log that is followed."""

    def __init__(self, streams: Sequence[int], frames: Sequence[bytes] = ()) -> None:
        self._streams = streams
        self._frames = deque(frames)
        self._size = sum(map(len, frames))
        self._is_over = False
        self._changed = trio.lowlevel.ParkingLot()

    async def put(self, stream: int, framed: bytes) -> None:
        """Queue a frame, as soon as the reader is less than `OUTPUT_BYTES` behind."""
        if stream in self._streams and not self._is_over:
            while self._size >= OUTPUT_BYTES and not self._is_over:
                await self._changed.park()
            self._frames.append(framed)
            self._size += len(framed)
            self._changed.unpark_all()

    def end(self) -> None:
        """Note that no further output will come."""
        self._is_over = True
        self._changed.unpark_all()

    async def deliver(self, send: Callable[[bytes], Awaitable[object]]) -> None:
        """Send each frame, to the end of the output."""
        while True:
            while self._frames:
                framed = self._frames.popleft()
                self._size -= len(framed)
                self._changed.unpark_all()
                await send(framed)
            if self._is_over:
                return
            await self._changed.park()


class FakeContainer:
    """A container, as its program and a test see it.

    Attributes:
        id: 64 hexadecimal digits.
        name: without a slash.
        image: the reference that it was created with.
        spec: the body of the create request, as it came.
        argv: the program and its arguments; in a warm container, those of its run once it is dispatched.
        env: the environment, the image's included.
        workdir: the working directory.
        files: the files; paths are relative to `workdir`.
        status: ``created``, ``running``, ``paused`` or ``exited``.
        exit_code: of the process, once it has exited.
        oom_killed: whether `out_of_memory` has killed it.
    """

    def __init__(  # noqa: PLR0917
        self,
        container_id: str,
        name: str,
        spec: dict[str, Any],
        argv: list[str],
        env: Mapping[str, str],
        files: FileSystem,
    ) -> None:
        self.id = container_id
        self.name = name
        self.image: str = spec.get("Image", "")
        self.spec = spec
        self.argv = argv
        self.env = dict(env)
        self.files = files
        self.status = "created"
        self.exit_code = 0
        self.oom_killed = False
        self.created = self.started = self.finished = 0.0
        self.failure: Exception | None = None
        self.log: list[tuple[int, bytes]] = []
        self.ended = trio.Event()
        """Set at the exit, and at the removal."""
        self.removed = trio.Event()
        self._life = trio.CancelScope()
        self._resumed = trio.Event()
        self._resumed.set()
        self._stdin = Pipe(STDIN_BYTES)
        self._read_ahead = b""
        self._traps: dict[int, trio.Event] = {}
        self._attachments: list[Attachment] = []
        if not spec.get("OpenStdin"):
            self._stdin.end()

    def __repr__(self) -> str:
        return f"<FakeContainer {self.name} {self.status}>"

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.spec.get("Labels") or {})

    @property
    def host_config(self) -> dict[str, Any]:
        """HostConfig of the create request."""
        config: dict[str, Any] = self.spec.get("HostConfig") or {}
        return config

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """HostConfig.Mounts of the create request."""
        mounts: list[dict[str, Any]] = self.host_config.get("Mounts") or []
        return mounts

    @property
    def log_driver(self) -> str:
        """The log driver's name."""
        config: dict[str, str] = self.host_config.get("LogConfig") or {}
        return config.get("Type", "json-file")

    @property
    def network_mode(self) -> str:
        """``none``, a network's name or id, or ``container:<id>``."""
        mode: str = self.host_config.get("NetworkMode") or "bridge"
        return mode

    @property
    def workdir(self) -> str:
        """The working directory."""
        return self.files.base

    @property
    def command(self) -> str:
        """The shell text of ``sh -c``, or the words of `argv`."""
        shell = self.argv[2:] if self.argv[:2] == ["sh", "-c"] else None
        return " ".join(self.argv if shell is None else shell)

    @property
    def is_running(self) -> bool:
        """Whether its process lives, paused or not."""
        return self.status in {"running", "paused"}

    # --- for its program ----------------------------------------------------------------------------------------------

    async def stdin(self) -> bytes:
        """Read stdin to its end. Without an input it is empty."""
        parts: list[bytes] = []
        while part := await self.stdin_some():
            parts.append(part)
        return b"".join(parts)

    async def stdin_some(self, max_bytes: int = STDIN_BYTES) -> bytes:
        """Read the next bytes of stdin, as they come; none at its end."""
        await self._resumed.wait()
        if self._read_ahead:
            data, self._read_ahead = self._read_ahead[:max_bytes], self._read_ahead[max_bytes:]
            return data
        return await self._stdin.receive(max_bytes)

    async def stdin_line(self) -> bytes:
        """Read a line of stdin, with its newline; without one at the end, and then nothing."""
        line = b""
        while not line.endswith(b"\n") and (data := await self.stdin_some()):
            head, newline, rest = data.partition(b"\n")
            line += head + newline
            self._read_ahead = rest + self._read_ahead
        return line

    async def stdout(self, data: bytes) -> None:
        """Write to stdout. Wait while 64 KiB are unread."""
        await self._write(1, data)

    async def stderr(self, data: bytes) -> None:
        """Write to stderr, as `stdout`."""
        await self._write(2, data)

    def trap(self, name: str = "SIGTERM") -> trio.Event:
        """Handle a signal: return an event that the signal sets. Without a trap, only SIGKILL has an effect.

        (The program is process 1, for which the kernel has no default actions.)
        """
        return self._traps.setdefault(signal.Signals[name], trio.Event())

    async def out_of_memory(self) -> NoReturn:
        """Be killed by the kernel for using too much memory."""
        self.oom_killed = True
        self.kill()
        await trio.sleep_forever()
        raise AssertionError("a cancelled sleep returned")

    async def _write(self, stream: int, data: bytes) -> None:
        await self._resumed.wait()
        await trio.lowlevel.checkpoint()
        if not data:
            return
        if self.log_driver != "none":
            self.log.append((stream, data))
        framed = data if self.spec.get("Tty") else frame(stream, data)
        for attachment in list(self._attachments):
            await attachment.put(stream, framed)

    # --- for the engine -----------------------------------------------------------------------------------------------

    async def live(self, program: Program, now: Callable[[], float]) -> None:
        """Run the program to its end, or to its SIGKILL."""
        code: int | None = SIGKILL_CODE
        with self._life:
            code = await self._result_of(program)
            await self._resumed.wait()
        self.exit_code = SIGKILL_CODE if self._life.cancelled_caught else (code or 0)
        self.status = "exited"
        self.finished = now()
        self.end()

    async def _result_of(self, program: Program) -> int | None:
        try:
            return await program(self)
        except Exception as error:  # noqa: BLE001 - the end of the engine's block raises it
            self.failure = error
            await self.stderr("".join(traceback.format_exception(error)).encode())
            return 1

    def begin(self, now: float) -> None:
        """Note the start. A container may be started again after its exit."""
        self.status = "running"
        self.started = now
        if self.ended.is_set():
            self.ended = trio.Event()
            self._life = trio.CancelScope()

    def end(self) -> None:
        """Wake the tasks that wait for the exit, and end the output."""
        self._stdin.break_()
        for attachment in self._attachments:
            attachment.end()
        self._attachments.clear()
        self.ended.set()

    def remove(self) -> None:
        """Kill it, and mark it as removed."""
        self._life.cancel()
        self.removed.set()
        self.end()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        if number == signal.SIGKILL:
            self._life.cancel()
            self._resumed.set()
        elif number in self._traps:
            self._traps[number].set()

    def pause(self) -> None:
        """Freeze it: what it reads and writes waits, and so does its exit."""
        self.status = "paused"
        self._resumed = trio.Event()

    def unpause(self) -> None:
        """Thaw it."""
        self.status = "running"
        self._resumed.set()

    async def feed(self, data: bytes) -> None:
        """Write to its stdin, waiting for the program to read.

        Raises:
            trio.BrokenResourceError: it has exited.
        """
        await self._stdin.send(data)

    def end_stdin(self) -> None:
        """Close its stdin."""
        self._stdin.end()

    def attach(self, streams: Sequence[int], *, with_log: bool) -> Attachment:
        """Add a reader of the output from now on, or from its start."""
        is_raw = bool(self.spec.get("Tty"))
        earlier = [data if is_raw else frame(stream, data) for stream, data in self.log if stream in streams]
        attachment = Attachment(streams, earlier if with_log else [])
        if self.ended.is_set():
            attachment.end()
        else:
            self._attachments.append(attachment)
        return attachment

    def detach(self, attachment: Attachment) -> None:
        """Remove a reader. Writers do not wait for it."""
        attachment.end()
        if attachment in self._attachments:
            self._attachments.remove(attachment)
