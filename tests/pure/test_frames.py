"""`FrameDecoder`.

Invariant: whatever the bytes and however they are cut, it yields the payloads in order, or raises EngineProtocolError;
never another exception. A stream that ends inside a frame raises.
"""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.engine import EngineProtocolError, FrameDecoder
from lightrunner.engine.errors import MAX_ERROR_BODY_BYTES
from lightrunner.engine.frames import PlainDecoder

from .encoders import frame
from .feeding import (
    Chunks,
    assert_decodes,
    assert_no_prefix_decodes,
    assert_refused,
    decoded_or_refused,
)
from .strategies import chunked, frame_streams, outputs, spoiled

Output = list[tuple[str, bytes]]


def decode(chunks: Chunks) -> Output:
    """Decode, and join what one stream wrote in a row: where a payload was cut says nothing."""
    decoder = FrameDecoder()
    output: Output = []
    for chunk in chunks:
        for stream, data in decoder.feed(chunk):
            output.append((stream, bytes(data)))
    decoder.close()
    return joined(output)


def joined(output: Output) -> Output:
    runs: Output = []
    for stream, data in output:
        if runs and runs[-1][0] == stream:
            runs[-1] = (stream, runs[-1][1] + data)
        elif data:
            runs.append((stream, data))
    return runs


def test_frames_in_every_way() -> None:
    data = frame("stdout", b"one\n") + frame("stderr", b"two") + frame("stdout", b"") + frame("stdout", b"\0\xff")
    assert_decodes(decode, data, [("stdout", b"one\n"), ("stderr", b"two"), ("stdout", b"\0\xff")])


def test_no_output_at_all() -> None:
    assert_decodes(decode, b"", [])


def test_every_truncation_raises() -> None:
    frames = [frame("stdout", b"one"), frame("stderr", b""), frame("stderr", b"four")]
    ends = {0, *accumulate(map(len, frames))}
    assert_no_prefix_decodes(decode, b"".join(frames), EngineProtocolError, "ended inside a frame", ends=ends)


@pytest.mark.parametrize(("data", "missing"), [(b"\1\0\0", 5), (frame("stdout", b"four")[:-1], 1)])
def test_a_truncation_tells_what_is_missing(data: bytes, missing: int) -> None:
    assert_refused(decode, data, EngineProtocolError, f"ended inside a frame: {missing} bytes are missing")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (frame("stdin", b"x"), "unknown stream 0"),
        (b"\4" + frame("stdout", b"x")[1:], "unknown stream 4"),
        (b"\1\0\1\0\0\0\0\1x", "three zeros"),
        (b"HTTP/1.1 500 Internal Server Error", "three zeros"),
        (frame("stdout", b"x") + b"garbage that follows", "three zeros"),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes, match: str) -> None:
    assert_refused(decode, data, EngineProtocolError, match)


@pytest.mark.parametrize("before", [b"", frame("stdout", b"output")])
@pytest.mark.parametrize(
    ("text", "shown"),
    [(b"disk full\n", "disk full$"), (b"", "no reason given"), (b"\xff", "\N{REPLACEMENT CHARACTER}")],
)
def test_an_error_of_the_daemon_is_raised(before: bytes, text: bytes, shown: str) -> None:
    assert_refused(decode, before + frame("error", text), EngineProtocolError, f"reported an error.*: {shown}")


def test_an_error_that_is_cut_off_is_raised_all_the_same() -> None:
    assert_refused(decode, frame("error", b"disk full")[:-1], EngineProtocolError, "reported an error.*: disk ful$")


def test_an_error_without_end_is_not_collected() -> None:
    decoder = FrameDecoder()
    decoder.feed(frame("error", bytes(2**20))[:8])
    half = b"e" * (MAX_ERROR_BODY_BYTES // 2)
    assert not decoder.feed(half)
    with pytest.raises(EngineProtocolError, match="reported an error") as caught:
        decoder.feed(half * 3)
    assert str(caught.value).count("e" * MAX_ERROR_BODY_BYTES) == 1
    assert len(str(caught.value)) < MAX_ERROR_BODY_BYTES + 100


def test_a_payload_is_handed_on_as_it_arrives() -> None:
    decoder = FrameDecoder()
    assert not decoder.feed(b"\1\0\0\0\xff\xff\xff\xff"), "4 GiB are announced"
    assert [bytes(piece.data) for piece in decoder.feed(b"some")] == [b"some"]
    assert [bytes(piece.data) for piece in decoder.feed(b"more")] == [b"more"]


def test_a_payload_is_not_copied() -> None:
    data = frame("stdout", b"payload")
    (piece,) = FrameDecoder().feed(data)
    assert piece.data.obj is data


@given(outputs, st.data())
def test_round_trip(frames: Output, choice: st.DataObject) -> None:
    chunks = choice.draw(chunked(b"".join(frame(*each) for each in frames)))
    assert decode(chunks) == joined(frames)


@given(spoiled(frame_streams) | st.binary(max_size=100), st.data())
def test_hostile_bytes(data: bytes, choice: st.DataObject) -> None:
    whole = decoded_or_refused(decode, [data], EngineProtocolError)
    assert decoded_or_refused(decode, choice.draw(chunked(data)), EngineProtocolError) == whole


def test_a_terminal_has_one_stream_without_frames() -> None:
    decoder = PlainDecoder()
    assert decoder.feed(b"") == []
    assert [(piece.stream, bytes(piece.data)) for piece in decoder.feed(b"\x01\0\0\0")] == [("stdout", b"\x01\0\0\0")]
    decoder.close()
