"""Whatever an archive says, nothing is written outside the target, and a failed entry leaves nothing inside.

Each example plays on a real file system: beside the target lies a canary, and in the target wait links that point to
it. Any exception but StagingError is a bug.
"""

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightrunner.files.staging import Staging, StagingError
from tests.files.archives import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    END,
    FILE,
    FILE_NAME,
    FOLDER,
    HARD_LINK,
    NO_LIMIT,
    PIPE,
    STAGED_NAME,
    SYMLINK,
    Entry,
    archive,
    land,
    picture,
    pieces,
)

PARTS = ["a", "b", "..", ".", "", STAGED_NAME, FILE_NAME, "outside", "canary", "\udcff", "n" * 256]
KINDS = [FILE, FILE, FOLDER, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, PIPE, b"\0", b"7", b"S", b"Z"]

parts = st.sampled_from([*PARTS[:2] * 6, *PARTS])
"""Mostly names that may land: an example whose every name is refused tells little."""
plain_names = st.lists(st.sampled_from(["a", "b"]), max_size=3).map(lambda inner: "/".join(["root", *inner]))
odd_names = st.lists(parts, max_size=5).map("/".join)
hostile_names = st.sampled_from(
    ["/etc/canary", "root/../../outside/canary", "../outside/canary", "root/a/../../../outside/new", "root/a\0b"]
)
names = st.one_of(plain_names, plain_names, plain_names, odd_names, hostile_names)
modes = st.sampled_from([0o644, 0o755, 0o000, 0o4755, 0o7777, 0o177777])
contents = st.binary(max_size=700)


def entries(kinds: st.SearchStrategy[bytes], sizes: st.SearchStrategy[int | None]) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        names,
        kinds,
        content=contents,
        link=names,
        mode=modes,
        mtime=st.integers(-(2**40), 2**60),
        size=sizes,
    )


def joined(first: Entry, others: list[Entry], end: bytes) -> bytes:
    return b"".join(entry.block() for entry in [first, *others]) + end


archives = st.builds(
    joined,
    st.one_of(st.just(Entry("root", FOLDER)), entries(st.sampled_from(KINDS), st.none())),
    st.lists(
        st.one_of(
            entries(st.sampled_from(KINDS[:4]), st.none()),
            entries(st.sampled_from(KINDS), st.none()),
            entries(st.sampled_from(KINDS), st.integers(0, 2048)),
        ),
        max_size=8,
    ),
    st.sampled_from([END, END, END, END[:512], b"", b"garbage" * 100]),
)

waiting = st.dictionaries(
    st.sampled_from(["a", "b", "a/a", "a/b", FILE_NAME, STAGED_NAME]),
    st.sampled_from(["file", "folder", "link to the canary", "link to its folder", "dangling link"]),
    max_size=4,
)
"""What lies in the target beforehand."""


def lay_out(base: Path, there: dict[str, str]) -> Path:
    """A canary outside, and a target in which things wait."""
    outside = base / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"untouched")
    target = base / "to"
    target.mkdir()
    for name, kind in sorted(there.items()):
        path = target / name
        if not path.parent.is_dir() or path.parent.is_symlink():
            continue
        if kind == "file":
            path.write_bytes(b"waiting")
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(outside / {"link to the canary": "canary", "dangling link": "new"}.get(kind, "."))
    return target


@given(data=archives, there=waiting, cut=st.none() | st.integers(0, 8192), piece=st.sampled_from([100, 512, 8192]))
@example(
    data=archive(Entry("root", FOLDER), Entry("root/a/b", content=b"x")),
    there={"a": "link to its folder"},
    cut=None,
    piece=512,
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_written_outside_and_a_failure_leaves_nothing(
    data: bytes, there: dict[str, str], cut: int | None, piece: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        target = lay_out(base, there)
        outside, before = picture(base / "outside"), picture(target)
        try:
            land(target, data[:cut], limit=16 * 1024, piece=piece)
        except StagingError:
            assert picture(target) == before
        else:
            check_landed(target, before)
        assert picture(base / "outside") == outside
        assert {path.name for path in base.iterdir()} == {"outside", "to"}


def check_landed(target: Path, before: dict[str, str]) -> None:
    """What was there is there, or was replaced by a file; what is new is a plain file of its own, or a folder."""
    after = picture(target)
    assert before.keys() <= after.keys()
    for name, look in after.items():
        if before.get(name) == look:
            continue
        status = (target / name).lstat()
        assert stat.S_ISREG(status.st_mode) or (stat.S_ISDIR(status.st_mode) and name not in before)
        assert not status.st_mode & 0o7000
        assert stat.S_ISDIR(status.st_mode) or status.st_nlink == 1


@given(data=archives)
@settings(max_examples=200, deadline=None)
def test_what_lands_does_not_depend_on_how_it_comes(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        assert outcome(Path(first), data, 64) == outcome(Path(second), data, 1 << 20)


def outcome(base: Path, data: bytes, piece: int) -> dict[str, bytes | None]:
    try:
        land(base / "to", data, piece=piece)
    except StagingError:
        return {}
    found = (base / "to").rglob("*")
    return {str(path.relative_to(base)): path.read_bytes() if path.is_file() else None for path in found}


# --- too deep, too long, too large ------------------------------------------------------------------------------------


def test_ten_thousand_folders_deep_in_one_name(tmp_path: Path) -> None:
    data = archive(Entry("root", FOLDER), Entry("root/" + "a/" * 10_000 + "file", content=b"x"))
    with pytest.raises(StagingError, match="is 10002 folders deep, more than 255"):
        land(tmp_path / "to", data)
    assert picture(tmp_path) == {}


def test_a_thousand_folders_deep_one_by_one(tmp_path: Path) -> None:
    chain = [Entry("root" + "/a" * depth, FOLDER) for depth in range(1_000)]
    with pytest.raises(StagingError, match="folders deep, more than 255"):
        land(tmp_path / "to", archive(*chain))
    assert picture(tmp_path) == {}


def test_a_path_that_is_longer_than_the_system_takes(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="File name too long"):
        land(tmp_path / "to", archive(Entry("root", FOLDER), Entry("root" + f"/{'n' * 250}" * 20 + "/file")))
    assert picture(tmp_path) == {}


def test_a_size_of_exabytes_is_no_reason_to_make_room_for_it(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="truncated"):
        land(tmp_path / "to", archive(Entry("file", content=b"little", size=2**62)))
    assert picture(tmp_path) == {}


def test_a_member_that_bears_the_name_of_the_staging_folder_is_nothing_special(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="in the way"):
        land(tmp_path / "to", archive(Entry("root", FOLDER), Entry(f"root/{STAGED_NAME}", content=b"x")))
    assert picture(tmp_path) == {}


def test_a_link_that_appears_while_the_archive_comes_is_not_followed(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "to"
    outside.mkdir()
    data = archive(Entry("root", FOLDER), Entry("root/a", FOLDER), Entry("root/a/new", content=b"x"))
    with Staging(str(target), STAGED_NAME, FILE_NAME, NO_LIMIT) as staging:
        staging.feed(pieces(data, 512))
        (target / "a").symlink_to(outside)
        with pytest.raises(StagingError, match="symbolic link"):
            staging.land()
    assert picture(outside) == {}
