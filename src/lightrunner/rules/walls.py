"""The walls that a runner's options move: processes, mounts, ulimits, system calls, users, disk.

Each function takes a field's name and its value, returns what the engine gets, and raises `RuleViolation` alone.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, cast

from .limits import MAX_PIDS, MAX_PROFILE_BYTES, SECRETS_FOLDER
from .names import parse_host_path, parse_mount_point
from .sizes import parse_size
from .violation import RuleViolation

# docker/go-units, ulimitNameMapping.
_ULIMITS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
        *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
    }
)
_UNLIMITED = -1
_MAX_RLIMIT = 2**63 - 1

_TMPFS_FLAGS = frozenset({"exec", "noexec", "nosuid", "nodev", "ro", "rw", "noatime"})
"""Of a mount. ``suid`` and ``dev`` would take down what Docker's defaults (noexec, nosuid, nodev) put up."""

_TMPFS_NUMBERS = {
    "mode": re.compile(r"[0-7]{3,4}"),
    "uid": re.compile(r"[0-9]{1,10}"),
    "gid": re.compile(r"[0-9]{1,10}"),
    "nr_inodes": re.compile(r"[0-9]{1,18}"),
}
_RUNTIMES_OWN = ("/proc", "/sys", "/dev")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a path in the container

# runtime-spec, config-linux.md: the actions and the fields of a profile; archMap is Docker's addition to it.
_ALLOWING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_ACTIONS = _ALLOWING | {
    *("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"),
    *("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"),
}
_PROFILE_FIELDS = frozenset(
    {
        *("defaultAction", "defaultErrnoRet", "architectures", "archMap", "flags", "syscalls"),
        *("listenerPath", "listenerMetadata"),
    }
)
_RULE_FIELDS = frozenset({"names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"})
"""Of a rule in a profile: the runtime-spec's, and what moby (profiles/seccomp) and podman (containers/common) add."""

UserNamespace = Literal["host", "remap"]


class Ulimit(NamedTuple):
    """A limit of each process; -1 is none."""

    name: str
    soft: int
    hard: int


