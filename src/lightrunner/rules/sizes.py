"""Parse memory, cpus, gpus and time-outs to the units of the Engine API.

Each function takes a field's name and its value. It returns the engine's number, or raises `RuleViolation`.
"""

import math
import re
from typing import NamedTuple

from .limits import MAX_MEMORY_BYTES, MAX_TERMINAL_SIZE, MIN_CPUS, MIN_MEMORY_BYTES
from .violation import RuleViolation

# docker/go-units, RAMInBytes: binary units, any case, an optional "i" and "b".
_MEMORY = re.compile(
    r"(?P<number>[0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?P<unit>[bkmgtp]?)(?:(?<=[kmgtp])i?b)?", re.IGNORECASE | re.ASCII
)
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CPUS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_NANO = 10**9

# The CLI's --gpus grammar: a comma-separated list of key=value. None of these characters is special to a shell.
_GPUS = re.compile(r"[A-Za-z0-9_.:/=,+-]{1,1024}")
_GPU_KEYS = frozenset({"count", "device", "driver", "capabilities"})
_MAX_GPU_COUNT = 2**31 - 1


class GpuRequest(NamedTuple):
    """A DeviceRequest of the Engine API. `number` is -1 for all GPUs, and 0 if `device_ids` names them."""

    number: int
    device_ids: tuple[str, ...] = ()
    driver: str = ""
    capabilities: tuple[str, ...] = ("gpu",)


def parse_memory(field: str, value: object) -> int:
    """Return bytes from ``"512m"``, ``"1.5 GiB"`` (binary units, as in Docker) or an int of bytes."""
    return parse_size(field, value, MIN_MEMORY_BYTES, f"below the engine's minimum of {MIN_MEMORY_BYTES} bytes (6m)")


def parse_size(field: str, value: object, minimum: int = 1, too_small: str = "not a size from 1 byte up") -> int:
    """Return bytes, written as for `parse_memory`. `too_small` is the reason to refuse less than the minimum."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise RuleViolation(field, value, "not a size: an int of bytes, or a str such as '512m'")
    if isinstance(value, int):
        size = value
    else:
        match = _MEMORY.fullmatch(value)
        if match is None:
            raise RuleViolation(field, value, "not a size: digits and one of b, k, m, g, t, p, such as '512m'")
        factor = 1024 ** _POWERS[match["unit"].lower()]
        whole, _, fraction = match["number"].partition(".")
        size = int(whole) * factor + int(fraction or 0) * factor // 10 ** len(fraction)
    if size < minimum:
        raise RuleViolation(field, value, too_small)
    if size > MAX_MEMORY_BYTES:
        raise RuleViolation(field, value, "above the engine's maximum of 2**63 - 1 bytes")
    return size


def parse_cpus(field: str, value: object) -> int:
    """Return billionths of a CPU (NanoCpus) from a number or a str: ``1``, ``0.5``, ``"1.5"``."""
    if isinstance(value, str):
        if _CPUS.fullmatch(value) is None:
            raise RuleViolation(field, value, "not a number of CPUs, such as 1, 0.5 or '1.5'")
        number = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    else:
        raise RuleViolation(field, value, "not a number of CPUs, such as 1, 0.5 or '1.5'")
    if not MIN_CPUS <= number < _NANO:  # NaN compares false and is refused here as well.
        raise RuleViolation(field, value, f"not a number of CPUs of at least {MIN_CPUS}, the engine's minimum")
    return round(number * _NANO)


def parse_gpus(field: str, value: object) -> GpuRequest:
    """Parse ``"all"``, a count, or the CLI's list: ``"device=0,1"``, ``"count=2,driver=nvidia"``.

    Raises:
        RuleViolation: the value is none of these, or has a character that is special to a shell.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return GpuRequest(_gpu_count(field, value, value))
    if not isinstance(value, str) or _GPUS.fullmatch(value) is None:
        raise RuleViolation(field, value, "not gpus: 'all', a count, or a shell-safe list such as 'device=0,1'")
    settings: dict[str, list[str]] = {}
    key = "count"
    for part in value.split(","):
        name, equals, rest = part.partition("=")
        if equals:
            key = name
            if key not in _GPU_KEYS or key in settings:
                raise RuleViolation(field, value, f"{key!r} is unknown or given twice; known: {sorted(_GPU_KEYS)}")
        # A part without a key belongs to the list of the preceding key: device=0,1.
        settings.setdefault(key, []).append(rest if equals else part)
    if "" in (item for items in settings.values() for item in items):
        raise RuleViolation(field, value, "an item of the list is empty")
    devices = tuple(settings.get("device", ()))
    counts = settings.get("count", [] if devices else ["all"])
    if len(counts) > 1 or (counts and devices):
        raise RuleViolation(field, value, "has more than one count, or both a count and devices; give one of them")
    if len(drivers := settings.get("driver", [""])) > 1:
        raise RuleViolation(field, value, "has more than one driver")
    return GpuRequest(
        number=_gpu_count(field, value, counts[0]) if counts else 0,
        device_ids=devices,
        driver=drivers[0],
        capabilities=("gpu", *(name for name in settings.get("capabilities", ()) if name != "gpu")),
    )


def _gpu_count(field: str, value: object, count: int | str) -> int:
    if count == "all":
        return -1
    number = int(count) if isinstance(count, int) or (count.isascii() and count.isdecimal()) else 0
    if not 0 < number <= _MAX_GPU_COUNT:
        raise RuleViolation(field, value, "not a count of 1 or more GPUs, nor 'all'")
    return number


def parse_timeout(field: str, value: object) -> float:
    """Return seconds; infinity for `None`, which means no limit."""
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RuleViolation(field, value, "not a number of seconds, nor None for no limit")
    if not value > 0:  # NaN compares false and is refused here as well.
        raise RuleViolation(field, value, "not more than 0 seconds")
    return _seconds(value)


def parse_age(field: str, value: object) -> float:
    """Return seconds, 0 or more; infinity is allowed."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise RuleViolation(field, value, "not a number of seconds, 0 or more")
    return _seconds(value)


def _seconds(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # An int of more than 308 digits.
        return math.inf


def parse_count(field: str, value: object) -> int:
    """Check an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RuleViolation(field, value, "not an int of at least 1")
    return value


def parse_terminal_size(field: str, value: object) -> tuple[int, int]:
    """Rows and columns of a terminal, each from 1 to `MAX_TERMINAL_SIZE`."""
    match value:
        case (int(rows), int(columns)) if _is_character_count(rows) and _is_character_count(columns):
            return rows, columns
        case _:
            reason = f"not a pair of rows and columns, from 1 to {MAX_TERMINAL_SIZE} each"
            raise RuleViolation(field, value, reason)


def _is_character_count(number: int) -> bool:
    return not isinstance(number, bool) and 0 < number <= MAX_TERMINAL_SIZE


def parse_byte_limit(field: str, value: object) -> int:
    """Check an int of at least 1 byte."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise RuleViolation(field, value, "not an int of at least 1 byte")
    return value
