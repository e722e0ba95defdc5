"""What goes in and what comes out: requests, options, results. Values only; `lightrunner.spec` checks them."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import trio

from .engine.frames import StreamName
from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import (
    DEFAULT_BUILD_TIMEOUT,
    DEFAULT_CPUS,
    DEFAULT_MAX_EXTRACT_BYTES,
    DEFAULT_MEMORY,
    DEFAULT_RUNTIME,
    DEFAULT_TIMEOUT,
    DEFAULT_WORKDIR,
)

ExtractStatus = Literal["ok", "missing", "error"]


class ExtractSpec(msgspec.Struct, frozen=True):
    """A file or a folder to pull out of the container after exit code 0.

    Attributes:
        from_: its path in the container; a relative one starts at the workdir. A folder's contents land directly in
            `to`, as ``rsync -a from/ to/`` does; a file lands as ``to/<its name>``.
        to: a folder on the host, made where it is missing.
    """

    from_: str
    to: str | os.PathLike[str]


class ExtractResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one `ExtractSpec`. A bad one never fails the run.

    Attributes:
        from_: as in the spec.
        to: as in the spec.
        status: ``ok``; ``missing``: there is no such path in the container; ``error``: see `error`. Nothing of a
            missing or failed entry is left in `to`.
        bytes: the size of the archive that came, in bytes, headers included; None without one.
        skipped: how many links, devices and pipes were left out.
        error: why, where `status` is ``error``.
    """

    from_: str
    to: str | os.PathLike[str]
    status: ExtractStatus
    bytes: int | None = None
    skipped: int = 0
    error: str | None = None


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of output, without its newline.

    Attributes:
        stream: ``stdout`` or ``stderr``.
        text: the line; bytes that are not UTF-8 are U+FFFD.
        partial: the line is longer than 64 KiB, and this is not its last piece.
    """

    stream: StreamName
    text: str
    partial: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a pull, or a line of a build.

    Attributes:
        status: what the daemon says: ``Downloading``, ``Pull complete``; a build's line without its newline.
        layer: which layer it says it of; None for the image.
        current: how many bytes of the layer are there, where it is told.
        total: of how many.
    """

    status: str
    layer: str | None = None
    current: int | None = None
    total: int | None = None


LogCallback = Callable[[LogLine], object]
"""Gets each line. It may be async. What it raises ends the run and comes out of `run` as it is."""

ProgressCallback = Callable[[Progress], object]
"""Gets each message. It is sync, and what it raises comes out of `run` as it is."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of code to run in one disposable container. It is checked as a whole before anything is created.

    Attributes:
        image: an image reference; pulled where it is missing.
        entrypoint: a shell command, run as ``sh -c`` in place of the image's ENTRYPOINT and CMD; None: the image's own.
        run: setup steps, each a shell command, baked into an image that is kept (``light-runner-cache:…``) and found
            again by the next request with the same image and steps. They are trusted: the build has none of the
            sandbox's walls.
        dir: a host folder to copy into the workdir. ``.git``, ``node_modules``, build and cache folders, Python's
            virtual environments, links, sockets, devices and pipes stay behind.
        ignore: more names or shell patterns to leave out of `dir`; one with a slash matches the whole relative path.
        input: any JSON value, written to stdin, then end of file; bytes go as they are. None: no stdin.
        timeout: seconds from the start to SIGKILL; None: no limit.
        network: None: the isolated bridge; ``none``; the name of a network.
        env: environment variables. Names that are not POSIX names are dropped, with a `LightRunnerWarning`.
        workdir: an absolute path, the working directory; a fresh volume is mounted there.
        extract: what to pull out after exit code 0.
        capture_output: keep stdout and stderr in the result, up to 8 MiB each.
        platform: of the image, where it is not the daemon's own: ``linux/arm64``.
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


class RunnerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every run of a `DockerRunner`. The security defaults beside these cannot be switched off.

    Attributes:
        memory: the memory limit, swap included: ``"512m"``, ``"1.5g"`` (binary units) or an int of bytes, from 6 MiB.
        cpus: how many CPUs' time, from 0.01: a number or a text.
        runtime: ``runc``, ``runsc`` (gVisor), ``kata``, or any name the daemon knows. ``runc`` is not sent: it is the
            daemon's own default that runs then.
        gpus: ``"all"``, a count, or a list as ``docker run --gpus`` takes it: ``"device=0,1"``. None: no GPU.
        no_new_privileges: block setuid escalation in the container.
        max_extract_bytes: cap on the archive of one `ExtractSpec`.
        max_concurrent: how many runs at once; the others wait. An int, or a limiter to share; None: no limit.
        build_timeout: seconds for the build of setup steps, without the pull before it; None: no limit.
        host: the daemon: ``unix:///path`` or ``tcp://host:port``; None: ``DOCKER_HOST`` or the usual sockets.
    """

    memory: str | int = DEFAULT_MEMORY
    cpus: float | str = DEFAULT_CPUS
    runtime: str = DEFAULT_RUNTIME
    gpus: str | int | None = None
    no_new_privileges: bool = True
    max_extract_bytes: int = DEFAULT_MAX_EXTRACT_BYTES
    max_concurrent: int | trio.CapacityLimiter | None = None
    build_timeout: float | None = DEFAULT_BUILD_TIMEOUT
    host: str | None = None


