"""Results of runs, extracts and clean-ups, log lines and progress: the values that a caller gets."""

import os
from collections.abc import Callable
from typing import Literal

import msgspec

from .engine.frames import StreamName
from .errors import LightRunnerError, LightRunnerErrorCode

ExtractStatus = Literal["ok", "missing", "error"]


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
