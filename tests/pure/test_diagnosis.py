"""What facts mean: each finding, its level, and what to do."""

from typing import Any

import msgspec
import pytest

from lightrunner.doctor import Diagnosis, Finding, Level
from lightrunner.doctor.facts import DaemonFacts, Disk, Facts, StateFolder
from lightrunner.doctor.findings import diagnose
from lightrunner.engine.wire import Network, Runtime, SystemInfo
from lightrunner.results import ReapResult
from lightrunner.rules.limits import GIB, MIB

INFO = SystemInfo(
    server_version="20.10.24",
    kernel_version="6.1",
    architecture="x86_64",
    ncpu=2,
    mem_total=4 * GIB,
    driver="overlay2",
    cgroup_version="2",
    cgroup_driver="systemd",
    default_runtime="runc",
    runtimes={"runc": Runtime(path="runc"), "runsc": Runtime(path="runsc")},
    security_options=["name=seccomp,profile=default", "name=apparmor"],
    os_type="linux",
)
ISOLATED = Network(
    name="light-runner-isolated",
    id="0123456789abcdef",
    driver="bridge",
    options={"com.docker.network.bridge.enable_icc": "false"},
)
DAEMON = DaemonFacts(
    api_version="1.41",
    used_version="1.41",
    info=INFO,
    seconds_ahead=0.1,
    network=ISOLATED,
    disk=Disk("/var/lib/docker", 50 * GIB, 100 * GIB),
)
STATE = StateFolder(path="/home/me/state", exists=True, disk=Disk("/home/me/state", 50 * GIB, 100 * GIB))
FACTS = Facts(
    endpoint="unix:///var/run/docker.sock", source="DOCKER_HOST", socket="/run/d.sock", daemon=DAEMON, state=STATE
)
UNREACHABLE = msgspec.structs.replace(FACTS, daemon=None, problem="system_ping: cannot connect")


def with_info(**fields: Any) -> Facts:
    return with_daemon(info=msgspec.structs.replace(INFO, **fields))


def with_daemon(**fields: Any) -> Facts:
    return msgspec.structs.replace(FACTS, daemon=msgspec.structs.replace(DAEMON, **fields))


def with_state(**fields: Any) -> Facts:
    return msgspec.structs.replace(FACTS, state=msgspec.structs.replace(STATE, **fields))


def of(diagnosis: Diagnosis, check: str) -> Finding:
    """The only finding of a check that is not ok, or, if all are, the first."""
    found = [finding for finding in diagnosis.findings if finding.check == check]
    bad = [finding for finding in found if finding.level != "ok"]
    assert len(bad) <= 1
    return (bad or found)[0]


def test_all_is_well() -> None:
    diagnosis = diagnose(FACTS)
    assert (diagnosis.reachable, diagnosis.level) == (True, "ok")
    assert all((finding.level, finding.advice) == ("ok", None) for finding in diagnosis.findings)
    assert {finding.check for finding in diagnosis.findings} == {
        *("endpoint", "api", "daemon", "limits", "cgroup", "runtimes", "seccomp"),
        *("storage", "disk", "network", "leftovers", "state"),
    }
    text = " ".join(finding.message for finding in diagnosis.findings)
    for part in ("DOCKER_HOST", "20.10.24", "API 1.41", "cgroup v2 by systemd", "runc (default), runsc", "overlay2"):
        assert part in text


