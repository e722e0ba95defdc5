"""Results of runs, extracts and clean-ups, log lines and progress: the values that a caller receives."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from .engine.frames import StreamName
from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.explain import Ending, explain
from .rules.verdict import Outcome

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


class OutputChunk(msgspec.Struct, frozen=True, gc=False):
    """Some bytes of output, as they came: neither decoded nor split into lines.

    Attributes:
        stream: ``stdout`` or ``stderr``. The output of a terminal is ``stdout``.
        data: the bytes, at least one.
        time: seconds from the start of the run to their arrival here.
    """

    stream: StreamName
    data: bytes
    time: float


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

OutputCallback = Callable[[OutputChunk], object]
"""Called with each chunk, in the daemon's order; may be async. An exception ends the run and propagates from `run`
unchanged."""

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


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that a run had; None: no such limit, or not known any more.

    Attributes:
        timeout: seconds.
        cpu_timeout: seconds of CPU time.
        memory: bytes.
        output: bytes of stdout and stderr together.
    """

    timeout: float | None = None
    cpu_timeout: float | None = None
    memory: int | None = None
    output: int | None = None


class CpuTime(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time of all processes of a run together, in seconds.

    Attributes:
        total: the scheduler's figure, exact to the nanosecond.
        user: its part in user mode. The kernel samples the proportion at its timer's ticks, as for ``getrusage``.
        system: its part in system mode, likewise.
    """

    total: float
    user: float
    system: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a run used. A figure is None if it cannot be known; none is an estimate.

    Attributes:
        source: ``init``: lightrunner's process 1 in the container read the kernel's figures as the run ended; ``none``:
            it could not, since the container was killed from outside, and all figures are None.
        cpu_time: CPU time, from the start of the command to the end of its last process.
        peak_memory: bytes of the largest resident set of a single process (``ru_maxrss``), of those waited for.
        peak_memory_total: bytes of all processes and their page cache at once; None if the runtime's own start, some
            10 MB, was the higher peak.
        max_pids: the most processes and threads at once; None on kernels without ``pids.peak``, and if the runtime's
            own start, some 7 threads, was the higher peak.
        bytes_read: bytes read from block devices.
        bytes_written: bytes written to block devices until the end of the run. What the kernel writes back later is not
            in it.
    """

    source: Literal["init", "none"]
    cpu_time: CpuTime | None = None
    peak_memory: int | None = None
    peak_memory_total: int | None = None
    max_pids: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. A non-zero exit code is a result, not an exception.

    Attributes:
        success: the process exited by itself with code 0, and the run was not cancelled.
        outcome: what ended the run; `lightrunner.rules.verdict.judge` has the rules.
        exit_code: the process's exit code; 128 + n if signal n killed it (137: SIGKILL).
        signal: the number of the signal that killed the process; None if it exited by itself.
        duration: seconds from the start to the exit.
        cancelled: `Execution.cancel` or `Execution.stop` was called before the run ended.
        timed_out: the time-out killed the container.
        oom_killed: the kernel killed a process of the container at its memory limit. The run may have survived it.
        limits: the limits that the run had.
        usage: what the run used; None without ``DockerRunner(usage=True)``.
        extracted: one result per `ExtractSpec`; None without specs, or if the run did not succeed.
        stdout: captured output; None without `capture_output`.
        stderr: captured output; None without `capture_output`.
        output: both streams as they came, the stream of each chunk with it; None without `capture_output`.
        stdout_truncated: there was more than 8 MiB, and the rest was dropped.
        stderr_truncated: the same for stderr.
        output_truncated: a stream was truncated, or there were more than 65,536 chunks, and `output` lacks the rest.
        timings: seconds per phase.
    """

    success: bool
    exit_code: int
    duration: float
    outcome: Outcome = Outcome.EXITED
    signal: int | None = None
    cancelled: bool = False
    timed_out: bool = False
    oom_killed: bool = False
    limits: RunLimits = RunLimits()
    usage: Usage | None = None
    extracted: tuple[ExtractResult, ...] | None = None
    stdout: bytes | None = None
    stderr: bytes | None = None
    output: tuple[OutputChunk, ...] | None = None
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    output_truncated: bool = False
    timings: Timings = msgspec.field(default_factory=Timings)

    def explain(self) -> str:
        """Return what ended the run, in one sentence for a person: ``killed after 5.0 s: the time limit``."""
        return explain(
            Ending(
                self.outcome,
                exit_code=self.exit_code,
                signal=self.signal,
                duration=self.duration,
                oom_killed=self.oom_killed,
                cpu_timeout=self.limits.cpu_timeout or 0.0,
                memory=self.limits.memory or 0,
                output_limit=self.limits.output or 0,
            )
        )

    def check(self) -> "RunResult":
        """Return this result, or raise if it is not a success.

        Raises:
            LightRunnerError: RUN_UNSUCCESSFUL, with the sentence of `explain`.
        """
        if self.success:
            return self
        raise LightRunnerError(LightRunnerErrorCode.RUN_UNSUCCESSFUL, self.explain())