class Timings(msgspec.Struct, kw_only=True):
    """Where a run's time went: seconds per phase, 0.0 for what did not happen.

    Attributes:
        image: pulling the image, building the setup steps. (An image that is there is looked at during the create.)
        network: making sure of the isolated network; once per runner.
        create: container and volume.
        seed: copying `dir` in.
        attach: attaching to the streams.
        start: the daemon's start of the container.
        run: from the start to the exit and the end of the output.
        extract: pulling files out.
        cleanup: removing container and volume.
    """

    image: float = 0.0
    network: float = 0.0
    create: float = 0.0
    seed: float = 0.0
    attach: float = 0.0
    start: float = 0.0
    run: float = 0.0
    extract: float = 0.0
    cleanup: float = 0.0


class ReapResult(msgspec.Struct, frozen=True):
    """What `DockerRunner.reap_orphans` removed, or would remove: names on the daemon.

    Attributes:
        containers: of runs whose process is dead, whose deadline has passed, or that were idle for long.
        volumes: of runs without a container.
    """

    containers: tuple[str, ...]
    volumes: tuple[str, ...]


class CacheCleanup(msgspec.Struct, frozen=True):
    """What `DockerRunner.cleanup_orphan_cache` removed.

    Attributes:
        removed: the tags, or the ids of images without one.
        freed_bytes: what the removed layers took; layers of base images, which stay, are not counted.
    """

    removed: tuple[str, ...]
    freed_bytes: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run. A non-zero exit code is a result, not an exception.

    Attributes:
        success: exit code 0, not cancelled, not timed out.
        exit_code: the process's; 128 + n where signal n ended it (137: SIGKILL).
        duration: seconds from the start to the exit.
        cancelled: `Execution.cancel` or `Execution.stop` was called before the run was over.
        timed_out: the time-out killed it.
        oom_killed: the kernel killed a process of the container for its memory limit.
        extracted: one entry for each `ExtractSpec`; None where none was asked for, or the run was no success.
        stdout: what was captured, None without `capture_output`.
        stderr: likewise.
        stdout_truncated: more than 8 MiB came, and the rest was dropped.
        stderr_truncated: likewise.
        timings: where the time went.
    """

    success: bool
    exit_code: int
    duration: float
    cancelled: bool = False
    timed_out: bool = False
    oom_killed: bool = False
    extracted: tuple[ExtractResult, ...] | None = None
    stdout: bytes | None = None
    stderr: bytes | None = None
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    timings: Timings = msgspec.field(default_factory=Timings)

    def check(self) -> "RunResult":
        """Return this result, or raise where it is no success.

        Raises:
            LightRunnerError: RUN_UNSUCCESSFUL.
        """
        if self.success:
            return self
        why = [f"exit code {self.exit_code}"]
        why += [word for word in ("cancelled", "timed_out", "oom_killed") if getattr(self, word)]
        raise LightRunnerError(LightRunnerErrorCode.RUN_UNSUCCESSFUL, ", ".join(why).replace("_", " "))
