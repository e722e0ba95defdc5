"""What one run is: its user, hostname, hosts, labels and secrets.

Each function takes a field's name and its value, returns what the engine gets, and raises `RuleViolation` alone.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import cast

from .limits import LABEL_PREFIX
from .names import check_text
from .violation import RuleViolation

# useradd(8): names begin with a letter or an underscore; many systems allow dots and capitals. Ids are an int32's.
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?|[0-9]{1,10}")
_MAX_ID = 2**31 - 1
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")  # RFC 1123, 2.1.
_MAX_HOSTNAME = 64  # Linux' HOST_NAME_MAX.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")  # One word of /etc/hosts.
HOST_GATEWAY = "host-gateway"
"""The daemon's word for its host's address on the container's network."""


def parse_user(field: str, value: object) -> str:
    """``user`` or ``user:group``, each a name of the image or a number."""
    text = check_text(field, value)
    user, colon, group = text.partition(":")
    for part in [user, group] if colon else [user]:
        if _ACCOUNT.fullmatch(part) is None or (part.isdigit() and int(part) > _MAX_ID):
            raise RuleViolation(field, value, "not a user: a name or a number, and maybe a group: '1000:1000'")
    return text


def parse_hostname(field: str, value: object) -> str:
    """A hostname: labels of letters, digits and hyphens, with dots between them."""
    text = check_text(field, value)
    if len(text) > _MAX_HOSTNAME or _HOSTNAME.fullmatch(text) is None:
        raise RuleViolation(
            field, value, f"not a hostname of at most {_MAX_HOSTNAME} letters, digits, hyphens and dots"
        )
    return text


def parse_extra_hosts(field: str, value: object) -> list[str]:
    """``name:address`` for the engine, from a mapping of names to addresses."""
    if not isinstance(value, Mapping):
        raise RuleViolation(field, value, "not a mapping of names to addresses")
    entries: list[str] = []
    for key, address in cast("Mapping[object, object]", value).items():
        name = check_text(f"{field} name", key)
        if _HOST.fullmatch(name) is None:
            raise RuleViolation(f"{field} name", key, "not the name of a host")
        place = f"{field}[{name!r}]"
        text = check_text(place, address)
        if text != HOST_GATEWAY and not _is_address(text):
            raise RuleViolation(place, address, f"not an IP address, nor {HOST_GATEWAY!r}")
        entries.append(f"{name}:{text}")
    return entries


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # A zone means nothing inside a container.


def parse_labels(field: str, value: object) -> dict[str, str]:
    """Labels of the user's own."""
    if not isinstance(value, Mapping):
        raise RuleViolation(field, value, "not a mapping of names to values")
    labels: dict[str, str] = {}
    for key, text in cast("Mapping[object, object]", value).items():
        name = check_text(f"{field} name", key)
        if not name:
            raise RuleViolation(f"{field} name", key, "is empty")
        if name.startswith(LABEL_PREFIX):
            raise RuleViolation(f"{field} name", key, f"labels that begin with {LABEL_PREFIX!r} are lightrunner's own")
        labels[name] = check_text(f"{field}[{name!r}]", text)
    return labels
