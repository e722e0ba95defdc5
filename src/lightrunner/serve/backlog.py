"""A run's output, kept for readers that come, go, and come back."""

import codecs
from typing import NamedTuple

import trio

from lightrunner import OutputChunk
from lightrunner.engine.frames import StreamName

_ENTRY_OVERHEAD_BYTES = 256
"""Memory per entry beside its bytes. A container that writes single bytes must not cost gigabytes."""

_TRIMMED = 0.125
"""The part of the limit that is dropped at once: dropping from a list's front costs as much as the list is long."""

_BATCH = 256
"""Entries that a reader gets at once."""

_UTF8 = codecs.getincrementaldecoder("utf-8")


class Entry(NamedTuple):
    """A chunk of output.

    Attributes:
        id: its number, from 1 up, without gaps.
        stream: ``stdout`` or ``stderr``.
        data: its bytes; empty if only `carried` is left at the end of the stream.
        carried: the beginning of a character that the stream's chunk before ended with.
        is_last: the end of the stream; `carried` is then incomplete for good.
        time: seconds from the start of the run.
    """

    id: int
    stream: StreamName
    data: bytes
    carried: bytes
    is_last: bool
    time: float

    @property
    def text(self) -> str:
        """The characters that this chunk completes. Bytes that are not UTF-8 become U+FFFD."""
        return _UTF8("replace").decode(self.carried + self.data, self.is_last)


class Batch(NamedTuple):
    """Entries in order, and the number of those before them that are dropped."""

    entries: list[Entry]
    lost: int


class Backlog:
    """The newest output, up to a limit in bytes. The oldest is dropped: a reader that is slow does not stop the run.

    Attributes:
        newest: the id of the newest entry; 0 without one.
        ended: the output is complete.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.newest = 0
        self.ended = False
        self._limit_bytes = limit_bytes
        self._entries: list[Entry] = []
        self._bytes = 0
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        self._decoders: dict[StreamName, codecs.IncrementalDecoder] = {stream: _UTF8("replace") for stream in streams}
        self._time = 0.0
        self._news = trio.lowlevel.ParkingLot()

    def add(self, chunk: OutputChunk) -> None:
        """Keep a chunk, and wake the readers."""
        decoder = self._decoders[chunk.stream]
        carried = decoder.getstate()[0]
        decoder.decode(chunk.data)
        self._append(chunk.stream, chunk.data, carried, is_last=False, time=chunk.time)

    def end(self) -> None:
        """Note the end of the output."""
        if self.ended:
            return
        for stream, decoder in self._decoders.items():
            if carried := decoder.getstate()[0]:
                self._append(stream, b"", carried, is_last=True, time=self._time)
        self.ended = True
        self._news.unpark_all()

    def after(self, last: int) -> Batch:
        """Return entries that come after an id; none if there are none yet."""
        oldest = self.newest - len(self._entries) + 1
        at = max(0, last + 1 - oldest)
        return Batch(self._entries[at : at + _BATCH], max(0, oldest - last - 1))

    async def wait_after(self, last: int) -> None:
        """Wait for an entry after an id, or for the end."""
        while self.newest <= last and not self.ended:
            await self._news.park()

    def _append(self, stream: StreamName, data: bytes, carried: bytes, *, is_last: bool, time: float) -> None:
        self.newest += 1
        self._time = time
        self._entries.append(Entry(self.newest, stream, data, carried, is_last, time))
        self._bytes += len(data) + _ENTRY_OVERHEAD_BYTES
        if self._bytes > self._limit_bytes:
            self._trim()
        self._news.unpark_all()

    def _trim(self) -> None:
        """Drop the oldest entries, but never the newest."""
        count = 0
        while self._bytes > self._limit_bytes * (1 - _TRIMMED) and count < len(self._entries) - 1:
            self._bytes -= len(self._entries[count].data) + _ENTRY_OVERHEAD_BYTES
            count += 1
        del self._entries[:count]
