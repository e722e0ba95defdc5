"""The report of a measured run's process 1, at the end of stderr. Pure.

`ReportFilter.feed` takes the bytes of stderr and returns those that are the command's; `close` returns what is left of
them and the report. The report begins with a nonce that the command never sees, and nothing follows it (init/run.c),
so that a command can neither write one nor spoil one. Whatever is not a whole report behind the nonce is the command's
output. Nothing is raised.
"""

import struct
from typing import NamedTuple

_FIELDS = struct.Struct("<11q")

NONCE_VARIABLE = "LIGHT_RUNNER_USAGE"
"""The environment variable by which process 1 gets the nonce: 32 hexadecimal digits. The command does not get it."""


class Report(NamedTuple):
    """What process 1 reports (init/run.c, ``report``). None: the kernel does not say.

    Attributes:
        exit_code: the command's; None if a signal killed it.
        signal: the signal that killed the command; None if it exited.
        cpu: nanoseconds of CPU time of the control group, from just before the command's start to its end.
        user: of these, in user mode, in the kernel's ticks.
        system: in system mode, likewise.
        largest: bytes of the largest resident set of a process that was waited for.
        memory: bytes of the control group's peak, if it rose since the start.
        pids: the most processes and threads at once, process 1 included, if the figure rose since the start.
        read: bytes read from devices.
        written: bytes written to devices.
        oom_kills: processes of the control group that the kernel has killed for memory.
    """

    exit_code: int | None
    signal: int | None
    cpu: int | None
    user: int | None
    system: int | None
    largest: int | None
    memory: int | None
    pids: int | None
    read: int | None
    written: int | None
    oom_kills: int | None


class ReportFilter:
    """Tells one run's report from its stderr. It holds less than a report between two calls, and until then nothing."""

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self._size = len(nonce) + _FIELDS.size
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is surely the command's. Only what may be the beginning of the report is held back."""
        data = self._held + data
        start = self._start(data, 0)
        while len(data) - start > self._size:
            # Something follows: no process 1 of ours wrote this. What the command wrote may have completed a nonce that
            # repeats itself, and the report begins later.
            start = self._start(data, start + 1)
        self._held = data[start:]
        return data[:start]

    def close(self) -> tuple[bytes, Report | None]:
        """Return the rest of the command's output, and the report; None if there is none."""
        held, self._held = self._held, b""
        if len(held) != self._size or not held.startswith(self._nonce):
            return held, None
        code, signal, *figures = _FIELDS.unpack(held[len(self._nonce) :])
        told = (None if figure < 0 else figure for figure in figures)
        return b"", Report(None if code < 0 else code, signal or None, *told)

    def _start(self, data: bytes, begin: int) -> int:
        """Where the nonce begins, from `begin` on, or what may become one."""
        at = data.find(self._nonce, begin)
        if at >= 0:
            return at
        for length in range(min(len(self._nonce) - 1, len(data)), 0, -1):
            if data.endswith(self._nonce[:length]):
                return len(data) - length
        return len(data)
