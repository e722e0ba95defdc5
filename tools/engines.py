"""The engines that `./dev test --engine` knows by name: other versions, other runtimes, other image stores, podman.

All are real: downloaded from Debian, unpacked, and run as a private engine. They run on this release's libc, but for
podman, which brings its own. runc is the installed one, since a newer one wants a newer libc.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tools import podman, root_filesystem
from tools.debian_packages import PackageDownloadError, run, unpack
from tools.images import cache_folder
from tools.private_engine import CGROUPS, EngineSetup, search_path

SUITES = {"20.10": "bookworm", "26.1": "trixie", "28.5": "sid"}
"""Docker's versions, and the Debian releases that have them."""

NEWEST = "28.5"
"""The version that runtimes and image stores are tested with."""

_PACKAGES = ("docker.io", "containerd")
_PROGRAMS = ("dockerd", "docker-proxy", "docker", "containerd", "containerd-shim-runc-v2", "ctr")


CAPABILITIES = {
    "default_signals": "the first process of a container ignores signals that it has no handler for",
    "dockerd": "options of dockerd, or its own files",
    "image_removal": "the layers of an image go with its last name",
    "isolated_network": "a bridge whose containers do not reach each other",
    "links": "an archive tells a link from what it points to",
    "oom": "a kill for memory is reported",
    "oom_victims": "what uses too much memory is killed, and nothing beside it",
    "pids": "a process that there is no room for is not started, and the others go on",
    "runtime": "a run chooses its runtime",
    "stopped_orphans": "a process group that stops and has no shell above it is left alone",
    "statuses": "a bad request is refused with 400, 404 or 409, in Docker's words",
    "unread_input": "the output goes on when a program does not read its input to the end",
}
"""What a test can need of an engine, by the marker `needs`."""


class EngineDownloadError(Exception):
    """The engine cannot be had; the message says why."""


class EngineUnavailableError(Exception):
    """This machine cannot run the engine; the message says what it lacks."""


@dataclass(frozen=True)
class Engine:
    """An engine by its name: how it is set up, and what it cannot do.

    The keys of `lacks` are the capabilities that a test names with the marker `needs`; the values say what happens.
    """

    about: str
    setup: Callable[[], EngineSetup]
    lacks: dict[str, str]


def engine_setup(name: str) -> EngineSetup:
    """What to start for an engine's name; its programs are downloaded where they are not here yet.

    Raises:
        EngineUnavailableError: this machine cannot run it.
        EngineDownloadError: its programs cannot be downloaded.
    """
    try:
        return ENGINES[name].setup()
    except PackageDownloadError as error:
        raise EngineDownloadError(str(error)) from error


def _docker(version: str) -> EngineSetup:
    return EngineSetup(programs=_docker_programs(version))


def _docker_programs(version: str) -> Path | None:
    """A folder with the programs of a version of Docker; None where the installed ones are of that version."""
    if _version(shutil.which("dockerd", path=search_path()) or "").startswith(f"{version}."):
        return None

    def fill(folder: Path, root: Path) -> None:
        unpack(SUITES[version], _PACKAGES, root)
        for path in root.rglob("*"):
            if path.name in _PROGRAMS and path.is_file() and path.stat().st_mode & 0o111:
                shutil.copy(path, folder)
        found = _version(str(folder / "dockerd"))
        if not found.startswith(f"{version}."):
            raise EngineDownloadError(f"Debian {SUITES[version]} has engine {found}, not {version}")

    return _cached(f"engine-{version}", fill)


def _containerd_store() -> EngineSetup:
    return replace(_docker(NEWEST), config={"features": {"containerd-snapshotter": True}})


_GVISOR_ARGUMENTS = ("--network=host", "--overlay2=none")
"""With a network stack of its own gVisor wants to write net.core.rmem_default, which is not a namespace's on every
kernel; with "host" it takes that of the container's network namespace. Its own overlay would keep what a build's step
or a run writes from the daemon: commits and archives would lack it."""


def gvisor_runtime() -> dict[str, object]:
    """GVisor's entry for the "runtimes" of a daemon.json."""

    def fill(folder: Path, root: Path) -> None:
        unpack("trixie", ("runsc",), root)
        shutil.copy(root / "usr" / "bin" / "runsc", folder)

    return {"path": str(_cached("runsc", fill) / "runsc"), "runtimeArgs": list(_GVISOR_ARGUMENTS)}


