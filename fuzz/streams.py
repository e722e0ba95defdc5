"""The streams that a daemon sends, cut into any chunks.

Invariant: hostile bytes yield a value or lightrunner's own error, never another exception, and the cuts between chunks
make no difference.
"""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fuzz.refusal import unless_refused
from lightrunner.engine import EngineProtocolError, FrameDecoder, ProgressDecoder, ProgressMessage
from lightrunner.rules.lines import LineSplitter, Piece
from lightrunner.rules.tarstream import Member, TarDecoder, TarError
from tests.pure.strategies import chunked, frame_streams, hostile_archives, progress_streams, spoiled

Chunks = Sequence[bytes]


def _cut(streams: SearchStrategy[bytes]) -> SearchStrategy[list[bytes]]:
    return (streams | spoiled(streams) | st.binary(max_size=100)).flatmap(chunked)


framed = _cut(frame_streams)
progress = _cut(progress_streams())
archives = _cut(hostile_archives)
_words = st.lists(st.sampled_from([b"\n", b"\r", b"\xe2\x82", b"\xac", b"a" * 9])).map(b"".join)
lines = _cut(st.text(max_size=200).map(str.encode) | _words)


def check_frames(chunks: list[bytes]) -> None:
    """Frames: the same output of each stream, or EngineProtocolError."""
    _check_cuts(_read_frames, chunks, EngineProtocolError)


def check_progress(chunks: list[bytes]) -> None:
    """Progress streams: the same messages, or EngineProtocolError."""
    _check_cuts(_read_progress, chunks, EngineProtocolError)


def check_tar(chunks: list[bytes]) -> None:
    """Archives: the same members with the same content, or TarError."""
    _check_cuts(_read_tar, chunks, TarError)


def check_lines(chunks: list[bytes]) -> None:
    """Lines: nothing is lost, no piece is longer than the limit, and nothing is raised."""
    limit = 16
    pieces = _read_lines(chunks, limit)
    text = b"".join(chunks).decode(errors="replace")
    if not any(piece.partial for piece in pieces):
        assert "\n".join(piece.text for piece in pieces) == text.removesuffix("\n")
    # A byte that is no character becomes one of three.
    assert all(len(piece.text.encode()) <= 3 * limit for piece in pieces)
    assert _read_lines(chunks, 1 << 20) == _read_lines([b"".join(chunks)], 1 << 20)


def _check_cuts(read: Callable[[Chunks], object], chunks: Chunks, error: type[Exception]) -> None:
    assert unless_refused(error, read, chunks) == unless_refused(error, read, [b"".join(chunks)])


def _read_frames(chunks: Chunks) -> tuple[bytes, bytes]:
    decoder = FrameDecoder()
    output = {"stdout": b"", "stderr": b""}
    for chunk in chunks:
        for stream, data in decoder.feed(chunk):
            output[stream] += data
    decoder.close()
    return output["stdout"], output["stderr"]


def _read_progress(chunks: Chunks) -> list[ProgressMessage]:
    decoder = ProgressDecoder()
    messages = [message for chunk in chunks for message in decoder.feed(chunk)]
    decoder.close()
    return messages


def _read_tar(chunks: Chunks) -> list[tuple[Member, bytes]]:
    decoder = TarDecoder()
    members: list[tuple[Member, bytes]] = []
    for chunk in chunks:
        for event in decoder.feed(chunk):
            if isinstance(event, Member):
                members.append((event, b""))
            else:
                member, content = members.pop()
                members.append((member, content + event))
    decoder.close()
    return members


def _read_lines(chunks: Chunks, limit: int) -> list[Piece]:
    splitter = LineSplitter(limit)
    return [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.close()
