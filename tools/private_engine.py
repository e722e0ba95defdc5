"""Start a private engine: it affects no other daemon on the machine, and leaves nothing behind.

Two dockerd in one network namespace fight over docker0 and the iptables chains, whatever their flags. A private
engine therefore has its own network, mount and process namespaces, which also make its removal simple: SIGKILL
to the first process of a process namespace ends every process in it, and the last process takes the mounts and
network interfaces with it. Only two things have to be removed explicitly: the folder with its data, and its
control groups.

    owner ── unshare ── sh, process 1 of the namespace ── dockerd ── containerd, shims, containers …

Each process dies with the one before it (PR_SET_PDEATHSIG), so SIGKILL of the owner ends the engine too. Its
folder then stays until the next engine starts, which removes folders that no owner holds a lock on.

This needs Linux, root, util-linux, iproute2 and dockerd. `./dev` installs the packages.
"""

import fcntl
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tools.raw_engine import RawEngine, RawEngineError

PING_TIMEOUT = 5.0
START_TIMEOUT = 30.0
"""Seconds; 0.2 to 2.5 were seen."""
TIDY_TIMEOUT = 30.0
"""Seconds. The kernel takes a moment to let go of control groups and processes: more than 5 s were seen where others
were busy."""
LOG_TAIL_LINES = 30

FOLDERS = Path("/tmp")  # noqa: S108 - TMPDIR can be long, and a socket's path has at most 107 bytes
PREFIX = "lr-"
CGROUPS = Path("/sys/fs/cgroup")

# In a mount namespace of its own the engine writes its key to /etc/docker, and the sockets of the container
# shims and the lock of iptables to /run: an empty one each hides the host's, and goes with the namespace. The
# shell stays as process 1, since somebody has to reap: each container leaves an orphaned shim to it.
_ENTER = """
ip link set lo up
mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && mount -t tmpfs none /run
"""
_RUN = """
if [ -n "$LISTENING" ]; then
    # bash: dash knows no descriptors of two digits.
    bash -c 'exec 3<&$LISTENING; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' bash "$@" &
else
    "$@" &
fi
wait "$!"
"""


class PrivateEngineError(Exception):
    """The engine did not start, or something of it outlived its end."""


@dataclass(frozen=True)
class EngineSetup:
    """What a private engine is, in place of the installed dockerd as it comes.

    `programs` is a folder with another version's programs, `config` the contents of daemon.json. `enter` is a shell
    script that runs before the daemon, in its namespaces, with `environment`, FOLDER, the engine's folder, and the open
    `descriptors`. `command` is another daemon than dockerd: it gets the folder, and has to listen on its docker.sock.
    """

    programs: Path | None = None
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    enter: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    descriptors: Sequence[int] = ()
    command: Callable[[Path], list[str]] | None = None