def _gvisor() -> EngineSetup:
    """Every container runs in gVisor: it is the daemon's default runtime."""
    return replace(_docker(NEWEST), config={"runtimes": {"runsc": gvisor_runtime()}, "default-runtime": "runsc"})


def all_runtimes() -> EngineSetup:
    """Docker with runc, which is the default, crun and gVisor.

    The engine has a root file system of its own: a crun that knows what this engine writes wants a newer libc.
    """
    packages = ("docker.io", "containerd", "runc", "crun", "runsc", "iptables")
    suite = SUITES[NEWEST]
    root = _cached(f"runtimes-{suite}", lambda root, _: root_filesystem.make(root, suite, packages))
    runtimes = {
        "crun": {"path": "/usr/bin/crun"},
        "runsc": {"path": "/usr/bin/runsc", "runtimeArgs": list(_GVISOR_ARGUMENTS)},
    }
    return EngineSetup(
        enter=root_filesystem.WITHOUT_UNIFIED + root_filesystem.ENTER,
        environment={"ROOT": str(root)},
        config={"runtimes": runtimes},
    )


def _crun() -> EngineSetup:
    """Every container runs in crun: it is the daemon's default runtime."""
    setup = all_runtimes()
    return replace(setup, config={**setup.config, "default-runtime": "crun"})


def _cgroup2() -> EngineSetup:
    """Control groups v2 alone, where v2 has the controllers that limits need."""
    needed = {"cpu", "memory", "pids"}
    if (CGROUPS / "cgroup.controllers").exists():
        return _docker(NEWEST)  # the machine has nothing else
    unified = CGROUPS / "unified" / "cgroup.controllers"
    missing = needed - set(unified.read_text().split() if unified.exists() else [])
    if missing:
        raise EngineUnavailableError(f"this machine's control groups v2 lack {', '.join(sorted(missing))}")
    return replace(_docker(NEWEST), enter="mount -t cgroup2 none /sys/fs/cgroup")


def _podman() -> EngineSetup:
    root = _cached(f"podman-{podman.SUITE}", lambda root, _: podman.make_root(root))
    return EngineSetup(enter=podman.ENTER, environment=podman.environment(root), command=podman.command)


_GVISOR_LACKS = {
    "default_signals": "SIGTERM ends any process",
    "oom_victims": "its kernel is killed",
    "pids": "its kernel ends",
    "stopped_orphans": "it ends by SIGHUP",
}
_PODMAN_LACKS = {
    "dockerd": "it is none",
    "image_removal": "it keeps a step's layer, and uses it again",
    "isolated_network": "it ignores enable_icc=false: CONTAINER_START_FAILED",
    "links": "it follows them",
    "oom": "its State.OOMKilled stays false on control groups v1, and there is no event",
    "runtime": "it ignores HostConfig.Runtime",
    "statuses": "it answers 500, in words of its own",
    "unread_input": "it closes the attached stream: DOCKER_UNREACHABLE",
}


def _of_version(version: str) -> Engine:
    return Engine(f"Docker {version}, from Debian {SUITES[version]}", lambda: _docker(version), {})


ENGINES = {
    **{version: _of_version(version) for version in SUITES},
    "containerd": Engine(f"Docker {NEWEST} with containerd's image store", _containerd_store, {}),
    "crun": Engine(f"crun under Docker {NEWEST}", _crun, {}),
    "gvisor": Engine(f"gVisor under Docker {NEWEST}", _gvisor, _GVISOR_LACKS),
    "cgroup2": Engine(f"Docker {NEWEST} on control groups v2 alone", _cgroup2, {}),
    "podman": Engine("podman through its Docker socket", _podman, _PODMAN_LACKS),
}

ENDPOINTS = {"tls": "over TCP with TLS", "ssh": "over ssh"}
"""Ways to reach the installed engine."""


def _cached(name: str, fill: Callable[[Path, Path], None]) -> Path:
    """A folder of the cache, made whole or not at all. `fill` gets it, and an empty one to unpack in."""
    folder = cache_folder() / name
    if not folder.exists():
        new, root = (cache_folder() / f"{name}.{os.getpid()}.{part}" for part in ("new", "root"))
        try:
            new.mkdir()
            root.mkdir()
            fill(new, root)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(root, ignore_errors=True)
    return folder


def _version(dockerd: str) -> str:
    """What a dockerd says of itself, such as 28.5.2; empty where there is none."""
    if not dockerd:
        return ""
    words = run(dockerd, "--version").split()
    return words[words.index("version") + 1].rstrip(",")
