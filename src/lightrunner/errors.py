"""`LightRunnerError`, its codes, and the mapping of the engine's errors to it."""

import enum
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from .engine import EngineEndpointError, EngineError, EngineUnreachable
from .rules.dockerfile import StepViolation
from .rules.violation import RuleViolation


class LightRunnerErrorCode(enum.StrEnum):
    """What went wrong; light-runner's codes and some more."""

    DOCKER_UNREACHABLE = "DOCKER_UNREACHABLE"
    """The daemon is not there, does not answer, or the connection was lost."""
    INVALID_REQUEST = "INVALID_REQUEST"
    """A field of the request or an option of the runner breaks a rule. Nothing was created."""
    IMAGE_PULL_FAILED = "IMAGE_PULL_FAILED"
    """The image is not on the daemon and cannot be pulled."""
    VOLUME_CREATE_FAILED = "VOLUME_CREATE_FAILED"
    """The run's volume could not be made."""
    CONTAINER_START_FAILED = "CONTAINER_START_FAILED"
    """The container could not be created or started."""
    INVALID_RUN_STEP = "INVALID_RUN_STEP"
    """A setup step breaks a rule: it would not be one RUN of the Dockerfile. Nothing was built."""
    BUILD_FAILED = "BUILD_FAILED"
    """The image of the setup steps could not be built."""
    SEED_FAILED = "SEED_FAILED"
    """The host folder could not be copied into the container."""
    RUN_FAILED = "RUN_FAILED"
    """The daemon failed while the container ran: the exit code or the output is not to be had."""
    EXTRACT_FAILED = "EXTRACT_FAILED"
    """The daemon failed while files were pulled out. (A bad entry is a result with the status ``error``.)"""
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    """There is no detached run of that id on this host."""
    STATE_FAILED = "STATE_FAILED"
    """The state of a detached run cannot be written."""
    RUN_ABORTED = "RUN_ABORTED"
    """The run was cancelled from outside, or its runner was closed. `Execution.wait` raises it."""
    RUN_UNSUCCESSFUL = "RUN_UNSUCCESSFUL"
    """Raised by `RunResult.check` alone."""


class LightRunnerError(Exception):
    """Whatever lightrunner raises of its own.

    Attributes:
        code: what went wrong, for programs.
        message: what went wrong, for people; the daemon's own sentence where there is one.
        docker_op: the engine operation that was in flight, such as ``container_start``.
        container_id: the container, where there was one.

    The cause is chained.
    """

    def __init__(
        self,
        code: LightRunnerErrorCode,
        message: str,
        *,
        docker_op: str | None = None,
        container_id: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.docker_op = docker_op
        self.container_id = container_id

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def to_dict(self) -> dict[str, str | None]:
        """All of it as JSON would have it, for logs."""
        return {
            "code": str(self.code),
            "message": self.message,
            "docker_op": self.docker_op,
            "container_id": self.container_id,
        }


class LightRunnerWarning(UserWarning):
    """Something in a request was left out. The run goes on."""


def warn_of_dropped_env(names: Sequence[str]) -> None:
    """Name what was left out of `env`, at the line that awaits the run: the caller's caller."""
    if names:
        shown = ", ".join(map(repr, names))
        warnings.warn(f"env: dropped what is no POSIX name: {shown}", LightRunnerWarning, stacklevel=3)


@contextmanager
def mapped_errors(code: LightRunnerErrorCode, docker_op: str, *, container_id: str | None = None) -> Generator[None]:
    """Turn the engine's errors into `LightRunnerError` with this code; an unreachable daemon has a code of its own."""
    try:
        yield
    except EngineError as error:
        if isinstance(error, EngineUnreachable):
            code = LightRunnerErrorCode.DOCKER_UNREACHABLE
        raise LightRunnerError(code, str(error), docker_op=docker_op, container_id=container_id) from error


@contextmanager
def invalid_request() -> Generator[None]:
    """Turn a broken rule into INVALID_REQUEST, or INVALID_RUN_STEP for a setup step."""
    try:
        yield
    except StepViolation as error:
        raise LightRunnerError(LightRunnerErrorCode.INVALID_RUN_STEP, str(error)) from error
    except (RuleViolation, EngineEndpointError) as error:
        raise LightRunnerError(LightRunnerErrorCode.INVALID_REQUEST, str(error)) from error
