"""Results as JSON and as tables for people (pure)."""

import json
import os
from collections.abc import Sequence
from typing import cast

import msgspec

from lightrunner import RunResult, Usage

_UNITS = ("B", "KB", "MB", "GB", "TB")
_UNIT = 1000


def to_json(value: object) -> str:
    """One JSON object on one line. Host paths that are not UTF-8 keep their bytes as lone surrogates, escaped."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=_encode))


def as_object(value: msgspec.Struct) -> dict[str, object]:
    """A struct as a JSON object."""
    fields: dict[str, object] = msgspec.to_builtins(value, enc_hook=_encode)
    return fields


def untagged(value: msgspec.Struct) -> dict[str, object]:
    """A message as a JSON object, without its type."""
    fields = as_object(value)
    fields.pop("type", None)
    return fields


def result_object(result: RunResult, **more: object) -> dict[str, object]:
    """A result as a JSON object, with its output as text.

    Bytes that are not UTF-8 become U+FFFD; the stream is then there as base64 as well, as ``stdout_base64``.
    """
    fields: dict[str, object] = {**more, **as_object(result)}
    for name in ("stdout", "stderr"):
        data: bytes | None = getattr(result, name)
        if data is not None:
            fields[name] = data.decode(errors="replace")
            if not _is_utf8(data):
                fields[f"{name}_base64"] = msgspec.to_builtins(data)
    return fields


def usage_line(usage: Usage) -> str:
    """What a run used, on one line, without the figures that are not known."""
    figures = (
        ("CPU", usage.cpu_time is not None and f"{usage.cpu_time.total:.3f} s"),
        ("peak memory of a process", usage.peak_memory is not None and size(usage.peak_memory)),
        ("of all", usage.peak_memory_total is not None and size(usage.peak_memory_total)),
        ("processes and threads", usage.max_pids is not None and str(usage.max_pids)),
        ("read", usage.bytes_read is not None and size(usage.bytes_read)),
        ("written", usage.bytes_written is not None and size(usage.bytes_written)),
    )
    known = ", ".join(f"{name} {figure}" for name, figure in figures if figure)
    return f"used: {known or 'not known, since the container was killed from outside'}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, two blanks apart, without blanks at the end. Control characters are escaped."""
    cells = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def printable(text: str) -> str:
    """Text without anything that a terminal would act on."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def short(text: str, width: int) -> str:
    """Text cut to a width, with an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def size(count: float) -> str:
    """Bytes in decimal units, as the docker CLI shows them."""
    for unit in _UNITS[:-1]:
        if count < _UNIT:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _UNIT
    return f"{count:.1f} {_UNITS[-1]}"


def age(seconds: float) -> str:
    """A time span in one or two units: ``12 s``, ``3 min``, ``5 h``, ``8 d``."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, seconds) / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encode(value: object) -> object:
    return os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else str(value)