class PrivateEngine:
    """A private engine, as a context manager or by `start` and `stop`.

    `setup` says which engine, by default `default_setup`; `config` is added to its daemon.json, and `extra_args` go to
    dockerd as they are. With `tls`, a folder with ca.pem, cert.pem and key.pem, it also
    listens on `tcp_host`, for clients with a certificate. `host` is the engine's address for the whole life of the
    object, restarts included.

    The kernel takes the *thread* that started a process for its parent: use one that outlives the engine.
    """

    default_setup: ClassVar[EngineSetup] = EngineSetup()
    """What engines are that name no setup."""

    def __init__(
        self,
        *,
        setup: EngineSetup | None = None,
        config: Mapping[str, object] | None = None,
        extra_args: Sequence[str] = (),
        tls: Path | None = None,
    ) -> None:
        self._setup = setup or self.default_setup
        if self._setup.command is not None and (config or extra_args or tls):
            raise PrivateEngineError("config, extra_args and tls are dockerd's: this engine is another")
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=FOLDERS))
        self._lock = _lock(self._folder)
        self._config = {**self._setup.config, **(config or {})}
        if "userns-remap" in self._config:
            self._folder.chmod(0o711)  # The users that the engine maps to have to get through.
        self._extra_args = extra_args
        self._unshare: subprocess.Popen[bytes] | None = None
        self._namespaces: set[str] = set()
        self._ends: list[tuple[set[str], float]] = []
        self.pid = 0
        """Process 1 of the engine's namespaces; `nsenter --net=/proc/PID/ns/net` reaches published ports."""
        self.socket = self._folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.tcp_host = ""
        self._tls = tls
        self._listener: socket.socket | None = None
        if tls is not None:
            # Made here and inherited: the engine has a network namespace of its own.
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.tcp_host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.log_path = self._folder / "dockerd.log"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, on the data that an earlier start left, and return once the engine answers."""
        if self._unshare is not None:
            raise PrivateEngineError("the engine runs already")
        _remove_abandoned()
        # What describes the running state of an engine that was killed would keep the next one from starting.
        shutil.rmtree(self._folder / "exec", ignore_errors=True)
        for name in ("pid", "docker.sock"):
            (self._folder / name).unlink(missing_ok=True)
        config_path = self._folder / "daemon.json"
        config_path.write_text(json.dumps(self._config))

        with self.log_path.open("ab") as log:
            self._unshare = subprocess.Popen(
                [*_namespace_command(self._setup.enter), *self._daemon_command(config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ
                | self._setup.environment
                | {
                    "PATH": self._search_path(),
                    "FOLDER": str(self._folder),
                    "LISTENING": str(self._listener.fileno() if self._listener else ""),
                },
                pass_fds=[*([self._listener.fileno()] if self._listener else []), *self._setup.descriptors],
                start_new_session=True,  # Ctrl-C is for the owner, who then stops the engine in good order
            )
        if not _until(self._ready, START_TIMEOUT):
            raise PrivateEngineError(f"dockerd does not answer; the end of its log:\n{self._log_tail()}")
        self.pid = _first_child(self._unshare.pid)
        self._namespaces = _namespaces(self.pid) - _namespaces(os.getpid())

    def crash(self) -> None:
        """SIGKILL the daemon and its containers, like a power cut; `start` brings it back on its data."""
        if self._unshare is None:
            return
        # The namespace's first process and not unshare: the kernel lets go of it only when all others are
        # reaped, and unshare reaps it. The other way round the dead would wait for the host's process 1.
        victim = _first_child(self._unshare.pid) or self._unshare.pid
        with suppress(ProcessLookupError):  # it may have died by itself
            os.kill(victim, signal.SIGKILL)
        self._unshare.wait()
        self._unshare, self.pid = None, 0
        self._ends.append((self._namespaces, time.clock_gettime(time.CLOCK_BOOTTIME)))

    def stop(self) -> None:
        """End the engine and remove all that it made. PrivateEngineError names what could not be removed."""
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)
        _until(lambda: not self._remains(), TIDY_TIMEOUT)
        os.close(self._lock)
        if self._listener is not None:
            self._listener.close()
        if remains := self._remains():
            raise PrivateEngineError("the engine left behind: " + ", ".join(remains))

    def _ready(self) -> bool:
        if self._unshare is None or self._unshare.poll() is not None:
            raise PrivateEngineError(f"dockerd ended; the end of its log:\n{self._log_tail()}")
        return answers(self.host)

    def _remains(self) -> list[str]:
        """Remove the control groups, and name all that is left."""
        cgroups = [str(group) for group in _cgroups(self._folder.name) if not _remove_cgroup(group)]
        processes = [f"process {path.name}" for path in Path("/proc").glob("[0-9]*") if self._was_ours(int(path.name))]
        mounts = [
            f"mount {line.split()[4]}"
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(self._folder) in line
        ]
        return cgroups + processes + mounts + [str(self._folder)] * self._folder.exists()

    def _was_ours(self, pid: int) -> bool:
        """Whether a process is of one of the engine's lives, all of which have ended."""
        # A namespace's number is given to another one as soon as it is gone.
        own = _namespaces(pid)
        return any(namespaces & own and _started(pid) <= ended for namespaces, ended in self._ends)

    def _daemon_command(self, config_path: Path) -> list[str]:
        if self._setup.command is not None:
            return self._setup.command(self._folder)
        return [
            "dockerd",
            f"--config-file={config_path}",
            f"--data-root={self._folder}/data",
            f"--exec-root={self._folder}/exec",
            f"--pidfile={self._folder}/pid",
            f"--host={self.host}",
            f"--cgroup-parent=/{self._folder.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",  # systemd's would want a slice, and systemd's own bus
            *(self._tls_arguments(self._tls) if self._tls else []),
            *self._extra_args,
        ]

    def _tls_arguments(self, folder: Path) -> list[str]:
        files = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
        return ["--host=fd://3", "--tlsverify", *(f"--{option}={folder / name}" for option, name in files.items())]

    def _search_path(self) -> str:
        first = [str(self._setup.programs)] if self._setup.programs is not None else []
        return ":".join([*first, search_path()])

    def _log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def search_path() -> str:
    """PATH, and where dockerd, runc, iptables and mkfs are, which not every root's PATH has."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin:/sbin:/bin"


def answers(host: str) -> bool:
    """Tell whether a daemon answers at `host`."""
    try:
        RawEngine(host, timeout=PING_TIMEOUT).ping()
    except (OSError, HTTPException, RawEngineError, ValueError):
        return False
    return True


def _namespace_command(enter: str) -> list[str]:
    dies_with_owner = ["setpriv", "--pdeathsig=KILL"]
    namespaces = ["unshare", "--net", "--uts", "--mount", "--propagation=private", "--pid", "--mount-proc"]
    return [*dies_with_owner, *namespaces, "--fork", "--kill-child", "--", "sh", "-ec", _ENTER + enter + _RUN, "sh"]


def _first_child(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0
    return int(children[0]) if children else 0


def _namespaces(pid: int) -> set[str]:
    """Name a process's namespaces, as in "net:[4026531840]"; none if it is gone or not ours to see."""
    found = set[str]()
    for kind in ("net", "mnt", "pid"):
        try:
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def _started(pid: int) -> float:
    """Return when a process started, in seconds since the boot; infinity if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return math.inf
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _cgroups(name: str) -> Iterator[Path]:
    """Find the engine's control groups: one in the unified hierarchy, or one for each controller of v1."""
    return (path for path in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if path.exists())


def _remove_cgroup(group: Path) -> bool:
    """Remove a control group, the deepest first; False if there is life in it still."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except FileNotFoundError:
        return True  # one hierarchy can be mounted under two names
    except OSError:
        return False
    return True


def _lock(folder: Path) -> int:
    """Mark `folder` as in use for as long as this process lives or holds the returned descriptor."""
    descriptor = os.open(folder / "new", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # Only now does it get the name that is looked for: it is never there without being locked.
    (folder / "new").rename(folder / "lock")
    return descriptor


def _remove_abandoned() -> None:
    """Remove folders and control groups of engines whose owner was killed."""
    for lock in FOLDERS.glob(f"{PREFIX}*/lock"):
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            for group in _cgroups(lock.parent.name):
                _remove_cgroup(group)
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)


def _until(condition: Callable[[], bool], timeout: float) -> bool:
    """Poll for at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met
