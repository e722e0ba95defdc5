"""Something made on the daemon: the answer to a create is awaited whatever happens meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import CREATE_TIMEOUT

T = TypeVar("T")


async def shielded_create(operation: str, create: Callable[[], Awaitable[T]]) -> T:
    """Create, and hold a cancellation off: a create that is cut off still happens, and would overtake its own removal.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: no answer within `CREATE_TIMEOUT`.
    """
    answers: list[T] = []
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CREATE_TIMEOUT):
        answers.append(await create())
    await trio.lowlevel.checkpoint_if_cancelled()
    if not answers:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED,
            f"{operation}: no answer within {CREATE_TIMEOUT:g} s",
            docker_op=operation,
        )
    return answers[0]
