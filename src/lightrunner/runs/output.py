"""Deliver a container's output from the socket to the callback and into the result.

One task reads and another delivers, so that a slow callback does not hold up the socket: the daemon drops what is not
read within 2 s of the exit.
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
"""What holding one piece costs beside its bytes. A container that writes single bytes must not cost gigabytes."""

_TURN = 0.01
"""Seconds of callbacks without a checkpoint, after which the reader gets its turn: at the next look at the clock."""

_LINES_UNTIL_LOOK = 8
"""How many lines a quick callback gets between two looks at the clock, of which each takes as long as the callback. One
that turns slow blocks for as many."""


class Capture:
    """The first bytes of one stream, and whether there were more."""

    def __init__(self, limit: int = MAX_CAPTURE_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.truncated = False

    def add(self, data: memoryview) -> None:
        """Keep what there is room for."""
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self.truncated = self.truncated or len(data) > room

    def value(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)


class PieceStream(Protocol):
    """Where the pieces come from."""

    async def receive(self) -> list[OutputPiece]:
        """The next ones, in order for each stream; an empty list at the end."""
        ...


class Output:
    """Reads, captures, and delivers line by line. `read` and `deliver` run in tasks of their own.

    Attributes:
        ended: whether there is no more to come.
        exit_is_due: set when the container's exit is to be waited for: the output has ended, or is held back, which it
            must not be any more once the container has exited.
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
        """Read to the end. While the container lives, wait where more is held than the callback keeps up with."""
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
        """There is no more to come."""
        self.ended = True
        self.exit_is_due.set()
        self._news.unpark_all()

    def container_exited(self) -> None:
        """From now on nothing can be held back: the daemon waits for its readers no longer than 2 s."""
        self._container_exited = True
        self._room.unpark_all()

    async def deliver(self, on_log: LogCallback) -> None:
        """Give each line to the callback, in order for each stream, until the output has ended and all is given."""
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
    """Calls back in turns: quick callbacks share one checkpoint, and one look at the clock."""

    def __init__(self, on_log: LogCallback) -> None:
        self._on_log = on_log
        self.begin_turn()

    def begin_turn(self) -> None:
        """The other tasks had theirs."""
        self._turn_ends = time.monotonic() + _TURN
        self._until_look = 1

    async def deliver(self, lines: list[LogLine]) -> None:
        """Give each line to the callback. Where there is none, the turn may be over as well."""
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
