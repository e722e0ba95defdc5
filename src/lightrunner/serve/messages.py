"""The JSON bodies of requests and responses, and what requests are made of. Pure.

A body has the fields of `RunRequest`, but no path of the server's host: files come with the request or by an uploaded
archive, and extracted files are fetched.
"""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from lightrunner import ExtractSpec, LightRunnerError, LightRunnerErrorCode, Outcome, RunLimits, RunRequest, RunResult
from lightrunner.errors import invalid_request
from lightrunner.plan import check_request
from lightrunner.results import ExtractStatus, Timings, Usage
from lightrunner.rules.limits import DEFAULT_TIMEOUT, DEFAULT_TTY_SIZE, DEFAULT_WORKDIR
from lightrunner.rules.sizes import parse_timeout
from lightrunner.rules.violation import RuleViolation

from .files import FileInfo, relative_parts
from .policy import ServePolicy

State = Literal["queued", "starting", "running", "paused", "finished", "failed"]


class ExtractBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A file or a folder to copy out of the container after exit code 0.

    Attributes:
        from_: a path in the container; a relative one starts at the workdir.
        to: a folder of the run's files, relative.
    """

    from_: str
    to: str = "."


class RunBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to start. Fields that are not described here are those of `RunRequest`, with its defaults.

    Attributes:
        input: any JSON value for stdin; null: no stdin.
        input_base64: bytes for stdin, in place of `input`.
        files: files for the workdir, by relative path, each as base64.
        seed: the id of an uploaded archive for the workdir, in place of `files`.
        timeout: seconds; by default 1200 or the server's maximum. The server has a maximum, so null is refused.
        extract: what to copy out; a str is the path in the container.
        secrets: the contents of files in ``/run/secrets``, by their names, each as base64.
        cancel_on_disconnect: cancel the run when a client that waits for it, or reads its output, goes away.
    """

    image: str
    entrypoint: str | None = None
    run: Sequence[str] = ()
    files: dict[str, bytes] | UnsetType = UNSET
    seed: str | UnsetType = UNSET
    ignore: Sequence[str] = ()
    input: Any = None
    input_base64: bytes | UnsetType = UNSET
    timeout: float | UnsetType | None = UNSET
    network: str | None = None
    env: dict[str, str] = {}
    workdir: str = DEFAULT_WORKDIR
    extract: Sequence[str | ExtractBody] = ()
    capture_output: bool = False
    platform: str | None = None
    user: str | None = None
    hostname: str | None = None
    extra_hosts: dict[str, str] = {}
    labels: dict[str, str] = {}
    cpu_timeout: float | None = None
    output_limit: int | None = None
    tty: bool = False
    tty_size: tuple[int, int] = DEFAULT_TTY_SIZE
    pull: Literal["missing", "always", "never"] = "missing"
    secrets: dict[str, bytes] = {}
    cancel_on_disconnect: bool = False


class StopBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to stop a run.

    Attributes:
        signal: a signal's name or number.
        grace: seconds from the signal to SIGKILL.
    """

    signal: str = "SIGTERM"
    grace: float = 10.0


class ErrorView(msgspec.Struct, frozen=True):
    """What went wrong: `LightRunnerError.to_dict`. Errors of HTTP itself have the status's name as their code."""

    code: str
    message: str
    docker_op: str | None = None
    container_id: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every response with a status from 400 up."""

    error: ErrorView


class ExtractView(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """`ExtractResult`, with `to` relative to the run's files."""

    from_: str
    to: str
    status: ExtractStatus
    bytes: int | None = None
    skipped: int = 0
    error: str | None = None


