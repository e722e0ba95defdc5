"""What a run leaves on the daemon, removed: its container and its volume. Shielded and bounded."""

import logging
from collections.abc import Awaitable, Callable

import trio

from .engine import EngineClient, EngineError, EngineNotFound, EngineUnreachable
from .rules.limits import CLEANUP_TIMEOUT, NAME_PREFIX, RECONNECT_TIMEOUT

_log = logging.getLogger("lightrunner")
_RETRY_PAUSE = 0.1


async def remove_run(engine: EngineClient, run_id: str) -> bool:
    """Remove container and volume of a run by their names, whatever state they are in.

    Cancellation waits until it is over: `CLEANUP_TIMEOUT` at the most, `RECONNECT_TIMEOUT` where the daemon is gone.

    Returns:
        Whether nothing is left. Otherwise it is logged as an error of the logger ``lightrunner``, with the names.
    """
    name = NAME_PREFIX + run_id
    failures: list[EngineError] = []
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT) as scope:
        # The container first: it uses the volume. Its anonymous volumes (an image's VOLUME) go with it.
        removed = await _until_gone(lambda: engine.container_delete(name, force=True, volumes=True), failures)
        removed = removed and await _until_gone(lambda: engine.volume_delete(name), failures)
        if removed:
            return True
    reason = failures[-1] if failures else "no answer"
    waited = f" within {CLEANUP_TIMEOUT:g} s" if scope.cancelled_caught else ""
    _log.error("container and volume %s could not be removed%s: %s", name, waited, reason)
    return False


async def _until_gone(delete: Callable[[], Awaitable[None]], failures: list[EngineError]) -> bool:
    """Try until it is gone: another removal may be in progress (409), the daemon may be restarting."""
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
