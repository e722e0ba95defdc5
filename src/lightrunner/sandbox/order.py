"""Check the arguments of a sandbox's methods, and make orders of them. Pure."""

import math
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, cast

from lightrunner.plan import RunPlan, encode_input
from lightrunner.rules import identity, names, sizes
from lightrunner.rules.violation import RuleViolation

from .protocol import Spawn, SpawnFlag

_MAX_PORT = 65535
_MAX_SIGNAL = 64
"""Linux' _NSIG."""

_MAX_SIDE = 65535
"""struct winsize has unsigned shorts."""


class Surroundings(NamedTuple):
    """What commands of a sandbox start with.

    Attributes:
        workdir: the sandbox's.
        user: the image's.
        env: ``NAME=value`` of the request, and of the image if Docker would otherwise choose another value.
    """

    workdir: str
    user: str
    env: tuple[str, ...]


class CommandPlan(NamedTuple):
    """A checked command. `timeout` is in seconds, infinite for none; `input` is None without a stdin."""

    spawn: Spawn
    input: bytes | None
    timeout: float
    dropped_env: list[str]
    shown: str


def check_sandbox(plan: RunPlan) -> None:
    """Refuse what a request for a sandbox cannot have."""
    for field, value, default in (
        ("tty", plan.tty_size, None),  # Before the input: a terminal has one.
        ("entrypoint", plan.entrypoint, None),
        ("input", plan.input, None),
        ("extract", plan.extracts, ()),
        ("cpu_timeout", plan.cpu_timeout, math.inf),
        ("output_limit", plan.output_limit, None),
        ("secrets", plan.secrets, None),
    ):
        if value != default:
            raise RuleViolation(field, value, "is a run's; a sandbox has exec, start, read and download")


def plan_command(
    surroundings: Surroundings,
    command: str | Sequence[str],
    *,
    stdin: Any,
    env: Mapping[str, str],
    workdir: str | None,
    user: str | None,
    timeout: float | None,
    background: bool,
) -> CommandPlan:
    """Check a command. A text is for ``sh -c``; a sequence is a program and its arguments."""
    data = encode_input(stdin)
    flags = SpawnFlag.INPUT if data is not None else SpawnFlag(0)
    if background is True:
        flags |= SpawnFlag.BACKGROUND
    elif background is not False:
        raise RuleViolation("background", background, "not True or False")
    spawn, dropped = _spawn(surroundings, command, env=env, workdir=workdir, user=user, flags=flags)
    return CommandPlan(spawn, data, sizes.parse_timeout("timeout", timeout), dropped, spawn.argv[0].decode())


def plan_process(
    surroundings: Surroundings,
    command: str | Sequence[str],
    *,
    env: Mapping[str, str],
    workdir: str | None,
    user: str | None,
    terminal: tuple[int, int] | None,
) -> CommandPlan:
    """Check a command whose streams the caller uses. `terminal` has rows and columns; None: pipes."""
    flags = SpawnFlag.INPUT | (SpawnFlag(0) if terminal is None else SpawnFlag.TTY)
    rows, columns = (0, 0) if terminal is None else check_size(terminal)
    spawn, dropped = _spawn(surroundings, command, env=env, workdir=workdir, user=user, flags=flags)
    if terminal is not None and not any(entry.startswith(b"TERM=") for entry in spawn.env):
        spawn = spawn._replace(env=[*spawn.env, b"TERM=xterm"])  # Docker's value for a terminal.
    spawn = spawn._replace(rows=rows, columns=columns)
    return CommandPlan(spawn, None, math.inf, dropped, spawn.argv[0].decode())


def check_size(size: object) -> tuple[int, int]:
    """Return rows and columns of a terminal."""
    sides: tuple[object, ...] = size if _is_pair(size) else ()
    if len(sides) != 2 or not all(_is_int(side, 0, _MAX_SIDE) for side in sides):  # noqa: PLR2004 - a pair
        raise RuleViolation("terminal", size, "not a pair of numbers of rows and columns")
    return cast("tuple[int, int]", sides)


def check_signal(signal: object) -> int:
    """Return a signal's number."""
    if not _is_int(signal, 1, _MAX_SIGNAL):
        raise RuleViolation("signal", signal, f"not a signal's number from 1 to {_MAX_SIGNAL}")
    return cast("int", signal)


def check_port(field: str, port: object) -> int:
    """Return a TCP port."""
    if not _is_int(port, 1, _MAX_PORT):
        raise RuleViolation(field, port, f"not a port from 1 to {_MAX_PORT}")
    return cast("int", port)


def check_ports(field: str, ports: object) -> tuple[int, ...]:
    """Return TCP ports, each once."""
    if isinstance(ports, str) or not isinstance(ports, Sequence):
        raise RuleViolation(field, ports, "not a list of ports")
    return tuple(dict.fromkeys(check_port(field, port) for port in cast("Sequence[object]", ports)))


def check_path(field: str, path: object, workdir: str) -> str:
    """Return a path in the sandbox; a relative one starts at the workdir."""
    text: object = os.fspath(cast("os.PathLike[str]", path)) if isinstance(path, os.PathLike) else path
    return names.parse_extract_source(field, text, workdir)


def check_data(field: str, data: object) -> bytes:
    """Return the bytes of a file."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", data))
    raise RuleViolation(field, data, "not bytes")


def _spawn(
    surroundings: Surroundings,
    command: object,
    *,
    env: Mapping[str, str],
    workdir: str | None,
    user: str | None,
    flags: SpawnFlag,
) -> tuple[Spawn, list[str]]:
    own, dropped = names.parse_env("env", env)
    # Of two values of a name the later one holds.
    merged = {entry.partition("=")[0]: entry for entry in (*surroundings.env, *own)}
    folder = surroundings.workdir
    if workdir is not None:
        folder = posixpath.join(folder, names.check_text("workdir", workdir))
    spawn = Spawn(
        argv=[word.encode() for word in _words(command)],
        env=[entry.encode() for entry in merged.values()],
        workdir=folder.encode(),
        user=(surroundings.user if user is None else identity.parse_user("user", user)).encode(),
        flags=flags,
    )
    return spawn, dropped


def _words(command: object) -> list[str]:
    if isinstance(command, str):
        if not names.check_text("command", command).strip():
            raise RuleViolation("command", command, "is empty")
        return ["sh", "-c", command]
    words: Sequence[object] = command if _is_list(command) else ()
    if not words:
        raise RuleViolation("command", command, "not a text nor a list of a program and its arguments")
    return [names.check_text(f"command[{at}]", word) for at, word in enumerate(words)]


def _is_pair(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray))


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
