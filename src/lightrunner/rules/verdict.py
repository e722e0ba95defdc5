"""The verdict on a run: what ended it, from all the evidence there is. Pure.

`judge` takes an `Evidence` and returns a `Verdict`. It never raises, and the order in which the evidence came does not
matter.

What the daemon tells of an exit is one number. 128 + n is both the code of a process 1 that signal n killed and one
that a process can return by itself, as shells do to report a killed child. Linux helps to tell them apart: process 1 of
a PID namespace ignores signals from inside that have their default action, SIGKILL included (pid_namespaces(7)).
Only three things kill it: a fault of its own, the kernel's OOM killer, and a SIGKILL from outside,
which the daemon sent (its events tell) or an administrator did. So 137 without any trace of a killer is taken for the
process's own exit code, and 139 for a segmentation fault.
"""

import enum
from typing import NamedTuple

SIGKILL = 9
_SIGNAL_BASE = 128
"""A process that signal n killed has the exit code 128 + n (runc, shells)."""

FAULTS = frozenset({4, 5, 7, 8, 11, 31})
"""SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: the kernel forces them on the process that caused them, process 1
included (kernel/signal.c, ``force_sig_info_to_task``). An abort() of process 1 ends as a fault, too."""

# fmt: off
_NAMES = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
)
# fmt: on
"""Linux's signals from 1 on, of x86 and ARM. The host may be another system, whose numbers differ."""


class Outcome(enum.StrEnum):
    """What ended a run. A run has exactly one."""

    EXITED = "exited"
    """The process exited by itself, with `RunResult.exit_code`."""
    SIGNALED = "signaled"
    """`RunResult.signal` killed the process, and none of the other outcomes is the reason."""
    TIMED_OUT = "timed_out"
    """`RunRequest.timeout` was over, and lightrunner killed the container."""
    CPU_TIMED_OUT = "cpu_timed_out"
    """The container used `RunRequest.cpu_timeout` up, and lightrunner killed it."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel killed the process at the memory limit."""
    OUTPUT_LIMIT = "output_limit"
    """The container wrote more than `RunRequest.output_limit`; lightrunner killed it, unless it had exited by then."""
    CANCELLED = "cancelled"
    """`Execution.cancel` was called before the run ended."""
    STOPPED = "stopped"
    """`Execution.stop` was called before the run ended; `RunResult.exit_code` is the process's own."""


class Status(NamedTuple):
    """How the command ended, as the container's own process 1 saw it: its exit code, or the signal that killed it."""

    exit_code: int | None
    signal: int | None


class Evidence(NamedTuple):
    """What is known about the end of a run.

    Attributes:
        exit_code: of process 1, as the daemon reports it.
        killed_for: why lightrunner killed the container: the reason of the first SIGKILL that the daemon accepted.
            TIMED_OUT, CPU_TIMED_OUT, OUTPUT_LIMIT or CANCELLED; None if none was sent or accepted.
        asked_for: what the caller asked for first, before the run ended: CANCELLED, STOPPED, or None.
        over_output_limit: the container wrote more than its output limit.
        oom_killed: the kernel killed a process of the container at its memory limit.
        killed_by_others: the daemon's events tell of a SIGKILL that somebody else asked for.
        status: of a run whose usage is measured: how the command ended. Process 1 lived to report it, so that no kill
            from outside was the reason.
    """

    exit_code: int
    killed_for: Outcome | None = None
    asked_for: Outcome | None = None
    over_output_limit: bool = False
    oom_killed: bool = False
    killed_by_others: bool = False
    status: Status | None = None


class Verdict(NamedTuple):
    """The outcome, and the number of the signal that killed process 1; None if none did."""

    outcome: Outcome
    signal: int | None


def judge(evidence: Evidence) -> Verdict:
    """Return what ended the run. The first rule that applies decides:

    1. lightrunner's own SIGKILL, if the exit code is that of a SIGKILL: `timed_out`, `cpu_timed_out`, `output_limit` or
       `cancelled`. Any other code means that the process had exited before the signal arrived.
    2. More output than the limit: `output_limit`, also if the process was quicker to exit than lightrunner to kill it.
    3. The caller's `stop` or `cancel` before the end of the run: `stopped` or `cancelled`.
    4. A SIGKILL, and the kernel killed for memory: `out_of_memory`. A process that survived the OOM kill of a child of
       its own and then exits is `exited`.
    5. A signal that can have killed process 1: `signaled`.
    6. `exited`.
    """
    signal = _signal(evidence)
    was_killed = _was_sigkilled(evidence)
    if evidence.killed_for is not None and was_killed and evidence.status is None:
        return Verdict(evidence.killed_for, SIGKILL)
    if evidence.over_output_limit:
        return Verdict(Outcome.OUTPUT_LIMIT, signal)
    if evidence.asked_for is not None:
        # The signal that `stop` sent, or the SIGKILL after its grace.
        return Verdict(evidence.asked_for, SIGKILL if was_killed else signal)
    if evidence.oom_killed and was_killed:
        return Verdict(Outcome.OUT_OF_MEMORY, SIGKILL)
    if signal is not None:
        return Verdict(Outcome.SIGNALED, signal)
    return Verdict(Outcome.EXITED, None)


def is_success(evidence: Evidence) -> bool:
    """Whether the process exited by itself with code 0, and neither the caller nor a limit ended the run."""
    return evidence.exit_code == 0 and judge(evidence).outcome is Outcome.EXITED


def is_unexplained(evidence: Evidence) -> bool:
    """Whether something that the daemon tells late, an OOM kill or somebody else's, could change the verdict."""
    return evidence.status is None and _was_sigkilled(evidence) and judge(evidence).outcome is Outcome.EXITED


def signal_name(number: int) -> str:
    """Return a Linux signal's name: ``SIGSEGV``; ``signal 40`` for one without a name."""
    return f"SIG{_NAMES[number - 1]}" if 0 < number <= len(_NAMES) else f"signal {number}"


def reported_signal(exit_code: int) -> int | None:
    """Return n of an exit code 128 + n; None for other codes."""
    number = exit_code - _SIGNAL_BASE
    return number if 0 < number <= 64 else None  # noqa: PLR2004 - Linux's highest signal


def _was_sigkilled(evidence: Evidence) -> bool:
    """Whether the process was killed by SIGKILL, or may have been."""
    if evidence.status is not None:
        return evidence.status.signal == SIGKILL
    return evidence.exit_code == _SIGNAL_BASE + SIGKILL


def _signal(evidence: Evidence) -> int | None:
    """The signal that killed the process, as far as the evidence goes."""
    if evidence.status is not None:
        return evidence.status.signal
    number = reported_signal(evidence.exit_code)
    if number in FAULTS:
        return number
    if number == SIGKILL and (evidence.oom_killed or evidence.killed_by_others):
        return number
    return None
