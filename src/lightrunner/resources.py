"""Create and remove a run's resources on the daemon: shielded from cancellation, and bounded in time."""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from .engine import EngineClient, EngineError, EngineNotFound, EngineUnreachable
from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import CLEANUP_TIMEOUT, CREATE_TIMEOUT, NAME_PREFIX, RECONNECT_TIMEOUT

T = TypeVar("T")

_log = logging.getLogger("lightrunner")
_RETRY_PAUSE = 0.1


_last_removal: trio.lowlevel.RunVar[float] = trio.lowlevel.RunVar("lightrunner-last-removal", default=-math.inf)
"""When this event loop's last removal succeeded."""


async def shielded_create(operation: str, create: Callable[[], Awaitable[T]]) -> T:
    """Call `create`, shielded: the daemon completes a create that is cut off, and might do so after the removal.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: no response within `CREATE_TIMEOUT`.
    """
    responses: list[T] = []
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CREATE_TIMEOUT):
        responses.append(await create())
    await trio.lowlevel.checkpoint_if_cancelled()
    if not responses:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED,
            f"{operation}: the daemon did not respond within {CREATE_TIMEOUT:g} s",
            docker_op=operation,
        )
    return responses[0]


async def remove_run(engine: EngineClient, run_id: str, *, container: str = "") -> bool:
    """Remove a run's container and volume by name, in whatever state they are.

    `container` is its id where a swarm has chosen its name.

    Shielded from cancellation for at most `CLEANUP_TIMEOUT`, or `RECONNECT_TIMEOUT` if the daemon is gone; longer only
    while removals of other runs succeed: 500 runs that were cancelled at once took 40 s.

    Returns:
        Whether both are gone. If not, the logger ``lightrunner`` gets an error with their name.
    """
    name = NAME_PREFIX + run_id
    failures: list[EngineError] = []
    while True:
        begin = trio.current_time()
        with trio.CancelScope(shield=True, deadline=begin + CLEANUP_TIMEOUT) as scope:
            # The container first, since it uses the volume. Its anonymous volumes (an image's VOLUME) go with it.
            removed = await _until_gone(
                lambda: engine.container_delete(container or name, force=True, volumes=True), failures
            )
            if removed and await _until_gone(lambda: engine.volume_delete(name), failures):
                _last_removal.set(trio.current_time())
                return True
        if not scope.cancelled_caught or _last_removal.get() < begin:
            break
    reason = failures[-1] if failures else "the daemon did not respond"
    waited = f" within {CLEANUP_TIMEOUT:g} s" if scope.cancelled_caught else ""
    _log.error("container and volume %s could not be removed%s: %s", name, waited, reason)
    return False


async def _until_gone(delete: Callable[[], Awaitable[None]], failures: list[EngineError]) -> bool:
    """Delete, and retry: another removal may be in progress (409), or the daemon may be restarting."""
    reconnect_until = trio.current_time() + RECONNECT_TIMEOUT
    while True:
        try:
            await delete()
        except EngineNotFound:
            return True
        except EngineError as error:
            failures.append(error)
            if isinstance(error, EngineUnreachable) and trio.current_time() >= reconnect_until:
                return False
        else:
            return True
        await trio.sleep(_RETRY_PAUSE)
