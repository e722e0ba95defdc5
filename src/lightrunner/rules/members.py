"""Decide which files enter and leave a container by tar, and with which names and modes. Pure.

The host is protected twice: these rules check names, and `lightrunner.files.staging` opens the accepted paths without
following links. `MemberError` refuses a member.
"""

import fnmatch
from collections.abc import Sequence
from typing import cast

from .limits import MAX_MEMBER_DEPTH, MAX_NAME_BYTES, SKIPPED_FOLDERS
from .names import check_text
from .violation import RuleViolation

_PERMISSIONS = 0o777  # Without setuid, setgid and the sticky bit.
_EVERYBODY_READS_AND_WRITES = 0o666
_EVERYBODY_EXECUTES = 0o111
_OWNER_FILE = 0o600
_OWNER_FOLDER = 0o700


class MemberError(ValueError):
    """A member's name is absolute, leads out of the entry's folder, or cannot be a path on the host."""


def landing_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's path, relative to the entry; empty for the entry itself.

    Names in the daemon's archive start with the last part of the requested path (``dist/``, ``dist/a/b``). That part is
    dropped, so that a folder's contents land directly in the target.
    """
    if name.startswith("/"):
        raise MemberError(f"{shown_name(name)} is an absolute name")
    if "\0" in name:
        raise MemberError(f"{shown_name(name)} contains a NUL character")
    parts = name.split("/")
    if "" in parts or "." in parts:  # Checked first, since few names have such parts.
        parts = [part for part in parts if part not in ("", ".")]
    if ".." in parts:
        raise MemberError(f"{shown_name(name)} contains '..'")
    if len(parts) > MAX_MEMBER_DEPTH:
        raise MemberError(f"{shown_name(name)} is {len(parts)} folders deep, more than {MAX_MEMBER_DEPTH}")
    # A character has at most 4 bytes, so the parts of a short name need no check.
    if len(name) * 4 > MAX_NAME_BYTES and any(
        len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts
    ):
        raise MemberError(f"{shown_name(name)} has a part longer than {MAX_NAME_BYTES} bytes")
    return tuple(parts[1:])


def landing_file_mode(mode: int) -> int:
    """Return an extracted file's permissions: the container's rwx bits, and the owner can read and write."""
    return mode & _PERMISSIONS | _OWNER_FILE


def landing_folder_mode(mode: int) -> int:
    """Return an extracted folder's permissions: the container's rwx bits, and the owner can enter and write."""
    return mode & _PERMISSIONS | _OWNER_FOLDER


def seed_file_mode(mode: int) -> int:
    """Return a seeded file's permissions: a+rwX, so that any user of the image can work with it."""
    executable = _EVERYBODY_EXECUTES if mode & _EVERYBODY_EXECUTES else 0
    return mode & _PERMISSIONS | _EVERYBODY_READS_AND_WRITES | executable


SEED_FOLDER_MODE = 0o777


class IgnoreRules:
    """Decides what a seed skips: `SKIPPED_FOLDERS`, ``.git``, and what the request's patterns match.

    A shell pattern (``*``, ``?``, ``[…]``) without a slash matches a name at any depth. A pattern with a slash matches
    the whole path below the seeded folder. A slash at the end restricts a pattern to folders.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._names: list[tuple[str, bool]] = []
        self._paths: list[tuple[str, bool]] = []
        for pattern in patterns:
            stem = pattern.rstrip("/")
            group = self._paths if "/" in stem else self._names
            group.append((stem.removeprefix("./").removeprefix("/"), pattern.endswith("/")))

    def skips(self, path: str, name: str, *, is_folder: bool) -> bool:
        """Return whether to skip `path`, which is relative, has slashes, and ends with `name`."""
        if is_folder and name in SKIPPED_FOLDERS:
            return True
        if name == ".git":  # It is a file in work trees and submodules.
            return True
        return any(
            fnmatch.fnmatchcase(subject, pattern)
            for subject, rules in ((name, self._names), (path, self._paths))
            for pattern, folders_only in rules
            if is_folder or not folders_only
        )


def check_ignore(field: str, value: object) -> tuple[str, ...]:
    """Check the request's patterns: each is a str, and not empty."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation(field, value, "not a list of names and patterns")
    items = cast("Sequence[object]", value)
    patterns = tuple(check_text(f"{field}[{at}]", item) for at, item in enumerate(items))
    for at, pattern in enumerate(patterns):
        if not pattern.strip("/"):
            raise RuleViolation(f"{field}[{at}]", pattern, "is empty")
    return patterns


def shown_name(name: str) -> str:
    """Return a name from a container for an error message: quoted, and cut at `MAX_NAME_BYTES` characters."""
    return repr(name if len(name) <= MAX_NAME_BYTES else name[:MAX_NAME_BYTES] + "…")
