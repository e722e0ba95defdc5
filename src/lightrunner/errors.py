"""`LightRunnerError`, its codes, and how engine errors map to them."""

import enum
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from .engine import EngineEndpointError, EngineError, EngineUnreachable
from .rules.dockerfile import StepViolation
from .rules.violation import RuleViolation


class LightRunnerErrorCode(enum.StrEnum):
    """What went wrong: light-runner's codes and more."""

    DOCKER_UNREACHABLE = "DOCKER_UNREACHABLE"
    """The daemon cannot be reached, does not respond, or the connection was lost."""
    INVALID_REQUEST = "INVALID_REQUEST"
    """A field of the request or an option of the runner breaks a rule. Nothing was created."""
    IMAGE_PULL_FAILED = "IMAGE_PULL_FAILED"
    """The image is not on the daemon and cannot be pulled."""
    VOLUME_CREATE_FAILED = "VOLUME_CREATE_FAILED"
    """The run's volume could not be created."""
    CONTAINER_START_FAILED = "CONTAINER_START_FAILED"
    """The container could not be created or started."""
    INVALID_RUN_STEP = "INVALID_RUN_STEP"
    """A setup step is not exactly one RUN instruction of a Dockerfile. Nothing was built."""
    BUILD_FAILED = "BUILD_FAILED"
    """The setup steps could not be built into an image."""
    SEED_FAILED = "SEED_FAILED"
    """The host folder could not be copied into the container."""
    RUN_FAILED = "RUN_FAILED"
    """The daemon failed while the container ran: its exit code or output is lost."""
    NODE_LOST = "NODE_LOST"
    """The node of a swarm that a run was on is gone. The run may go on there, and may have had its effects."""
    EXTRACT_FAILED = "EXTRACT_FAILED"
    """The daemon failed while files were copied out. (A bad entry is a result with the status ``error``.)"""
    FILE_FAILED = "FILE_FAILED"
    """A file of a sandbox could not be read or written. The ``__cause__`` is an `OSError` with its errno."""
    SNAPSHOT_FAILED = "SNAPSHOT_FAILED"
    """A sandbox could not be saved as an image."""
    SANDBOX_CLOSED = "SANDBOX_CLOSED"
    """The sandbox is gone: its block or its time has ended, process 1 was killed for memory, the connection was lost,
    or the processes of a command could not be killed."""
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    """This host has no detached run with that id."""
    STATE_FAILED = "STATE_FAILED"
    """The state of a detached run cannot be written."""
    RUN_ABORTED = "RUN_ABORTED"
    """The run was cancelled from outside, or its runner was closed. `Execution.wait` raises it."""
    RUN_UNSUCCESSFUL = "RUN_UNSUCCESSFUL"
    """The run did not succeed. Only `RunResult.check` raises it."""


class LightRunnerError(Exception):
    """The error that lightrunner raises. Its ``__cause__`` is the engine's error or the broken rule, if there is one.

    Attributes:
        code: what went wrong, for programs.
        message: what went wrong, for people, with the daemon's message if there is one.
        docker_op: the engine operation that failed, such as ``container_start``; None if it was none.
        container_id: the container's id; None without a container.
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
        """Return the attributes as a JSON object, for logs."""
        return {
            "code": str(self.code),
            "message": self.message,
            "docker_op": self.docker_op,
            "container_id": self.container_id,
        }


class LightRunnerWarning(UserWarning):
    """Part of a request was dropped. The run continues."""


def warn_of_dropped_env(names: Sequence[str]) -> None:
    """Warn about names dropped from `env`. The warning shows the caller's caller: the line that awaits the run."""
    if names:
        shown = ", ".join(map(repr, names))
        warnings.warn(f"env: dropped names that POSIX does not allow: {shown}", LightRunnerWarning, stacklevel=3)


@contextmanager
def mapped_errors(code: LightRunnerErrorCode, docker_op: str, *, container_id: str | None = None) -> Generator[None]:
    """Turn engine errors into `LightRunnerError`: DOCKER_UNREACHABLE for `EngineUnreachable`, otherwise `code`."""
    try:
        yield
    except EngineError as error:
        if isinstance(error, EngineUnreachable):
            code = LightRunnerErrorCode.DOCKER_UNREACHABLE
        raise LightRunnerError(code, str(error), docker_op=docker_op, container_id=container_id) from error


@contextmanager
def invalid_request() -> Generator[None]:
    """Turn `RuleViolation` into INVALID_REQUEST, or INVALID_RUN_STEP for a setup step."""
    try:
        yield
    except StepViolation as error:
        raise LightRunnerError(LightRunnerErrorCode.INVALID_RUN_STEP, str(error)) from error
    except (RuleViolation, EngineEndpointError) as error:
        raise LightRunnerError(LightRunnerErrorCode.INVALID_REQUEST, str(error)) from error
