"""Keep the output of a run, bounded: the bytes of each stream, and the order in which they came. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from lightrunner.engine import OutputPiece
from lightrunner.engine.frames import StreamName
from lightrunner.results import OutputChunk
from lightrunner.rules.limits import MAX_CAPTURE_BYTES, MAX_CAPTURE_CHUNKS


class _Segment(NamedTuple):
    """A part of one stream's bytes, from `start` on, up to the stream's next segment."""

    stream: StreamName
    start: int
    time: float


class _Stream:
    """The first bytes of one stream, and whether more followed."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.truncated = False

    def add(self, data: memoryview) -> bool:
        """Keep as much as there is room for. Return whether there was any."""
        room = MAX_CAPTURE_BYTES - len(self.kept)
        self.kept += data[:room]
        self.truncated = self.truncated or len(data) > room
        return room > 0


class Capture:
    """The output of one run, up to `MAX_CAPTURE_BYTES` of each stream and `MAX_CAPTURE_CHUNKS` chunks in all."""

    def __init__(self) -> None:
        self._streams: dict[StreamName, _Stream] = {"stdout": _Stream(), "stderr": _Stream()}
        self._segments: list[_Segment] = []
        self._end_of_chunks: dict[StreamName, int] | None = None

    def add(self, pieces: Sequence[OutputPiece], time: float) -> None:
        """Keep pieces that came together, `time` seconds after the start. Neighbours of one stream make one chunk."""
        last: StreamName | None = None
        for stream, data in pieces:
            kept = self._streams[stream]
            start = len(kept.kept)
            if not kept.add(data):
                continue
            if stream != last and self._end_of_chunks is None:
                if len(self._segments) < MAX_CAPTURE_CHUNKS:
                    self._segments.append(_Segment(stream, start, time))
                else:
                    self._end_of_chunks = self._lengths()
                    self._end_of_chunks[stream] = start
            last = stream

    def bytes_of(self, stream: StreamName) -> bytes:
        """The bytes of one stream that were kept."""
        return bytes(self._streams[stream].kept)

    def is_truncated(self, stream: StreamName) -> bool:
        """Whether that stream had more."""
        return self._streams[stream].truncated

    @property
    def chunks_are_truncated(self) -> bool:
        """Whether `chunks` lacks something."""
        return self._end_of_chunks is not None or any(stream.truncated for stream in self._streams.values())

    def chunks(self) -> tuple[OutputChunk, ...]:
        """Return both streams as they came."""
        ends = dict(self._end_of_chunks or self._lengths())
        chunks: list[OutputChunk] = []
        for stream, start, time in reversed(self._segments):
            chunks.append(OutputChunk(stream, bytes(self._streams[stream].kept[start : ends[stream]]), time))
            ends[stream] = start
        return tuple(reversed(chunks))

    def _lengths(self) -> dict[StreamName, int]:
        return {name: len(stream.kept) for name, stream in self._streams.items()}
