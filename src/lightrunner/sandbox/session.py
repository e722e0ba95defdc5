"""A sandbox's connection: one task reads it, and each channel's caller waits for its own events."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from lightrunner.engine import AttachedStream, EngineError, OutputPiece
from lightrunner.engine.frames import StreamName
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.rules.limits import KILL_TIMEOUT
from lightrunner.rules.verdict import Outcome

from .protocol import (
    OUTPUT_WINDOW,
    Exit,
    ExitKind,
    Hello,
    InputClosed,
    InputCredit,
    Output,
    OutputEnd,
    ProtocolViolation,
    ServerConnection,
    Spawn,
    SpawnFlag,
    Started,
)

_CREDIT_STEP: Final = OUTPUT_WINDOW // 4
"""Bytes that were consumed before they are given back: a frame for each piece would double the traffic."""

_STREAMS: Final[dict[int, StreamName]] = {1: "stdout", 2: "stderr"}


def closed_error(why: str, container_id: str) -> LightRunnerError:
    """Return the error of every call on a sandbox that is gone."""
    return LightRunnerError(LightRunnerErrorCode.SANDBOX_CLOSED, why, container_id=container_id)


class Channel:
    """One command, or one connection to a port of the sandbox.

    Attributes:
        id: its id in the protocol.
        pid: of the command, in the sandbox; 0 before it has started.
        exit: how it ended; None before.
        killed_for: why it was first killed; None if it was not, or for no reason of the caller's.
    """

    def __init__(self, session: "Session", channel_id: int, streams: int) -> None:
        self.id = channel_id
        self.pid = 0
        self.exit: Exit | None = None
        self.killed_for: Outcome | None = None
        self._session = session
        self._changed = trio.lowlevel.ParkingLot()
        self._pieces: deque[Output] = deque()
        self._consumed = dict.fromkeys(range(1, streams + 1), 0)
        self._open_streams = set(self._consumed)
        self._started = False
        self._input_closed = False

    @property
    def is_over(self) -> bool:
        """Whether it has exited and all of its output has arrived."""
        return self.exit is not None and not self._open_streams

    async def wait_started(self) -> None:
        """Wait until the command was executed, or has failed to (then `exit` tells)."""
        await self._wait(lambda: self._started or self.exit is not None)

    async def wait_exited(self) -> Exit:
        """Wait for the command's exit: nothing that it started is left then, unless it runs in the background."""
        await self._wait(lambda: self.exit is not None)
        assert self.exit is not None
        return self.exit

    async def receive(self) -> list[OutputPiece]:
        """Receive the next pieces of output of both streams, in the order of their arrival; none at the end."""
        await self._wait(lambda: bool(self._pieces) or not self._open_streams)
        pieces = list(self._pieces)
        self._pieces.clear()
        for piece in pieces:
            self._consumed[piece.stream] += len(piece.data)
            await self._give_credit(piece.stream)
        return [OutputPiece(_STREAMS[piece.stream], memoryview(piece.data)) for piece in pieces]

    async def receive_some(self, stream: int, max_bytes: int) -> bytes:
        """Receive the next bytes of one stream; none at its end."""
        # Credit for what an earlier call took. After the taking there is no checkpoint that could lose it.
        await self._give_credit(stream)

        def first() -> Output | None:
            return next((piece for piece in self._pieces if piece.stream == stream), None)

        await self._wait(lambda: first() is not None or stream not in self._open_streams)
        piece = first()
        if piece is None:
            return b""
        at = self._pieces.index(piece)
        data, rest = piece.data[:max_bytes], piece.data[max_bytes:]
        if rest:
            self._pieces[at] = piece._replace(data=rest)
        else:
            del self._pieces[at]
        self._consumed[stream] += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> bool:
        """Send input, as fast as the command reads it. Return False if nobody reads it any more."""
        view = memoryview(data).cast("B")
        connection = self._session.connection
        while view:
            await self._wait(lambda: connection.room(self.id) > 0 or self._input_closed or self.exit is not None)
            if self._input_closed or self.exit is not None:
                return False
            part = view[: connection.room(self.id)]
            view = view[len(part) :]
            await self._session.send(connection.send_input(self.id, part))
        return True

    async def end_input(self) -> None:
        """End the input."""
        if self.exit is None and not self._input_closed:
            self._input_closed = True
            await self._session.send(self._session.connection.end_input(self.id))

    async def signal(self, number: int) -> None:
        """Send a signal to the command's first process."""
        if self.exit is None:
            await self._session.send(self._session.connection.signal(self.id, number))

    async def kill(self, reason: Outcome | None = None) -> None:
        """Kill the command with all that it started, or abort the connection."""
        self.killed_for = self.killed_for or reason
        if not self.is_over:
            await self._session.send(self._session.connection.kill(self.id))

    async def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal."""
        if self.exit is None:
            await self._session.send(self._session.connection.resize(self.id, rows, columns))

    async def discard_output(self) -> None:
        """Receive to the end, and drop it."""
        while await self.receive():
            pass

    # --- for the session ------------------------------------------------------------------------------------------

    def handle(self, event: Started | Output | OutputEnd | InputCredit | InputClosed | Exit) -> None:
        """Take an event of this channel."""
        if isinstance(event, Started):
            self._started, self.pid = True, event.pid
        elif isinstance(event, Output):
            self._pieces.append(event)
        elif isinstance(event, OutputEnd):
            self._open_streams.discard(event.stream)
        elif isinstance(event, InputClosed):
            self._input_closed = True
        elif isinstance(event, Exit):
            self.exit = event
        self.wake()

    def wake(self) -> None:
        """Let the waiting look again."""
        self._changed.unpark_all()

    async def _give_credit(self, stream: int) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()  # Before the count is reset: `send` is shielded from here on.
        if self._consumed[stream] >= _CREDIT_STEP and self._session.error is None:
            given, self._consumed[stream] = self._consumed[stream], 0
            await self._session.send(self._session.connection.give_credit(self.id, stream, given))

    async def _wait(self, condition: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not condition():
            self._session.check_open()
            await self._changed.park()


class Session:
    """The connection of one sandbox.

    Attributes:
        connection: the protocol's state.
        error: why nothing works any more; None while it does.
        memory_bytes: the sandbox's memory limit.
    """

    def __init__(self, attached: AttachedStream, container_id: str, memory_bytes: int) -> None:
        self.connection = ServerConnection()
        self.error: LightRunnerError | None = None
        self.container_id = container_id
        self.memory_bytes = memory_bytes
        self._attached = attached
        self._sending = trio.Lock()
        self._sends: set[trio.CancelScope] = set()
        self._channels: dict[int, Channel] = {}
        self._greeted = False
        self._ended = trio.Event()

    async def greet(self) -> None:
        """Wait until process 1 serves; before `read`.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED: it has ended, or is another program.
        """
        try:
            while not self._greeted and await self._receive():
                pass
        except (EngineError, ProtocolViolation) as error:
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                f"the sandbox's process 1 does not serve: {error}",
                container_id=self.container_id,
            ) from error
        if not self._greeted:
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                "the sandbox's process 1 ended at once",
                container_id=self.container_id,
            )

    async def read(self, explain: Callable[[], Awaitable[str]]) -> None:
        """Read until the sandbox ends; in a task of its own. It raises nothing: `error` tells.

        Args:
            explain: says why process 1 has ended.
        """
        why = "the sandbox was closed"
        try:
            while await self._receive():
                pass
            self.connection.close()
            why = await explain()
        except (EngineError, ProtocolViolation) as error:
            why = f"the connection to the sandbox was lost: {error}"
        finally:
            self.close(why)

    def close(self, why: str) -> None:
        """Let every call that waits, and every later one, fail. The first reason stays."""
        if self.error is None:
            self.error = closed_error(why, self.container_id)
        self._ended.set()
        for scope in self._sends:
            scope.cancel()
        for channel in self._channels.values():
            channel.wake()

    def check_open(self) -> None:
        """Raise why the sandbox is closed, if it is."""
        if self.error is not None:
            # A new one: a traceback belongs to one task.
            raise closed_error(self.error.message, self.container_id)

    async def wait_closed(self) -> None:
        """Wait until the sandbox is closed, for whatever reason."""
        await self._ended.wait()

    async def spawn(self, order: Spawn) -> Channel:
        """Send a command.

        Raises:
            LightRunnerError: SANDBOX_CLOSED.
            ValueError: command and environment are too large.
        """
        self.check_open()
        channel_id, data = self.connection.spawn(order)
        return await self._opened(channel_id, data, 1 if order.flags & SpawnFlag.TTY else 2)

    async def connect(self, port: int) -> Channel:
        """Connect to a port on the sandbox's loopback device."""
        self.check_open()
        channel_id, data = self.connection.connect(port)
        return await self._opened(channel_id, data, 1)

    async def send(self, data: bytes) -> None:
        """Send a frame, whole: a cancellation takes effect before it. Process 1 reads without pause, but for a kill."""
        if not data:
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        self.check_open()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT) as scope:
            self._sends.add(scope)
            try:
                async with self._sending:
                    await self._attached.send_all(data)
            except EngineError as error:
                self.close(f"the connection to the sandbox was lost: {error}")
            finally:
                self._sends.remove(scope)
        if scope.cancelled_caught:
            self.close(f"the sandbox took no order within {KILL_TIMEOUT:g} s")
        self.check_open()

    async def _opened(self, channel_id: int, data: bytes, streams: int) -> Channel:
        channel = self._channels[channel_id] = Channel(self, channel_id, streams)
        with trio.CancelScope(shield=True):  # The server knows of the channel, or the session is closed.
            await self.send(data)
        return channel

    async def _receive(self) -> bool:
        """Receive and handle something; False at the end."""
        pieces = await self._attached.receive()
        for piece in pieces:
            if piece.stream == "stdout":
                self._handle(piece.data)
        return bool(pieces)

    def _handle(self, data: memoryview) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, Hello):
                self._greeted = True
                continue
            channel = self._channels[event.channel]
            channel.handle(event)
            if channel.is_over:
                del self._channels[event.channel]
            if isinstance(event, Exit) and event.kind is ExitKind.STUCK:
                self.close("a command's processes could not be killed")
