"""`Capture`: the bytes of each stream, and both as they came, within their bounds."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.engine import OutputPiece
from lightrunner.engine.frames import StreamName
from lightrunner.results import OutputChunk
from lightrunner.runs import capture
from lightrunner.runs.capture import Capture

STREAMS: tuple[StreamName, ...] = ("stdout", "stderr")

batches = st.lists(
    st.lists(st.tuples(st.sampled_from(STREAMS), st.binary(min_size=1, max_size=6)), min_size=1, max_size=5), max_size=8
)


def pieces(batch: Iterable[tuple[StreamName, bytes]]) -> list[OutputPiece]:
    return [OutputPiece(stream, memoryview(data)) for stream, data in batch]


@given(batches)
def test_nothing_is_lost_and_the_order_holds(given: list[list[tuple[StreamName, bytes]]]) -> None:
    kept = Capture()
    for number, batch in enumerate(given):
        kept.add(pieces(batch), float(number))
    chunks = kept.chunks()
    all_bytes = [(stream, byte) for batch in given for stream, data in batch for byte in data]
    assert [(chunk.stream, byte) for chunk in chunks for byte in chunk.data] == all_bytes
    for stream in STREAMS:
        assert kept.bytes_of(stream) == b"".join(chunk.data for chunk in chunks if chunk.stream == stream)
        assert not kept.is_truncated(stream)
    assert not kept.chunks_are_truncated
    assert [chunk.time for chunk in chunks] == sorted(chunk.time for chunk in chunks)


def test_neighbours_that_came_together_are_one_chunk() -> None:
    kept = Capture()
    kept.add(pieces([("stdout", b"a"), ("stdout", b"b"), ("stderr", b"c"), ("stdout", b"d")]), 1.0)
    kept.add(pieces([("stdout", b"e")]), 2.0)
    assert kept.chunks() == (
        OutputChunk("stdout", b"ab", 1.0),
        OutputChunk("stderr", b"c", 1.0),
        OutputChunk("stdout", b"d", 1.0),
        OutputChunk("stdout", b"e", 2.0),
    )


@given(batches, st.integers(1, 12), st.integers(0, 6))
def test_within_its_bounds_it_keeps_the_beginning(
    given: list[list[tuple[StreamName, bytes]]], most_bytes: int, most_chunks: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "MAX_CAPTURE_BYTES", most_bytes)
        patch.setattr(capture, "MAX_CAPTURE_CHUNKS", most_chunks)
        kept = Capture()
        for batch in given:
            kept.add(pieces(batch), 0.0)
        chunks = kept.chunks()
    assert len(chunks) <= most_chunks
    for stream in STREAMS:
        whole = b"".join(data for batch in given for name, data in batch if name == stream)
        assert kept.bytes_of(stream) == whole[:most_bytes]
        assert kept.is_truncated(stream) == (len(whole) > most_bytes)
        in_chunks = b"".join(chunk.data for chunk in chunks if chunk.stream == stream)
        assert kept.bytes_of(stream).startswith(in_chunks)
        if not kept.chunks_are_truncated:
            assert in_chunks == whole
