"""Results of runs, extracts and clean-ups, log lines and progress: the values that a caller receives."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from .engine.frames import StreamName
from .errors import LightRunnerError, LightRunnerErrorCode

ExtractStatus = Literal["ok", "missing", "error"]


class ExtractResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one `ExtractSpec`. A failed one never fails the run.

    Attributes:
        from_: as in the spec.
        to: as in the spec.
        status: ``ok``; ``missing``: the container has no such path; ``error``: see `error`. A missing or failed entry
            leaves nothing in `to`.
        bytes: the size of the archive, headers included; None without one.
        skipped: the number of links, devices and pipes that were skipped.
        error: the reason, if `status` is ``error``.
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
        text: the line; bytes that are not UTF-8 become U+FFFD.
        partial: the line is longer than 64 KiB, and more of it follows.
    """

    stream: StreamName
    text: str
    partial: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a pull, or a line of a build.

    Attributes:
        status: the daemon's message, such as ``Downloading``, or a line of the build without its newline.
        layer: the layer it is about; None for the image.
        current: bytes of the layer so far; None if the daemon does not say.
        total: bytes of the layer in all; None likewise.
    """

    status: str
    layer: str | None = None
    current: int | None = None
    total: int | None = None


LogCallback = Callable[[LogLine], object]
"""Called with each line; may be async. An exception ends the run and propagates from `run` unchanged."""

ProgressCallback = Callable[[Progress], object]
"""Called with each message; not async. An exception propagates from `run` unchanged."""


class Timings(msgspec.Struct, kw_only=True):
    """Seconds that each phase of a run took; 0.0 for a phase that did not happen.

    Attributes:
        image: pulling the image and building the setup steps. Inspecting an image that the daemon has counts towards
            `create`, with which it overlaps.
        network: finding or creating the isolated network, once per runner.
        create: creating the container and its volume.
        seed: copying `dir` in.
        attach: attaching to the streams.
        start: starting the container.
        run: from the start to the exit and the end of the output.
        extract: copying files out.
        cleanup: removing the container and its volume.
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
    """What `DockerRunner.reap_orphans` removed or, with ``dry_run``, would remove.

    Attributes:
        containers: names of orphaned containers.
        volumes: names of volumes without a container.
    """

    containers: tuple[str, ...]
    volumes: tuple[str, ...]


class CacheImage(msgspec.Struct, frozen=True, kw_only=True):
    """A cache image of setup steps, as `DockerRunner.list_cache` finds it.

    Attributes:
        tag: its name, ``light-runner-cache:…``; the image's id if it has no tag.
        size_bytes: its size, layers of its base image included.
        created: when it was built.
        last_used: when a run on this host last built or found it; None if the state folder does not tell.
    """

    tag: str
    size_bytes: int
    created: datetime
    last_used: datetime | None


class CacheCleanup(msgspec.Struct, frozen=True):
    """What `DockerRunner.cleanup_orphan_cache` removed.

    Attributes:
        removed: tags; for images without a tag, ids.
        freed_bytes: the size of the removed layers, without layers of base images, which stay.
    """

    removed: tuple[str, ...]
    freed_bytes: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. A non-zero exit code is a result, not an exception.

    Attributes:
        success: the exit code is 0, and the run was neither cancelled nor timed out.
        exit_code: the process's exit code; 128 + n if signal n killed it (137: SIGKILL).
        duration: seconds from the start to the exit.
        cancelled: `Execution.cancel` or `Execution.stop` was called before the run ended.
        timed_out: the time-out killed the container.
        oom_killed: the kernel killed a process of the container at its memory limit.
        extracted: one result per `ExtractSpec`; None without specs, or if the run did not succeed.
        stdout: captured output; None without `capture_output`.
        stderr: captured output; None without `capture_output`.
        stdout_truncated: there was more than 8 MiB, and the rest was dropped.
        stderr_truncated: the same for stderr.
        timings: seconds per phase.
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
        """Return this result, or raise if it is not a success.

        Raises:
            LightRunnerError: RUN_UNSUCCESSFUL.
        """
        if self.success:
            return self
        why = [f"exit code {self.exit_code}"]
        why += [word for word in ("cancelled", "timed_out", "oom_killed") if getattr(self, word)]
        raise LightRunnerError(LightRunnerErrorCode.RUN_UNSUCCESSFUL, ", ".join(why).replace("_", " "))
