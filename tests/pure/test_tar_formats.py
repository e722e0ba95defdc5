"""`TarDecoder` on well-formed archives: what `tarfile` and Go write is what it reads.

Invariant: in each of the formats ustar, GNU and pax, every name, link, kind, size, mode, time and content arrives as
it was written, however the bytes are cut.
"""

import tarfile
from typing import Literal

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from lightrunner.rules.tarstream import Kind, Member, TarDecoder

from .encoders import END, archive, padded, pax, tar_block, tar_record
from .feeding import assert_decodes, every_way
from .strategies import chunked, tar_members
from .untar import untar, untar_one

TarFormat = Literal[0, 1, 2]
FORMATS: dict[str, TarFormat] = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.FIFOTYPE: Kind.PIPE,
}
LONG = "/".join(["long" * 25] * 3)
NOT_UTF8 = b"caf\xe9/\xff\xfe".decode("utf-8", "surrogateescape")

each_format = pytest.mark.parametrize("tar_format", FORMATS.values(), ids=FORMATS)


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def meant(info: tarfile.TarInfo) -> Member:
    """The member that an entry stands for. Folders' names end with a slash in an archive."""
    name = f"{info.name}/" if info.isdir() else info.name
    return Member(name, KINDS[info.type], info.size, info.mode, float(info.mtime), info.linkname)


@each_format
def test_a_tree_in_every_way(tar_format: TarFormat) -> None:
    members = [
        (named("dist", tarfile.DIRTYPE), b""),
        (named("dist/a", size=3), b"abc"),
        (named("dist/link", tarfile.SYMTYPE, "../etc"), b""),
        (named("dist/empty"), b""),
    ]
    # tarfile fills an archive up to 10 KiB: the end mark alone is enough to be cut at every place.
    data = archive(members, tar_format)[: 512 * 7]
    assert_decodes(untar, data, [(meant(info), content) for info, content in members])


@each_format
def test_what_follows_the_end_is_ignored(tar_format: TarFormat) -> None:
    data = archive([(named("a", size=1), b"x")], tar_format)
    assert untar([data + b"trailing data" * 100]) == untar([data, b"", b"more"]) == untar([data])


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("name", [LONG, "ä" * 100, NOT_UTF8, "n" * 100, "n" * 101, " ", "-", "new\nline", "a=b 9 c"])
def test_names_and_links_arrive_intact(name: str, tar_format: TarFormat) -> None:
    info = named(name, tarfile.SYMTYPE, name)
    assert untar([archive([(info, b""), (named("next"), b"")], tar_format)]) == [
        (meant(info), b""),
        (meant(named("next")), b""),
    ]


@pytest.mark.parametrize("name", [f"{'p' * 155}/{'n' * 100}", "f" * 100, NOT_UTF8])
def test_a_ustar_name_may_be_split(name: str) -> None:
    assert untar_one(archive([(named(name), b"")], tarfile.USTAR_FORMAT))[0].name == name


def test_gnu_keeps_other_things_in_the_place_of_the_prefix() -> None:
    data = tar_block(name=b"name", magic=b"ustar  \0", prefix=b"14200000000") + END
    assert untar_one(data)[0].name == "name"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["base-256", "pax"])
@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 2**40 + 1, 2**63 - 1])
def test_sizes_beyond_eleven_octal_digits(size: int, tar_format: TarFormat) -> None:
    decoder = TarDecoder()
    (member,) = decoder.feed(named("huge", size=size).tobuf(tar_format))
    assert isinstance(member, Member)
    assert member.size == size
    (piece,) = decoder.feed(b"content")
    assert piece == memoryview(b"content")


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["base-256", "pax"])
@pytest.mark.parametrize("mtime", [-1, -(2**33), 2**33, 2**40])
def test_times_long_ago_and_far_ahead(mtime: int, tar_format: TarFormat) -> None:
    info = named("old")
    info.mtime = mtime
    assert untar_one(archive([(info, b"")], tar_format))[0].mtime == mtime


