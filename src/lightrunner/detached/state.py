"""State files of detached runs: one JSON file each in the state folder, where any process of the host finds it.

Synchronous but for `run_lock`. Fields are light-runner's, camelCase on disk; ours beyond them are `timeout` (seconds),
`deadline`, `bootDeadline`, `extract`, `extracted`, `maxExtractBytes`, `timedOut`, `oomKilled`, `owner`.
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
"""Ids become file names: no dot and no slash, so that no id leaves the folder."""

_SUFFIX = ".json"
_LOCK_SUFFIX = ".lock"
_READERS_SUFFIX = ".readers"
_OTHERS = "cache-"
"""What is in the folder beside runs begins so."""

_LOCK_POLL = 0.05
"""Seconds. flock can only be waited for in a thread, and a thread that waits for ever cannot be cancelled."""

RunStatus = Literal["running", "exited", "cancelled", "failed"]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""One without a time zone cannot be compared with the others."""


class StoredExtract(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One `ExtractSpec`, with the host path made absolute: another process has another working directory."""

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
    """A detached run, as far as its state file tells.

    Attributes:
        id: the run's id.
        container: the container's name.
        volume: the volume's name.
        image: the image reference of the request.
        workdir: in the container.
        entrypoint: of the request.
        started_at: when the start was accepted; before that, when the file was written.
        finished_at: when the container exited.
        status: ``running`` until somebody has looked after the exit; ``cancelled`` also after the time-out's kill;
            ``failed`` where no exit code is to be had.
        exit_code: the process's.
        duration_ms: from start to exit, in milliseconds.
        cancelled: it was cancelled or stopped.
        timeout: in seconds; None: none.
        deadline: when the time-out is over, by the wall clock; None before the start, and without a time-out.
        boot_deadline: the same in seconds since the boot `boot`, which no change of the wall clock moves.
        boot: the kernel's id of that boot.
        extract: what to pull out after exit code 0.
        extracted: what became of it.
        max_extract_bytes: the cap for each.
        timed_out: the time-out killed it.
        oom_killed: the kernel killed a process of it for its memory limit.
        starting: the start is still to come, by `owner`.
        owner: the process that started it.
        error: why it failed.
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
    starting: bool = False
    owner: str = ""
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the result is in the file."""
        return self.status != "running"

    def started(self) -> "RunState":
        """The same run with its clocks set: it has started now."""
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
        """Until the time-out; negative where it is over, infinite where there is none.

        By the clock that runs since the boot, if it is the same boot: the wall clock jumps. Where the process that
        started the run died before it wrote the deadline, the time-out counts from the file's own time.
        """
        if self.timeout is None:
            return math.inf
        if self.boot_deadline is not None and self.boot == boot_id():
            return self.boot_deadline - _since_boot()
        return ((self.deadline or _later(self.started_at, self.timeout)) - datetime.now(UTC)).total_seconds()


_decoder = msgspec.json.Decoder(RunState)


def is_run_id(text: str) -> bool:
    """Whether this can be a run's id."""
    return _ID.fullmatch(text) is not None


def read_state(run_id: str) -> RunState | None:
    """The state of one detached run; None where there is none, or its file cannot be read, which is logged."""
    if not is_run_id(run_id):
        return None
    try:
        path = _path(run_id)
    except FileNotFoundError:  # Nor can there be any: there is no home folder.
        return None
    return _read(path)


def list_states() -> list[RunState]:
    """All states, oldest first. Files that are torn or not ours are logged and left out.

    Raises:
        OSError: there is a folder, but it cannot be read.
    """
    states = [state for path in _run_files(_SUFFIX) if (state := _read(path)) is not None]
    return sorted(states, key=lambda state: (state.started_at, state.id))


def write_state(state: RunState) -> None:
    """Write one state, atomically and durably.

    Raises:
        OSError: the folder cannot be made or written; the previous state is still there.
    """
    make_state_dir()
    write_atomically(_path(state.id), msgspec.json.format(msgspec.json.encode(state), indent=2))


def is_kept_elsewhere(folder: str, run_id: str) -> bool:
    """Whether another folder than this process's, as `limits.LABEL_STATE_DIR` names it, has a state of the run."""
    path = Path(os.fsdecode(unquote_to_bytes(folder)), f"{run_id}{_SUFFIX}")
    try:
        own = _path(run_id).absolute()
    except FileNotFoundError:  # There is no home folder.
        own = None
    try:
        return path.is_absolute() and path != own and path.exists()
    except OSError:  # Labels are anybody's: it is no path that could be.
        return False


def forget_state(run_id: str) -> None:
    """Remove the file of a run that never came to be."""
    with suppress(FileNotFoundError):
        _path(run_id).unlink()


def sweep_locks() -> None:
    """Remove the lock files that killed processes have left.

    Raises:
        OSError: the folder cannot be read or written.
    """
    for path in _run_files(_LOCK_SUFFIX, _READERS_SUFFIX):
        with try_lock(path, shared=False):
            pass  # The last holder removes it.


@asynccontextmanager
async def run_lock(run_id: str) -> AsyncGenerator[None]:
    """Held by whoever changes a run's state, among tasks and processes.

    Raises:
        LightRunnerError: STATE_FAILED, as for the other locks: the lock file cannot be made.
    """
    async with _held(state_dir() / f"{run_id}{_LOCK_SUFFIX}", shared=False):
        yield


@asynccontextmanager
async def reading_logs(run_id: str) -> AsyncGenerator[None]:
    """Held, by any number, while the daemon's log of the run is read."""
    async with _held(state_dir() / f"{run_id}{_READERS_SUFFIX}", shared=True):
        yield


@asynccontextmanager
async def no_log_readers(run_id: str) -> AsyncGenerator[None]:
    """Held by whoever removes the container, and with it the log."""
    async with _held(state_dir() / f"{run_id}{_READERS_SUFFIX}", shared=False):
        yield


@asynccontextmanager
async def _held(path: Path, *, shared: bool) -> AsyncGenerator[None]:
    while True:
        with ExitStack() as stack:
            try:
                is_held = stack.enter_context(try_lock(path, shared=shared))
            except OSError as error:
                message = f"{path} cannot be locked: {error}"
                raise LightRunnerError(LightRunnerErrorCode.STATE_FAILED, message) from error
            if is_held:
                yield
                return
        await trio.sleep(_LOCK_POLL)


def to_stored(result: ExtractResult) -> StoredExtracted:
    """A result as the file has it."""
    return StoredExtracted(
        from_=result.from_,
        to=str(result.to),
        status=result.status,
        bytes=result.bytes,
        skipped=result.skipped,
        # It may show a file's name, which need not be UTF-8.
        error=None if result.error is None else result.error.encode(errors="backslashreplace").decode(),
    )


def from_stored(stored: StoredExtracted) -> ExtractResult:
    """And back."""
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
        _log.warning("the state file %s cannot be read and is left out: %s", path, error)
        return None
    if state.id != path.stem or not is_run_id(state.id):
        _log.warning("the state file %s is not named after its run (%r) and is left out", path, state.id)
        return None
    return state


def _later(moment: datetime, seconds: float) -> datetime:
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:  # Beyond the year 9999.
        return datetime.max.replace(tzinfo=UTC)


def _since_boot() -> float:
    # Linux' clock that also runs while the machine sleeps; elsewhere the nearest there is.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
