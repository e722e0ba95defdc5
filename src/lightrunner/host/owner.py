"""The process that owns a run, as labels and state files record it, and whether it still lives.

A pid is reused by other processes: the start time tells them apart, the boot id tells the boots apart, and
the host's id, with the pid namespace in it, tells what can be judged from here at all.
"""

import functools
import os
import re
import socket
from pathlib import Path
from typing import NamedTuple

_PID = re.compile(r"[1-9][0-9]{0,8}")
_STATE, _START_TIME = 0, 19
"""Fields of /proc/<pid>/stat behind the program's name (proc(5): state is field 3, starttime field 22)."""


class Owner(NamedTuple):
    """A process. `boot` and `start` are empty where the system has no /proc."""

    host: str
    boot: str
    pid: int
    start: str

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pid}/{self.start}"


def parse_owner(text: str) -> Owner | None:
    """An owner from its label; None where there is none, or it is not one of ours."""
    match text.split("/"):
        case [host, boot, pid, start] if host and _PID.fullmatch(pid):
            return Owner(host, boot, int(pid), start)
        case _:
            return None


def current_owner() -> Owner:
    """This process."""
    return owner_of(os.getpid())


@functools.cache  # By the id, since a fork is another process.
def owner_of(pid: int) -> Owner:
    """A process that is alive; only ever this one."""
    return Owner(_host_id(), boot_id(), pid, _start_time(pid) or "")


def is_dead(owner: Owner) -> bool | None:
    """Whether the process has ended; None where that cannot be told from here: it is another host's, or hidden."""
    if owner.host != _host_id():
        return None
    if owner.boot != boot_id():
        return True
    if not owner.boot:
        return is_gone(owner.pid)
    start = _start_time(owner.pid)
    if start is None:
        return is_gone(owner.pid) or None  # With hidepid, /proc does not show another user's processes.
    return start != owner.start


@functools.cache
def boot_id() -> str:
    """The kernel's id of this boot; empty where there is no /proc."""
    return _read("/proc/sys/kernel/random/boot_id")


@functools.cache
def _host_id() -> str:
    machine = _read("/etc/machine-id") or socket.gethostname().replace("/", "-")
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{machine}-{namespace}"


def _start_time(pid: int) -> str | None:
    """In clock ticks since the boot; None: nothing is to be seen; empty: a zombie, which runs no code any more."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) <= _START_TIME:
        return None
    return "" if fields[_STATE] in "ZX" else fields[_START_TIME]


def is_gone(pid: int) -> bool:
    """Whether there is no process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
