"""Decode a tar archive incrementally: bytes -> members and their contents. Pure.

`TarDecoder.feed` takes bytes and yields, in order, a `Member` for each header and then its content in pieces, which are
`memoryview`s of the given bytes. `close` ends the archive. Both raise `TarError` and nothing else, whatever the bytes
are: for a bad checksum, an invalid number, an unknown kind of member, or an archive that ends early.

The standard library's `tarfile` is not used for reading, for two reasons. It silently takes a bad header in the middle
of a stream for the end of the archive. And it pulls from a file, while a socket pushes.

Formats: POSIX.1-1988 (ustar), pax (POSIX.1-2001) and GNU long names. Go's archive/tar, which the daemon uses, writes
these. Sparse files, which the daemon does not send, are refused.
"""

import enum
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .limits import MAX_TAR_EXTENSION_BYTES
from .tarheader import BLOCK, CHECKSUM, header_checksum

_ZEROS = bytes(BLOCK)
_SIZE = slice(124, 136)
_KIND = slice(156, 157)
_FIELDS = struct.Struct("100s 8s 28x 12s 9x 100s 8s 80x 155s 12x")
"""Name, mode, time, link, magic and prefix; a third less time than six slices."""
_MAX_DECIMAL_DIGITS = 20
_MAX_TIME_DIGITS = 64
_OVERRIDES = frozenset({"path", "linkpath", "size", "mtime"})  # The pax keywords that are used.
_MAX_SIZE = 2**63 - 1  # Go stores sizes as int64.


class TarError(ValueError):
    """The bytes are not a tar archive, or the archive is incomplete."""


class Kind(enum.Enum):
    """The kind of a member."""

    FILE = "file"
    FOLDER = "folder"
    HARD_LINK = "hard link"
    SYMLINK = "symbolic link"
    DEVICE = "device"
    PIPE = "pipe"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.DEVICE,
    b"4": Kind.DEVICE,
    b"5": Kind.FOLDER,
    b"6": Kind.PIPE,
}


class Member(NamedTuple):
    """One header. `size` is the length of the content that follows; only files have content."""

    name: str
    kind: Kind
    size: int
    mode: int
    mtime: float
    link: str


