"""Errors of requests, and the HTTP status of each. Pure."""

from collections.abc import Mapping
from http import HTTPStatus

from lightrunner import LightRunnerError, LightRunnerErrorCode

_STATUSES = {
    LightRunnerErrorCode.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    LightRunnerErrorCode.INVALID_RUN_STEP: HTTPStatus.BAD_REQUEST,
    LightRunnerErrorCode.RUN_NOT_FOUND: HTTPStatus.NOT_FOUND,
    LightRunnerErrorCode.RUN_ABORTED: HTTPStatus.CONFLICT,
    LightRunnerErrorCode.DOCKER_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(Exception):
    """An error that the client gets as JSON, in the shape of `LightRunnerError.to_dict`.

    Attributes:
        status: the HTTP status.
        error: the fields ``code``, ``message``, ``docker_op``, ``container_id``.
        headers: additional headers of the response.
    """

    def __init__(
        self, status: HTTPStatus, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.error: dict[str, str | None] = {
            "code": code or status.name,
            "message": message,
            "docker_op": None,
            "container_id": None,
        }
        self.headers = dict(headers or {})


def problem_of(error: LightRunnerError) -> Problem:
    """Return the problem for an error of the library. What the daemon failed is 502: the server is its gateway."""
    problem = Problem(_STATUSES.get(error.code, HTTPStatus.BAD_GATEWAY), error.message)
    problem.error = error.to_dict()
    return problem


def not_found(message: str) -> Problem:
    """Return a 404."""
    return Problem(HTTPStatus.NOT_FOUND, message)
