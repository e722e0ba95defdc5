"""Measure what a run uses: by a process 1 of lightrunner's own, which runs the command and reports at its end."""

import secrets
from typing import NamedTuple

from lightrunner.engine.wire import ContainerConfig
from lightrunner.plan import RunPlan
from lightrunner.results import CpuTime, Usage
from lightrunner.rules.limits import INIT_PATH
from lightrunner.rules.report import NONCE_VARIABLE, Report

from .command import run_command

_NANO = 1e9


class Measured(NamedTuple):
    """How a measured container is created: the init program's volume, the nonce of its report, and the command."""

    volume: str
    nonce: str
    command: list[str]

    @property
    def entrypoint(self) -> list[str]:
        """The container's entrypoint."""
        return [INIT_PATH, "run", *self.command]

    @property
    def env(self) -> str:
        """The environment variable that process 1 takes out of the command's environment."""
        return f"{NONCE_VARIABLE}={self.nonce}"


def measured(plan: RunPlan, config: ContainerConfig | None, volume: str) -> Measured:
    """Measure a run.

    Args:
        plan: the checked request.
        config: the image's configuration; needed for the image's own command.
        volume: the init program's volume.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: neither the request nor the image has a command.
    """
    return Measured(volume, secrets.token_hex(16), run_command(plan, config))


def usage_of(report: Report | None) -> Usage:
    """Return what a run used, by its report."""
    if report is None:
        return Usage(source="none")
    return Usage(
        source="init",
        cpu_time=_cpu_time(report),
        peak_memory=report.largest or None,
        peak_memory_total=report.memory,
        max_pids=None if report.pids is None else report.pids - 1,  # Process 1 is ours.
        bytes_read=report.read,
        bytes_written=report.written,
    )


def _cpu_time(report: Report) -> CpuTime | None:
    if report.cpu is None or report.user is None or report.system is None:
        return None
    # As the kernel divides a process's time (kernel/sched/cputime.c, `cputime_adjust`): in all exact, parts by ticks.
    ticks = report.user + report.system
    system = report.cpu * report.system / ticks if ticks else 0.0
    return CpuTime(total=report.cpu / _NANO, user=(report.cpu - system) / _NANO, system=system / _NANO)
