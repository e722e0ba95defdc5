"""Requests, options and extract specs: the values that a caller passes in. `lightrunner.plan` checks them."""

import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import trio

from .engine import Connect, RegistryAuth
from .rules.limits import (
    DEFAULT_BUILD_TIMEOUT,
    DEFAULT_CPUS,
    DEFAULT_MAX_EXTRACT_BYTES,
    DEFAULT_MEMORY,
    DEFAULT_PIDS,
    DEFAULT_RUNTIME,
    DEFAULT_TIMEOUT,
    DEFAULT_TTY_SIZE,
    DEFAULT_WORKDIR,
)
from .rules.secrets import hidden


class ExtractSpec(msgspec.Struct, frozen=True):
    """A file or a folder to pull out of the container after exit code 0.

    Attributes:
        from_: a path in the container; a relative one starts at the workdir. A folder's contents land directly in
            `to`, as ``rsync -a from/ to/`` does; a file lands as ``to/<its name>``.
        to: a folder on the host, created if it is missing.
    """

    from_: str
    to: str | os.PathLike[str]


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of code to run in one disposable container. All of it is checked before anything is created.

    Attributes:
        image: an image reference; pulled if the daemon does not have it.
        entrypoint: a shell command, run as ``sh -c`` in place of the image's ENTRYPOINT and CMD; None: the image's own.
        run: setup steps, each a shell command, baked into a cache image (``light-runner-cache:…``) that later
            requests with the same image and steps reuse. Steps are trusted: the build has none of the sandbox's limits.
        dir: a host folder to copy into the workdir, without ``.git``, ``node_modules``, build and cache folders,
            Python's virtual environments, links, sockets, devices and pipes.
        ignore: more names or shell patterns to leave out of `dir`; one with a slash matches the whole relative path.
        input: any JSON value, written to stdin, then end of file; bytes are written unchanged. None: no stdin.
        timeout: seconds from the start to SIGKILL; None: no limit.
        network: ``none``, the name of a network, or None for the isolated bridge.
        env: environment variables. Names that POSIX does not allow are dropped, with a `LightRunnerWarning`.
        workdir: the working directory, an absolute path, where a fresh volume is mounted.
        extract: what to copy out after exit code 0.
        capture_output: keep stdout and stderr in the result, up to 8 MiB each.
        platform: the image's platform, such as ``linux/arm64``; None: the daemon's.
        user: ``user`` or ``user:group``, each a name or a number; None: the image's user.
        hostname: the container's host name; None: the container's id.
        extra_hosts: additional host names and their addresses for ``/etc/hosts``. The address ``host-gateway`` stands
            for the daemon's host.
        pull: when to pull the image: if it is ``missing``; ``always``, and then build the setup steps anew if it has
            changed; ``never``: fail if it is missing.
        labels: labels for the container and its volume. Those that begin with ``light-runner.`` are refused.
        cpu_timeout: seconds of CPU time, of all processes together, to SIGKILL; None: no limit. lightrunner asks the
            daemon for the figure, which takes some milliseconds, and up to 1 s on Docker before 23.
        output_limit: bytes, of stdout and stderr together, to SIGKILL; what is over it is dropped. None: no limit.
        tty: give the container a terminal. All output is then one stream, ``stdout``, with the terminal's line ends,
            and `input` is typed: the terminal echoes it, acts on control characters, and reports its end once (Ctrl-D).
        tty_size: rows and columns of the terminal.
        secrets: the contents of files in ``/run/secrets``, by their names. The files are on a tmpfs, have the mode
            0400, and belong to the run's user. All together have at most 256 KiB. They travel over stdin, ahead of
            `input`, and are in no inspect, image or log. A request's repr has their names alone.
    """

    image: str
    entrypoint: str | None = None
    run: Sequence[str] = ()
    dir: str | os.PathLike[str] | None = None
    ignore: Sequence[str] = ()
    input: Any = None
    timeout: float | None = DEFAULT_TIMEOUT
    network: str | None = None
    env: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    workdir: str = DEFAULT_WORKDIR
    extract: Sequence[ExtractSpec] = ()
    capture_output: bool = False
    platform: str | None = None
    user: str | None = None
    hostname: str | None = None
    extra_hosts: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    cpu_timeout: float | None = None
    output_limit: int | None = None
    tty: bool = False
    tty_size: tuple[int, int] = DEFAULT_TTY_SIZE
    pull: Literal["missing", "always", "never"] = "missing"
    secrets: Mapping[str, bytes] = msgspec.field(default_factory=dict[str, bytes])

    def __repr__(self) -> str:
        return f"RunRequest({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, hidden(value) if name == "secrets" else value) for name, value in fields]


class RunnerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for every run of a `DockerRunner`. All other security defaults are fixed.

    Attributes:
        memory: the memory limit, swap included: ``"512m"``, ``"1.5g"`` (binary units) or an int of bytes, from 6 MiB.
        cpus: the CPU limit, at least 0.01: a number or its text.
        runtime: ``runc``, ``runsc`` (gVisor), ``kata``, or any name the daemon knows. ``runc`` is not sent: the daemon
            uses its default.
        gpus: ``"all"``, a count, or a list as ``docker run --gpus`` takes it: ``"device=0,1"``. None: no GPU.
        no_new_privileges: block privilege escalation by setuid programs.
        pids: the limit of processes and threads.
        read_only: make the image's file system read-only. The workdir and a tmpfs at ``/tmp`` stay writable.
        tmpfs: paths for additional folders in memory, each with a size (``"64m"`` or bytes) or with options as for
            ``docker run --tmpfs``: ``"size=64m,mode=1777,exec"``. Their content counts towards `memory`. The default
            size is half of `memory`, as Linux's is half of the machine's. ``noexec,nosuid,nodev`` apply unless ``exec``
            is given.
        ulimits: limits per process, by their names in ``docker run --ulimit``: one number, or the soft and the hard
            limit: ``{"nofile": 1024, "cpu": (10, 20)}``. -1 means no limit.
        seccomp: a seccomp profile instead of the daemon's: the path of a file, its JSON text, or the decoded JSON. A
            profile that allows every system call is refused.
        userns: ``"remap"``: runs fail unless the daemon maps its containers' users to unprivileged ones
            (``userns-remap``, or rootless). ``"host"``: users are not mapped, even if the daemon maps them. None: as
            the daemon is configured.
        disk: how much a run may write to its file system, the workdir included: ``"1g"`` or bytes. The workdir is then
            not a volume. Runs fail unless the daemon's storage has quotas: overlay2 on xfs with ``pquota``, btrfs or
            zfs. Volumes that the image declares are not limited.
        usage: measure what runs use (`RunResult.usage`). lightrunner's own program is then process 1 of the container
            and runs the command. Not for warm pools, detached runs and terminals.
        max_extract_bytes: limit of one `ExtractSpec`'s archive, in bytes.
        max_concurrent: how many runs at once: an int, or a limiter to share; further runs wait. None: no limit.
        build_timeout: seconds for building the setup steps, pulls excluded; None: no limit.
        host: the daemon: ``unix:///path``, ``tcp://host:port`` or ``ssh://user@host``; None: ``LIGHT_RUNNER_HOST``,
            ``DOCKER_HOST``, the Docker CLI's current context, or the usual sockets.
        tls: the TLS context for a TCP address; None: as ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``, or the Docker
            CLI's context, say.
        connect: a function that opens connections to the daemon, instead of `host` and `tls`: a fake engine's or a
            tunnel's.
        registry_auth: credentials by registry, such as ``registry:5000`` or ``docker.io``. For other registries the
            Docker CLI's config file has them: ``auths``, ``credHelpers``, ``credsStore``.
    """

    memory: str | int = DEFAULT_MEMORY
    cpus: float | str = DEFAULT_CPUS
    runtime: str = DEFAULT_RUNTIME
    gpus: str | int | None = None
    no_new_privileges: bool = True
    pids: int = DEFAULT_PIDS
    read_only: bool = False
    tmpfs: Mapping[str, str | int] = msgspec.field(default_factory=dict[str, str | int])
    ulimits: Mapping[str, int | tuple[int, int]] = msgspec.field(default_factory=dict[str, int | tuple[int, int]])
    seccomp: str | os.PathLike[str] | Mapping[str, Any] | None = None
    userns: Literal["host", "remap"] | None = None
    disk: str | int | None = None
    registry_auth: Mapping[str, RegistryAuth] = msgspec.field(default_factory=dict[str, RegistryAuth])
    usage: bool = False
    max_extract_bytes: int = DEFAULT_MAX_EXTRACT_BYTES
    max_concurrent: int | trio.CapacityLimiter | None = None
    build_timeout: float | None = DEFAULT_BUILD_TIMEOUT
    host: str | None = None
    tls: ssl.SSLContext | None = None
    connect: Connect | None = None
