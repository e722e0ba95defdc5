"""Identify the process that owns a run, as labels and state files record it, and tell whether it is alive.

The system reuses pids, so a process is identified by its pid, its start time, and the boot id. The host's id, which
includes the pid namespace, tells whether the process can be checked from here.
"""

import functools
import os
import re
import socket
from pathlib import Path
from typing import NamedTuple

_PID = re.compile(r"[1-9][0-9]{0,8}")
_STATE, _START_TIME = 0, 19
"""Indices in /proc/<pid>/stat after the program's name (proc(5): state is field 3, starttime field 22)."""


class Owner(NamedTuple):
    """A process. `boot` and `start` are empty on systems without /proc."""

    host: str
    boot: str
    pid: int
    start: str

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pid}/{self.start}"


def parse_owner(text: str) -> Owner | None:
    """Parse the label of an owner; None if it is empty or has another format."""
    match text.split("/"):
        case [host, boot, pid, start] if host and _PID.fullmatch(pid):
            return Owner(host, boot, int(pid), start)
        case _:
            return None


def current_owner() -> Owner:
    """Return this process."""
    return owner_of(os.getpid())


@functools.cache  # By pid, since a forked child is another process.
def owner_of(pid: int) -> Owner:
    """Return the `Owner` of this process's pid."""
    return Owner(_host_id(), boot_id(), pid, _start_time(pid) or "")


def is_dead(owner: Owner) -> bool | None:
    """Return whether the process has ended; None if that is unknown: it is on another host, or hidden."""
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
    """Return the kernel's id of this boot; empty without /proc."""
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
    """Return the start time in clock ticks since the boot; None if it cannot be read; empty for a zombie."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) <= _START_TIME:
        return None
    return "" if fields[_STATE] in "ZX" else fields[_START_TIME]


def is_gone(pid: int) -> bool:
    """Return whether there is no process with that pid."""
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
