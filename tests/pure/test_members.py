"""What may enter and leave by tar.

Invariant: a member's name is refused with MemberError, or joined below a folder it stays below it.
"""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.rules import members
from lightrunner.rules.limits import MAX_MEMBER_DEPTH, MAX_NAME_BYTES
from lightrunner.rules.members import IgnoreRules, MemberError, landing_parts

from .strategies import any_text, member_names
from .violations import violation


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("dist/", ()),
        ("dist", ()),
        ("", ()),
        ("./", ()),
        ("dist/a", ("a",)),
        ("dist/a/b/", ("a", "b")),
        ("./dist//./a/.", ("a",)),
        ("dist/..a", ("..a",)),
        ("dist/...", ("...",)),
        ("dist/a\\..\\b", ("a\\..\\b",)),
        ("dist/\udcff", ("\udcff",)),
        ("dist/" + "ä" * 127 + "x", ("ä" * 127 + "x",)),
        ("d/" * MAX_MEMBER_DEPTH, ("d",) * (MAX_MEMBER_DEPTH - 1)),
    ],
)
def test_landing_names(name: str, parts: tuple[str, ...]) -> None:
    assert landing_parts(name) == parts


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("/", "absolute"),
        ("/etc/passwd", "absolute"),
        ("//a", "absolute"),
        ("..", r"'\.\.'$"),
        ("../a", r"'\.\.'$"),
        ("dist/..", r"'\.\.'$"),
        ("dist/a/../../b", r"'\.\.'$"),
        ("./../a", r"'\.\.'$"),
        ("dist/a\0b", "NUL"),
        ("d/" * (MAX_MEMBER_DEPTH + 1), "256 folders deep, more than 255"),
        ("dist/" + "x" * 256, "longer than 255 bytes"),
        ("dist/" + "ä" * 128, "longer than 255 bytes"),
        ("x" * 256 + "/a", "longer than 255 bytes"),
        ("dist/" + "\udcff" * 256, "longer than 255 bytes"),
    ],
)
def test_names_that_may_not_land(name: str, match: str) -> None:
    with pytest.raises(MemberError, match=match):
        landing_parts(name)


def test_a_refusal_is_shorter_than_its_name() -> None:
    with pytest.raises(MemberError) as caught:
        landing_parts("/" + "\x01" * 2**20)
    assert len(str(caught.value)) < 2000


@given(member_names)
def test_what_lands_stays_below(name: str) -> None:
    try:
        parts = landing_parts(name)
    except MemberError:
        return
    root = "/out/to"
    path = posixpath.join(root, *parts)
    assert posixpath.normpath(path) == path
    assert path == root or path.startswith(f"{root}/")
    assert len(parts) < MAX_MEMBER_DEPTH
    for part in parts:
        assert part not in {"", ".", ".."}
        assert not {"/", "\0"} & set(part)
        assert len(part.encode("utf-8", "surrogateescape")) <= MAX_NAME_BYTES


def test_a_long_name_is_shown_in_part() -> None:
    assert members.shown_name("x" * 255) == repr("x" * 255)
    assert members.shown_name("x" * 256) == repr("x" * 255 + "…")


@pytest.mark.parametrize(
    ("mode", "file", "folder", "seeded"),
    [
        (0o000, 0o600, 0o700, 0o666),
        (0o644, 0o644, 0o744, 0o666),
        (0o755, 0o755, 0o755, 0o777),
        (0o100, 0o700, 0o700, 0o777),
        (0o001, 0o601, 0o701, 0o777),
        (0o7777, 0o777, 0o777, 0o777),
        (0o104755, 0o755, 0o755, 0o777),
        (-1, 0o777, 0o777, 0o777),
        (2**40, 0o600, 0o700, 0o666),
    ],
)
def test_modes(mode: int, file: int, folder: int, seeded: int) -> None:
    assert members.landing_file_mode(mode) == file
    assert members.landing_folder_mode(mode) == folder
    assert members.seed_file_mode(mode) == seeded


@given(st.integers(-(2**63), 2**95))
def test_no_mode_brings_a_setuid_bit(mode: int) -> None:
    for rule in (members.landing_file_mode, members.landing_folder_mode, members.seed_file_mode):
        assert not rule(mode) & ~0o777


def skips(patterns: list[str], path: str) -> bool:
    """Whether a path is left out; a slash at its end makes it a folder."""
    stem = path.removesuffix("/")
    return IgnoreRules(patterns).skips(stem, stem.rpartition("/")[2], is_folder=path.endswith("/"))


@pytest.mark.parametrize(
    ("path", "skipped"),
    [
        (".git/", True),
        (".git", True),
        ("sub/.git", True),
        ("node_modules/", True),
        ("a/b/__pycache__/", True),
        (".venv/", True),
        ("node_modules", False),
        ("build", False),
        ("builds/", False),
        ("Build/", False),
        (".gitignore", False),
        ("main.py", False),
    ],
)
def test_what_nobody_wants_in_a_container(path: str, skipped: bool) -> None:  # noqa: FBT001 - a table's column
    assert skips([], path) == skipped


@pytest.mark.parametrize(
    ("pattern", "skipped", "kept"),
    [
        ("*.log", ["a.log", "b/a.log", ".log", "dir.log/"], ["a.LOG", "a.log.txt"]),
        ("secret", ["secret", "a/secret", "secret/"], ["secrets", "secret/a"]),
        ("tmp/", ["tmp/", "a/tmp/"], ["tmp", "a/tmp"]),
        ("a/b", ["a/b", "a/b/"], ["b", "x/a/b"]),
        ("/top", ["top", "top/"], ["a/top"]),
        ("./top", ["top"], ["a/top"]),
        ("a/*.py", ["a/x.py", "a/b/x.py"], ["x.py"]),
        ("a/b/", ["a/b/"], ["a/b"]),
        ("[ab]?.txt", ["a1.txt", "d/bx.txt"], ["c1.txt", "a.txt"]),
        ("[!a]", ["b"], ["a"]),
    ],
)
def test_patterns(pattern: str, skipped: list[str], kept: list[str]) -> None:
    assert [path for path in skipped if not skips([pattern], path)] == []
    assert [path for path in kept if skips([pattern], path)] == []


def test_each_pattern_counts() -> None:
    assert [path for path in ("a", "b", "c/d") if skips(["a", "c/d"], path)] == ["a", "c/d"]


@given(st.lists(any_text | st.text("[]!-^*?/.&|~\\a"), max_size=4), any_text)
def test_any_text_is_a_pattern(patterns: list[str], name: str) -> None:
    assert skips(patterns, name) in {True, False}
    assert skips(["*"], name or "x")


@pytest.mark.parametrize(("value", "patterns"), [((), ()), ([], ()), (["a", "b/"], ("a", "b/")), (("*",), ("*",))])
def test_lists_of_patterns(value: object, patterns: tuple[str, ...]) -> None:
    assert members.check_ignore("ignore", value) == patterns


@pytest.mark.parametrize(
    ("value", "field", "shown", "match"),
    [
        ("*.log", "ignore", "*.log", "not a list"),
        (None, "ignore", None, "not a list"),
        ({"a"}, "ignore", {"a"}, "not a list"),
        (["a", 1], "ignore[1]", 1, "not a str"),
        (["a\0"], "ignore[0]", "a\0", "NUL"),
        (["a", "b", ""], "ignore[2]", "", "is empty"),
        (["//"], "ignore[0]", "//", "is empty"),
    ],
)
def test_patterns_that_are_refused(value: object, field: str, shown: object, match: str) -> None:
    with violation(field, shown, match):
        members.check_ignore("ignore", value)
