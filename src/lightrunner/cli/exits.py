"""The exit status of the command (pure).

A finished run's status is its container's exit code. The tool's own failures have statuses at the upper end, as
`docker run` has 125 to 127 and `xargs` has 123 to 127, so that they hardly collide with a program's. 126 and 127 are
left to the shell in the container, which ends with them where a command cannot be run or is not found.
"""

from lightrunner import LightRunnerError, LightRunnerErrorCode, RunResult

OK = 0
USAGE = 121
"""The command line or the request is wrong: nothing was created. Also: there is no such run."""
UNREACHABLE = 122
"""The daemon cannot be reached, or the connection to it was lost."""
INCOMPLETE = 123
"""The container ended with 0, but not everything of ``--extract`` could be copied."""
FAILED = 125
"""lightrunner or the daemon could not do it: pull, build, seed, start, removal, state."""


class CommandError(Exception):
    """The tool cannot do what was asked. Its text is for the user."""

    status = FAILED


class UsageError(CommandError):
    """The command line is wrong in a way that its parser does not see."""

    status = USAGE


_CODES = {
    LightRunnerErrorCode.INVALID_REQUEST: USAGE,
    LightRunnerErrorCode.INVALID_RUN_STEP: USAGE,
    LightRunnerErrorCode.RUN_NOT_FOUND: USAGE,
    LightRunnerErrorCode.DOCKER_UNREACHABLE: UNREACHABLE,
}


def status_of_error(error: LightRunnerError) -> int:
    """The exit status for an error of the library."""
    return _CODES.get(error.code, FAILED)


def status_of_result(result: RunResult) -> int:
    """The container's exit code; `INCOMPLETE` in place of 0 if an extract is missing or failed."""
    if result.exit_code == OK and any(entry.status != "ok" for entry in result.extracted or ()):
        return INCOMPLETE
    return result.exit_code
