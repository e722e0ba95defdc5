"""The state files of detached runs: one JSON file per run in the state folder, for all processes of the host.

Synchronous, except for the locks. The fields are light-runner's, in camelCase on disk. lightrunner adds `timeout`
(seconds), `deadline`, `bootDeadline`, `extract`, `extracted`, `maxExtractBytes`, `timedOut`, `oomKilled`,
`killedByOthers`, `stopped`, `memory` and `owner`.
"""

import logging
import math
import os
import re
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote_to_bytes

import msgspec
import trio

from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.host.owner import boot_id
from lightrunner.host.state_dir import make_state_dir, state_dir, try_lock, write_atomically
from lightrunner.results import ExtractResult

_log = logging.getLogger("lightrunner")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
"""Ids become file names. They have neither dots nor slashes, so that no id leads out of the folder."""

_SUFFIX = ".json"
_LOCK_SUFFIX = ".lock"
_READERS_SUFFIX = ".readers"
_OTHERS = "cache-"
"""The prefix of the folder's files that do not belong to runs."""

_LOCK_POLL = 0.05
"""Seconds between two attempts. A blocking flock needs a thread, which could not be cancelled."""

RunStatus = Literal["running", "exited", "cancelled", "failed"]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its time zone, without which it could not be compared with others."""


class StoredExtract(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One `ExtractSpec`. The host path is absolute, since another process has another working directory."""

    from_: str
    to: str


class StoredExtracted(msgspec.Struct, frozen=True, rename={"from_": "from"}, omit_defaults=True):
    """One `ExtractResult`."""

    from_: str
    to: str
    status: Literal["ok", "missing", "error"]
    bytes: int | None = None
    skipped: int = 0
    error: str | None = None


class RunState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The state of a detached run, as its state file has it.

    Attributes:
        id: the run's id.
        container: the container's name.
        volume: the volume's name.
        image: the request's image reference.
        workdir: the request's workdir, in the container.
        entrypoint: the request's entrypoint; None: the image's own command.
        started_at: when the container started; before the start, when the file was written.
        finished_at: when the container exited; None before that.
        status: ``running`` until a process has finished the run after its exit; ``exited``; ``cancelled``, also after a
            time-out; ``failed``: there is no exit code.
        exit_code: the process's exit code; None before the run is finished, or if it failed.
        duration_ms: milliseconds from the start to the exit.
        cancelled: the run was cancelled or stopped.
        timeout: the time-out in seconds; None: no limit.
        deadline: when the time-out ends, by the wall clock; None before the start, and without a time-out.
        boot_deadline: when the time-out ends, in seconds since the boot `boot`. Changes of the wall clock do not
            affect it.
        boot: the kernel's id of the boot that `boot_deadline` counts from.
        extract: what to copy out after exit code 0.
        extracted: one result per entry of `extract`; None if nothing was extracted.
        max_extract_bytes: the limit of one entry's archive, in bytes.
        timed_out: the time-out killed the container.
        oom_killed: the kernel killed a process of the container at its memory limit.
        killed_by_others: another client of the daemon killed the container with SIGKILL.
        stopped: the run was stopped, rather than cancelled.
        memory: the memory limit in bytes; 0: unknown.
        starting: `owner` has not started the container yet.
        owner: the process that started the run, as `lightrunner.host.owner` writes it.
        error: why the run failed.
    """

    id: str
    container: str
    volume: str
    image: str
    workdir: str
    started_at: Moment
    status: RunStatus
    entrypoint: str | None = None
    finished_at: Moment | None = None
    exit_code: int | None = None
    duration_ms: float | None = None
    cancelled: bool = False
    timeout: float | None = None
    deadline: Moment | None = None
    boot_deadline: float | None = None
    boot: str = ""
    extract: tuple[StoredExtract, ...] = ()
    extracted: tuple[StoredExtracted, ...] | None = None
    max_extract_bytes: int = 0
    timed_out: bool = False
    oom_killed: bool = False
    killed_by_others: bool = False
    stopped: bool = False
    memory: int = 0
    starting: bool = False
    owner: str = ""
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the file has the run's result."""
        return self.status != "running"

    def started(self) -> "RunState":
        """Return the state with the start set to now, and with the deadline."""
        now = datetime.now(UTC)
        if self.timeout is None:
            return msgspec.structs.replace(self, starting=False, started_at=now)
        return msgspec.structs.replace(
            self,
            starting=False,
            started_at=now,
            deadline=_later(now, self.timeout),
            boot_deadline=_since_boot() + self.timeout,
            boot=boot_id(),
        )

    def seconds_left(self) -> float:
        """Return the seconds until the time-out: negative after it, infinity without one.

        In the same boot, the clock that counts from the boot decides, since the wall clock can jump. If the process
        that started the run died before it wrote the deadline, the time-out counts from `started_at`.
        """
        if self.timeout is None:
            return math.inf
        if self.boot_deadline is not None and self.boot == boot_id():
            return self.boot_deadline - _since_boot()
        return ((self.deadline or _later(self.started_at, self.timeout)) - datetime.now(UTC)).total_seconds()


_decoder = msgspec.json.Decoder(RunState)