class TarDecoder:
    """Decodes one archive. It holds at most one header or one extension record, and no file's content."""

    def __init__(self) -> None:
        self._block = b""  # The beginning of a header that has not arrived completely.
        self._extension = bytearray()
        self._extension_kind = b""  # Not empty while a record (pax, GNU long name) is being read.
        self._overrides: dict[str, bytes] = {}  # What the records say about the next member.
        self._content = 0  # Bytes of the current content that have not arrived.
        self._padding = 0  # Bytes of the zeros after it that have not arrived.
        self._ended = False
        self._end_bytes = 0  # Bytes after the first block of the end mark.

    @property
    def is_complete(self) -> bool:
        """Whether the whole archive has arrived, with both blocks of its end mark."""
        return self._end_bytes >= BLOCK

    def feed(self, data: bytes | memoryview) -> Iterator[Member | memoryview]:
        """Yield members and contents in `data`. The views are valid while the caller leaves `data` unchanged."""
        view = memoryview(data)
        at = 0
        while at < len(view) and not self._ended:
            if self._content:
                piece = view[at : at + self._content]
                at += len(piece)
                self._content -= len(piece)
                if self._extension_kind:
                    self._extension += piece
                    if not self._content:
                        self._end_extension()
                else:
                    yield piece
            elif self._padding:
                skipped = min(self._padding, len(view) - at)
                at += skipped
                self._padding -= skipped
            else:
                piece = view[at : at + BLOCK - len(self._block)]
                at += len(piece)
                block = self._block + piece
                if len(block) < BLOCK:
                    self._block = block
                    break
                self._block = b""
                member = self._header(block)
                if member is not None:
                    yield member
        if self._ended:
            self._end_bytes += len(view) - at

    def close(self) -> None:
        """End the archive. Raise if it is incomplete. Bytes after the end mark are ignored, as by tar."""
        if not self._ended:
            raise TarError("the archive is truncated")

    def _header(self, block: bytes) -> Member | None:
        if block == _ZEROS:
            # The end mark is two blocks of zeros. One block is accepted, as by Go's and GNU's readers.
            if self._overrides:
                raise TarError("the archive ends after a record that describes a further member")
            self._ended = True
            return None
        if _number(block[CHECKSUM]) != header_checksum(block):
            raise TarError("a header has a wrong checksum")
        kind_byte = block[_KIND]
        size = _number(block[_SIZE])
        if kind_byte in b"xgLK":
            if not 0 <= size <= MAX_TAR_EXTENSION_BYTES:
                raise TarError(f"an extension record has {size} bytes; the limit is {MAX_TAR_EXTENSION_BYTES}")
            self._expect(size)
            self._extension_kind = kind_byte
            if not size:
                self._end_extension()
            return None
        return self._member(block, kind_byte, size)

    def _member(self, block: bytes, kind_byte: bytes, size: int) -> Member:
        ustar_name, mode, mtime, link, magic, prefix = _FIELDS.unpack(block)
        overrides, self._overrides = self._overrides, {}
        name = overrides.get("path") or _ustar_name(ustar_name, magic, prefix)
        kind = _KINDS.get(kind_byte)
        if kind is None:
            raise TarError(f"a member has the unknown kind {kind_byte!r}")
        if kind is Kind.FILE and name.endswith(b"/"):
            kind = Kind.FOLDER  # Before POSIX, tar had no kind for folders.
        if "size" in overrides:
            size = _decimal(overrides["size"])
        if not 0 <= size <= _MAX_SIZE:
            raise TarError(f"a member has the impossible size {size}")
        if kind is not Kind.FILE:
            size = 0  # Other kinds have no content, whatever the header says. Go's reader does the same.
        self._expect(size)
        return Member(
            name=_text(name),
            kind=kind,
            size=size,
            mode=_number(mode),
            mtime=_seconds(overrides["mtime"]) if "mtime" in overrides else float(_number(mtime)),
            link=_text(overrides.get("linkpath") or _string(link)),
        )

    def _expect(self, size: int) -> None:
        self._content = size
        self._padding = -size % BLOCK

    def _end_extension(self) -> None:
        kind, record = self._extension_kind, bytes(self._extension)
        self._extension_kind = b""
        self._extension.clear()
        if kind == b"L":
            self._overrides["path"] = record.split(b"\0", 1)[0]
        elif kind == b"K":
            self._overrides["linkpath"] = record.split(b"\0", 1)[0]
        elif kind == b"x":
            for key, value in _pax_records(record):
                if key.startswith("GNU.sparse."):
                    raise TarError("the archive has a sparse file")
                if key in _OVERRIDES:  # Unused keywords would accumulate, record after record.
                    self._overrides[key] = value
        # A global record ("g") is ignored: Go's writer puts only comments there.


def _ustar_name(name: bytes, magic: bytes, prefix: bytes) -> bytes:
    # GNU's format ("ustar  \0") has times where POSIX has the prefix.
    if prefix[0] and magic.startswith(b"ustar\0"):
        return _string(prefix) + b"/" + _string(name)
    return _string(name)


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(name: bytes) -> str:
    """Decode a file name as Python does on the host: bytes that are not UTF-8 become surrogate escapes."""
    return name.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)  # Modes, owners and times repeat from header to header.
def _number(field: bytes) -> int:
    """Parse an octal number, padded with blanks or NULs, or GNU's base-256 number, which has the top bit set."""
    if field[0] & 0x80:
        # Two's complement of the field without its top bit. A negative number begins with 0xff.
        return int.from_bytes(bytes((field[0] & 0x7F | (field[0] & 0x40) << 1,)) + field[1:], "big", signed=True)
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise TarError(f"{field!r} is not an octal number")
    return int(digits or b"0", 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DECIMAL_DIGITS:
        raise TarError(f"{text[:40]!r} is not a size")
    return int(text)


def _seconds(text: bytes) -> float:
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(text) > _MAX_TIME_DIGITS or (fraction and not fraction.isdigit()):
        raise TarError(f"{text[:40]!r} is not a time")
    return float(text)


def _pax_records(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the key and value of each line ``<length> <key>=<value>``. The length is that of the whole line."""
    at = 0
    while at < len(record):
        blank = record.find(b" ", at, at + _MAX_DECIMAL_DIGITS)
        length = record[at:blank]
        if blank < 0 or not length.isdigit():
            raise TarError("a pax record has no length")
        end = at + int(length)
        if end > len(record) or end <= blank + 1 or record[end - 1 : end] != b"\n":
            raise TarError("a pax record has a wrong length")
        key, equals, value = record[blank + 1 : end - 1].partition(b"=")
        if not equals or (b"\0" in value and key in (b"path", b"linkpath")):
            raise TarError("a pax record is not a key and a value")
        yield key.decode("utf-8", "replace"), value
        at = end
