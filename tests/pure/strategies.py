"""The hypothesis strategies of all tests and fuzzers: well-formed input, and bytes that only look like it."""

import json
import tarfile
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .encoders import frame, padded, pax, tar_block, tar_record

# --- how bytes arrive ---------------------------------------------------------------------------------------------


def chunked(data: bytes) -> SearchStrategy[list[bytes]]:
    """The same bytes in up to nine chunks, some of them empty."""
    places = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    return places.map(lambda cuts: [data[start:end] for start, end in pairwise([0, *cuts, len(data)])])


@st.composite
def spoiled(draw: DrawFn, valid: SearchStrategy[bytes]) -> bytes:
    """Well-formed bytes with something overwritten, put in or cut out."""
    data = draw(valid)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(start + 16, len(data))))
        data = data[:start] + draw(st.binary(max_size=16)) + data[end:]
    return data


# --- the engine's streams -----------------------------------------------------------------------------------------

outputs: SearchStrategy[list[tuple[str, bytes]]] = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40)), max_size=8
)
"""Frames, in order: stream and payload."""

frame_streams = outputs.map(lambda frames: b"".join(frame(*each) for each in frames))

json_values: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)

_counts = st.none() | st.integers(0, 2**63 - 1)
progress_values: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "status": st.text(max_size=30),
        "id": st.text(max_size=12),
        "stream": st.text(max_size=30),
        "progressDetail": st.fixed_dictionaries({}, optional={"current": _counts, "total": _counts}),
        "errorDetail": st.fixed_dictionaries({"message": st.text(max_size=30)}, optional={"code": st.integers(0, 599)}),
        "error": st.text(max_size=30),
        "aux": json_values,
        "progress": st.text(max_size=30),  # The daemon's own bar, which is skipped.
    },
)
"""Messages as the daemon means them, before they are JSON."""


@st.composite
def progress_streams(draw: DrawFn) -> bytes:
    """Messages behind one another, with and without blanks between them."""
    blanks = st.sampled_from(["", "\n", "\r\n", " \t"])
    messages = draw(st.lists(progress_values, max_size=4))
    ascii_only = draw(st.booleans())
    return "".join(json.dumps(value, ensure_ascii=ascii_only) + draw(blanks) for value in messages).encode()


# --- archives -----------------------------------------------------------------------------------------------------


def _as_file_name(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


_part_bytes = st.text(min_size=1, max_size=60).map(str.encode) | st.binary(min_size=1, max_size=60)
_parts = _part_bytes.map(lambda part: part.replace(b"\0", b"0").replace(b"/", b"1"))
file_names = st.lists(_parts, min_size=1, max_size=8).map(lambda parts: _as_file_name(b"/".join(parts)))
"""Relative paths as Linux allows them: any bytes but NUL, spelled with surrogate escapes."""

member_names: SearchStrategy[str] = st.one_of(
    st.lists(st.sampled_from(["..", ".", "", "a", "..a", "a\\..", "é" * 130, "\udcff"]), max_size=8).map("/".join),
    st.binary(max_size=600).map(_as_file_name),
    st.integers(250, 260).map(lambda depth: "d/" * depth),
)
"""What a hostile archive calls its members."""

_TYPES = b"\x0001234567"


@st.composite
def tar_members(draw: DrawFn, tar_format: int) -> tuple[tarfile.TarInfo, bytes]:
    """A member, and its content, for `tarfile` to write."""
    info = tarfile.TarInfo(draw(file_names))
    info.type = bytes([draw(st.sampled_from(_TYPES))])
    info.mode = draw(st.integers(0, 0o7777))
    info.mtime = draw(st.integers(0, 2**33 - 1))
    if tar_format == tarfile.PAX_FORMAT and draw(st.booleans()):
        info.mtime += 0.125
    if info.type in {tarfile.LNKTYPE, tarfile.SYMTYPE}:
        info.linkname = draw(file_names)
    content = draw(st.binary(max_size=1100)) if info.isreg() else b""
    info.size = len(content)
    return info, content


_numbers = st.one_of(
    st.integers(0, 2000).map(b"%011o\0".__mod__),
    st.integers(0, 8**12 - 1).map(b"%012o".__mod__),
    st.binary(min_size=11, max_size=11).map(b"\x80".__add__),
    st.binary(min_size=11, max_size=11).map(b"\xff".__add__),
    st.text("01234567 \0", max_size=12).map(str.encode),
    st.binary(max_size=12),
)
_pax_pairs = st.tuples(
    st.sampled_from(["path", "linkpath", "size", "mtime", "comment", "", "GNU.sparse.major"]),
    st.one_of(st.binary(max_size=30), st.integers(0, 2000).map(b"%d".__mod__), st.floats().map(lambda n: b"%g" % n)),
)


@st.composite
def _hostile_member(draw: DrawFn) -> bytes:
    header = tar_block(
        name=draw(st.binary(max_size=100)),
        mode=draw(_numbers)[:8],
        size=draw(_numbers),
        mtime=draw(_numbers),
        kind=bytes([draw(st.sampled_from(_TYPES + b"xgLKSDVM") | st.integers(0, 255))]),
        link=draw(st.binary(max_size=100)),
        magic=draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)])),
        prefix=draw(st.binary(max_size=155)),
    )
    return header + draw(st.binary(max_size=40) | st.binary(max_size=600).map(padded))


@st.composite
def _hostile_record(draw: DrawFn) -> bytes:
    kind = draw(st.sampled_from([b"x", b"g", b"L", b"K"]))
    lines = draw(st.lists(_pax_pairs, max_size=4).map(lambda pairs: pax(*pairs)) | st.binary(max_size=60))
    return tar_record(kind, lines)


hostile_archives = st.tuples(
    st.lists(_hostile_member() | _hostile_record(), max_size=5).map(b"".join),
    st.sampled_from([b"", bytes(512), bytes(1024), b"x" * 512]),
).map(b"".join)
"""Headers with checksums that fit, and nothing else that has to."""

# --- values of a request ------------------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=40)
"""Lone surrogates and NUL included."""

any_values: SearchStrategy[object] = st.one_of(
    any_text,
    st.text("0123456789.kKmMgGiIbB =,-_/:@", max_size=12),
    st.none() | st.booleans() | st.integers() | st.floats(),
    st.integers(0, 10**6).map(lambda digits: 10 ** (digits % 5000)),
    st.binary(max_size=10) | st.binary(max_size=10).map(bytearray),
    any_text.map(PurePosixPath),
    st.lists(any_text | st.integers(), max_size=3),
    st.dictionaries(any_text | st.integers(), any_text | st.integers(), max_size=3),
)
"""What a caller might pass where something else is meant."""
