"""Calls to a swarm's managers: to whichever answers, also while a new leader is elected."""

import math
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

import trio

from lightrunner.engine import EngineClient, EngineError, EngineResponseError, EngineUnreachable
from lightrunner.rules import limits

T = TypeVar("T")

_PAUSE = 0.2

_ELECTION = ("does not have a leader", "Unavailable", "DeadlineExceeded", "context deadline exceeded", "raft")
"""What errors say while managers cannot agree, or the leader has just gone."""


class Managers:
    """The managers of one swarm; the one that answered last is asked first."""

    def __init__(self, engines: Sequence[EngineClient]) -> None:
        self._engines = list(engines)

    async def call(self, operation: Callable[[EngineClient], Awaitable[T]]) -> T:
        """Call one operation, on another manager if one does not answer, for up to `LEADER_TIMEOUT`.

        The operation may be called again after it has taken effect.

        Raises:
            EngineError: as the operation, or no manager answers.
        """
        deadline = trio.current_time() + (limits.LEADER_TIMEOUT if len(self._engines) > 1 else 0)
        while True:
            failure: EngineError | None = None
            for engine in tuple(self._engines):
                patience = limits.MANAGER_TIMEOUT if len(self._engines) > 1 else math.inf
                try:
                    with trio.fail_after(patience):
                        result = await operation(engine)
                except trio.TooSlowError:
                    failure = EngineUnreachable(f"{engine.endpoint} did not answer within {patience:g} s")
                except EngineError as error:
                    if not _is_passing(error):
                        raise
                    failure = error
                else:
                    self._engines.remove(engine)
                    self._engines.insert(0, engine)
                    return result
            if failure is not None and trio.current_time() >= deadline:
                raise failure
            await trio.sleep(_PAUSE)

    async def answering(self) -> EngineClient:
        """Return a manager that answers, for operations that take long.

        Raises:
            EngineError: as `call`.
        """
        await self.call(lambda manager: manager.system_ping())
        return self._engines[0]

    async def aclose(self) -> None:
        """Close all connections."""
        for engine in self._engines:
            await engine.aclose()


def _is_passing(error: EngineError) -> bool:
    if isinstance(error, EngineResponseError):
        is_servers = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_servers and any(words in error.message for words in _ELECTION)
    return isinstance(error, EngineUnreachable)