def is_run_id(text: str) -> bool:
    """Return whether `text` has the form of a run's id."""
    return _ID.fullmatch(text) is not None


def read_state(run_id: str) -> RunState | None:
    """Return the state of a detached run; None if there is no such run, or its file cannot be read, which is logged."""
    if not is_run_id(run_id):
        return None
    try:
        path = _path(run_id)
    except FileNotFoundError:  # Without a home folder there is no state folder.
        return None
    return _read(path)


def list_states() -> list[RunState]:
    """Return the states of all detached runs of this host, oldest first. Files that cannot be read are logged.

    Raises:
        OSError: the state folder exists, but cannot be read.
    """
    states = [state for path in _run_files(_SUFFIX) if (state := _read(path)) is not None]
    return sorted(states, key=lambda state: (state.started_at, state.id))


def write_state(state: RunState) -> None:
    """Write a state, atomically and durably.

    Raises:
        OSError: the folder cannot be created or written; the previous state is unchanged.
    """
    make_state_dir()
    write_atomically(_path(state.id), msgspec.json.format(msgspec.json.encode(state), indent=2))


def is_kept_elsewhere(folder: str, run_id: str) -> bool:
    """Return whether a folder other than this process's has a state of the run. `folder` is a `LABEL_STATE_DIR`."""
    path = Path(os.fsdecode(unquote_to_bytes(folder)), f"{run_id}{_SUFFIX}")
    try:
        own = _path(run_id).absolute()
    except FileNotFoundError:  # There is no home folder.
        own = None
    try:
        return path.is_absolute() and path != own and path.exists()
    except OSError:  # Anybody can set labels: this is not a possible path.
        return False


def forget_state(run_id: str) -> None:
    """Remove the state file of a run that could not be started."""
    with suppress(FileNotFoundError):
        _path(run_id).unlink()


def sweep_locks() -> None:
    """Remove lock files of killed processes.

    Raises:
        OSError: the folder cannot be read or written.
    """
    for path in _run_files(_LOCK_SUFFIX, _READERS_SUFFIX):
        with try_lock(path, shared=False):
            pass  # The last holder removes it.


@asynccontextmanager
async def run_lock(run_id: str) -> AsyncGenerator[None]:
    """Hold the lock for changing a run's state, among all tasks and processes.

    Raises:
        LightRunnerError: STATE_FAILED: the lock file cannot be created. (The other locks raise it as well.)
    """
    async with _held(state_dir() / f"{run_id}{_LOCK_SUFFIX}", shared=False):
        yield


@asynccontextmanager
async def reading_logs(run_id: str) -> AsyncGenerator[None]:
    """Hold the shared lock for reading the daemon's log of a run."""
    async with _held(state_dir() / f"{run_id}{_READERS_SUFFIX}", shared=True):
        yield


@asynccontextmanager
async def no_log_readers(run_id: str) -> AsyncGenerator[None]:
    """Hold the exclusive lock for removing a run's container, and with it the log."""
    async with _held(state_dir() / f"{run_id}{_READERS_SUFFIX}", shared=False):
        yield


@asynccontextmanager
async def _held(path: Path, *, shared: bool) -> AsyncGenerator[None]:
    while True:
        with ExitStack() as stack:
            try:
                is_held = stack.enter_context(try_lock(path, shared=shared))
            except OSError as error:
                message = f"the lock file {path} cannot be locked: {error}"
                raise LightRunnerError(LightRunnerErrorCode.STATE_FAILED, message) from error
            if is_held:
                yield
                return
        await trio.sleep(_LOCK_POLL)


def to_stored(result: ExtractResult) -> StoredExtracted:
    """Return a result in the form that the state file has."""
    return StoredExtracted(
        from_=result.from_,
        to=str(result.to),
        status=result.status,
        bytes=result.bytes,
        skipped=result.skipped,
        # The message may have a file name that is not UTF-8.
        error=None if result.error is None else result.error.encode(errors="backslashreplace").decode(),
    )


def from_stored(stored: StoredExtracted) -> ExtractResult:
    """Return the result from a state file."""
    return ExtractResult(
        from_=stored.from_,
        to=stored.to,
        status=stored.status,
        bytes=stored.bytes,
        skipped=stored.skipped,
        error=stored.error,
    )


def _path(run_id: str) -> Path:
    return state_dir() / f"{run_id}{_SUFFIX}"


def _run_files(*suffixes: str) -> list[Path]:
    try:
        paths = [path for path in state_dir().iterdir() if path.suffix in suffixes]
    except FileNotFoundError:
        return []
    return [path for path in paths if not path.name.startswith(_OTHERS)]


def _read(path: Path) -> RunState | None:
    try:
        state = _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _log.warning("the state file %s cannot be read and is ignored: %s", path, error)
        return None
    if state.id != path.stem or not is_run_id(state.id):
        _log.warning("the state file %s is not named after its run (%r) and is ignored", path, state.id)
        return None
    return state


def _later(moment: datetime, seconds: float) -> datetime:
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:  # Beyond the year 9999.
        return datetime.max.replace(tzinfo=UTC)


def _since_boot() -> float:
    # Linux has a clock that also runs while the machine sleeps. Elsewhere the monotonic clock is the closest.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
