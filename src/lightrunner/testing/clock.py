"""Keep trio's MockClock from jumping while a worker thread is at work.

With `autojump_clock` time passes when every task waits. A task that waits for a thread, such as one that reads a folder
or lands a file, looks idle to it: time-outs would fire because of the disk's speed, once in a while.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager

import trio
import trio.testing

from lightrunner.engine.threads import thread_limiter

_LOOK = 0.0005
"""Seconds between two looks whether the threads are done."""


class ThreadGuard(trio.abc.Instrument):
    """Wakes the event loop, instead of letting it idle, for as long as one of its threads is at work."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._limiters = (trio.to_thread.current_default_thread_limiter(), thread_limiter())

    def before_io_wait(self, timeout: float) -> None:
        """Called before the event loop waits; an idle wait is what the clock jumps after."""
        if timeout > 0 or any(limiter.borrowed_tokens for limiter in self._limiters):
            self._wake_while_threads_work()

    def _wake_while_threads_work(self) -> None:
        if any(limiter.borrowed_tokens for limiter in self._limiters):
            time.sleep(_LOOK)
            self._token.run_sync_soon(_nothing, idempotent=True)


@contextmanager
def guarded_clock() -> Generator[None]:
    """Hold a mock clock while threads are at work. The real clock needs nothing."""
    if not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        yield
        return
    guard = ThreadGuard()
    trio.lowlevel.add_instrument(guard)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(guard)


def _nothing() -> None:
    pass
