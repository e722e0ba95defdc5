"""What may enter and leave by tar: names, kinds, modes.

The host is protected twice: these rules decide on names alone, and `lightrunner.files.staging` opens what they accept
without following any link. All functions are pure; a name that may not land raises `MemberError`.
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
    """A member's name would land outside its place, or nowhere."""


def landing_parts(name: str) -> tuple[str, ...]:
    """A member's name in parts, relative to where the entry lands; empty for the entry itself.

    The daemon's names start with the last part of the path that was asked for (``dist/``, ``dist/a/b``), which is
    left out here, so that a folder's contents land directly in the target.
    """
    if name.startswith("/"):
        raise MemberError(f"{shown_name(name)} is an absolute name")
    if "\0" in name:
        raise MemberError(f"{shown_name(name)} contains a NUL character")
    parts = name.split("/")
    if "" in parts or "." in parts:  # A file's name seldom has such parts.
        parts = [part for part in parts if part not in ("", ".")]
    if ".." in parts:
        raise MemberError(f"{shown_name(name)} contains '..'")
    if len(parts) > MAX_MEMBER_DEPTH:
        raise MemberError(f"{shown_name(name)} is {len(parts)} folders deep, more than {MAX_MEMBER_DEPTH}")
    # A character has at most 4 bytes: the parts of a short name need no look.
    if len(name) * 4 > MAX_NAME_BYTES and any(
        len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts
    ):
        raise MemberError(f"{shown_name(name)} has a part longer than {MAX_NAME_BYTES} bytes")
    return tuple(parts[1:])


def landing_file_mode(mode: int) -> int:
    """Permissions of an extracted file: the container's, never setuid, and the owner can read and write it."""
    return mode & _PERMISSIONS | _OWNER_FILE


def landing_folder_mode(mode: int) -> int:
    """Permissions of an extracted folder: the container's, and the owner can enter and write it."""
    return mode & _PERMISSIONS | _OWNER_FOLDER


def seed_file_mode(mode: int) -> int:
    """Permissions of a seeded file, a+rwX: whatever user the image has can work with it."""
    executable = _EVERYBODY_EXECUTES if mode & _EVERYBODY_EXECUTES else 0
    return mode & _PERMISSIONS | _EVERYBODY_READS_AND_WRITES | executable


SEED_FOLDER_MODE = 0o777


class IgnoreRules:
    """What a seed leaves out: the folders that nobody wants in a container, and the request's own patterns.

    A pattern (shell style: ``*``, ``?``, ``[…]``) without a slash matches a name at any depth, one with a slash the
    whole path below the seeded folder; a slash at its end restricts it to folders.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._names: list[tuple[str, bool]] = []
        self._paths: list[tuple[str, bool]] = []
        for pattern in patterns:
            stem = pattern.rstrip("/")
            group = self._paths if "/" in stem else self._names
            group.append((stem.removeprefix("./").removeprefix("/"), pattern.endswith("/")))

    def skips(self, path: str, name: str, *, is_folder: bool) -> bool:
        """Whether to leave out `path` (relative, with slashes), whose last part is `name`."""
        if is_folder and name in SKIPPED_FOLDERS:
            return True
        if name == ".git":  # A file in work trees and submodules.
            return True
        return any(
            fnmatch.fnmatchcase(subject, pattern)
            for subject, rules in ((name, self._names), (path, self._paths))
            for pattern, folders_only in rules
            if is_folder or not folders_only
        )


def check_ignore(field: str, value: object) -> tuple[str, ...]:
    """The request's patterns; each is text and not empty."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation(field, value, "not a list of names and patterns")
    items = cast("Sequence[object]", value)
    patterns = tuple(check_text(f"{field}[{at}]", item) for at, item in enumerate(items))
    for at, pattern in enumerate(patterns):
        if not pattern.strip("/"):
            raise RuleViolation(f"{field}[{at}]", pattern, "is empty")
    return patterns


def shown_name(name: str) -> str:
    """A container's name for an error message: quoted, and no longer than a name may be."""
    return repr(name if len(name) <= MAX_NAME_BYTES else name[:MAX_NAME_BYTES] + "…")
