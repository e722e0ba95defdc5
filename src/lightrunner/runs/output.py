"""Deliver a container's output from the socket to the callback and into the result.

One task reads and another delivers, since a callback may be slow, and the daemon drops what is unread 2 s after the
exit.
"""

import inspect
import time
from collections import deque
from functools import partial
from typing import Protocol

import trio

from lightrunner.engine import OutputPiece
from lightrunner.engine.frames import StreamName
from lightrunner.results import LogCallback, LogLine
from lightrunner.rules.limits import LOG_BUFFER_BYTES, MAX_CAPTURE_BYTES
from lightrunner.rules.lines import LineSplitter

_PIECE_OVERHEAD_BYTES = 256
"""Memory per buffered piece beside its bytes. A container that writes single bytes must not cost gigabytes."""

_TURN = 0.01
"""Seconds of callbacks between two checkpoints, which let the reader run."""

_LINES_UNTIL_LOOK = 8
"""Lines between two readings of the clock, since a reading takes as long as a quick callback. A callback that turns
slow blocks the event loop for up to this many lines."""


class Capture:
    """The first bytes of one stream, and whether more followed."""

    def __init__(self, limit: int = MAX_CAPTURE_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.truncated = False

    def add(self, data: memoryview) -> None:
        """Keep `data` up to the limit."""
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self.truncated = self.truncated or len(data) > room

    def value(self) -> bytes:
        """Return the bytes kept."""
        return bytes(self._kept)


class PieceStream(Protocol):
    """A source of output, such as an `AttachedStream`."""

    async def receive(self) -> list[OutputPiece]:
        """Receive the next pieces, in order per stream; an empty list at the end."""
        ...


class Output:
    """Read, capture, and deliver output line by line. `read` and `deliver` each run in a task of their own.

    Attributes:
        ended: the output is complete.
        exit_is_due: set when the caller has to wait for the container's exit: the output has ended, or reading is
            paused and must resume at the exit.
    """

    def __init__(self, on_log: LogCallback | None, *, capture: bool) -> None:
        self._on_log = on_log
        self.captured: dict[StreamName, Capture] | None = (
            {"stdout": Capture(), "stderr": Capture()} if capture else None
        )
        self._held: deque[OutputPiece] = deque()
        self._held_bytes = 0
        self.exit_is_due = trio.Event()
        self._container_exited = False
        self.ended = False
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def read(self, stream: PieceStream) -> None:
        """Read to the end. Pause while the container runs and the callback is `LOG_BUFFER_BYTES` behind."""
        while pieces := await stream.receive():
            if self.captured is not None:
                for piece in pieces:
                    self.captured[piece.stream].add(piece.data)
            if self._on_log is not None:
                self._held.extend(pieces)
                self._held_bytes += sum(_cost(piece) for piece in pieces)
                self._news.unpark_all()
                while self._held_bytes > LOG_BUFFER_BYTES and not self._container_exited:
                    self.exit_is_due.set()
                    await self._room.park()
        self.end()

    def end(self) -> None:
        """Note the end of the output."""
        self.ended = True
        self.exit_is_due.set()
        self._news.unpark_all()

    def container_exited(self) -> None:
        """Resume reading, without further pauses: the daemon waits at most 2 s for its readers."""
        self._container_exited = True
        self._room.unpark_all()

    async def deliver(self, on_log: LogCallback) -> None:
        """Call `on_log` with each line, in order per stream, to the end of the output."""
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        splitters = {stream: LineSplitter(make=partial(LogLine, stream)) for stream in streams}
        deliverer = _Deliverer(on_log)
        while self._held or not self.ended:
            if not self._held:
                await self._news.park()
                deliverer.begin_turn()
                continue
            piece = self._held.popleft()
            self._held_bytes -= _cost(piece)
            self._room.unpark_all()
            await deliverer.deliver(splitters[piece.stream].feed(piece.data))
        for splitter in splitters.values():
            await deliverer.deliver(splitter.close())
        await trio.lowlevel.checkpoint()


class _Deliverer:
    """Calls the callback. Quick callbacks share a checkpoint and a reading of the clock."""

    def __init__(self, on_log: LogCallback) -> None:
        self._on_log = on_log
        self.begin_turn()

    def begin_turn(self) -> None:
        """Start a turn, after a checkpoint."""
        self._turn_ends = time.monotonic() + _TURN
        self._until_look = 1

    async def deliver(self, lines: list[LogLine]) -> None:
        """Call the callback with each line, and checkpoint when the turn is over."""
        on_log = self._on_log
        at = 0
        while True:
            until = at + self._until_look
            for line in lines[at:until]:
                outcome = on_log(line)
                if outcome is not None and inspect.isawaitable(outcome):
                    await outcome
            at = until
            if time.monotonic() >= self._turn_ends:
                await trio.lowlevel.checkpoint()
                self.begin_turn()
            elif self._until_look < _LINES_UNTIL_LOOK:
                self._until_look *= 2
            if at >= len(lines):
                return


def _cost(piece: OutputPiece) -> int:
    return len(piece.data) + _PIECE_OVERHEAD_BYTES