@pytest.mark.parametrize(
    ("facts", "check", "level", "message", "advice"),
    [
        (msgspec.structs.replace(FACTS, is_plain_tcp=True), "endpoint", "warning", "not encrypted", "ssh://"),
        (
            msgspec.structs.replace(UNREACHABLE, endpoint="", problem="host 'x'"),
            "endpoint",
            "error",
            "host 'x'",
            "name",
        ),
        (msgspec.structs.replace(UNREACHABLE, endpoint="", problem=None), "endpoint", "error", "no daemon", "name"),
        (UNREACHABLE, "daemon", "error", "cannot connect", "start the daemon there"),
        (msgspec.structs.replace(UNREACHABLE, problem=None), "daemon", "error", "no answer", "start"),
        (msgspec.structs.replace(UNREACHABLE, socket_exists=False), "daemon", "error", "cannot", "start Docker"),
        (msgspec.structs.replace(UNREACHABLE, socket_is_allowed=False), "daemon", "error", "cannot", "group docker"),
        (with_daemon(used_version=None), "api", "error", "1.41", "in common"),
        (msgspec.structs.replace(FACTS, problem="system_info: 500"), "daemon", "error", "500", "journalctl"),
        (with_info(os_type="windows"), "daemon", "error", "windows", "Linux"),
        (with_info(warnings=["No blkio"]), "daemon", "note", "No blkio", None),
        (with_info(memory_limit=False, pids_limit=False), "limits", "warning", "memory and process", "cgroup"),
        (with_info(cpu_cfs_quota=False), "limits", "warning", "CPU limits", "cgroup"),
        (with_info(swap_limit=False), "limits", "warning", "swap", "swapaccount=1"),
        (with_info(runtimes={"runc": Runtime()}), "runtimes", "note", "share the host's kernel", "gVisor"),
        (with_info(runtimes={}), "runtimes", "note", "unknown", "gVisor"),
        (with_info(security_options=None), "seccomp", "warning", "seccomp is off", "kernel"),
        (with_info(driver="vfs"), "storage", "warning", "vfs", "overlay2"),
        (with_daemon(disk=Disk("/d", 5 * MIB, GIB)), "disk", "warning", "only 5 MiB", "prune"),
        (with_daemon(seconds_ahead=90.0), "clock", "warning", "90 s ahead of", "synchronise"),
        (with_daemon(seconds_ahead=-90.0), "clock", "warning", "90 s behind", "synchronise"),
        (
            with_daemon(network=msgspec.structs.replace(ISOLATED, options=None)),
            *("network", "error", "reach each other", "docker network rm 0123456789ab"),
        ),
        (
            with_daemon(leftovers=ReapResult(("a", "b", "c", "d"), ("v",))),
            *("leftovers", "warning", "4 containers and 1 volumes without one: a, b, c, …", "lightrunner reap"),
        ),
        (with_daemon(leftovers=ReapResult((), ("v",))), "leftovers", "warning", ": v", "lightrunner reap"),
        (with_state(problem="/x cannot be written"), "state", "warning", "/x cannot", "LIGHT_RUNNER_STATE_DIR"),
        (with_state(is_private=False), "state", "warning", "other users", "chmod go-w /home/me/state"),
        (with_state(disk=Disk("/s", 0, GIB)), "disk", "warning", "only 0 MiB", "LIGHT_RUNNER_STATE_DIR"),
    ],
)
def test_what_is_wrong_is_found_with_what_to_do(
    facts: Facts, check: str, level: Level, message: str, advice: str | None
) -> None:
    diagnosis = diagnose(facts)
    finding = of(diagnosis, check)
    assert finding.level == level
    assert message in finding.message
    assert finding.advice is None if advice is None else advice in (finding.advice or "")
    assert diagnosis.level == level, "nothing else is wrong"
    assert diagnosis.reachable == (facts.daemon is not None)


def test_what_does_not_exist_yet_is_no_fault() -> None:
    diagnosis = diagnose(with_daemon(network=None, disk=None, seconds_ahead=None))
    assert (diagnosis.level, of(diagnosis, "network").level) == ("ok", "ok")
    assert "does not exist yet" in of(diagnosis, "network").message
    assert "first detached run" in of(diagnose(with_state(exists=False, disk=None)), "state").message


def test_a_daemon_that_tells_little() -> None:
    diagnosis = diagnose(with_info(driver="", cgroup_driver="", cgroup_version=""))
    assert of(diagnosis, "storage").message == "storage driver unknown"
    assert of(diagnosis, "cgroup").message == "cgroup v1"
