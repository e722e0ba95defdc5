"""A run's secrets: check them, and pack them for the init program. Pure.

`parse_secrets` takes a request's mapping and returns `Secrets`, whose `packed` is what init/secrets.c reads. It raises
`RuleViolation` alone. No content of a secret is in a violation or in a repr. `user_id` finds a user's number in
``/etc/passwd``.
"""

import re
import struct
from collections.abc import Mapping
from typing import cast

from .limits import MAX_SECRETS, MAX_SECRETS_BYTES
from .violation import RuleViolation

READY = b"ready\n"
"""What the init program writes to stdout when it has written the secrets."""

_FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""Names that no shell has to quote: those of Kubernetes' secrets, up to Linux's NAME_MAX."""

_NUMBER = re.compile(r"[0-9]{1,10}")
"""Numbers of users have 32 bits."""

_COUNT = struct.Struct("<I")
_SIZES = struct.Struct("<II")


class Secrets:
    """Checked secrets.

    Attributes:
        names: the names of the files.
        packed: the count, then for each secret the lengths of name and content, name and content. Numbers have 32 bits,
            in little-endian order. A memoryview, since its repr shows no content wherever it is passed to.
    """

    __slots__ = ("names", "packed")

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.names = tuple(contents)
        parts = [_COUNT.pack(len(contents))]
        for name, content in contents.items():
            parts += [_SIZES.pack(len(name), len(content)), name.encode(), content]
        self.packed = memoryview(b"".join(parts))

    def __repr__(self) -> str:
        return f"<secrets {', '.join(self.names)}>"


def parse_secrets(field: str, value: object) -> Secrets | None:
    """Check the secrets of a request. None without any."""
    if not isinstance(value, Mapping):
        raise RuleViolation(field, _Hidden(value), "not a mapping of file names to bytes")
    contents: dict[str, bytes] = {}
    for key, content in cast("Mapping[object, object]", value).items():
        name = _file_name(f"{field} name", key)
        if not isinstance(content, (bytes, bytearray, memoryview)):
            reason = "not bytes" if not isinstance(content, str) else "not bytes; encode the str"
            raise RuleViolation(f"{field}[{name!r}]", _Hidden(content), reason)
        contents[name] = bytes(cast("bytes", content))  # Copied: the caller may change its buffer during the run.
    if len(contents) > MAX_SECRETS:
        raise RuleViolation(field, len(contents), f"more than {MAX_SECRETS} secrets")
    if (total := sum(map(len, contents.values()))) > MAX_SECRETS_BYTES:
        raise RuleViolation(f"{field} size", total, f"more than {MAX_SECRETS_BYTES} bytes")
    return Secrets(contents) if contents else None


def hidden(value: object) -> object:
    """Return what a repr may show of a request's secrets: the names."""
    if not isinstance(value, Mapping):
        return _Hidden(value)
    names = cast("Mapping[object, object]", value)
    return {name if isinstance(name, str) else _Hidden(name): _Hidden(content) for name, content in names.items()}


def user_id(passwd: bytes, user: str) -> int | None:
    """Return the number of a container's user; None if it has a name that ``/etc/passwd`` does not have.

    Args:
        passwd: the content of the image's ``/etc/passwd``.
        user: ``user`` or ``user:group``, as in a container's configuration.
    """
    name = user.partition(":")[0]
    if _NUMBER.fullmatch(name):
        return int(name)
    for line in passwd.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[0] == name.encode():  # noqa: PLR2004  # name, password, number
            number = fields[2].decode(errors="replace")
            return int(number) if _NUMBER.fullmatch(number) else None
    return None


class _Hidden:
    """Stands for a value that may be a secret: its repr is the type alone."""

    def __init__(self, value: object) -> None:
        self._type = type(value).__name__

    def __repr__(self) -> str:
        return f"<{self._type}>"


def _file_name(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RuleViolation(field, _Hidden(value), "not a str")
    if _FILE_NAME.fullmatch(value) is None or value in {".", ".."}:
        raise RuleViolation(field, value, "not a file name of 1 to 255 letters, digits, '.', '_' and '-'")
    return value
