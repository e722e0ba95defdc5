"""What an honest archive leaves in its target. A failure leaves nothing."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lightrunner.files.staging import Staging, StagingError
from tests.files.archives import (
    CHARACTER_DEVICE,
    END,
    FILE_NAME,
    FOLDER,
    HARD_LINK,
    NO_LIMIT,
    PIPE,
    SYMLINK,
    Entry,
    archive,
    land,
    picture,
)

TREE = archive(
    Entry("dist", FOLDER, mode=0o755),
    Entry("dist/a", content=b"new a"),
    Entry("dist/sub", FOLDER, mode=0o755),
    Entry("dist/sub/b", content=b"new b"),
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "to"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- where things land ------------------------------------------------------------------------------------------------


def test_a_file_lands_under_the_name_that_was_asked_for(target: Path) -> None:
    land(target, archive(Entry("the daemon's name", content=b"value")))
    assert contents(target) == {FILE_NAME: b"value"}


def test_the_contents_of_a_folder_land_directly(target: Path) -> None:
    land(target, TREE)
    assert contents(target) == {"a": b"new a", "sub/b": b"new b"}


def test_an_empty_folder_lands_as_an_empty_target(target: Path) -> None:
    land(target, archive(Entry("dist", FOLDER)))
    assert picture(target) == {}


@pytest.mark.parametrize("piece", [1, 511, 512, 513, 1 << 20])
def test_the_parts_in_which_an_archive_comes_do_not_matter(target: Path, piece: int) -> None:
    staging = land(target, TREE, piece=piece)
    assert contents(target) == {"a": b"new a", "sub/b": b"new b"}
    assert staging.received_bytes == len(TREE)


def test_folders_that_have_no_entry_of_their_own_are_made(target: Path) -> None:
    land(target, archive(Entry("dist", FOLDER), Entry("dist/x/y/z", content=b"deep")))
    assert contents(target) == {"x/y/z": b"deep"}


def test_it_merges_into_what_is_there(target: Path) -> None:
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "kept").write_bytes(b"kept")
    (target / "a").write_bytes(b"old a")
    land(target, TREE)
    assert contents(target) == {"a": b"new a", "sub/b": b"new b", "sub/kept": b"kept"}


def test_a_target_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    land("to/below/", TREE)
    assert contents(tmp_path) == {"to/below/a": b"new a", "to/below/sub/b": b"new b"}


def test_a_target_may_be_a_link_to_a_folder(tmp_path: Path, target: Path) -> None:
    (tmp_path / "real").mkdir()
    target.symlink_to("real")
    land(target, TREE)
    assert target.is_symlink()
    assert contents(tmp_path / "real") == {"a": b"new a", "sub/b": b"new b"}


def test_the_last_of_two_files_of_one_name_counts(target: Path) -> None:
    twice = archive(Entry("dist", FOLDER), Entry("dist/a", content=b"first, longer"), Entry("dist/a", content=b"last"))
    land(target, twice)
    assert contents(target) == {"a": b"last"}


# --- permissions, times, links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o640, 0o7777, 0o4755, 0o2711, 0o000])
def test_files_keep_their_permissions_within_the_umask_but_never_setuid(target: Path, mode: int) -> None:
    land(target, archive(Entry("file", mode=mode)))
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((target / FILE_NAME).stat().st_mode) == (mode & 0o777 | 0o600) & ~umask


def test_folders_can_be_entered_whatever_the_container_says(target: Path) -> None:
    land(target, archive(Entry("dist", FOLDER), Entry("dist/d", FOLDER, mode=0o7050), Entry("dist/d/f", content=b"f")))
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o750
    assert contents(target) == {"d/f": b"f"}


@pytest.mark.parametrize(
    ("claimed", "kept"), [(0, 0), (1_234_567_890, 1_234_567_890), (-1, 0), (2**60, 2**33)], ids=str
)
def test_files_keep_their_time_where_a_file_system_can(target: Path, claimed: int, kept: int) -> None:
    land(target, archive(Entry("file", content=b"x", mtime=claimed)))
    assert (target / FILE_NAME).stat().st_mtime == kept


def test_a_hard_link_lands_as_a_copy(target: Path) -> None:
    linked = archive(
        Entry("dist", FOLDER),
        Entry("dist/first", content=b"same", mode=0o640, mtime=1_111_111_111),
        Entry("dist/sub/second", HARD_LINK, link="dist/first"),
        Entry("dist/third", HARD_LINK, link="dist/sub/second"),
    )
    assert land(target, linked).skipped == 0
    assert contents(target) == {"first": b"same", "sub/second": b"same", "third": b"same"}
    for name in ("first", "sub/second", "third"):
        status = (target / name).stat()
        assert (status.st_nlink, stat.S_IMODE(status.st_mode), status.st_mtime) == (1, 0o640, 1_111_111_111)


def test_links_devices_and_pipes_are_skipped_and_counted(target: Path) -> None:
    skipped = archive(
        Entry("dist", FOLDER),
        Entry("dist/symlink", SYMLINK, link="/etc/passwd"),
        Entry("dist/device", CHARACTER_DEVICE),
        Entry("dist/pipe", PIPE),
        Entry("dist/to nothing staged", HARD_LINK, link="dist/symlink"),
        Entry("dist/to itself", HARD_LINK, link="dist/to itself"),
        Entry("dist/to the outside", HARD_LINK, link="etc/passwd"),
        Entry("dist/file", content=b"x"),
    )
    assert land(target, skipped).skipped == 6
    assert contents(target) == {"file": b"x"}


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path, target: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    target.mkdir()
    (target / "a").symlink_to(outside)
    land(target, TREE)
    assert outside.read_bytes() == b"untouched"
    assert not (target / "a").is_symlink()
    assert contents(target) == {"a": b"new a", "sub/b": b"new b"}


# --- whole or not at all ----------------------------------------------------------------------------------------------


def in_the_way_file(target: Path) -> None:
    (target / "sub").write_bytes(b"no folder")


def in_the_way_folder(target: Path) -> None:
    (target / "a").mkdir()


def in_the_way_link(target: Path) -> None:
    (target.parent / "outside").mkdir()
    (target / "sub").symlink_to("../outside")


@pytest.mark.parametrize(
    ("stand_in_the_way", "message"),
    [
        (in_the_way_file, "sub is in the way: it is not a folder"),
        (in_the_way_folder, "a is in the way: it is a folder"),
        (in_the_way_link, "sub is in the way: it is a symbolic link"),
    ],
)
def test_a_conflict_lets_nothing_land(target: Path, stand_in_the_way: Callable[[Path], None], message: str) -> None:
    target.mkdir()
    stand_in_the_way(target)
    before = picture(target.parent)
    with pytest.raises(StagingError, match=message):
        land(target, TREE)
    assert picture(target.parent) == before


def test_an_archive_that_breaks_off_anywhere_leaves_nothing(tmp_path: Path, target: Path) -> None:
    for length in range(0, len(TREE) - len(END) + 1, 256):
        with pytest.raises(StagingError):
            land(target / "made" / "for it", TREE[:length])
        assert picture(tmp_path) == {}, length


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [Entry("link", SYMLINK, link="/etc/passwd")],
        [Entry("pipe", PIPE)],
        [Entry("device", CHARACTER_DEVICE)],
        [Entry("file"), Entry("another")],
        [Entry("file"), Entry("file", FOLDER)],
        [Entry("dist", FOLDER), Entry("dist")],
        [Entry("dist", FOLDER), Entry("dist/a"), Entry("dist/a", FOLDER)],
        [Entry("dist", FOLDER), Entry("dist/a", FOLDER), Entry("dist/a")],
        [Entry("dist", FOLDER), Entry("dist/a"), Entry("dist/a/b")],
        [Entry("dist", FOLDER), Entry("dist/a"), Entry("dist/d", FOLDER), Entry("dist/d", HARD_LINK, link="dist/a")],
    ],
    ids=lambda entries: ", ".join(f"{entry.name}:{entry.kind.decode()}" for entry in entries) or "empty",
)
def test_an_archive_that_makes_no_sense_leaves_nothing(tmp_path: Path, target: Path, entries: list[Entry]) -> None:
    with pytest.raises(StagingError):
        land(target, archive(*entries))
    assert picture(tmp_path) == {}


def test_the_cap_counts_every_byte_of_the_archive(tmp_path: Path, target: Path) -> None:
    land(target, TREE, limit=len(TREE))
    with pytest.raises(StagingError, match="max_extract_bytes"):
        land(tmp_path / "another", TREE, limit=len(TREE) - 1)
    assert not (tmp_path / "another").exists()


def test_the_cap_counts_the_copies_made_for_hard_links(tmp_path: Path, target: Path) -> None:
    bomb = archive(
        Entry("dist", FOLDER),
        Entry("dist/first", content=bytes(1000)),
        *(Entry(f"dist/{number}", HARD_LINK, link="dist/first") for number in range(10)),
    )
    land(target, bomb, limit=len(bomb) + 10_000)
    with pytest.raises(StagingError, match="max_extract_bytes"):
        land(tmp_path / "another", bomb, limit=len(bomb) + 9_999)
    assert not (tmp_path / "another").exists()


def test_a_target_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = picture(tmp_path)
    with pytest.raises(StagingError, match="file"):
        land(tmp_path / "file" / "to", TREE)
    assert picture(tmp_path) == before


def test_a_full_disk_leaves_nothing(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [3]
    real_write = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= (written := real_write(descriptor, data[: room[0]]))
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StagingError, match="No space left on device"):
        land(target, TREE)
    assert picture(tmp_path) == {}


def test_a_rename_that_fails_midway_takes_back_what_had_landed(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target / "sub").mkdir(parents=True)
    before = picture(tmp_path)
    real_rename, renamed = os.rename, list[str]()

    def rename(source: str, destination: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if renamed:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))  # As where `sub` is a mount point.
        renamed.append(source)
        real_rename(source, destination, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StagingError, match="cross-device"):
        land(target, TREE)
    assert renamed
    assert picture(tmp_path) == before


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_what_was_replaced_comes_back_where_a_later_rename_fails(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    (target / "sub").mkdir(parents=True)
    (target / "a").write_text("old")
    (target / "b").symlink_to("elsewhere")
    before = picture(tmp_path)
    real_rename, landed = os.rename, list[str]()

    def rename(source: str, destination: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if src_dir_fd is not None and dst_dir_fd is not None:
            if len(landed) == 2:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            landed.append(source)
        real_rename(source, destination, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # As on a file system without hard links.

    monkeypatch.setattr(os, "rename", rename)
    if not links:
        monkeypatch.setattr(os, "link", link)
    names = [Entry(f"out/{name}", content=b"new") for name in ("a", "b", "c")]
    with pytest.raises(StagingError, match="cross-device"):
        land(target, archive(Entry("out", FOLDER), *names))
    assert len(landed) == 2
    assert picture(tmp_path) == before


# --- several into one target ------------------------------------------------------------------------------------------


def test_an_entry_that_fails_leaves_the_target_to_the_one_that_shares_it(target: Path) -> None:
    with Staging(str(target), ".light-runner-1", FILE_NAME, NO_LIMIT):
        shared = Staging(str(target), ".light-runner-2", FILE_NAME, NO_LIMIT)
    with shared:
        shared.feed([TREE])
        shared.land()
    assert contents(target) == {"a": b"new a", "sub/b": b"new b"}


def test_a_target_that_another_entry_makes_first_will_do(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_mkdir = os.mkdir

    def mkdir(path: str, mode: int = 0o777) -> None:
        if not target.exists():
            real_mkdir(target)
        real_mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    land(target, TREE)
    assert picture(tmp_path).keys() == {"to", "to/a", "to/sub", "to/sub/b"}


def test_a_target_that_another_entry_has_just_removed_is_made_again(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_mkdir, removed = os.mkdir, list[Path]()

    def mkdir(path: str, mode: int = 0o777) -> None:
        if target.exists() and not removed:
            target.rmdir()
            removed.append(target)
        real_mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    land(target, TREE)
    assert removed
    assert picture(tmp_path).keys() == {"to", "to/a", "to/sub", "to/sub/b"}
