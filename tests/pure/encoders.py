"""What a peer sends, written without the code under test: frames with `struct`, archives with `tarfile`.

`tar_block` writes headers that no tar tool would write, checksum included.
"""

import io
import struct
import tarfile
from collections.abc import Iterable

BLOCK = 512
END = bytes(2 * BLOCK)

_USTAR = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2, "error": 3}


def frame(stream: str, payload: bytes) -> bytes:
    """One frame of multiplexed output."""
    return struct.pack(">BxxxI", _STREAMS[stream], len(payload)) + payload


def archive(members: Iterable[tuple[tarfile.TarInfo, bytes]], tar_format: int) -> bytes:
    """An archive as the standard library writes it. ValueError: the format has no room for one of the names."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape", bufsize=BLOCK
    ) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_block(
    *,
    name: bytes = b"dist/file",
    mode: bytes = b"0000644\0",
    size: bytes | int = 0,
    mtime: bytes = b"00000000000\0",
    kind: bytes = b"0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header of these very bytes, with a checksum that fits unless one is given."""
    if isinstance(size, int):
        size = b"%011o\0" % size
    blank, no_id = b" " * 8, b"0000000\0"
    owner = (b"root", b"root", no_id, no_id)

    def block(check: bytes) -> bytes:
        return _USTAR.pack(name, mode, no_id, no_id, size, mtime, check, kind, link, magic, *owner, prefix)

    return block(b"%06o\0 " % sum(block(blank)) if checksum is None else checksum)


def padded(content: bytes) -> bytes:
    """Content filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def tar_record(kind: bytes, content: bytes) -> bytes:
    """A header that describes the next one: pax ``x`` and ``g``, GNU ``L`` and ``K``."""
    return tar_block(name=b"record", kind=kind, size=len(content)) + padded(content)


def pax(*pairs: tuple[str, bytes]) -> bytes:
    """Lines of a pax record, each led by its own length."""
    return b"".join(_pax_line(key.encode() + b"=" + value) for key, value in pairs)


def _pax_line(text: bytes) -> bytes:
    rest = len(text) + len(" \n")
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %b\n" % (length, text)