class ResultView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """`RunResult`. Captured output is text; if it is not UTF-8, it is base64 as well.

    Attributes:
        explanation: `RunResult.explain`.
    """

    success: bool
    outcome: Outcome
    explanation: str
    exit_code: int
    signal: int | None
    duration: float
    cancelled: bool
    timed_out: bool
    oom_killed: bool
    limits: RunLimits
    extracted: tuple[ExtractView, ...] | None
    stdout: str | None
    stderr: str | None
    stdout_base64: bytes | UnsetType = UNSET
    stderr_base64: bytes | UnsetType = UNSET
    stdout_truncated: bool
    stderr_truncated: bool
    usage: Usage | None
    timings: Timings


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        id: its id here.
        state: ``queued``, ``starting`` (pull, build, create, seed), ``running``, ``paused``, ``finished`` (see
            `result`), ``failed`` (see `error`).
        run_id: the id in the names of its container and volume; null before the start.
        created: seconds since the epoch.
        result: what the container did; a non-zero exit code is a result.
        error: what the daemon or the server failed.
    """

    id: str
    state: State
    run_id: str | None
    created: float
    result: ResultView | None = None
    error: ErrorView | None = None


class RunList(msgspec.Struct, frozen=True):
    """All runs that the server has, oldest first."""

    runs: list[RunView]


class SeedView(msgspec.Struct, frozen=True):
    """An uploaded archive, unpacked.

    Attributes:
        id: for `seed` of a request.
        files: the number of its files.
        bytes: the size of the archive.
    """

    id: str
    files: int
    bytes: int


class FileList(msgspec.Struct, frozen=True):
    """The extracted files of a run."""

    files: list[FileInfo]


class Health(msgspec.Struct, frozen=True):
    """Whether runs can be started.

    Attributes:
        status: ``ok``, or ``unreachable``: the daemon does not respond.
        version: lightrunner's.
        queued: the number of runs that wait.
        active: the number of runs that have a place.
    """

    status: Literal["ok", "unreachable"]
    version: str
    queued: int
    active: int


def to_request(body: RunBody, policy: ServePolicy, seed: Path | None, files: Path) -> RunRequest:
    """Return the checked request of a body.

    Args:
        body: what the client sent.
        policy: what it may ask for.
        seed: the folder that holds its files.
        files: the folder that extracted files go to.

    Raises:
        LightRunnerError: INVALID_REQUEST or INVALID_RUN_STEP: a field breaks a rule or exceeds a maximum.
    """
    with invalid_request():
        _check_allowed(body, policy)
        if body.input_base64 is not UNSET and body.input is not None:
            raise RuleViolation("input_base64", body.input_base64, "given with input; give one of them")
        request = RunRequest(
            image=body.image,
            entrypoint=body.entrypoint,
            run=body.run,
            dir=seed,
            ignore=body.ignore,
            input=body.input if body.input_base64 is UNSET else body.input_base64,
            timeout=_timeout(body.timeout, policy.max_timeout),
            network=body.network,
            env=body.env,
            workdir=body.workdir,
            extract=_extracts(body.extract, files),
            capture_output=body.capture_output,
            platform=body.platform,
            user=body.user,
            hostname=body.hostname,
            extra_hosts=body.extra_hosts,
            labels=body.labels,
            cpu_timeout=_at_most("cpu_timeout", body.cpu_timeout, policy.max_cpu_timeout),
            output_limit=_whole(_at_most("output_limit", body.output_limit, policy.max_output)),
            tty=body.tty,
            tty_size=body.tty_size,
            pull=body.pull,
            secrets=body.secrets,
        )
        plan = check_request(request)
        if plan.dropped_env:
            # A caller of the library is warned of these. A client would see no warning.
            raise RuleViolation("env", plan.dropped_env, "not names that POSIX allows")
    return request


def _check_allowed(body: RunBody, policy: ServePolicy) -> None:
    if policy.images and not any(fnmatch.fnmatchcase(body.image, pattern) for pattern in policy.images):
        raise RuleViolation("image", body.image, "this server does not run this image")
    if body.network not in {None, "none", *policy.networks}:
        raise RuleViolation("network", body.network, "this server does not offer this network")
    if body.run and not policy.allow_setup:
        raise RuleViolation("run", body.run, "this server builds no setup steps")
    if len(body.extract) > policy.max_extracts:
        raise RuleViolation("extract", len(body.extract), f"more than {policy.max_extracts} entries")


def _timeout(value: float | UnsetType | None, maximum: float) -> float:
    if value is UNSET:
        return min(DEFAULT_TIMEOUT, maximum)
    if parse_timeout("timeout", value) > maximum:
        raise RuleViolation("timeout", value, f"more than this server's maximum of {maximum:g} s")
    assert value is not None
    return value


def _at_most(field: str, value: float | None, maximum: float | None) -> float | None:
    if maximum is None:
        return value
    if value is not None and value > maximum:
        raise RuleViolation(field, value, f"more than this server's maximum of {maximum:g}")
    return maximum if value is None else value


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _extracts(entries: Sequence[str | ExtractBody], files: Path) -> list[ExtractSpec]:
    bodies = [ExtractBody(entry) if isinstance(entry, str) else entry for entry in entries]
    return [
        ExtractSpec(body.from_, files.joinpath(*relative_parts(f"extract[{at}].to", body.to)))
        for at, body in enumerate(bodies)
    ]


def result_view(result: RunResult, files: Path) -> ResultView:
    """Return a result for clients, without the server's paths."""
    extracted = result.extracted
    views = (
        None
        if extracted is None
        else tuple(
            ExtractView(
                entry.from_,
                Path(entry.to).relative_to(files).as_posix(),
                entry.status,
                entry.bytes,
                entry.skipped,
                None if entry.error is None else without_path(entry.error, files),
            )
            for entry in extracted
        )
    )
    return ResultView(
        success=result.success,
        outcome=result.outcome,
        explanation=result.explain(),
        exit_code=result.exit_code,
        signal=result.signal,
        duration=result.duration,
        cancelled=result.cancelled,
        timed_out=result.timed_out,
        oom_killed=result.oom_killed,
        limits=result.limits,
        extracted=views,
        stdout=_text(result.stdout),
        stderr=_text(result.stderr),
        stdout_base64=_unless_utf8(result.stdout),
        stderr_base64=_unless_utf8(result.stderr),
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
        usage=result.usage,
        timings=result.timings,
    )


def error_view(error: LightRunnerError, folder: Path) -> ErrorView:
    """Return an error for clients, without the server's paths."""
    return ErrorView(str(error.code), without_path(error.message, folder), error.docker_op, error.container_id)


def aborted_view() -> ErrorView:
    """Return the error of a run that was cancelled before it started."""
    return ErrorView(str(LightRunnerErrorCode.RUN_ABORTED), "the run was cancelled before it started")


def internal_error_view() -> ErrorView:
    """Return the error for a failure that is the server's own. The client learns no more of it."""
    return ErrorView("INTERNAL_SERVER_ERROR", "the server failed; its log says how")


def without_path(message: str, folder: Path) -> str:
    """Return a message in which paths below a folder are relative to it."""
    return message.replace(f"{folder}/", "").replace(str(folder), ".")


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="replace")


def _unless_utf8(data: bytes | None) -> bytes | UnsetType:
    if data is None:
        return UNSET
    try:
        data.decode()
    except UnicodeDecodeError:
        return data
    return UNSET
