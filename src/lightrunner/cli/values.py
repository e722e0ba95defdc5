"""Texts of the command line as values (pure).

Each function takes one argument's text, and returns its value or raises `argparse.ArgumentTypeError` with the reason.
argparse puts the option's name in front of it.
"""

import argparse
import math
import os
import re
from typing import NamedTuple

import msgspec

from lightrunner import ExtractSpec

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|h|d)?")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_ULIMIT = re.compile(r"(?P<name>[a-z]+)=(?P<soft>-?[0-9]{1,19})(?::(?P<hard>-?[0-9]{1,19}))?")
_MAX_PORT = 65535
_SECONDS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Variable(NamedTuple):
    """An environment variable; `value` is None where the caller's own value is to be taken."""

    name: str
    value: str | None


class Place(NamedTuple):
    """A path in a sandbox, or, without one, of this host."""

    sandbox: str | None
    path: str


class InputSource(NamedTuple):
    """Where the run's stdin comes from: these bytes, a file, or, with neither, the caller's own stdin."""

    data: bytes | None = None
    path: str | None = None

    def __str__(self) -> str:
        return "-" if self.path is None else f"@{self.path}"


def duration(text: str) -> float:
    """Seconds from ``90``, ``1.5``, ``500ms``, ``5m``, ``2h``, ``7d``."""
    match = _DURATION.fullmatch(text)
    if match is None or not math.isfinite(seconds := float(match[1]) * _SECONDS[match[2]]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90, 1.5, 500ms, 5m, 2h or 7d")
    return seconds


def limit(text: str) -> float | None:
    """A `duration`, or None for ``none``."""
    return None if text == "none" else duration(text)


def variable(text: str) -> Variable:
    """``NAME=VALUE``, or ``NAME`` for the caller's own value."""
    name, separator, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is neither NAME=VALUE nor NAME")
    return Variable(name, value if separator else None)


def extract(text: str) -> ExtractSpec:
    """``FROM:TO``, split at the first colon."""
    source, separator, target = text.partition(":")
    if not separator or not source or not target:
        raise argparse.ArgumentTypeError(f"{text!r} is not FROM:TO, a path in the container and a folder here")
    return ExtractSpec(source, target)


def input_source(text: str) -> InputSource:
    """A JSON text as it is, ``@file``, or ``-``."""
    if text == "-":
        return InputSource()
    if text.startswith("@"):
        if text == "@":
            raise argparse.ArgumentTypeError("'@' names no file: @PATH")
        return InputSource(path=text[1:])
    try:
        data = os.fsencode(text)
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = f"{text!r} is not JSON ({error}); @FILE takes a file's bytes, and - takes stdin's"
        raise argparse.ArgumentTypeError(reason) from error
    return InputSource(data=data)


def count(text: str) -> int:
    """A number from 1 up."""
    if _COUNT.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, as two texts."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def host_entry(text: str) -> tuple[str, str]:
    """``NAME:ADDRESS``, split at the first colon: the address may be IPv6."""
    name, separator, address = text.partition(":")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:ADDRESS")
    return name, address


def tmpfs(text: str) -> tuple[str, str]:
    """``PATH`` or ``PATH:OPTIONS``, as `docker run --tmpfs` takes it."""
    path, _, options = text.partition(":")
    return path, options


def ulimit(text: str) -> tuple[str, int | tuple[int, int]]:
    """``NAME=LIMIT`` or ``NAME=SOFT:HARD``, as `docker run --ulimit` takes it."""
    match = _ULIMIT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=LIMIT or NAME=SOFT:HARD")
    soft = int(match["soft"])
    return match["name"], soft if match["hard"] is None else (soft, int(match["hard"]))


def place(text: str) -> Place:
    """``ID:PATH``, or a path of this host; one of those that has a colon starts with ``/`` or ``./``."""
    sandbox, separator, path = text.partition(":")
    if not separator or text.startswith(("/", ".")):
        if not text:
            raise argparse.ArgumentTypeError("a path is empty")
        return Place(None, text)
    if not sandbox or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID:PATH, a sandbox and a path in it")
    return Place(sandbox, path)


def port(text: str) -> int:
    """A TCP port."""
    if _COUNT.fullmatch(text) is None or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to {_MAX_PORT}")
    return int(text)
