"""Deliver a container's output from the socket to the callbacks and into the result.

One task reads and another delivers, since a callback may be slow, and the daemon drops what is unread 2 s after the
exit.
"""

import inspect
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import trio

from lightrunner.engine import OutputPiece
from lightrunner.engine.frames import StreamName
from lightrunner.results import LogCallback, LogLine, OutputCallback, OutputChunk
from lightrunner.rules.limits import LOG_BUFFER_BYTES
from lightrunner.rules.lines import LineSplitter
from lightrunner.rules.report import Report, ReportFilter

from .capture import Capture

T = TypeVar("T")

_PIECE_OVERHEAD_BYTES = 256
"""Memory per buffered piece beside its bytes. A container that writes single bytes must not cost gigabytes."""

_TURN = 0.01
"""Seconds of callbacks between two checkpoints, which let the reader run."""

_CALLS_UNTIL_LOOK = 8
"""Calls between two readings of the clock, each of which takes as long as a quick callback. A callback that turns slow
blocks the event loop for as many."""


class PieceStream(Protocol):
    """A source of output, such as an `AttachedStream`."""

    async def receive(self) -> list[OutputPiece]:
        """Receive the next pieces, in order per stream; an empty list at the end."""
        ...


class Listeners(NamedTuple):
    """The callbacks that get a run's output."""

    on_log: LogCallback | None = None
    on_output: OutputCallback | None = None

    @property
    def are_there(self) -> bool:
        """Whether there is at least one."""
        return self.on_log is not None or self.on_output is not None


NO_LISTENERS = Listeners()


class _Held(NamedTuple):
    """A piece of output that is still to be delivered, and its `OutputChunk.time`."""

    stream: StreamName
    data: memoryview
    time: float


class Output:
    """Read, capture, and deliver output. `read` and `deliver` each run in a task of their own.

    Attributes:
        ended: the output is complete.
        exit_is_due: set when the caller has to wait for the container's exit: the output has ended, or reading is
            paused, which has to stop at the exit.
        over_limit: the container has written more than `limit`.
        report: what process 1 of a measured run reported; None before the end of the output.
    """

    def __init__(
        self,
        listeners: Listeners,
        *,
        capture: bool,
        since: float,
        limit: float = math.inf,
        on_over_limit: Callable[[], None] | None = None,
        nonce: str | None = None,
    ) -> None:
        """Make the output of one run.

        Args:
            listeners: the callbacks.
            capture: keep the output.
            since: the start of the run, by `trio.current_time`.
            limit: bytes; what is over it is dropped.
            on_over_limit: called once, as soon as there is more.
            nonce: of the report at the end of stderr, which is no output; None: there is no report.
        """
        self._listeners = listeners
        self.captured = Capture() if capture else None
        self._since = since
        self._room_in_limit = limit
        self._on_over_limit = on_over_limit
        self.over_limit = False
        self._filter = None if nonce is None else ReportFilter(nonce.encode())
        self.report: Report | None = None
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self.exit_is_due = trio.Event()
        self._container_exited = False
        self.ended = False
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    @property
    def is_wanted(self) -> bool:
        """Whether anything depends on the output: a callback, the result, or a limit."""
        is_counted = self._filter is not None or self._room_in_limit < math.inf
        return self._listeners.are_there or self.captured is not None or is_counted

    async def read(self, stream: PieceStream) -> None:
        """Read to the end. Pause while the container runs and the callbacks are `LOG_BUFFER_BYTES` behind."""
        while pieces := await stream.receive():
            if self._filter is not None:
                pieces = _without_report(pieces, self._filter)
            self._keep(pieces)
            while self._held_bytes > LOG_BUFFER_BYTES and not self._container_exited:
                self.exit_is_due.set()
                await self._room.park()
        if self._filter is not None:
            rest, self.report = self._filter.close()
            if rest:
                self._keep([OutputPiece("stderr", memoryview(rest))])
        self.end()

    def _keep(self, pieces: Sequence[OutputPiece]) -> None:
        """Capture the pieces, and hold them for the callbacks."""
        moment = trio.current_time() - self._since
        if self._room_in_limit < math.inf:
            pieces = self._within_limit(pieces)
        if self.captured is not None:
            self.captured.add(pieces, moment)
        if self._listeners.are_there:
            self._held.extend(_Held(piece.stream, piece.data, moment) for piece in pieces)
            self._held_bytes += sum(_cost(piece.data) for piece in pieces)
            self._news.unpark_all()

    def end(self) -> None:
        """Note the end of the output."""
        self.ended = True
        self.exit_is_due.set()
        self._news.unpark_all()

    def container_exited(self) -> None:
        """Resume reading, without further pauses: the daemon waits at most 2 s for its readers."""
        self._container_exited = True
        self._room.unpark_all()

    async def deliver(self) -> None:
        """Call the callbacks with all output, to its end: each chunk as it came, then the lines that it completes."""
        on_log, on_output = self._listeners
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        splitters = {stream: LineSplitter(make=partial(LogLine, stream)) for stream in streams}
        turn = _Turn()
        while self._held or not self.ended:
            if not self._held:
                await self._news.park()
                turn.begin()
                continue
            held = self._held.popleft()
            self._held_bytes -= _cost(held.data)
            self._room.unpark_all()
            if on_output is not None:
                await turn.call(on_output, [OutputChunk(held.stream, bytes(held.data), held.time)])
            if on_log is not None:
                await turn.call(on_log, splitters[held.stream].feed(held.data))
        if on_log is not None:
            for splitter in splitters.values():
                await turn.call(on_log, splitter.close())
        await trio.lowlevel.checkpoint()

    def _within_limit(self, pieces: Iterable[OutputPiece]) -> list[OutputPiece]:
        """Return the pieces as far as the limit goes."""
        kept: list[OutputPiece] = []
        for piece in pieces:
            size = len(piece.data)
            if size > self._room_in_limit and not self.over_limit:
                self.over_limit = True
                if self._on_over_limit is not None:
                    self._on_over_limit()
            if data := piece.data[: int(min(size, self._room_in_limit))]:
                kept.append(OutputPiece(piece.stream, data))
                self._room_in_limit -= len(data)
        return kept


class _Turn:
    """Calls a callback. Quick calls share a checkpoint and a reading of the clock."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start a turn, after a checkpoint."""
        self._ends = time.monotonic() + _TURN
        self._until_look = 1

    async def call(self, callback: Callable[[T], object], values: list[T]) -> None:
        """Call the callback with each value, and checkpoint when the turn is over."""
        at = 0
        while True:
            until = at + self._until_look
            for value in values[at:until]:
                outcome = callback(value)
                if outcome is not None and inspect.isawaitable(outcome):
                    await outcome
            at = until
            if time.monotonic() >= self._ends:
                await trio.lowlevel.checkpoint()
                self.begin()
            elif self._until_look < _CALLS_UNTIL_LOOK:
                self._until_look *= 2
            if at >= len(values):
                return


def _without_report(pieces: Iterable[OutputPiece], report: ReportFilter) -> list[OutputPiece]:
    """Return the pieces without what belongs to the report, or may do so."""
    kept: list[OutputPiece] = []
    for piece in pieces:
        data = piece.data if piece.stream == "stdout" else memoryview(report.feed(bytes(piece.data)))
        if data:
            kept.append(OutputPiece(piece.stream, data))
    return kept


def _cost(data: memoryview) -> int:
    return len(data) + _PIECE_OVERHEAD_BYTES
