"""Check a request's names and paths: image references, environment, networks, runtimes, container and host paths.

Each function takes a field's name and its value. It returns the value in the form that the engine gets, or raises
`RuleViolation`. No function accesses the file system.
"""

import os
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from .limits import MAX_PATH_BYTES
from .violation import RuleViolation

# The reference grammar of distribution/reference (regexp.go): [domain/]path[:tag][@digest].
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,512}))?"
)
_MAX_REFERENCE = 2048  # Longer than any legitimate one. It bounds the regular expression's work.
_MAX_REPOSITORY = 255  # distribution/reference, RepositoryNameTotalLengthMax.

_POSIX_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # IEEE 1003.1, 3.231.
_OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")  # moby, daemon/names: RestrictedNameChars.


Pull = Literal["missing", "always", "never"]


class ImageReference(NamedTuple):
    """An image reference and its parts. `text` is the caller's reference, which the engine gets unchanged."""

    text: str
    name: str
    tag: str | None
    digest: str | None

    @property
    def pull_tag(self) -> str:
        """What to pull: the digest, the tag, or ``latest``. (Without a tag, the engine pulls all tags.)"""
        return self.digest or self.tag or "latest"


def check_text(field: str, value: object) -> str:
    """Check that a value is a str without NUL that can be encoded as UTF-8 (without lone surrogates)."""
    if not isinstance(value, str):
        raise RuleViolation(field, value, f"not a str but {type(value).__name__}")
    if "\0" in value:
        raise RuleViolation(field, value, "contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RuleViolation(field, value, "cannot be encoded as UTF-8") from error
    return value


def parse_image(field: str, value: object) -> ImageReference:
    """Parse an image reference or an image id, by the grammar of distribution/reference."""
    text = check_text(field, value)
    if not text:
        raise RuleViolation(field, value, "an image is required")
    match = _REFERENCE.fullmatch(text) if len(text) <= _MAX_REFERENCE else None
    if match is None:
        raise RuleViolation(field, value, "not an image reference: [registry/]name[:tag][@digest], name in lower case")
    if len(match["name"]) > _MAX_REPOSITORY:
        raise RuleViolation(field, value, f"the name is longer than {_MAX_REPOSITORY} characters")
    return ImageReference(text, match["name"], match["tag"], match["digest"])


def parse_env(field: str, value: object) -> tuple[list[str], list[str]]:
    """Return ``NAME=value`` entries for the engine, and the dropped names, which POSIX does not allow."""
    if not isinstance(value, Mapping):
        raise RuleViolation(field, value, "not a mapping of names to values")
    entries: list[str] = []
    dropped: list[str] = []
    for key, text in cast("Mapping[object, object]", value).items():
        name = check_text(f"{field} name", key)
        content = check_text(f"{field}[{name!r}]", text)
        if _POSIX_NAME.fullmatch(name):
            entries.append(f"{name}={content}")
        else:
            dropped.append(name)
    return entries, dropped


def check_pull(field: str, value: object) -> Pull:
    """Return when to pull."""
    if not isinstance(value, str) or value not in {"missing", "always", "never"}:
        raise RuleViolation(field, value, "not 'missing', 'always' or 'never'")
    return cast("Pull", value)


def check_network(field: str, value: object) -> str:
    """Check a network's name or id, or ``none``. Refuse ``host`` and ``container:…``, which do not isolate."""
    name = check_text(field, value)
    if _OBJECT_NAME.fullmatch(name) is None:
        raise RuleViolation(field, value, "not the name of a network: letters, digits, '_', '.', '-'")
    if name == "host":
        raise RuleViolation(field, value, "not isolated: it is the host's own network; use None, 'none' or a network")
    return name


def check_runtime(field: str, value: object) -> str:
    """Check the name of a runtime."""
    name = check_text(field, value)
    if _OBJECT_NAME.fullmatch(name) is None:
        raise RuleViolation(field, value, "not the name of a runtime: letters, digits, '_', '.', '-'")
    return name


def parse_workdir(field: str, value: object) -> str:
    """Normalise an absolute container path other than ``/`` and without ``..``."""
    return parse_mount_point(field, value, "the root cannot be the workdir, where a volume is mounted")


def parse_mount_point(field: str, value: object, root: str) -> str:
    """As `parse_workdir`. `root` is the reason why it cannot be ``/``."""
    text = check_text(field, value)
    if not text.startswith("/"):
        raise RuleViolation(field, value, "not an absolute path")
    path = _container_path(field, value, text)
    if path == "/":
        raise RuleViolation(field, value, root)
    return path


def parse_extract_source(field: str, value: object, workdir: str) -> str:
    """Return a normalised absolute container path. A relative path starts at the workdir."""
    text = check_text(field, value)
    if not text:
        raise RuleViolation(field, value, "is empty")
    path = _container_path(field, value, text if text.startswith("/") else f"{workdir}/{text}")
    if path == "/":
        raise RuleViolation(field, value, "the root cannot be extracted as a whole; name a folder below it")
    return path


def _container_path(field: str, value: object, text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RuleViolation(field, value, "contains '..'")
    path = "/" + "/".join(parts)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise RuleViolation(field, value, f"longer than {MAX_PATH_BYTES} bytes")
    return path


def parse_host_path(field: str, value: object) -> str:
    """Return a host path as a str, from a str or a path object. Names that are not UTF-8 have surrogate escapes."""
    path: object = value
    if isinstance(value, os.PathLike):
        path = os.fspath(cast("os.PathLike[str]", value))
    if not isinstance(path, str):
        raise RuleViolation(field, path, f"not a str or a path object but {type(path).__name__}")
    if not path:
        raise RuleViolation(field, path, "is empty")
    if "\0" in path:
        raise RuleViolation(field, path, "contains a NUL character")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise RuleViolation(field, path, "cannot be encoded as a file name") from error
    return path


def parse_extract_target(field: str, value: object) -> str:
    """Return the path of a host folder for an extract. Refuse ``..``: the caller has to resolve such a path."""
    path = parse_host_path(field, value)
    if ".." in path.split("/"):
        raise RuleViolation(field, value, "contains '..'; resolve the path first")
    return path
