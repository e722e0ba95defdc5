"""Judge the facts: findings, each with advice (pure).

`diagnose` takes `Facts` and returns a `Diagnosis`. It raises nothing.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from lightrunner.networks.isolated import is_isolated
from lightrunner.rules.limits import GIB, ISOLATED_NETWORK, MIB, STATE_DIR_VARIABLE

from .facts import DaemonFacts, Disk, Facts, StateFolder

Level = Literal["ok", "note", "warning", "error"]
"""``ok``: no problem. ``note``: no problem, but advice. ``warning``: runs work, with a risk or a missing limit.
``error``: runs do not work."""

_LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "error")
_LITTLE_SPACE = GIB
_MAX_CLOCK_DIFFERENCE = 30.0
"""Seconds. The ages of leftovers and the time-outs of detached runs compare the two clocks."""
_SANDBOXED = {"runsc": "gVisor", "kata": "Kata Containers", "kata-runtime": "Kata Containers"}
_SLOW_DRIVERS = {"vfs"}
_SHOWN = 3


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check.

    Attributes:
        check: its name: ``daemon``, ``endpoint``, ``api``, ``limits``, ``cgroup``, ``runtimes``, ``seccomp``,
            ``storage``, ``disk``, ``clock``, ``network``, ``state``, ``leftovers``.
        level: how serious it is.
        message: the finding, in one sentence.
        advice: what to do; None if nothing needs doing.
    """

    check: str
    level: Level
    message: str
    advice: str | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one examination.

    Attributes:
        reachable: whether the daemon responded.
        level: the most serious level among the findings.
        findings: all of them, in the order of the checks.
    """

    reachable: bool
    level: Level
    findings: tuple[Finding, ...]


def diagnose(facts: Facts) -> Diagnosis:
    """Judge all facts."""
    findings = (*_endpoint(facts), *_daemon(facts), *_state(facts.state))
    levels = {finding.level for finding in findings}
    return Diagnosis(
        reachable=facts.daemon is not None,
        level=next(level for level in reversed(_LEVELS) if level in levels),
        findings=findings,
    )


def _endpoint(facts: Facts) -> Iterator[Finding]:
    if not facts.endpoint:
        yield Finding(
            check="endpoint",
            level="error",
            message=facts.problem or "no daemon is named",
            advice="name a daemon: --host, LIGHT_RUNNER_HOST or DOCKER_HOST",
        )
        return
    chosen = f"{facts.endpoint}, chosen by {facts.source}"
    if facts.is_plain_tcp:
        yield Finding(
            check="endpoint",
            level="warning",
            message=f"{chosen}, is not encrypted: whoever can reach that port is root on the daemon's host",
            advice="use ssh://user@host, or TLS with DOCKER_TLS_VERIFY",
        )
    else:
        yield Finding(check="endpoint", level="ok", message=chosen)


def _daemon(facts: Facts) -> Iterator[Finding]:
    if facts.daemon is None:
        if facts.endpoint:
            yield _unreachable(facts)
        return
    daemon = facts.daemon
    info = daemon.info
    if daemon.used_version is None:
        yield Finding(
            check="api",
            level="error",
            message=facts.problem or f"the daemon speaks API {daemon.api_version}",
            advice="use a daemon and a lightrunner that have a version in common",
        )
        return
    yield Finding(check="api", level="ok", message=f"API {daemon.used_version} (the daemon's is {daemon.api_version})")
    if facts.problem is not None:
        yield Finding(
            check="daemon",
            level="error",
            message=facts.problem,
            advice="look at the daemon's log (journalctl -u docker), and examine again",
        )
        return
    machine = f"{info.ncpu} CPUs, {info.mem_total / GIB:.1f} GiB, kernel {info.kernel_version}, {info.architecture}"
    if info.os_type not in {"", "linux"}:
        yield Finding(
            check="daemon",
            level="error",
            message=f"{info.server_version} runs {info.os_type} containers",
            advice="switch it to Linux containers",
        )
    else:
        yield Finding(check="daemon", level="ok", message=f"{info.server_version}; {machine}")
    for text in info.warnings or ():
        yield Finding(check="daemon", level="note", message=f"the daemon says: {text}")
    yield from _limits(daemon)
    yield from _isolation(daemon)
    yield from _storage(daemon)
    yield from _clock(daemon)
    yield from _network(daemon)
    yield from _leftovers(daemon)


def _unreachable(facts: Facts) -> Finding:
    if facts.socket and not facts.socket_exists:
        advice = "start Docker (systemctl start docker), or name another daemon: --host or DOCKER_HOST"
    elif facts.socket and not facts.socket_is_allowed:
        advice = (
            "add your user to the group docker, which makes it root on this host, and log in again; or use the "
            "rootless daemon"
        )
    else:
        advice = "start the daemon there, or name another one: --host or DOCKER_HOST"
    return Finding(check="daemon", level="error", message=facts.problem or "no answer", advice=advice)


def _limits(daemon: DaemonFacts) -> Iterator[Finding]:
    info = daemon.info
    missing = [
        name
        for name, is_there in {
            "memory": info.memory_limit,
            "CPU": info.cpu_cfs_quota,
            "process": info.pids_limit,
        }.items()
        if not is_there
    ]
    if missing:
        yield Finding(
            check="limits",
            level="warning",
            message=f"the daemon cannot enforce {' and '.join(missing)} limits: runs have none",
            advice="enable the cgroup controllers (rootless: delegate them in systemd)",
        )
    elif not info.swap_limit:
        yield Finding(
            check="limits",
            level="warning",
            message="the kernel does not count swap: a run can swap more than its memory limit",
            advice="boot with swapaccount=1, or turn swap off",
        )
    else:
        yield Finding(check="limits", level="ok", message="memory, swap, CPU and process limits are enforced")
    driver = f" by {info.cgroup_driver}" if info.cgroup_driver else ""
    yield Finding(check="cgroup", level="ok", message=f"cgroup v{info.cgroup_version or '1'}{driver}")


def _isolation(daemon: DaemonFacts) -> Iterator[Finding]:
    info = daemon.info
    names = sorted(info.runtimes)
    shown = ", ".join(f"{name} (default)" if name == info.default_runtime else name for name in names)
    sandboxed = sorted({_SANDBOXED[name] for name in names if name in _SANDBOXED})
    if sandboxed:
        yield Finding(
            check="runtimes", level="ok", message=f"{shown}, of which {' and '.join(sandboxed)} for hostile code"
        )
    else:
        yield Finding(
            check="runtimes",
            level="note",
            message=f"{shown or 'unknown'}; all of them share the host's kernel with the code",
            advice="for truly hostile code install gVisor, register it as runsc, and use --runtime runsc",
        )
    options = {option.partition(",")[0].removeprefix("name=") for option in info.security_options or ()}
    if "seccomp" in options:
        yield Finding(check="seccomp", level="ok", message=f"security: {', '.join(sorted(options))}")
    else:
        yield Finding(
            check="seccomp",
            level="warning",
            message="the daemon filters no system calls: seccomp is off",
            advice="use a kernel and a daemon with seccomp",
        )


def _storage(daemon: DaemonFacts) -> Iterator[Finding]:
    driver = daemon.info.driver
    if driver in _SLOW_DRIVERS:
        yield Finding(
            check="storage",
            level="warning",
            message=f"storage driver {driver} copies the whole image for every container",
            advice="use overlay2",
        )
    else:
        yield Finding(check="storage", level="ok", message=f"storage driver {driver or 'unknown'}")
    if daemon.disk is not None:
        yield _space(daemon.disk, "images and containers", "docker system prune, lightrunner cache prune")


def _space(disk: Disk, what: str, advice: str) -> Finding:
    shown = f"{disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB are free for {what} ({disk.path})"
    if disk.free < _LITTLE_SPACE:
        shown = f"only {disk.free / MIB:.0f} MiB are free for {what} ({disk.path})"
        return Finding(check="disk", level="warning", message=shown, advice=f"make room: {advice}")
    return Finding(check="disk", level="ok", message=shown)


def _clock(daemon: DaemonFacts) -> Iterator[Finding]:
    seconds = daemon.seconds_ahead
    if seconds is not None and abs(seconds) > _MAX_CLOCK_DIFFERENCE:
        yield Finding(
            check="clock",
            level="warning",
            message=f"the daemon's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this host's",
            advice="synchronise both: time-outs of detached runs and `lightrunner reap` depend on it",
        )


def _network(daemon: DaemonFacts) -> Iterator[Finding]:
    network = daemon.network
    if network is None:
        message = f"{ISOLATED_NETWORK} does not exist yet: the first run makes it, without traffic between containers"
        yield Finding(check="network", level="ok", message=message)
    elif is_isolated(network):
        message = f"{ISOLATED_NETWORK}: no traffic between containers (enable_icc=false)"
        yield Finding(check="network", level="ok", message=message)
    else:
        yield Finding(
            check="network",
            level="error",
            message=f"{ISOLATED_NETWORK} lets containers reach each other: runs on the default network are refused",
            advice=f"docker network rm {network.id[:12]}; the next run makes it anew",
        )


def _leftovers(daemon: DaemonFacts) -> Iterator[Finding]:
    names = [*daemon.leftovers.containers, *daemon.leftovers.volumes]
    if not names:
        yield Finding(check="leftovers", level="ok", message="dead runs have left nothing")
        return
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    containers, volumes = len(daemon.leftovers.containers), len(daemon.leftovers.volumes)
    yield Finding(
        check="leftovers",
        level="warning",
        message=f"dead runs have left {containers} containers and {volumes} volumes without one: {shown}",
        advice="lightrunner reap; call it from cron",
    )


def _state(state: StateFolder) -> Iterator[Finding]:
    if state.problem is not None:
        yield Finding(
            check="state",
            level="warning",
            message=f"detached runs do not work: {state.problem}",
            advice=f"set {STATE_DIR_VARIABLE} to a folder that this user can write to",
        )
        return
    if not state.is_private:
        yield Finding(
            check="state",
            level="warning",
            message=f"other users can write to {state.path}, and so decide where files of detached runs land",
            advice=f"chmod go-w {state.path}",
        )
    else:
        shown = state.path if state.exists else f"{state.path} (made by the first detached run)"
        yield Finding(check="state", level="ok", message=f"detached runs are kept in {shown}")
    if state.disk is not None:
        yield _space(state.disk, "states", f"or set {STATE_DIR_VARIABLE}")