@pytest.mark.parametrize(
    ("text", "mtime"), [(b"1.5", 1.5), (b"-1.25", -1.25), (b"7", 7.0), (b"7.", 7.0), (b"0.000000001", 1e-9)]
)
def test_times_of_pax(text: bytes, mtime: float) -> None:
    assert untar_one(tar_record(b"x", pax(("mtime", text))) + tar_block() + END)[0].mtime == mtime


def test_a_pax_record_overrides_the_next_header_and_no_other() -> None:
    record = pax(("path", b"b"), ("linkpath", b"l"), ("size", b"2"), ("mtime", b"3"), ("uname", b"me"), ("", b""))
    data = tar_record(b"x", record) + tar_block(name=b"a", size=1) + padded(b"xy") + tar_block() + END
    assert untar([data]) == [
        (Member("b", Kind.FILE, 2, 0o644, 3.0, "l"), b"xy"),
        (Member("dist/file", Kind.FILE, 0, 0o644, 0.0, ""), b""),
    ]


def test_the_last_of_several_records_holds() -> None:
    records = tar_record(b"x", pax(("path", b"1"), ("path", b"2"))) + tar_record(b"L", b"3\0ignored")
    assert untar_one(records + tar_block() + END)[0].name == "3"


@pytest.mark.parametrize("record", [tar_record(b"x", pax(("path", b""))), tar_record(b"L", b""), tar_record(b"x", b"")])
def test_an_empty_override_is_none(record: bytes) -> None:
    member, content = untar_one(record + tar_block(name=b"name", size=1) + padded(b"x") + END)
    assert (member.name, content) == ("name", b"x")


def test_gnu_records_of_links() -> None:
    data = tar_record(b"K", b"target\0") + tar_record(b"L", b"name\0") + tar_block(kind=b"2", link=b"t") + END
    assert untar_one(data)[0] == Member("name", Kind.SYMLINK, 0, 0o644, 0.0, "target")


def test_a_global_record_says_nothing_of_the_members() -> None:
    assert untar_one(tar_record(b"g", pax(("path", b"x"))) + tar_block(name=b"a") + END)[0].name == "a"


def test_before_posix_a_slash_made_a_folder() -> None:
    assert untar_one(tar_block(name=b"dir/", kind=b"\0", magic=bytes(8)) + END)[0].kind is Kind.FOLDER


@pytest.mark.parametrize("kind", b"123456")
def test_only_files_have_content(kind: int) -> None:
    data = tar_block(kind=bytes([kind]), size=600) + tar_block(name=b"next") + END
    first, second = untar([data])
    assert (first[0].size, second[0].name) == (0, "next")


@pytest.mark.parametrize("mode", [b"0000755\0", b"    755 ", b"755\0\0\0\0\0", b"\x80\0\0\0\0\0\1\xed", b"0000755 "])
def test_spellings_of_a_number(mode: bytes) -> None:
    assert untar_one(tar_block(mode=mode) + END)[0].mode == 0o755


@pytest.mark.parametrize(("mode", "number"), [(b"", 0), (b"\xff" * 8, -1), (b"\xff" * 7 + b"\xfe", -2)])
def test_numbers_at_the_edge(mode: bytes, number: int) -> None:
    assert untar_one(tar_block(mode=mode) + END)[0].mode == number


@pytest.mark.parametrize("end", [bytes(512), END])
def test_one_block_of_zeros_ends_an_archive(end: bytes) -> None:
    assert untar([tar_block() + end]) == untar([tar_block() + END])
    assert untar([end]) == []


def test_it_is_complete_with_the_second_block_of_its_end_mark() -> None:
    data = tar_block(size=3) + padded(b"abc") + END
    for chunks in every_way(data):
        decoder = TarDecoder()
        fed = 0
        for chunk in chunks:
            list(decoder.feed(chunk))
            fed += len(chunk)
            assert decoder.is_complete == (fed == len(data))


@each_format
@given(choice=st.data())
def test_round_trip(tar_format: TarFormat, choice: st.DataObject) -> None:
    members = choice.draw(st.lists(tar_members(tar_format), max_size=4))
    try:
        data = archive(members, tar_format)
    except ValueError:
        reject()  # ustar has no room for the name.
    expected = [(meant(info), content) for info, content in members]
    assert untar(choice.draw(chunked(data))) == expected