def parse_pids(field: str, value: object) -> int:
    """How many processes and threads a run may have."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_PIDS:
        raise RuleViolation(field, value, f"not a number of processes from 1 to {MAX_PIDS}")
    return value


def parse_tmpfs(field: str, value: object, default_size: int) -> dict[str, str]:
    """Mount points and their options from sizes (``"64m"``, bytes) or options (``"size=64m,mode=1777,exec"``).

    Args:
        field: the option's name.
        value: a mapping of container paths.
        default_size: bytes, where the options have no size.
    """
    if not isinstance(value, Mapping):
        raise RuleViolation(field, value, "not a mapping of paths to sizes or options")
    mounts: dict[str, str] = {}
    for key, options in cast("Mapping[object, object]", value).items():
        path = parse_mount_point(f"{field} path", key, "the root is the image's")
        own = next((own for own in _RUNTIMES_OWN if path == own or path.startswith(f"{own}/")), "")
        if own and path != _SHARED_MEMORY:
            raise RuleViolation(f"{field} path", key, f"{own} belongs to the container runtime")
        if path == SECRETS_FOLDER or path.startswith(f"{SECRETS_FOLDER}/"):
            raise RuleViolation(f"{field} path", key, "is the place of a run's secrets")
        if path in mounts:
            raise RuleViolation(f"{field} path", key, "is given twice")
        mounts[path] = _tmpfs_options(f"{field}[{path!r}]", options, default_size)
    return mounts


def _tmpfs_options(field: str, value: object, default_size: int) -> str:
    if not isinstance(value, str) or (value and "=" not in value and value[0].isdigit()):
        return f"size={parse_size(field, value)}"
    options: dict[str, str] = {}
    for option in value.split(",") if value else []:
        name, equals, text = option.partition("=")
        if name in options:
            raise RuleViolation(field, value, f"{name!r} is given twice")
        if name == "size":
            text = str(parse_size(field, text))
        elif name in _TMPFS_NUMBERS:
            if _TMPFS_NUMBERS[name].fullmatch(text) is None:
                raise RuleViolation(field, value, f"{option!r} is not an option of tmpfs")
        elif equals or name not in _TMPFS_FLAGS:
            known = ", ".join(["size", *sorted(_TMPFS_NUMBERS), *sorted(_TMPFS_FLAGS)])
            raise RuleViolation(field, value, f"{option!r} is not one of tmpfs's options: {known}")
        options[name] = f"{name}{equals}{text}"
    options.setdefault("size", f"size={default_size}")
    return ",".join(options.values())


def parse_ulimits(field: str, value: object) -> tuple[Ulimit, ...]:
    """Limits of each process from ``{"nofile": 1024, "core": 0, "cpu": (10, 20)}``; -1 is none."""
    if not isinstance(value, Mapping):
        raise RuleViolation(field, value, "not a mapping of names to limits")
    ulimits: list[Ulimit] = []
    for name, limit in cast("Mapping[object, object]", value).items():
        if not isinstance(name, str) or name not in _ULIMITS:
            raise RuleViolation(f"{field} name", name, f"not one of {', '.join(sorted(_ULIMITS))}")
        place = f"{field}[{name!r}]"
        pair = _pair(limit)
        numbers = [
            number
            for number in pair
            if isinstance(number, int) and not isinstance(number, bool) and _UNLIMITED <= number <= _MAX_RLIMIT
        ]
        if len(pair) != 2 or len(numbers) != 2:  # noqa: PLR2004  # a pair
            raise RuleViolation(place, limit, "not a limit or a tuple of the soft and the hard limit; -1 is none")
        soft, hard = numbers
        if hard != _UNLIMITED and (soft == _UNLIMITED or soft > hard):
            raise RuleViolation(place, limit, "the soft limit is above the hard one")
        ulimits.append(Ulimit(name, soft, hard))
    return tuple(ulimits)


def _pair(limit: object) -> tuple[object, ...]:
    return cast("tuple[object, ...]", limit) if isinstance(limit, tuple) else (limit, limit)


def parse_seccomp(field: str, value: object, read_text: Callable[[str], str]) -> str:
    """A seccomp profile in JSON, as short as it can be, from the path of a file, from JSON, or from what JSON says.

    What the engine would take for no profile at all is refused: it runs a container without seccomp for ``{}``.

    Args:
        field: the option's name.
        value: the option.
        read_text: reads a file, up to `MAX_PROFILE_BYTES` and one more; raises OSError or UnicodeDecodeError.
    """
    fields = _profile(field, value, read_text)
    # Go reads names in any case: a second spelling of a field would overrule the one that is looked at here.
    if unknown := [name for name in fields if name not in _PROFILE_FIELDS]:
        raise RuleViolation(field, value, f"not a seccomp profile: it has no field {unknown[0]!r}")
    default = fields.get("defaultAction")
    if not _is_action(default):
        raise RuleViolation(field, value, f"not a seccomp profile: its defaultAction is {default!r}")
    rules = fields.get("syscalls", [])
    if not isinstance(rules, list) or not all(map(_is_rule, cast("list[object]", rules))):
        reason = "a rule in syscalls has no names, no action, or an unknown field"
        raise RuleViolation(field, value, f"not a seccomp profile: {reason}")
    actions = {default, *(rule["action"] for rule in cast("list[dict[str, Any]]", rules))}
    if actions <= _ALLOWING:
        raise RuleViolation(field, value, "it allows every system call, as no profile at all does")
    try:
        return json.dumps(dict(fields), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RuleViolation(field, value, f"not a seccomp profile in JSON: {error}") from error


def _profile(field: str, value: object, read_text: Callable[[str], str]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    text = parse_host_path(field, value)
    if text.strip() in {"unconfined", "builtin"}:
        raise RuleViolation(field, value, "not a profile; leave it out for the daemon's own. Seccomp is never off")
    try:
        if not text.lstrip().startswith("{"):
            text = read_text(text)
        if len(text) > MAX_PROFILE_BYTES:
            raise RuleViolation(field, value, f"a profile of more than {MAX_PROFILE_BYTES} bytes")
        profile = json.loads(text)
    except OSError as error:
        raise RuleViolation(field, value, f"a profile that cannot be read: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RuleViolation(field, value, f"not a seccomp profile in JSON: {error}") from error
    if not isinstance(profile, dict):
        raise RuleViolation(field, value, "not a seccomp profile: not a JSON object")
    return cast("dict[str, Any]", profile)


def _is_action(value: object) -> bool:
    return isinstance(value, str) and value in _ACTIONS


def _is_rule(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    rule = cast("dict[str, Any]", value)
    names = rule.get("names", [rule.get("name")])  # Docker's first form of a rule has one name.
    is_named = isinstance(names, list) and all(isinstance(name, str) for name in cast("list[object]", names))
    return is_named and _is_action(rule.get("action")) and rule.keys() <= _RULE_FIELDS


def parse_userns(field: str, value: object) -> UserNamespace | None:
    """``host``, ``remap``, or None for the daemon's choice."""
    if value is None or (isinstance(value, str) and value in {"host", "remap"}):
        return cast("UserNamespace | None", value)
    raise RuleViolation(field, value, "not 'remap' (the daemon has to remap users), 'host' (it must not), nor None")
