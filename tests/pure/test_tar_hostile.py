"""`TarDecoder` on what is no archive, or a lying one.

Invariant: whatever the bytes and however they are cut, it yields members with as many bytes as they announce, or raises
TarError; never another exception. An archive that ends before its end mark raises. What is held is bounded.
"""

import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.rules.limits import MAX_TAR_EXTENSION_BYTES
from lightrunner.rules.tarstream import Kind, Member, TarDecoder, TarError

from .encoders import BLOCK, END, archive, padded, pax, tar_block, tar_record
from .feeding import assert_no_prefix_decodes, assert_refused, decoded_or_refused
from .strategies import chunked, hostile_archives, spoiled, tar_members
from .untar import untar


def test_every_truncation_raises() -> None:
    data = tar_record(b"L", b"long\0") + tar_block(size=3) + padded(b"abc") + tar_block(kind=b"5") + END
    assert_no_prefix_decodes(untar, data[:-BLOCK], TarError, "truncated")


def test_an_empty_stream_is_no_archive() -> None:
    assert_refused(untar, b"", TarError, "truncated")


@pytest.mark.parametrize("checksum", [b"000000\0 ", b"", b"777777\0 ", b"\x80\0\0\0\0\0\0\0"])
def test_a_wrong_checksum(checksum: bytes) -> None:
    assert_refused(untar, tar_block(checksum=checksum), TarError, "checksum")


def test_a_bad_header_is_no_end() -> None:
    data = tar_block() + b"x" * BLOCK + END
    with pytest.raises(TarError):
        untar([data])


@pytest.mark.parametrize("number", [b"0000008\0", b"12 34\0\0\0", b"-000001\0", b"0x00001\0", b"\x7f" * 8])
def test_what_is_no_number(number: bytes) -> None:
    assert_refused(untar, tar_block(mode=number), TarError, "not an octal number")


@pytest.mark.parametrize("kind", [b"S", b"D", b"V", b"M", b"8", b"X", b"\xff", b" "])
def test_unknown_kinds(kind: bytes) -> None:
    assert_refused(untar, tar_block(kind=kind), TarError, "unknown kind")


def test_sparse_files_of_pax() -> None:
    assert_refused(untar, tar_record(b"x", pax(("GNU.sparse.major", b"1"))), TarError, "sparse")


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x80" + bytes(7)])
def test_sizes_that_lie(size: bytes) -> None:
    assert_refused(untar, tar_block(size=size), TarError, "impossible size -?[0-9]+")


@pytest.mark.parametrize("size", [b"-1", b"", b"1.5", b"9" * 21, b" 1", b"\xb2", b"0x1"])
def test_sizes_of_pax_that_are_none(size: bytes) -> None:
    with pytest.raises(TarError, match="not a size"):
        untar([tar_record(b"x", pax(("size", size))) + tar_block()])


@pytest.mark.parametrize("size", [b"9" * 20, b"%d" % 2**63])
def test_sizes_of_pax_beyond_int64(size: bytes) -> None:
    with pytest.raises(TarError, match="impossible size"):
        untar([tar_record(b"x", pax(("size", size))) + tar_block()])


@pytest.mark.parametrize("time", [b"", b"-", b".5", b"1e9", b"nan", b"1.5.5", b"--1", b"1.-5", b"1" * 65, b"1_0"])
def test_times_that_are_none(time: bytes) -> None:
    with pytest.raises(TarError, match="not a time"):
        untar([tar_record(b"x", pax(("mtime", time))) + tar_block()])


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (b"path=x\n", "has no length"),
        (b" path=x\n", "has no length"),
        (b"9", "has no length"),
        (b"0" * 30 + b"9 path=x\n", "has no length"),
        (b"-9 path=x\n", "has no length"),
        (b"8 path=x\n", "wrong length"),
        (b"11 path=x\n", "wrong length"),
        (b"99 path=x\n", "wrong length"),
        (b"2 \n", "wrong length"),
        (b"0 path=x\n", "wrong length"),
        (b"9 path_x\n", "not a key and a value"),
        (b"9 path=\0\n", "not a key and a value"),
        (b"14 linkpath=\0\n", "not a key and a value"),
    ],
)
def test_pax_records_that_are_none(record: bytes, match: str) -> None:
    with pytest.raises(TarError, match=match):
        untar([tar_record(b"x", record) + tar_block()])


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("size", [MAX_TAR_EXTENSION_BYTES + 1, b"\xff" * 12])
def test_a_record_without_end_is_not_collected(kind: bytes, size: bytes | int) -> None:
    assert_refused(untar, tar_block(kind=kind, size=size), TarError, "extension record has -?[0-9]+ bytes")


def test_the_longest_record() -> None:
    name = b"n" * MAX_TAR_EXTENSION_BYTES
    ((member, _),) = untar([tar_record(b"L", name) + tar_block() + END])
    assert member.name == name.decode()


def test_records_do_not_pile_up() -> None:
    decoder = TarDecoder()
    for at in range(5):
        assert list(decoder.feed(tar_record(b"x", pax((f"SCHILY.xattr.{at}", bytes(1000)), ("path", b"p" * 50))))) == []
    held = decoder._overrides  # pyright: ignore[reportPrivateUsage] - what is held is the point
    assert sum(map(len, held.values())) == 50


def test_a_record_that_describes_nothing() -> None:
    assert_refused(untar, tar_record(b"L", b"name\0") + END, TarError, "ends after a record")


def test_content_is_not_collected() -> None:
    decoder = TarDecoder()
    (member,) = decoder.feed(tar_block(size=8**11 - 1))
    assert isinstance(member, Member)
    assert member.kind is Kind.FILE
    data = bytes(BLOCK * 3)
    (piece,) = decoder.feed(data)
    assert isinstance(piece, memoryview)
    assert piece.obj is data, "not copied"
    assert len(piece) == len(data), "zeros in a content are no end mark"


real_archives = st.lists(tar_members(tarfile.PAX_FORMAT), max_size=3).map(
    lambda members: archive(members, tarfile.PAX_FORMAT)
)


@given(hostile_archives | spoiled(hostile_archives) | spoiled(real_archives), st.data())
def test_hostile_bytes(data: bytes, choice: st.DataObject) -> None:
    whole = decoded_or_refused(untar, [data], TarError)
    assert decoded_or_refused(untar, choice.draw(chunked(data)), TarError) == whole
    for member, content in whole or []:
        assert member.size == len(content)
        assert "\0" not in member.name + member.link
