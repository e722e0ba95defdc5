"""The command of a run, where lightrunner's own program has to be told."""

from lightrunner.engine.wire import ContainerConfig
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.plan import RunPlan


def run_command(plan: RunPlan, config: ContainerConfig | None) -> list[str]:
    """Return the program and its arguments.

    Args:
        plan: the checked request.
        config: the image's configuration; needed for the image's own command.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: neither the request nor the image has a command.
    """
    if plan.entrypoint is not None:
        return ["sh", "-c", plan.entrypoint]
    command = [*(config.entrypoint or []), *(config.cmd or [])] if config is not None else []
    if not command:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED, "the image has no command; give the request an entrypoint"
        )
    return command
